"""ktrain's `text_classifier` and `text_regression_model`: checkpoints, and models from scratch."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ktlite._arguments import checked
from ktlite._logging import logger, results
from ktlite.data.dataset import Dataset, joined
from ktlite.data.preprocessor import Preprocessor
from ktlite.encodings.plan import plan_batches
from ktlite.errors import DataError, Problems, did_you_mean, listing
from ktlite.tasks import MultiLabel, Regression
from ktlite.text.checkpoint_names import names_checkpoint
from ktlite.text.loaders import STANDARD
from ktlite.text.standard import StandardPreprocessor
from ktlite.text.tokenizer_training import SPECIAL_TOKENS
from ktlite.text.transformer import Transformer
from ktlite.text.word_vectors import read_word_vectors

_WIDTH = 128  # of words' vectors that come from no file
_ADAPTED = 1_000  # texts a batch
_HEAD = "text-classification"


@dataclass(frozen=True)
class _FromScratch:
    """A model that starts from scratch.

    Args:
        line: What it is, in a line.
        config: Returns the fields of its config but `vocab_size`, from the preprocessor and the
            width of the words' vectors.
        table: The attribute path of the words' vectors; None: it has none, and takes what its
            words are worth from the training data.
        classes: Whether it is for classes.
        numbers: Whether it is for regression.
    """

    line: str
    config: Callable[[StandardPreprocessor, int], dict[str, Any]]
    table: str | None = "embeddings.embeddings"
    classes: bool = True
    numbers: bool = True


def _linear(weighting: str) -> Callable[[StandardPreprocessor, int], dict[str, Any]]:
    return lambda preproc, width: {
        "model_type": "ktlite-linear",
        "weighting": weighting,
        "ngram_range": preproc.ngram_range,
    }


def _recurrent(cell: str) -> Callable[[StandardPreprocessor, int], dict[str, Any]]:
    return lambda preproc, width: {
        "model_type": "ktlite-recurrent",
        "cell": cell,
        "embedding_size": width,
    }


def _fasttext(preproc: StandardPreprocessor, width: int) -> dict[str, Any]:
    return {"model_type": "ktlite-fasttext", "embedding_size": width}


def _transformer(preproc: StandardPreprocessor, width: int) -> dict[str, Any]:
    return {
        "model_type": "bert",
        "hidden_size": width,
        "num_hidden_layers": 2,
        "num_attention_heads": math.gcd(width, 4),
        "intermediate_size": 4 * width,
        "max_position_embeddings": preproc.maxlen,
    }


MODELS = {
    "nbsvm": _FromScratch(
        "NBSVM: naive Bayes trained further (Wang and Manning, 2012); of n-grams with ngram_range",
        _linear("log-count-ratio"),
        table=None,
        numbers=False,
    ),
    "logreg": _FromScratch(
        "logistic regression over TF-IDF; of n-grams with ngram_range",
        _linear("tf-idf"),
        table=None,
        numbers=False,
    ),
    "linreg": _FromScratch(
        "linear regression over TF-IDF; of n-grams with ngram_range",
        _linear("tf-idf"),
        table=None,
        classes=False,
    ),
    "fasttext": _FromScratch("fastText: the mean of the words' vectors", _fasttext),
    "bigru": _FromScratch("bidirectional GRU", _recurrent("gru")),
    "bilstm": _FromScratch("bidirectional LSTM", _recurrent("lstm")),
    "transformer": _FromScratch(
        "a small BERT of 2 blocks, without pretraining", _transformer, "embeddings.word.embeddings"
    ),
}


# What `text_classifier` takes beside them, of data that a checkpoint's tokenizer made.
CHECKPOINTS = {
    "CHECKPOINT": "any that preprocess_mode named: its folder or Hub name, or for short its "
    "architecture, such as bert or distilbert",
}


def text_classifiers() -> dict[str, str]:
    """Returns the models that `text_classifier` makes from scratch: name -> what it is.

    Example:
        >>> text.text_classifiers()["bigru"]
        'bidirectional GRU'
    """
    return {name: kind.line for name, kind in MODELS.items() if kind.classes}


def text_regression_models() -> dict[str, str]:
    """Returns the models that `text_regression_model` makes from scratch: name -> what it is."""
    return {name: kind.line for name, kind in MODELS.items() if kind.numbers}


def print_text_classifiers() -> None:
    """Shows the models that `text_classifier` makes, under ktrain's name."""
    show_names("text_classifier", {**text_classifiers(), **CHECKPOINTS})


def print_text_regression_models() -> None:
    """Shows the models that `text_regression_model` makes, under ktrain's name."""
    show_names("text_regression_model", {**text_regression_models(), **CHECKPOINTS})


def show_names(what: str, lines: Mapping[str, str]) -> None:
    """Shows the names that a function takes, a line each."""
    width = max(map(len, lines))
    table = "\n".join(f"{name:{width}}  {line}" for name, line in lines.items())
    results.info("%s(name, ...):\n%s", what, table)


@checked
def text_classifier(
    name: str | os.PathLike[str],
    train_data: Dataset,
    preproc: Any = None,
    multilabel: bool | None = None,
    metrics: Sequence[Any] | None = None,
    verbose: int = 1,
    *,
    embeddings: str | os.PathLike[str] | None = None,
    loss: Any = None,
    label_smoothing: float = 0.0,
    seed: int = 42,
    **execution: Any,
) -> Any:
    """Returns a compiled classifier for data that a loader made.

    Args:
        name: The checkpoint, the same as in the loader's `preprocess_mode`. Or, of data that was
            loaded with `preprocess_mode="standard"`, a model to train from scratch: one of
            `text_classifiers()`.
        train_data: The training data.
        preproc: The loader's preprocessor. Default: the one of the data.
        multilabel: As in `Transformer.get_classifier`.
        metrics: Likewise.
        verbose: 0 silences all lines but warnings.
        embeddings: A file of words' vectors that a model from scratch starts with: GloVe's text, or
            word2vec's text or binary. Its vectors' width is the model's. They are trained on;
            `learner.freeze(1)` keeps them. Default: random ones.
        loss: As in `Transformer.get_classifier`.
        label_smoothing: Likewise.
        seed: Of new weights and of dropout.
        **execution: `precision`, `strategy`, `devices`, `xla` and `accumulate`, as in
            `get_learner`.

    Raises:
        ArgumentError: If the data was made for another model, or arguments cannot work.
        DataError: If the file of words' vectors cannot be used.

    Example:
        >>> model = text.text_classifier("bert-base-uncased", train, preproc=preproc)
        >>> model = text.text_classifier("bigru", words, embeddings="glove.6B.100d.txt")
    """
    train_data = _texts("text_classifier", train_data)
    found: Any = preproc or train_data.preproc
    options = {"loss": loss, "label_smoothing": label_smoothing, "seed": seed, **execution}
    if isinstance(found, StandardPreprocessor):
        problems = Problems("text_classifier")
        known = text_classifiers()
        problems.add_unless(
            multilabel is None or multilabel == isinstance(found.task, MultiLabel),
            f"multilabel={multilabel!r}, but the labels were taken for {found.task.name}.",
        )
        problems.add_unless(
            not isinstance(found.task, Regression),
            "the labels are numbers to predict: text_regression_model makes models for them.",
        )
        return _from_scratch(
            problems, known, name, train_data, found, metrics, embeddings, verbose, **options
        )
    _check_checkpoint("text_classifier", name, found, embeddings)
    return found.get_classifier(None, multilabel, metrics, **options)


@checked
def text_regression_model(
    name: str | os.PathLike[str],
    train_data: Dataset,
    preproc: Any = None,
    metrics: Sequence[Any] | None = None,
    verbose: int = 1,
    *,
    embeddings: str | os.PathLike[str] | None = None,
    loss: Any = None,
    seed: int = 42,
    **execution: Any,
) -> Any:
    """Returns a compiled regression model; arguments as `text_classifier`.

    Those from scratch are in `text_regression_models()`.
    """
    train_data = _texts("text_regression_model", train_data)
    found: Any = preproc or train_data.preproc
    options = {"loss": loss, "seed": seed, **execution}
    if isinstance(found, StandardPreprocessor):
        problems = Problems("text_regression_model")
        problems.add_unless(
            isinstance(found.task, Regression),
            f"the labels were taken for {found.task.name}; load them with is_regression=True or "
            "task='regression'.",
        )
        known = text_regression_models()
        return _from_scratch(
            problems, known, name, train_data, found, metrics, embeddings, verbose, **options
        )
    _check_checkpoint("text_regression_model", name, found, embeddings)
    return found.get_regression_model(None, metrics, **options)


def _texts(where: str, train_data: Any) -> Dataset:
    """Returns the training data as a loader made it; it may have been unpacked into (x, y)."""
    data = joined(train_data)
    problems = Problems(where)
    problems.add_unless(
        isinstance(data, Dataset),
        f"train_data is of type {type(data).__name__}; expected what a loader such as "
        "texts_from_csv returned, or (x, y) of it.",
    )
    problems.raise_if_any()
    return data


def _check_checkpoint(
    where: str, name: str | os.PathLike[str], preproc: Transformer, embeddings: Any
) -> None:
    """Raises unless texts that a checkpoint's tokenizer made suit the model."""
    problems = Problems(where)
    load_anew = "load the data with that checkpoint as preprocess_mode, or name the other one here."
    if name in MODELS:
        load_anew = f"{name!r} starts from words: load the data with preprocess_mode={STANDARD!r}."
    problems.add_unless(
        names_checkpoint(name, preproc),
        f"name={os.fspath(name)!r}, but the texts were tokenised for {preproc.model_name!r}; "
        + load_anew,
    )
    problems.add_unless(
        embeddings is None,
        f"embeddings={embeddings!r} goes with models from scratch; a checkpoint has its own.",
    )
    problems.raise_if_any()


def _from_scratch(
    problems: Problems,
    known: Mapping[str, str],
    name: str | os.PathLike[str],
    train_data: Dataset,
    preproc: StandardPreprocessor,
    metrics: Sequence[Any] | None,
    embeddings: str | os.PathLike[str] | None,
    verbose: int,
    *,
    loss: Any,
    label_smoothing: float = 0.0,
    seed: int,
    **execution: Any,
) -> Any:
    """Returns the compiled model of a name."""
    from ktlite.models import from_config
    from ktlite.models.baselines import LinearModel
    from ktlite.models.mapping import variable_at
    from ktlite.training.execution import Execution

    task, name = preproc.task, os.fspath(name)
    if name not in known:
        problems.add(
            f"name={name!r} is not known; from scratch there are {listing(known)}."
            f"{did_you_mean(name, known)} A checkpoint needs data that was loaded with "
            f"preprocess_mode={name!r}."
        )
    elif MODELS[name].table is None:
        problems.add_unless(
            embeddings is None, f"embeddings={embeddings!r}: {name!r} has no words' vectors."
        )
    problems.add_unless(task.head == _HEAD, f"no such model is made for {task.name}.")
    problems.add_unless(train_data.targets is not None, "train_data has no labels.")
    problems.raise_if_any()
    kind, runs = MODELS[name], Execution.of(problems.where, execution)
    if preproc.ngram_range > 1 and kind.table is not None:
        logger.warning("ngram_range=%d: %s reads single words", preproc.ngram_range, name)
    vectors = {} if embeddings is None else _vectors(embeddings, preproc, verbose)
    width = len(next(iter(vectors.values()))) if vectors else _WIDTH
    config = {"vocab_size": preproc.tokenizer.vocab_size, **kind.config(preproc, width)}

    def make(policy: str | None) -> Any:
        if kind.table is None:
            batches = list(_labelled(train_data, task.outputs))
            return LinearModel.for_texts(config, batches, task.outputs, seed=seed, dtype=policy)
        model = from_config(config, _HEAD, num_labels=task.outputs, seed=seed, dtype=policy)
        if vectors:
            table = variable_at(model, kind.table)
            values = np.array(table)
            values[list(vectors)] = np.stack(list(vectors.values()))
            table.assign(values)
        return model

    return runs.build(make, task, metrics, loss, label_smoothing)


def _labelled(data: Dataset, outputs: int) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
    """Yields (inputs, labels [texts, outputs]) of all texts; labels of classes are 0 or 1."""
    targets = np.asarray(data.targets)
    numbered = targets.dtype.kind in "iu" and targets.ndim == 1
    labels = np.eye(outputs)[targets] if numbered else targets.reshape(len(targets), -1)
    for rows in plan_batches(data.lengths, _ADAPTED):
        yield data.inputs(rows), labels[rows]


def _vectors(
    path: str | os.PathLike[str], preproc: Preprocessor, verbose: int
) -> dict[int, np.ndarray]:
    """Returns the words' vectors from a file, by token."""
    tokenizer = preproc.tokenizer
    words = {tokenizer.token(i): i for i in range(len(SPECIAL_TOKENS), tokenizer.vocab_size)}
    vectors = read_word_vectors(path, words)
    if not vectors:
        raise DataError(f"embeddings: {path} has none of the {len(words):,} words of the texts.")
    if verbose:
        logger.info(
            "%s: vectors of %s of %s words; the others start at random",
            path,
            f"{len(vectors):,}",
            f"{len(words):,}",
        )
    return vectors
