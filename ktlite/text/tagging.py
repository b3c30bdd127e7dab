"""ktrain's loaders of tagged words, and its `sequence_tagger`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ktlite._arguments import check_paths, checked
from ktlite._logging import logger
from ktlite.data.examples import Examples
from ktlite.data.reading import as_given
from ktlite.data.spans import read_spans
from ktlite.data.tagged import (
    TAG,
    WORD,
    read_columns,
    read_conllu,
    read_tag_arrays,
    read_tag_frame,
    read_tag_table,
)
from ktlite.errors import ArgumentError, CheckpointError, Problems, listing
from ktlite.tasks import TokenClassification
from ktlite.text.checkpoint_names import TAGGING, in_language, names_checkpoint
from ktlite.text.loaders import Loaded, checkpoint_name, load
from ktlite.text.models import show_names
from ktlite.text.transformer import Transformer

FORMATS = ("conll2003", "wnut", "conllu", "gmb", "jsonl")
Path_ = str | os.PathLike[str]
# ktrain's names: of what starts from a checkpoint, of what starts from scratch, and the sizes.
_KTRAINS = {
    "bilstm-transformer": "the same, of preprocess_mode or transformer_model",
    "bilstm-bert": "the same, of preprocess_mode or bert_model",
}
_SCRATCH = ("bilstm", "bilstm-crf", "bilstm-elmo", "bilstm-crf-elmo")
_SIZES = (
    "transformer_layers_to_use", "word_embedding_dim", "char_embedding_dim", "word_lstm_size",
    "char_lstm_size", "fc_dim", "dropout", "verbose",
)  # fmt: skip


@checked
def entities_from_txt(
    train_filepath: Path_,
    val_filepath: Path_ | None = None,
    use_char: bool = False,
    word_column: str = WORD,
    tag_column: str | None = None,
    sentence_column: str | None = None,
    data_format: str = "conll2003",
    encoding: str | None = None,
    val_pct: float = 0.1,
    verbose: int = 1,
    *,
    preprocess_mode: Path_ | None = None,
    maxlen: int = 128,
    random_state: int | None = None,
) -> Loaded:
    """Loads tagged words from files.

    Args:
        train_filepath: The training file.
        val_filepath: The validation file. Default: a random part of the training file.
        use_char: Accepted for ktrain's sake; checkpoints know sub-words.
        word_column: With `"gmb"`, the column of the words.
        tag_column: With `"gmb"`, the column of the tags, `"Tag"` by default; with `"conllu"`,
            `"UPOS"` by default.
        sentence_column: With `"gmb"`, the column that numbers the sentences; default:
            `"SentenceID"` or `"Sentence #"`.
        data_format: `"conll2003"` or `"wnut"`: a word a line, its tag last. `"conllu"`.
            `"gmb"`: a CSV file with a word a row. `"jsonl"`: texts with annotated characters.
        encoding: Of the files. Default: detected.
        val_pct: Share of the sentences to validate on where there is no validation file.
        verbose: 0 silences progress bars and all lines but warnings.
        preprocess_mode: Checkpoint folder or Hub name. Default: `bert-base-cased`; of texts in
            another script than Latin, `bert-base-chinese` or `bert-base-multilingual-cased`.
        maxlen: Longest text in tokens; longer ones are read in windows of this length.
        random_state: Seed of the split. Default: 42.

    Returns:
        (train, val, preproc): two `Dataset`s and the `Transformer` that made them.

    Raises:
        DataError: If the files cannot be used; the message names the line.
        CheckpointError: If the checkpoint cannot be used.

    Example:
        >>> trn, val, preproc = text.entities_from_txt(
        ...     "train.txt", "valid.txt", preprocess_mode="bert-base-cased")
        >>> model = text.sequence_tagger("bert-base-cased", preproc)
        >>> learner = ktlite.get_learner(model, train_data=trn, val_data=val)
    """
    problems = Problems("entities_from_txt")
    problems.choice("data_format", data_format, FORMATS)
    problems.raise_if_any()
    check_paths("entities_from_txt", train_filepath=train_filepath, val_filepath=val_filepath)

    def read(path: Path_) -> Examples:
        if data_format == "jsonl":
            return read_spans(path, encoding=encoding)
        if data_format == "conllu":
            return read_conllu(path, tag_column or "UPOS", encoding=encoding)
        if data_format == "gmb":
            columns = (word_column, tag_column or TAG, sentence_column)
            return read_tag_table(path, *columns, encoding=encoding)
        return read_columns(path, encoding=encoding)

    return _load(
        lambda: read(train_filepath),
        None if val_filepath is None else lambda: read(val_filepath),
        preprocess_mode,
        maxlen=maxlen,
        val_pct=val_pct,
        random_state=random_state,
        verbose=verbose,
    )


@checked
def entities_from_conll2003(
    train_filepath: Path_,
    val_filepath: Path_ | None = None,
    use_char: bool = False,
    encoding: str | None = None,
    val_pct: float = 0.1,
    verbose: int = 1,
    **options: Any,
) -> Loaded:
    """Loads files with a word a line (CoNLL-2003, WNUT); options as `entities_from_txt`."""
    return entities_from_txt(
        train_filepath,
        val_filepath,
        use_char,
        encoding=encoding,
        val_pct=val_pct,
        verbose=verbose,
        **options,
    )


@checked
def entities_from_gmb(
    train_filepath: Path_,
    val_filepath: Path_ | None = None,
    use_char: bool = False,
    word_column: str = WORD,
    tag_column: str = TAG,
    sentence_column: str | None = None,
    encoding: str | None = None,
    val_pct: float = 0.1,
    verbose: int = 1,
    **options: Any,
) -> Loaded:
    """Loads CSV files with a word a row; options as `entities_from_txt`."""
    return entities_from_txt(
        train_filepath,
        val_filepath,
        use_char,
        word_column,
        tag_column,
        sentence_column,
        "gmb",
        encoding,
        val_pct,
        verbose,
        **options,
    )


@checked
def entities_from_df(
    train_df: Any,
    val_df: Any = None,
    word_column: Any = WORD,
    tag_column: Any = TAG,
    sentence_column: Any = None,
    use_char: bool = False,
    val_pct: float = 0.1,
    verbose: int = 1,
    *,
    preprocess_mode: Path_ | None = None,
    maxlen: int = 128,
    random_state: int | None = None,
) -> Loaded:
    """Loads data frames with a word a row, or lists of words and tags a row.

    Other arguments as `entities_from_txt`.
    """

    def read(frame: Any, source: str) -> Examples:
        return read_tag_frame(frame, word_column, tag_column, sentence_column, source=source)

    return _load(
        lambda: read(train_df, "train_df"),
        None if val_df is None else lambda: read(val_df, "val_df"),
        preprocess_mode,
        reading=as_given(word_column, tag_column),
        maxlen=maxlen,
        val_pct=val_pct,
        random_state=random_state,
        verbose=verbose,
    )


@checked
def entities_from_array(
    x_train: Any,
    y_train: Any,
    x_test: Any = None,
    y_test: Any = None,
    use_char: bool = False,
    val_pct: float = 0.1,
    verbose: int = 1,
    *,
    preprocess_mode: Path_ | None = None,
    maxlen: int = 128,
    random_state: int | None = None,
) -> Loaded:
    """Loads lists of words and lists of their tags; other arguments as `entities_from_txt`."""
    if (x_test is None) != (y_test is None):
        raise ArgumentError("entities_from_array: x_test and y_test go together; got one of them.")
    return _load(
        lambda: read_tag_arrays(x_train, y_train, source="training data"),
        None if x_test is None else lambda: read_tag_arrays(x_test, y_test, source="test data"),
        preprocess_mode,
        maxlen=maxlen,
        val_pct=val_pct,
        random_state=random_state,
        verbose=verbose,
    )


def sequence_taggers() -> dict[str, str]:
    """Returns what `sequence_tagger` takes: name -> what it is."""
    return {
        "CHECKPOINT": "the one that preprocess_mode named: its folder or Hub name, or for short "
        "its architecture, such as bert",
        **_KTRAINS,
    }


def print_sequence_taggers() -> None:
    """Shows what `sequence_tagger` takes, under ktrain's name."""
    show_names("sequence_tagger", sequence_taggers())


@checked
def sequence_tagger(
    name: Path_,
    preproc: Transformer,
    wv_path_or_url: Any = None,
    transformer_model: Path_ | None = None,
    *,
    bert_model: Path_ | None = None,
    metrics: Sequence[Any] | None = None,
    **options: Any,
) -> Any:
    """Returns a compiled model for tagged words that a loader made.

    ktrain's `"bilstm-transformer"` is an LSTM over vectors of a checkpoint that stays as it is.
    Here the checkpoint itself is trained, which takes lower rates.

    Args:
        name: The checkpoint, the same as in the loader's `preprocess_mode`, or one of ktrain's
            names of what starts from a checkpoint, `"bilstm-transformer"` or `"bilstm-bert"`.
        preproc: The loader's preprocessor.
        wv_path_or_url: Accepted for ktrain's sake; the checkpoint has word vectors.
        transformer_model: With one of ktrain's names, the checkpoint.
        bert_model: ktrain's older name of `transformer_model`.
        metrics: Keras metrics over the logits. Default: the task's.
        **options: As `Transformer.get_classifier`. Of ktrain, the sizes of the LSTM are accepted.

    Raises:
        ArgumentError: If the words were tokenised for another checkpoint, or have no tags.

    Example:
        >>> model = text.sequence_tagger("bert-base-cased", preproc)
    """
    problems = Problems("sequence_tagger")
    found = getattr(preproc, "model_name", None)
    problems.add_unless(
        found is not None,
        f"preproc is of type {type(preproc).__name__}; expected what entities_from_* returned.",
    )
    problems.add_unless(
        name not in _SCRATCH,
        f"{name!r} is not here: nothing that tags starts from scratch. Name the checkpoint that "
        f"the words were tokenised for: sequence_tagger({found!r}, preproc).",
    )
    problems.raise_if_any()
    named = transformer_model or bert_model or preproc.model_name
    checkpoint = named if name in _KTRAINS else name
    problems.add_unless(
        names_checkpoint(checkpoint, preproc),
        f"{os.fspath(checkpoint)!r}, but the words were tokenised for {found!r}; load them with "
        f"preprocess_mode={os.fspath(checkpoint)!r}, or name the other one here.",
    )
    problems.add_unless(
        isinstance(preproc.task, TokenClassification),
        f"the labels were taken for {preproc.task.name}; load them with entities_from_*.",
    )
    problems.raise_if_any()
    if name in _KTRAINS:
        given = [size for size in _SIZES if options.pop(size, None) is not None]
        given += ["wv_path_or_url"] if wv_path_or_url is not None else []
        without = f" (without effect: {listing(given)})" if given else ""
        logger.warning(
            "%s: here the whole checkpoint %s is trained, and there is no LSTM%s. Take a rate such "
            "as 5e-5, not 0.01.",
            name,
            found,
            without,
        )
    return preproc.get_classifier(metrics=metrics, **options)


def _load(
    read_train: Callable[[], Examples],
    read_val: Callable[[], Examples] | None,
    mode: Path_ | None,
    *,
    maxlen: int,
    val_pct: float,
    random_state: int | None,
    verbose: int,
    reading: Mapping[str, Any] | None = None,
) -> Loaded:
    problems = Problems("entities_from_*")
    problems.add_unless(
        mode is None or (bool(mode) and isinstance(mode, (str, os.PathLike))),
        f"preprocess_mode={mode!r}: name the checkpoint to tag with, as a folder or on the "
        "Hugging Face Hub, such as preprocess_mode='bert-base-cased'.",
    )
    return load(
        problems,
        read_train,
        read_val,
        lambda texts: _transformer(mode, texts, maxlen),
        val_pct=val_pct,
        random_state=random_state,
        verbose=verbose,
        reading=reading,
    )


def _transformer(mode: Path_ | None, texts: Sequence[Any], maxlen: int) -> Transformer:
    if mode is not None:
        return Transformer(checkpoint_name(mode), maxlen, task=TokenClassification.name)
    name = in_language(TAGGING, None, texts)
    try:
        return Transformer(name, maxlen, task=TokenClassification.name)
    except CheckpointError as error:
        raise ArgumentError(
            f"entities_from_*: preprocess_mode is not given, and {name}, which is taken then, "
            f"cannot be used. Name a checkpoint, as a folder or on the Hugging Face Hub. {error}"
        ) from error
