"""From raw text to a `Learner` that pretrains: a new model, or a checkpoint on new texts."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ktlite._arguments import at_least_one, between_0_and_1, checked
from ktlite._logging import logger
from ktlite.data.corpus import Corpus, build_corpus, split_documents
from ktlite.data.documents import read_documents
from ktlite.data.pretraining import PretrainingDataset, PretrainingPreprocessor
from ktlite.errors import Problems, plural
from ktlite.inputs.tokenizer import Tokenizer
from ktlite.learner import Learner
from ktlite.tasks.masked_lm import MaskedLM
from ktlite.text.loaders import DEFAULT_SEED
from ktlite.training.execution import Execution

OBJECTIVES = ("masked-lm", "pretraining")
SHORTEST = 8  # tokens of an input: special ones, and words to mask and to guess from


@checked
def get_pretrainer(
    model: Any,
    train_data: Any,
    val_data: Any = None,
    batch_size: int = 32,
    eval_batch_size: int = 32,
    *,
    tokenizer: str | os.PathLike[str] | None = None,
    task: str | None = None,
    text_column: str | None = None,
    maxlen: int = 128,
    mask_probability: float = 0.15,
    max_ngram: int | None = None,
    val_pct: float = 0.05,
    sep: str | None = None,
    encoding: str | None = None,
    cache_folder: str | os.PathLike[str] | None = None,
    precision: str | None = None,
    strategy: Any = None,
    devices: Sequence[str] | None = None,
    xla: bool | str = "auto",
    accumulate: int = 1,
    batch_tokens: int | None = None,
    remat: bool = False,
    lora: int | None = None,
    ema: float | None = None,
    micro_tokens: int | str | None = "auto",
    revision: str | None = None,
    ignore_config_fields: Sequence[str] = (),
    seed: int = DEFAULT_SEED,
    verbose: int = 1,
) -> Learner:
    r"""Brings a model and raw text together, to be trained without labels.

    A config gives a new model, trained from scratch; a checkpoint is trained on, which
    takes it to the language of one's own texts (Gururangan et al., 2020, arXiv:2004.10964).
    The texts are tokenised once, into files that the learner maps into memory, so they may
    be larger than it. Each epoch masks other words.

    Args:
        model: A config (mapping, `AutoConfig`, or the path of a config.json) for a new model;
            or a checkpoint folder or Hub name. A config without `vocab_size` takes that of
            the tokenizer.
        train_data: Texts: a list or Series of strings, a DataFrame or CSV file with
            `text_column`, or text files: a path, a pattern such as `"corpus/*.txt"`, a folder,
            or a list of `Path`s. In text files blank lines separate documents; where there
            are none, each line is one.
        val_data: To validate on, like `train_data`. Default: some of the documents.
        batch_size: Texts a training batch.
        eval_batch_size: Texts a batch at validation.
        tokenizer: Folder or Hub name of the tokenizer, such as one that
            `ktlite.text.train_tokenizer` made. Default: the checkpoint's.
        task: `"masked-lm"` (Devlin et al., 2018, arXiv:1810.04805), or `"pretraining"`:
            ALBERT's, with sentence order (Lan et al., 2019, arXiv:1909.11942). Default:
            `"pretraining"` for ALBERT.
        text_column: Name of the text column of a table.
        maxlen: Longest input in tokens.
        mask_probability: Share of the tokens to guess.
        max_ngram: Words masked in a row, at most. Default: 3 for `"pretraining"`, else 1
            (whole words).
        val_pct: Share of the documents to validate on.
        sep: Column separator of a CSV file. Default: comma, or tab for .tsv.
        encoding: Of the files. Default: detected.
        cache_folder: Where the tokenised texts are kept while the learner lives, 3 bytes a
            token. Default: the system's temporary folder.
        precision: As in `get_learner`, like the next six, `ema` and `micro_tokens`.
        strategy: Devices to train on.
        devices: Names of devices to train on.
        xla: Whether to compile the encoder.
        accumulate: Batches to a step of the optimizer, which is that of one batch of them all.
        batch_tokens: Tokens a training batch, at most.
        remat: Keep no activations inside blocks.
        lora: Refused: pretraining is for all weights, the embeddings of words among them.
            Adapters are for fine-tuning what it leads to, with `get_learner`.
        ema: Decay of a moving average of the weights.
        micro_tokens: Tokens of the pieces that a step runs its batch in.
        revision: Branch, tag or commit on the Hub.
        ignore_config_fields: Unknown fields of the config to accept.
        seed: Of the new weights, dropout, masking, the split and the order of the data.
        verbose: 0 silences progress bars.

    Returns:
        The `Learner`. `validate()` gives perplexity and accuracy; `save_model(folder)` writes
        a checkpoint that `get_learner(folder, ...)` fine-tunes.

    Raises:
        ArgumentError: If arguments cannot work; all of them are named at once.
        DataError: If the texts cannot be used.
        CheckpointError: If the config, checkpoint or tokenizer cannot be used.

    Example:
        >>> config = {"model_type": "albert", "hidden_size": 256, "num_attention_heads": 4,
        ...           "num_hidden_layers": 6, "intermediate_size": 1024}
        >>> learner = ktlite.get_pretrainer(config, "corpus/*.txt", tokenizer="my-tokenizer")
        >>> learner.fit_onecycle(1e-3, 10)
        >>> learner.save_model("my-albert")
    """
    from ktlite.models import from_config, from_pretrained
    from ktlite.models.checkpoint import find_checkpoint
    from ktlite.models.config import read_config

    config = _as_config(model)
    execution = Execution(
        strategy, devices, precision, xla, accumulate, remat, ema=ema, micro_tokens=micro_tokens
    )
    _check(locals())
    tokens = Tokenizer(find_checkpoint(tokenizer or model, revision=revision), maxlen)
    if config is not None:
        source: Any = {"vocab_size": tokens.vocab_size, "pad_token_id": tokens.pad_id, **config}
        objective = task or _usual_task(source)
    else:
        source = find_checkpoint(model, revision=revision)
        objective = task or _usual_task(read_config(source))
    masked_lm = MaskedLM(sentence_order=objective == "pretraining")

    def make(policy: str | None) -> Any:
        return (from_pretrained if config is None else from_config)(
            source, objective, seed=seed, dtype=policy, ignore_config_fields=ignore_config_fields
        )

    new = execution.build(make, masked_lm)
    _check_fit(new, tokens, maxlen)
    preproc = PretrainingPreprocessor(
        tokens,
        maxlen,
        masked_lm,
        probability=mask_probability,
        max_ngram=max_ngram or (3 if objective == "pretraining" else 1),
    )

    def load(data: Any, source: str) -> Corpus:
        options: dict[str, Any] = {"sep": sep, "encoding": encoding, "source": source}
        documents = read_documents(data, text_column, **options)
        return _build(documents, preproc, cache_folder, verbose)

    corpus = load(train_data, "train_data")
    if val_data is None:
        held_in, held_out = split_documents(corpus, val_pct, seed)
        val = PretrainingDataset(corpus, held_out, preproc)
    else:
        held_in = np.arange(len(corpus))
        other = load(val_data, "val_data")
        val = PretrainingDataset(other, np.arange(len(other)), preproc)
    train = PretrainingDataset(corpus, held_in, preproc)
    if verbose:
        logger.info(
            "%s tokens; %s to train on, %s to validate on; %s",
            f"{len(corpus.ids):,}",
            plural(len(train), "chunk"),
            plural(len(val), "chunk"),
            objective,
        )
    return Learner(
        new,
        train,
        val,
        batch_size=batch_size,
        eval_batch_size=eval_batch_size,
        batch_tokens=batch_tokens,
        seed=seed,
    )


def _as_config(model: Any) -> dict[str, Any] | None:
    """Returns the config that a new model is asked for with; None for a checkpoint."""
    from ktlite.models.auto import config_fields

    is_path = isinstance(model, (str, os.PathLike))
    has_fields = isinstance(model, Mapping) or hasattr(model, "to_dict")
    is_config = Path(model).is_file() if is_path else has_fields
    return dict(config_fields(model)) if is_config else None


def _usual_task(config: Mapping[str, Any]) -> str:
    return "pretraining" if config.get("model_type") == "albert" else "masked-lm"


def _check(given: Mapping[str, Any]) -> None:
    """Raises if the arguments cannot work, before anything is read."""
    problems = Problems("get_pretrainer")
    config, model = given["config"], given["model"]
    problems.add_unless(
        config is not None or isinstance(model, (str, os.PathLike)),
        f"model is of type {type(model).__name__}; expected a config for a new model, or the name "
        "of a checkpoint to train on.",
    )
    problems.add_unless(
        config is None or given["tokenizer"] is not None,
        "tokenizer is not given: a new model has none. Train one on the texts with "
        "ktlite.text.train_tokenizer(texts, folder), or name that of a checkpoint.",
    )
    if given["task"] is not None:
        problems.choice("task", given["task"], OBJECTIVES)
    shares = {name: given[name] for name in ("mask_probability", "val_pct")}
    between_0_and_1(problems, **shares)
    sizes = {name: given[name] for name in ("batch_size", "eval_batch_size")}
    optional = {name: given[name] for name in ("max_ngram", "batch_tokens")}
    given_ones = {name: value for name, value in optional.items() if value is not None}
    at_least_one(problems, **sizes, **given_ones)
    problems.add_unless(
        given["lora"] is None,
        f"lora={given['lora']!r}: pretraining is for all weights, the embeddings of words among "
        "them. Fine-tune what it leads to with get_learner(..., lora=8).",
    )
    given["execution"].check(problems, **sizes)
    maxlen = given["maxlen"]
    problems.add_unless(
        isinstance(maxlen, int) and maxlen >= SHORTEST,
        f"maxlen={maxlen!r}; expected a whole number of at least {SHORTEST}.",
    )
    problems.raise_if_any()


def _check_fit(model: Any, tokenizer: Tokenizer, maxlen: int) -> None:
    """Raises if tokenizer or length do not fit the model, before the texts are tokenised."""
    problems = Problems("get_pretrainer")
    embeddings = model.spec.tokens
    problems.add_unless(
        tokenizer.vocab_size <= embeddings.vocab_size,
        f"the tokenizer has ids up to {tokenizer.vocab_size - 1}, but the model's vocab_size is "
        f"{embeddings.vocab_size}.",
    )
    problems.add_unless(
        maxlen <= embeddings.max_positions,
        f"maxlen={maxlen}; the model has {embeddings.max_positions} positions "
        "(max_position_embeddings).",
    )
    types = embeddings.type_vocab_size
    problems.add_unless(
        model.task_name != "pretraining" or types != 1,
        "task='pretraining' needs two token types, one for each segment (type_vocab_size=2).",
    )
    problems.raise_if_any()


def _build(
    documents: Iterable[Sequence[str]],
    preproc: PretrainingPreprocessor,
    cache_folder: str | os.PathLike[str] | None,
    verbose: int,
) -> Corpus:
    """Tokenises documents into a folder that goes with the corpus."""
    folder = tempfile.mkdtemp(prefix="ktlite-corpus-", dir=cache_folder)
    try:
        corpus = build_corpus(
            documents,
            preproc.tokenizer,
            Path(folder),
            preproc.maxlen - preproc.specials,
            verbose=verbose,
        )
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    weakref.finalize(corpus, shutil.rmtree, folder, ignore_errors=True)
    return corpus
