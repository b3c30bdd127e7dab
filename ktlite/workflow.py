"""The three lines: from a checkpoint's name and a data file to a `Learner`."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ktlite._arguments import checked
from ktlite.cards import described
from ktlite.data.preparing import prepare
from ktlite.data.preprocessor import Preprocessor
from ktlite.data.reading import as_given
from ktlite.data.sources import reader_of
from ktlite.data.token_store import TokenStore
from ktlite.errors import ArgumentError
from ktlite.predictor import Predictor
from ktlite.text.loaders import DEFAULT_SEED
from ktlite.text.transformer import Transformer
from ktlite.workflow_checks import EXECUTION, LOADING, check_loading, kind_of, refuse_loading

if TYPE_CHECKING:
    from ktlite.learner import Learner

# Keras and what needs it are imported when the data has been read: what is wrong with that is
# said at once.


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
    sep: str | None = None,
    encoding: str | None = None,
    names: Sequence[str] | None = None,
    class_names: Sequence[Any] = (),
    missing: str = "drop",
    na_values: Any = (),
    metrics: Sequence[Any] | None = None,
    loss: Any = None,
    label_smoothing: float = 0.0,
    sample_weight: Any = None,
    cache_folder: str | os.PathLike[str] | None = None,
    window: int | None = None,
    stride: int | None = None,
    seconds: float | None = None,
    precision: str | None = None,
    strategy: Any = None,
    devices: Sequence[str] | None = None,
    xla: bool | str = "auto",
    accumulate: int = 1,
    batch_tokens: int | None = None,
    remat: bool = False,
    lora: int | None = None,
    lora_alpha: float | None = None,
    augment: Any = None,
    ema: float | None = None,
    micro_tokens: int | str | None = "auto",
    mixup: float | None = None,
    r_drop: float | None = None,
    adversarial: Any = False,
    revision: str | None = None,
    ignore_config_fields: Sequence[str] = (),
    preproc: Any = None,
    seed: int = DEFAULT_SEED,
    check: bool = True,
    verbose: int = 1,
) -> Learner:
    """Brings a model and data together.

    With the name of a checkpoint it does everything: reads the texts, images or sounds, splits off
    validation data, encodes them, loads the model with a head for the labels. With a
    compiled Keras model it wraps model and data as they are.

    What the data is depends on the task. Most read a text, a pair of texts, an image or a sound,
    whichever the checkpoint is of, and its labels a row: a file (CSV, TSV, JSONL, Parquet; by the
    end of its name), a list of files or a pattern such as `"reviews/*.parquet"`, a folder of class
    folders, a DataFrame, a `datasets.Dataset`, or (texts, labels). Others:

    - `"token-classification"`: a file with a word and its tag a line (CoNLL, WNUT), a CoNLL-U,
      CSV, JSON or Parquet file, a DataFrame, a `datasets.Dataset`, or (lists of words, lists of
      tags). `text_column` and `label_columns` are those of the words and of the tags (default:
      `"Word"` and `"Tag"`; in files without names, numbers, the first and the last).
    - `"question-answering"`: a SQuAD file, a JSONL file, a DataFrame or a list of dicts with
      question, context and answers, or (pairs, answers). `text_column` names those of question
      and context, `label_columns` that of the answers, or of their texts and starts.
    - `"sentence-similarity"`: a CSV file, a DataFrame or a list of tuples of two or three texts:
      an anchor, a text that belongs to it, and perhaps one that does not; or pairs with scores.
    - `"translation"`, `"summarization"`, `"text2text-generation"`: as most, with the text that is
      to be written as its label.
    - `"image-text-similarity"`, of checkpoints that compare images with texts (CLIP, SigLIP): as
      most, with the text that belongs to an image as its label; of class folders, their names.
    - `"text-generation"`: a column of texts, two of prompts and of what follows, or one of chats
      (lists of messages); default: `"text"`, `"prompt"` and `"completion"`, `"messages"`. Or a
      `.txt` file, or (texts, None), (prompts, what follows), (chats, None).

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
        text_column: Name of the text column, or two names for pairs of texts. Where the checkpoint
            reads images or sounds, of the column of their paths (relative to the file), or of what
            else is one.
        label_columns: Name of the label column, or of several: one- or multi-hot, or numbers to
            predict.
        task: One of `ktlite.tasks.TASKS`: `"classification"`, `"multilabel"`, `"regression"`,
            `"token-classification"`, `"question-answering"`, `"sentence-similarity"`,
            `"image-text-similarity"`, `"translation"`, `"summarization"`,
            `"text2text-generation"` or `"text-generation"`; or a `ktlite.tasks.Task`.
            (`"text-classification"`, `"image-classification"` and `"audio-classification"` are
            `"classification"`.) Default: one of the first three,
            inferred from the labels; where they leave a doubt, an error asks. With a Keras model,
            a `Task`; default: read off its loss.
        maxlen: Longest text in tokens; what is longer is cut, or where words are tagged and
            questions answered, read in windows of this length.
        val_pct: Share of the texts to validate on.
        sep: Column separator of the CSV file. Default: a comma, or by its name a tab (`.tsv`).
        encoding: Of the files. Default: detected.
        names: Column names of a CSV file without a header row.
        class_names: Names of integer labels 0, 1, 2, ...
        missing: `"drop"` leaves out rows without text or label and says how many;
            `"error"` refuses them. (Words without a tag, and questions without a context, are
            refused in any case.)
        na_values: Cells of a table that stand for a missing value, such as `["NA"]`, beside
            empty ones; or a dict of such lists by column. Default: none; `NA`, `None` and `null`
            are texts and classes as any other.
        metrics: What Keras takes, over the logits; or, for classes, names and functions of
            scikit-learn, such as `"f1_macro"`. Default: the task's.
        loss: `"focal"`, a loss of Keras' or a function of targets and logits; for regression
            any of Keras' names, such as `"huber"`, too. Default: the task's.
        label_smoothing: Share of each target that is spread over all classes.
        sample_weight: How much each row of `train_data` counts in the loss: a number of 0 or
            more for each, or, of a DataFrame, the name of their column.
        cache_folder: Keep texts and tokens in files here, made in bounded memory, for data that
            is larger than it; the next call with the same data and settings finds them. For
            tasks with a text, or a pair, and its labels a row.
        window: Read texts whole, in windows of so many tokens, in place of `maxlen`. Each window
            learns the label of its text; a text's prediction is the mean of its windows' logits.
        stride: Tokens that a window shares with the next. Default: a quarter of `window`.
        seconds: Of each sound, where the checkpoint reads sounds, that are heard; what comes later
            is left out. Default: 30.
        precision: What to compute in: `"float32"`, `"bfloat16"` or `"float16"` (with loss
            scaling); weights stay float32. Default: Keras' global policy.
        strategy: `"mirrored"` trains on all GPUs, each with a share of every batch;
            `"multiworker"` on those of several machines, in a script that `ktlite launch` runs
            on each; or a `tf.distribute.Strategy`. Default: one device.
        devices: Names such as `["GPU:0", "GPU:1"]`, to train on some devices.
        xla: Whether training compiles the encoder with XLA, once for each padded length.
            `"auto"` does on GPUs.
        accumulate: Batches to one step of the optimizer, in the memory of one: the step is that
            of one batch with all their rows, and an epoch ends with a step. Schedules and `ema`
            count steps. (Batches of a `tf.data.Dataset` or `PyDataset` count alike, whatever
            their sizes.)
        batch_tokens: Tokens a batch, at most, padding counted: a bound on memory. Short texts
            come in batches of `batch_size`, long ones in smaller batches.
        remat: Keep no activations inside the encoder's blocks, and compute them again for the
            gradient: the memory of one block in place of all, for about a third more time.
        lora: Train low-rank adapters of this rank, such as 8, and the head, in place of the
            whole encoder (LoRA: Hu et al., 2021, arXiv:2106.09685): less memory, a higher
            learning rate (1e-4 to 2e-3), and `learner.save_adapters`.
        lora_alpha: The adapters' products are scaled by `lora_alpha / lora`. Default: by 2.
        augment: How training examples are changed at random, each in each epoch anew; validation
            sees them as they are. Of images some of `"randaugment"` and `"erasing"`, or what
            `ktlite.vision.get_data_aug(horizontal_flip=True)` returns. Of texts some of
            `"synonym"`, `"insert"`, `"swap"`, `"delete"` (EDA) and `"typo"`, or changes with their
            settings, such as `ktlite.text.Delete(0.2)`; where labels stand on words, `"synonym"`
            and `"typo"`.
        ema: Keep a moving average of the weights (Polyak and Juditsky, 1992) with this decay a
            step, such as 0.999: validation sees the average, and training ends with it.
        micro_tokens: Tokens of the pieces that a step runs its batch in, one after the other,
            padding counted: a bound on memory that changes neither loss nor gradient. `"auto"`:
            1,024 on CPUs; whole batches on GPUs, and where the loss is one of your own or
            compares the rows of a batch. None: whole batches.
        mixup: Mix each training row with another, embeddings of words or of patches, by a share
            drawn from Beta(mixup, mixup), such as 0.2; it learns both labels by their shares
            (Zhang et al., 2018; Guo et al., 2019). With few examples that a model learns by
            heart; for classes, several labels and numbers.
        r_drop: Run each training row twice, with other dropout, and add so many times the
            divergence of both predictions to the loss, such as 1.0 (R-Drop: Liang et al., 2021).
            Twice the time; for classes and several labels.
        adversarial: Also learn from each training row moved to where its loss grows most (Miyato
            et al., 2017), by this share of its embeddings' length; True: 0.02. Twice the time.
            `{"epsilon": 0.02, "steps": 3}` looks for the place in several steps.
        revision: Branch, tag or commit on the Hub.
        ignore_config_fields: Unknown fields of the checkpoint's config.json to accept.
        preproc: With a Keras model: the preprocessor, if the data does not bring it.
        seed: Of the split, the new head, dropout, and the order of the training data.
        check: Look at the data before the first fit, and log what is wrong; `learner.check()`
            says more.
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
        refuse_loading(given, inspect.signature(get_learner).parameters)
        from ktlite.learner import Learner

        learner = Learner(
            model,
            train_data,
            val_data,
            batch_size=batch_size,
            eval_batch_size=eval_batch_size,
            batch_tokens=batch_tokens,
            preproc=preproc,
            task=task,
            seed=seed,
            check=check,
        )
        # How it was made and its data was loaded is not known here.
        known = {k: v for k, v in given.items() if k not in (*LOADING, *EXECUTION)}
        preproc = learner.preproc
        if isinstance(preproc, Preprocessor) and preproc.maxlen is not None:
            known["maxlen"] = preproc.maxlen
        learner.arguments = described(known)
        return learner
    check_loading(given, inspect.signature(get_learner).parameters)
    # Mostly not made before the data is read: it may take a download.
    make_transformer = functools.cache(
        lambda: Transformer(
            model,
            maxlen,
            class_names,
            task=task,
            revision=revision,
            ignore_config_fields=ignore_config_fields,
            window=window,
            stride=stride,
            seconds=seconds,
        )
    )
    kind = functools.cache(lambda: kind_of(model, revision, ignore_config_fields, given))
    read = reader_of(task, kind)
    options: dict[str, Any]
    options = {"sep": sep, "encoding": encoding, "names": names, "missing": missing}
    options["na_values"] = na_values
    if cache_folder is not None:  # tokenises while it reads
        kind()
        tokenizer = make_transformer().tokenizer
        options["store"] = TokenStore(cache_folder, tokenizer, verbose=verbose)
    raw = read(train_data, text_column, label_columns, source="train_data", **options)
    raw_val = None
    if val_data is not None:
        raw_val = read(val_data, text_column, label_columns, source="val_data", **options)
    transformer = make_transformer()
    transformer.reading = as_given(
        text_column, label_columns, sep=sep, encoding=encoding, names=names, na_values=na_values
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
    if augment is not None:
        train = train.augmented(augment)
    from ktlite.learner import Learner

    execution = {name: given[name] for name in EXECUTION}
    classifier = transformer.get_classifier(
        metrics=metrics, loss=loss, label_smoothing=label_smoothing, seed=seed, **execution
    )
    learner = Learner(
        classifier,
        train.prepared(classifier),
        val,
        batch_size=batch_size,
        eval_batch_size=eval_batch_size,
        batch_tokens=batch_tokens,
        seed=seed,
        check=check,
    )
    learner.arguments = described(given)
    return learner


@checked
def get_predictor(model: Any, preproc: Any, batch_size: int = 32) -> Predictor:
    """Returns a predictor from a model and the preprocessor that it was trained with.

    Example:
        >>> predictor = ktlite.get_predictor(learner.model, preproc)
    """
    if not isinstance(preproc, Preprocessor):
        raise ArgumentError(
            f"get_predictor: preproc is of type {type(preproc).__name__}; expected the "
            "preprocessor that a loader returned, or the Transformer."
        )
    return Predictor(model, preproc, batch_size)
