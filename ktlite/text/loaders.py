"""ktrain's loaders: from files, folders, frames or arrays to (train, validation, preprocessor)."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ktlite._arguments import between_0_and_1, check_paths, checked
from ktlite._extras import needs_extra
from ktlite.data.dataset import Dataset
from ktlite.data.examples import NaValues
from ktlite.data.preparing import prepare
from ktlite.data.preprocessor import Preprocessor
from ktlite.data.readers import Examples, read_arrays, read_csv, read_folder, read_frame
from ktlite.data.reading import as_given
from ktlite.errors import ArgumentError, Problems
from ktlite.text.checkpoint_names import in_language
from ktlite.text.standard import StandardPreprocessor
from ktlite.text.transformer import Transformer

Loaded = tuple[Dataset, Dataset, Any]

DEFAULT_SEED = 42
STANDARD = "standard"
# ktrain's names of preprocessing modes that stand for one checkpoint each, of English texts.
_MODES = {"bert": "bert-base-uncased", "distilbert": "distilbert-base-uncased"}


@checked
def texts_from_csv(
    train_filepath: str | os.PathLike[str],
    text_column: Any,
    label_columns: Any = (),
    val_filepath: str | os.PathLike[str] | None = None,
    max_features: int = 20000,
    maxlen: int = 400,
    val_pct: float = 0.1,
    ngram_range: int = 1,
    preprocess_mode: str | os.PathLike[str] = "standard",
    encoding: str | None = None,
    lang: str | None = None,
    sep: str | None = None,
    is_regression: bool = False,
    random_state: int | None = None,
    verbose: int = 1,
    *,
    names: Sequence[str] | None = None,
    task: str | None = None,
    missing: str = "drop",
    na_values: NaValues = (),
) -> Loaded:
    """Loads texts and labels from CSV files.

    Args:
        train_filepath: The training file.
        text_column: Name of the text column, or two names for pairs of texts.
        label_columns: Name of the label column, or of several one-/multi-hot columns.
        val_filepath: The validation file. Default: a stratified part of the training file.
        max_features: With `"standard"`, words to tell apart. A checkpoint brings its vocabulary.
        maxlen: Longest text in tokens.
        val_pct: Share of the rows to validate on where there is no validation file.
        ngram_range: With `"standard"`, the n of the longest n-grams that linear models count.
        preprocess_mode: `"standard"`: lower-case words, for the models that `text_classifiers()`
            lists. Or a checkpoint folder or Hub name, for that checkpoint.
        encoding: Of the files. Default: detected (UTF-8, GB18030, ...).
        lang: Of ktrain's modes `"bert"` and `"distilbert"`, such as `"en"`. Default: by script.
        sep: Column separator. Default: a comma, or by the file's name a tab (`.tsv`).
        is_regression: The same as `task="regression"`.
        random_state: Seed of the split. Default: 42.
        verbose: 0 silences progress bars and all lines but warnings.
        names: Column names of a file that has no header row.
        task: `"classification"`, `"multilabel"` or `"regression"`. Default: inferred.
        missing: `"drop"` leaves out rows without text or label and says how many;
            `"error"` refuses them.
        na_values: As for `get_learner`.

    Returns:
        (train, val, preproc): two `Dataset`s and what made them, a `Transformer` or a
        `StandardPreprocessor`.

    Raises:
        DataError: If the files or labels cannot be used; the message says why.
        CheckpointError: If the checkpoint cannot be used.

    Example:
        >>> train, val, preproc = text.texts_from_csv(
        ...     "reviews.csv", "text", "label", preprocess_mode="bert-base-uncased", maxlen=128)
    """
    check_paths("texts_from_csv", train_filepath=train_filepath, val_filepath=val_filepath)

    def read(path: Any) -> Examples:
        return read_csv(
            path,
            text_column,
            label_columns,
            sep=sep,
            encoding=encoding,
            names=names,
            missing=missing,
            na_values=na_values,
        )

    return _load(
        lambda: read(train_filepath),
        None if val_filepath is None else lambda: read(val_filepath),
        preprocess_mode,
        reading=as_given(
            text_column, label_columns, sep=sep, encoding=encoding, names=names, na_values=na_values
        ),
        lang=lang,
        maxlen=maxlen,
        max_features=max_features,
        ngram_range=ngram_range,
        val_pct=val_pct,
        task=_regression(is_regression, task),
        random_state=random_state,
        verbose=verbose,
    )


@checked
def texts_from_df(
    train_df: Any,
    text_column: Any,
    label_columns: Any = (),
    val_df: Any = None,
    max_features: int = 20000,
    maxlen: int = 400,
    val_pct: float = 0.1,
    ngram_range: int = 1,
    preprocess_mode: str | os.PathLike[str] = "standard",
    lang: str | None = None,
    is_regression: bool = False,
    random_state: int | None = None,
    verbose: int = 1,
    *,
    task: str | None = None,
    missing: str = "drop",
) -> Loaded:
    """Loads texts and labels from data frames; arguments as `texts_from_csv`."""

    def read(frame: Any, source: str) -> Examples:
        return read_frame(frame, text_column, label_columns, missing=missing, source=source)

    return _load(
        lambda: read(train_df, "train_df"),
        None if val_df is None else lambda: read(val_df, "val_df"),
        preprocess_mode,
        reading=as_given(text_column, label_columns),
        lang=lang,
        maxlen=maxlen,
        max_features=max_features,
        ngram_range=ngram_range,
        val_pct=val_pct,
        task=_regression(is_regression, task),
        random_state=random_state,
        verbose=verbose,
    )


@checked
def texts_from_folder(
    datadir: str | os.PathLike[str],
    classes: Sequence[str] | None = None,
    max_features: int = 20000,
    maxlen: int = 400,
    ngram_range: int = 1,
    train_test_names: Sequence[str] = ("train", "test"),
    preprocess_mode: str | os.PathLike[str] = "standard",
    encoding: str | None = None,
    lang: str | None = None,
    val_pct: float = 0.1,
    random_state: int | None = None,
    verbose: int = 1,
    *,
    missing: str = "drop",
) -> Loaded:
    """Loads text files from folders named after their class.

    Expects `datadir/train/CLASS/*` and `datadir/test/CLASS/*`. Where there is no second one of
    `train_test_names`, a stratified part of the first validates. `classes` selects folders, and
    the order is that of their names, as in ktrain. Other arguments as `texts_from_csv`.

    Example:
        >>> train, val, preproc = text.texts_from_folder("aclImdb", maxlen=256,
        ...     train_test_names=["train", "test"], preprocess_mode="bert-base-uncased")
    """
    check_paths("texts_from_folder", datadir=datadir)
    train_name, *rest = train_test_names
    root = Path(datadir)

    def read(name: str) -> Examples:
        return read_folder(
            root / name, classes, encoding=encoding, missing=missing, verbose=verbose
        )

    validates = bool(rest) and (root / rest[0]).is_dir()
    return _load(
        lambda: read(train_name),
        (lambda: read(rest[0])) if validates else None,
        preprocess_mode,
        lang=lang,
        maxlen=maxlen,
        max_features=max_features,
        ngram_range=ngram_range,
        val_pct=val_pct,
        task="classification",
        random_state=random_state,
        verbose=verbose,
    )


@checked
def texts_from_array(
    x_train: Any,
    y_train: Any,
    x_test: Any = None,
    y_test: Any = None,
    class_names: Sequence[Any] = (),
    max_features: int = 20000,
    maxlen: int = 400,
    val_pct: float = 0.1,
    ngram_range: int = 1,
    preprocess_mode: str | os.PathLike[str] = "standard",
    lang: str | None = None,
    random_state: int | None = None,
    verbose: int = 1,
    *,
    task: str | None = None,
    missing: str = "drop",
) -> Loaded:
    """Loads texts and labels from lists, arrays or Series; other arguments as `texts_from_csv`.

    Args:
        x_train: Strings, or pairs of strings.
        y_train: Labels.
        x_test: Texts to validate on. Default: a stratified part of the training texts.
        y_test: Their labels.
        class_names: Names of integer labels 0, 1, 2, ...
    """
    if (x_test is None) != (y_test is None):
        raise ArgumentError("texts_from_array: x_test and y_test go together; got one of them.")

    def read(x: Any, y: Any, source: str) -> Examples:
        return read_arrays(x, y, missing=missing, source=source)

    return _load(
        lambda: read(x_train, y_train, "training data"),
        None if x_test is None else lambda: read(x_test, y_test, "test data"),
        preprocess_mode,
        lang=lang,
        maxlen=maxlen,
        max_features=max_features,
        ngram_range=ngram_range,
        val_pct=val_pct,
        task=task,
        random_state=random_state,
        verbose=verbose,
        class_names=class_names,
    )


def checkpoint_name(
    mode: str | os.PathLike[str], lang: str | None = None, texts: Sequence[Any] = ()
) -> str | os.PathLike[str]:
    """Returns the checkpoint that a `preprocess_mode` stands for: a folder or a Hub name."""
    name = os.fspath(mode)
    if Path(mode).is_dir() or name not in _MODES:
        return mode
    return in_language(_MODES[name], lang, texts)


def _regression(is_regression: bool, task: str | None) -> str | None:
    """Returns the task that ktrain's `is_regression` and our `task` say."""
    if is_regression and task not in (None, "regression"):
        raise ArgumentError(f"is_regression=True and task={task!r} contradict each other.")
    return "regression" if is_regression else task


def _load(
    read_train: Callable[[], Examples],
    read_val: Callable[[], Examples] | None,
    mode: str | os.PathLike[str],
    *,
    lang: str | None,
    maxlen: int,
    max_features: int,
    ngram_range: int,
    val_pct: float,
    task: str | None,
    random_state: int | None,
    verbose: int,
    class_names: Sequence[Any] = (),
    reading: Mapping[str, Any] | None = None,
) -> Loaded:
    problems = Problems("texts_from_*")
    problems.add_unless(
        isinstance(mode, (str, os.PathLike)),
        f"preprocess_mode={mode!r}: name 'standard', or a checkpoint, as a folder or on the "
        "Hugging Face Hub, such as preprocess_mode='bert-base-uncased'.",
    )
    standard, named = None, functools.partial(checkpoint_name, mode, lang)
    if mode == STANDARD:
        standard = StandardPreprocessor(maxlen, max_features, class_names, ngram_range, task=task)
    return load(
        problems,
        read_train,
        read_val,
        lambda texts: standard or Transformer(named(texts), maxlen, class_names, task=task),
        val_pct=val_pct,
        random_state=random_state,
        verbose=verbose,
        reading=reading,
    )


@needs_extra("train", "loading texts")
def load(
    problems: Problems,
    read_train: Callable[[], Examples],
    read_val: Callable[[], Examples] | None,
    make: Callable[[Sequence[Any]], Preprocessor],
    *,
    val_pct: float,
    random_state: int | None,
    verbose: int,
    reading: Mapping[str, Any] | None = None,
) -> Loaded:
    """Reads, splits and tokenises, unless there are problems: the end of ktrain's loaders.

    Args:
        problems: Those found so far; all are raised before anything is read.
        read_train: Reads the training data.
        read_val: Reads the validation data. None: a part of the training data.
        make: Makes the preprocessor, of the training texts; called after the data is read.
        val_pct: Share of the texts to validate on.
        random_state: Seed of the split. None: the default one.
        verbose: 0 silences progress bars and all lines but warnings.
        reading: How the data is read, for the preprocessor to remember.
    """
    if read_val is None:
        between_0_and_1(problems, val_pct=val_pct)
    problems.raise_if_any()
    train, val = read_train(), None if read_val is None else read_val()
    preproc = make(train.items)  # not before the data is read: it may take a download
    preproc.reading = dict(reading or {})
    seed = DEFAULT_SEED if random_state is None else random_state
    datasets = prepare(train, val, preproc, val_pct=val_pct, seed=seed, verbose=verbose)
    return (*datasets, preproc)
