"""The three lines: from a checkpoint's name and a data file to a `Learner`."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ktlite._arguments import at_least_one, between_0_and_1, checked
from ktlite.errors import ArgumentError, Problems, did_you_mean, listing
from ktlite.learner import Learner
from ktlite.predictor import Predictor
from ktlite.text.loaders import DEFAULT_SEED, prepare
from ktlite.text.sources import source_of
from ktlite.text.transformer import Transformer
from ktlite.training.execution import Execution

# Arguments that only make sense where get_learner loads the data itself.
_LOADING = (
    "text_column",
    "label_columns",
    "maxlen",
    "val_pct",
    "sep",
    "encoding",
    "names",
    "class_names",
    "missing",
    "metrics",
    "loss",
    "label_smoothing",
    "sample_weight",
    "window",
    "stride",
    "revision",
    "ignore_config_fields",
)
# Those that say how the model that it makes is run.
_EXECUTION = ("precision", "strategy", "devices", "xla", "accumulate")


@checked
def get_learner(
    model: Any,
    train_data: Any = None,
    val_data: Any = None,
    batch_size: int = 32,
    eval_batch_size: int = 32,
    workers: int = 1,
    use_multiprocessing: bool = False,
    *,
    text_column: Any = None,
    label_columns: Any = None,
    task: Any = None,
    maxlen: int = 128,
    val_pct: float = 0.1,
    sep: str = ",",
    encoding: str | None = None,
    names: Sequence[str] | None = None,
    class_names: Sequence[Any] = (),
    missing: str = "drop",
    metrics: Sequence[Any] | None = None,
    loss: Any = None,
    label_smoothing: float = 0.0,
    sample_weight: Any = None,
    window: int | None = None,
    stride: int | None = None,
    precision: str | None = None,
    strategy: Any = None,
    devices: Sequence[str] | None = None,
    xla: bool | str = "auto",
    accumulate: int = 1,
    batch_tokens: int | None = None,
    revision: str | None = None,
    ignore_config_fields: Sequence[str] = (),
    preproc: Any = None,
    seed: int = DEFAULT_SEED,
    verbose: int = 1,
) -> Learner:
    """Brings a model and data together.

    With the name of a checkpoint it does everything: reads the texts, splits off
    validation data, tokenises, loads the model with a head for the labels. With a
    compiled Keras model it wraps model and data as they are.

    What the data is depends on the task. Most read a text, or a pair of texts, and its labels a
    row: a CSV file, a folder of class folders, a DataFrame, or (texts, labels). Others:

    - `"token-classification"`: a file with a word and its tag a line (CoNLL, WNUT), a CoNLL-U,
      CSV or JSONL file, a DataFrame, or (lists of words, lists of tags). `text_column` and
      `label_columns` are those of the words and of the tags (default: `"Word"` and `"Tag"`; in
      files without names, numbers, the first and the last).
    - `"question-answering"`: a SQuAD file, a JSONL file, a DataFrame or a list of dicts with
      question, context and answers, or (pairs, answers). `text_column` names those of question
      and context, `label_columns` that of the answers, or of their texts and starts.
    - `"sentence-similarity"`: a CSV file, a DataFrame or a list of tuples of two or three texts:
      an anchor, a text that belongs to it, and perhaps one that does not; or pairs with scores.

    Args:
        model: Checkpoint folder or Hub name; or a compiled Keras model.
        train_data: With a checkpoint: as above. With a Keras model: what
            `preprocess_train` or a loader returned, `(x, y)` or `(x, y, sample_weight)`
            arrays, a batched `tf.data.Dataset`, or a `PyDataset`.
        val_data: To validate on, like `train_data`. Default with a checkpoint: a
            stratified part of the training data.
        batch_size: Rows a training batch.
        eval_batch_size: Rows a batch at validation and prediction.
        workers: Accepted for ktrain's sake.
        use_multiprocessing: Accepted for ktrain's sake.
        text_column: Name of the text column, or two names for pairs of texts.
        label_columns: Name of the label column, or of several: one- or multi-hot, or numbers to
            predict.
        task: One of `ktlite.tasks.TASKS`: `"classification"`, `"multilabel"`, `"regression"`,
            `"token-classification"`, `"question-answering"` or `"sentence-similarity"`; or a
            `ktlite.tasks.Task`. Default: one of the first three, inferred from the labels;
            where they leave a doubt, an error asks. With a Keras model, a `Task`; default: read
            off its loss.
        maxlen: Longest text in tokens; what is longer is cut, or where words are tagged and
            questions answered, read in windows of this length.
        val_pct: Share of the texts to validate on.
        sep: Column separator of the CSV file.
        encoding: Of the files. Default: detected.
        names: Column names of a CSV file without a header row.
        class_names: Names of integer labels 0, 1, 2, ...
        missing: `"drop"` leaves out rows without text or label and says how many;
            `"error"` refuses them. (Words without a tag, and questions without a context, are
            refused in any case.)
        metrics: What Keras takes, over the logits; or, for classes, names and functions of
            scikit-learn, such as `"f1_macro"`. Default: the task's.
        loss: `"focal"`, a loss of Keras' or a function of targets and logits; for regression
            any of Keras' names, such as `"huber"`, too. Default: the task's.
        label_smoothing: Share of each target that is spread over all classes.
        sample_weight: How much each row of `train_data` counts in the loss: a number of 0 or
            more for each, or, of a DataFrame, the name of their column.
        window: Read texts whole, in windows of so many tokens, in place of `maxlen`. Each window
            learns the label of its text; a text's prediction is the mean of its windows' logits.
        stride: Tokens that a window shares with the next. Default: a quarter of `window`.
        precision: What to compute in: `"float32"`, `"bfloat16"` or `"float16"` (with loss
            scaling); weights stay float32. Default: Keras' global policy.
        strategy: `"mirrored"` trains on all GPUs, each with a share of every batch; or a
            `tf.distribute.Strategy`. Default: one device.
        devices: Names such as `["GPU:0", "GPU:1"]`, to train on some devices.
        xla: Whether training compiles the encoder with XLA, once for each padded length.
            `"auto"` does on GPUs.
        accumulate: Batches whose gradients are averaged for one step of the optimizer:
            like a batch so many times as large, in the memory of one.
        batch_tokens: Tokens a batch, at most, padding counted: a bound on memory. Short texts
            come in batches of `batch_size`, long ones in smaller batches.
        revision: Branch, tag or commit on the Hub.
        ignore_config_fields: Unknown fields of the checkpoint's config.json to accept.
        preproc: With a Keras model: the preprocessor, if the data does not bring it.
        seed: Of the split, the new head, dropout, and the order of the training data.
        verbose: 0 silences progress bars.

    Returns:
        The `Learner`.

    Raises:
        ArgumentError: If arguments cannot work; all of them are named at once.
        DataError: If the data cannot be used; the message says why.
        CheckpointError: If the checkpoint cannot be used.

    Example:
        >>> learner = ktlite.get_learner("bert-base-uncased", train_data="reviews.csv",
        ...                              text_column="text", label_columns="label")
        >>> learner.fit_onecycle(5e-5, 2)
    """
    given = locals()
    if not isinstance(model, (str, os.PathLike)):
        _refuse_loading(given)
        return Learner(
            model,
            train_data,
            val_data,
            batch_size=batch_size,
            eval_batch_size=eval_batch_size,
            batch_tokens=batch_tokens,
            preproc=preproc,
            task=task,
            seed=seed,
        )
    _check_loading(given)
    read = source_of(task).read
    options = {"sep": sep, "encoding": encoding, "names": names, "missing": missing}
    raw = read(train_data, text_column, label_columns, source="train_data", **options)
    raw_val = None
    if val_data is not None:
        raw_val = read(val_data, text_column, label_columns, source="val_data", **options)
    # Not before the data is read: it may take a download.
    transformer = Transformer(
        model,
        maxlen,
        class_names,
        task=task,
        revision=revision,
        ignore_config_fields=ignore_config_fields,
        window=window,
        stride=stride,
    )
    if isinstance(sample_weight, str):
        sample_weight = train_data[sample_weight]
    train, val = prepare(
        raw,
        raw_val,
        transformer,
        val_pct=val_pct,
        seed=seed,
        verbose=verbose,
        sample_weight=sample_weight,
    )
    execution = {name: given[name] for name in _EXECUTION}
    classifier = transformer.get_classifier(
        metrics=metrics, loss=loss, label_smoothing=label_smoothing, seed=seed, **execution
    )
    return Learner(
        classifier,
        train,
        val,
        batch_size=batch_size,
        eval_batch_size=eval_batch_size,
        batch_tokens=batch_tokens,
        seed=seed,
    )


def get_predictor(model: Any, preproc: Any, batch_size: int = 32) -> Predictor:
    """Returns a predictor from a model and the preprocessor that it was trained with.

    Example:
        >>> predictor = ktlite.get_predictor(learner.model, preproc)
    """
    if not hasattr(preproc, "encode"):
        raise ArgumentError(
            f"get_predictor: preproc is of type {type(preproc).__name__}; expected the "
            "preprocessor that a loader returned, or the Transformer."
        )
    return Predictor(model, preproc, batch_size)


def load_model(
    name: str | os.PathLike[str],
    task: str | None = "text-classification",
    *,
    num_labels: int | None = None,
    config: Mapping[str, Any] | None = None,
    layers: int | Sequence[int] | None = None,
    max_positions: int | None = None,
    ignore_mismatched_sizes: bool = False,
    seed: int = DEFAULT_SEED,
    dtype: Any = None,
    revision: str | None = None,
    ignore_config_fields: Sequence[str] = (),
) -> Any:
    """Loads a checkpoint, or a part of one, as a Keras model, with its head as fine-tuned.

    Args:
        name: Checkpoint folder, or Hub name.
        task: Hugging Face task name; None gives the bare encoder.
        num_labels: Outputs of the head. Default: as in the checkpoint.
        config: Fields of the config to change, such as `{"hidden_dropout_prob": 0.2}`.
        layers: How many of the first blocks to keep, or the numbers of those to keep.
            Default: all.
        max_positions: The longest text in tokens. Default: as in the checkpoint.
        ignore_mismatched_sizes: Weights of another shape than `config` asks for get new
            values, and a warning lists them.
        seed: Of new weights and of dropout.
        dtype: Keras dtype or dtype policy, such as `"mixed_bfloat16"`. Default: Keras' own.
        revision: Branch, tag or commit on the Hub.
        ignore_config_fields: Unknown fields of config.json to accept.

    Returns:
        A `TransformerModel`, not compiled. `ktlite.models.from_pretrained` says more.

    Raises:
        CheckpointError: If the checkpoint is missing, damaged or not understood.
        ArgumentError: If arguments make no sense.

    Example:
        >>> model = load_model("my-bert")
        >>> small = load_model("my-bert", layers=[0, 4, 8], config={"hidden_dropout_prob": 0.2})
    """
    from ktlite.models import from_pretrained

    return from_pretrained(
        name,
        task,
        num_labels=num_labels,
        config=config,
        layers=layers,
        max_positions=max_positions,
        ignore_mismatched_sizes=ignore_mismatched_sizes,
        seed=seed,
        dtype=dtype,
        revision=revision,
        ignore_config_fields=ignore_config_fields,
    )


def _refuse_loading(given: Mapping[str, Any]) -> None:
    """Raises if arguments that load data are given with a Keras model."""
    problems = Problems("get_learner")
    parameters = inspect.signature(get_learner).parameters
    kind = type(given["model"]).__name__
    for name in (*_LOADING, *_EXECUTION):
        value, default = given[name], parameters[name].default
        done = "whose data must be loaded" if name in _LOADING else "which has been compiled"
        problems.add_unless(
            type(value) is type(default) and value == default,
            f"{name} goes with the name of a checkpoint; this model is of type {kind}, {done} "
            "already.",
        )
    problems.raise_if_any()


def _check_loading(given: Mapping[str, Any]) -> None:
    """Raises if the arguments cannot work with the name of a checkpoint."""
    problems = Problems("get_learner")
    data, val_pct, source = given["train_data"], given["val_pct"], source_of(given["task"])
    problems.add_unless(
        data is not None,
        f"train_data is not given: {source.expected}.",
    )
    is_file = isinstance(data, (str, os.PathLike)) and not Path(data).is_dir()
    if source.needs_columns and (is_file or hasattr(data, "columns")):
        for name in ("text_column", "label_columns"):
            problems.add_unless(given[name] is not None, f"{name} is not given: which column?")
    problems.add_unless(
        given["preproc"] is None, "preproc goes with a Keras model; a checkpoint brings its own."
    )
    between_0_and_1(problems, val_pct=val_pct)
    _check_weights(problems, given["sample_weight"], data)
    problems.choice("missing", given["missing"], ("drop", "error"))
    sizes = {name: given[name] for name in ("batch_size", "eval_batch_size")}
    at_least_one(problems, **sizes)
    if given["batch_tokens"] is not None:
        at_least_one(problems, batch_tokens=given["batch_tokens"])
    Execution(**{name: given[name] for name in _EXECUTION}).check(problems, **sizes)
    problems.raise_if_any()


def _check_weights(problems: Problems, sample_weight: Any, data: Any) -> None:
    if not isinstance(sample_weight, str):
        return
    columns = [str(name) for name in getattr(data, "columns", ())]
    problems.add_unless(
        sample_weight in columns,
        f"sample_weight={sample_weight!r} is no column of a DataFrame"
        + (f"; columns are {listing(columns)}." if columns else "; give the numbers themselves.")
        + did_you_mean(sample_weight, columns),
    )
