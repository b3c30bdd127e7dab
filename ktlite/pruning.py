"""`prune`: a smaller model of what matters in a trained one."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ktlite._arguments import at_least_one, between_0_and_1, checked
from ktlite._logging import logger
from ktlite.cards import described
from ktlite.data.dataset import Dataset
from ktlite.data.preprocessor import Preprocessor
from ktlite.data.reading import read_for
from ktlite.errors import ArgumentError, Problems, plural
from ktlite.learner import Learner
from ktlite.models.adapters import has_adapters
from ktlite.models.model import TransformerModel
from ktlite.models.pruning import Kept, pruned, pruned_config
from ktlite.predictor import Predictor
from ktlite.training.execution import run_like
from ktlite.training.importance import Importance, most
from ktlite.training.optimizers import strategy_scope

USED = "used"
_STEP = 8  # widths are multiples of it: products of matrices are faster then


@checked
def prune(
    learner_or_predictor: Any,
    train_data: Any = None,
    val_data: Any = None,
    *,
    vocabulary: str | None = None,
    layers: int | Sequence[int] | None = None,
    feed_forward: float | None = None,
    heads: float | None = None,
    text_column: Any = None,
    label_columns: Any = None,
    examples: int = 1024,
    seed: int = 42,
    verbose: int = 1,
) -> Any:
    """Returns a smaller model, made of what matters in a trained one.

    What is left is an ordinary checkpoint with smaller numbers in its config: it is saved, trained
    further, exported and opened in PyTorch `transformers` as any other. The one given stays as it
    is. A model that has lost layers, units or heads has lost accuracy, too, and mostly gets it back
    in an epoch or two of training:

    Args:
        learner_or_predictor: A learner gives a learner, with the same data, ready to be trained
            further. A predictor gives a predictor. Its model is a transformer that reads texts, or
            but for `vocabulary` images or sounds.
        train_data: Labelled data of the kind that the model is to be used on, as for
            `get_learner`. Default: a learner's own. Not needed for `layers` alone.
        val_data: Other data of this kind: how many of its tokens the smaller vocabulary lacks, is
            logged. Default: a learner's own; of a predictor none.
        vocabulary: `"used"` keeps the tokens that `train_data` has, as far as the model reads its
            texts (`maxlen`), and those that other texts need to stay readable: single characters
            and bytes, special tokens, and in BPE whatever kept tokens are merged from. The texts of
            `train_data` have the same tokens as before, with new ids; words of other texts that
            are gone are cut into smaller pieces.
        layers: The numbers of the blocks to keep, from 0, such as `[0, 2, 4]`; or how many of the
            first ones (Sajjad et al., 2020, arXiv:2004.03844: the last ones are mostly the least
            missed).
        feed_forward: The share of the units that each block's feed-forward network loses, above 0
            and below 1; what stays is rounded up to a multiple of 8.
        heads: The share of its heads that each block's attention loses, above 0 and below 1, to
            the nearest number; one stays at least. Heads of queries that share keys go together.
            Only families whose config can say it (Llama, Mistral, Qwen3, Gemma 3): BERT and its
            relatives have as many heads as fit their width.
        text_column: Of files and tables: name of the text column, or names. Default: as the
            training data was read.
        label_columns: Likewise, of the labels.
        examples: Rows of `train_data`, drawn at random, on which units and heads are measured: by
            the first-order Taylor estimate of the loss without them (Michel et al., 2019,
            arXiv:1905.10650).
        seed: Of that draw.
        verbose: 0 silences progress bars.

    Raises:
        ArgumentError: If there is nothing to prune, arguments cannot work, or the config of the
            model's family cannot say what would be left. Nothing has changed then.
        DataError: If the data cannot be used.

    Example:
        >>> smaller = ktlite.prune(learner, vocabulary="used", layers=[0, 2, 4], feed_forward=0.5)
        >>> smaller.fit_onecycle(1e-4, 2)
        >>> smaller.get_predictor().save("small-predictor")
    """
    steps = {
        "vocabulary": vocabulary,
        "layers": layers,
        "feed_forward": feed_forward,
        "heads": heads,
    }
    model = _check(learner_or_predictor, steps, examples)
    columns = {"text_column": text_column, "label_columns": label_columns}
    data = _data(learner_or_predictor, {"train_data": train_data, "val_data": val_data}, columns)
    decided = [name for name, value in steps.items() if value is not None and name != "layers"]
    if decided and "train_data" not in data:
        raise ArgumentError(
            f"prune: train_data is not given, and decides what {decided[0]}= leaves. Give labelled "
            "data of the kind that the model is to be used on."
        )
    preproc: Preprocessor = learner_or_predictor.preproc
    input, kept = preproc.input, _shape(model, steps)
    if vocabulary is not None:
        counts = input.counts(data["train_data"].encodings)
        input, words = input.narrowed(np.flatnonzero(counts))
        kept = dataclasses.replace(kept, words=words)
    pruned_config(model, kept)  # what it cannot say is an error before anything is measured
    if feed_forward is not None or heads is not None:
        found = Importance(model, _loss_of(model, preproc))
        rows = np.random.default_rng(seed).permutation(len(data["train_data"]))
        found.measure(data["train_data"], np.sort(rows[:examples]), verbose)
        kept = _chosen(kept, found)
    with strategy_scope(model):
        small = pruned(model, kept)
    _report(model, small, kept, preproc.input, data.get("val_data"))
    new = _with_input(preproc, input)
    given = {name: value for name, value in steps.items() if value is not None}
    if isinstance(learner_or_predictor, Learner):
        return _learner(learner_or_predictor, small, new, given)
    return Predictor(small, new, learner_or_predictor.batch_size)


def _check(subject: Any, steps: Mapping[str, Any], examples: Any) -> Any:
    """Returns the model; raises ArgumentError for all that cannot work."""
    problems = Problems("prune")
    at_least_one(problems, examples=examples)
    problems.add_unless(
        any(value is not None for value in steps.values()),
        "nothing to prune is named; give vocabulary='used', layers=, feed_forward= or heads=.",
    )
    if steps["vocabulary"] is not None:
        problems.choice("vocabulary", steps["vocabulary"], (USED,))
    shares = {name: steps[name] for name in ("feed_forward", "heads")}
    between_0_and_1(problems, **{name: one for name, one in shares.items() if one is not None})
    layers = steps["layers"]
    several = isinstance(layers, (Sequence, np.ndarray)) and not isinstance(layers, str)
    numbers = list(layers) if several else [layers]
    whole = [isinstance(n, (int, np.integer)) and not isinstance(n, bool) for n in numbers]
    problems.add_unless(
        layers is None or bool(numbers) and all(whole) and min(numbers) >= (0 if several else 1),
        f"layers={layers!r}; expected the numbers of the blocks to keep, from 0, or how many of "
        "the first ones.",
    )
    if not isinstance(subject, (Learner, Predictor)):
        problems.add(
            f"got {type(subject).__name__}; expected a learner or a predictor: "
            "ktlite.load_predictor(folder) loads a saved one."
        )
        problems.raise_if_any()
    model = subject.model
    if not isinstance(model, TransformerModel):
        problems.add(
            f"its model is of type {type(model).__name__}; expected a transformer, and of exports "
            "the predictor that they were made from."
        )
        problems.raise_if_any()
    _check_model(problems, subject, model, steps)
    problems.raise_if_any()
    return model


def _check_model(problems: Problems, subject: Any, model: Any, steps: Mapping[str, Any]) -> None:
    spec = model.spec
    problems.add_unless(
        isinstance(subject.preproc, Preprocessor),
        "its data was not preprocessed by ktlite; only models of texts, images and sounds that "
        "were can be pruned.",
    )
    problems.add_unless(
        len(spec.towers) == 1,
        f"its model has {plural(len(spec.towers), 'tower')} ({', '.join(spec.towers)}); expected "
        "one with a single stack of blocks.",
    )
    problems.add_unless(
        not has_adapters(model),
        "its model has adapters (lora=) beside its kernels: save a predictor, which has them in "
        "its kernels, and prune that: load_predictor(folder).",
    )
    stack = spec.first.stack
    if steps["layers"] is not None:
        problems.add_unless(
            not stack.mixed, "layers: its head takes a mean of what all blocks give; all stay."
        )
    if steps["heads"] is not None:
        problems.add_unless(
            stack.relative is None,
            "heads: its attention has relative positions by head, which have to stay.",
        )
    if steps["vocabulary"] is not None:
        problems.add_unless(
            not model.writes,
            "vocabulary: its model writes texts, and could not write a word that train_data lacks.",
        )


def _data(subject: Any, given: Mapping[str, Any], columns: Mapping[str, Any]) -> dict[str, Dataset]:
    """Returns training and validation data, as far as they are given or a learner has them."""
    found = {}
    for name, value in given.items():
        own = getattr(subject, name, None)
        if value is not None:
            found[name] = read_for(subject.preproc, value, where="prune", source=name, **columns)
        elif isinstance(own, Dataset):
            found[name] = own
    return found


def _shape(model: Any, steps: Mapping[str, Any]) -> Kept:
    """Returns what stays by its numbers; which units and heads is not measured yet."""
    stack = model.spec.first.stack
    layers, units, heads = steps["layers"], None, None
    if layers is not None:
        layers = tuple(map(int, range(layers) if isinstance(layers, (int, np.integer)) else layers))
    if steps["feed_forward"] is not None:
        width = stack.feed_forward.width
        count = min(width, -(-int(np.ceil(width * (1 - steps["feed_forward"]))) // _STEP) * _STEP)
        units = [np.arange(count)] * stack.blocks
    if steps["heads"] is not None:
        of_keys = stack.attention.kv_heads or stack.attention.heads
        count = max(1, round(of_keys * (1 - steps["heads"])))
        heads = [np.arange(count)] * stack.blocks
    return Kept(layers, units, heads)


def _chosen(kept: Kept, found: Importance) -> Kept:
    """Returns what stays, of each block the most important."""
    units, heads = (
        None
        if counted is None
        else [most(one, len(part)) for one, part in zip(values, counted, strict=True)]
        for counted, values in ((kept.units, found.units), (kept.heads, found.heads))
    )
    return dataclasses.replace(kept, units=units, heads=heads)


def _loss_of(model: Any, preproc: Preprocessor) -> Any:
    """Returns the loss that a model was compiled with; of one that was not, its task's."""
    loss = model.loss if getattr(model, "compiled", False) else None
    return loss if callable(loss) else preproc.task.loss()


def _report(model: Any, small: Any, kept: Kept, input: Any, held_out: Dataset | None) -> None:
    """Says what is left."""
    before, after = model.count_params(), small.count_params()
    said = [f"{after:,} of {before:,} parameters stay ({after / before:.0%})"]
    if kept.words is not None:
        size = model.spec.tokens.vocab_size
        said.append(f"{len(kept.words):,} of {size:,} tokens")
        if held_out is not None:
            counts = input.counts(held_out.encodings)
            lost = 1 - counts[kept.words].sum() / max(counts.sum(), 1)
            said.append(
                f"of the tokens of val_data {lost:.2%} are gone, and cut into smaller pieces"
            )
    logger.info("pruned: %s", "; ".join(said))


def _with_input(preproc: Preprocessor, input: Any) -> Preprocessor:
    """Returns a preprocessor for the same task with an input of its own, not calibrated."""
    made = Preprocessor(None, preproc.maxlen, copy.deepcopy(preproc.task), input=input)
    made.reading, made.pairs = dict(preproc.reading), preproc.pairs
    made.task.forget_calibration()
    return made


def _learner(
    learner: Learner, small: Any, preproc: Preprocessor, steps: Mapping[str, Any]
) -> Learner:
    """Returns a learner of the smaller model with the data of another."""
    run_like(small, learner.model)
    preproc.task.into_config(small.config)
    made = Learner(
        small,
        _retokenised(learner.train_data, preproc),
        _retokenised(learner.val_data, preproc),
        batch_size=learner.batch_size,
        eval_batch_size=learner.eval_batch_size,
        batch_tokens=learner.batch_tokens,
        preproc=preproc,
        seed=learner.seed,
        check=False,  # the same data has been looked at
    )
    made.arguments = {
        **learner.arguments,
        **{f"pruned_{k}": v for k, v in described(steps).items()},
    }
    return made


def _retokenised(data: Any, preproc: Preprocessor) -> Any:
    """Returns data as another preprocessor encodes it."""
    if not isinstance(data, Dataset):
        return data
    task = None if data.task is None else preproc.task
    if data.preproc.input is preproc.input:
        return dataclasses.replace(data, preproc=preproc, task=task)
    encodings = preproc.encode(data.items)
    if data.targets is not None:
        encodings = preproc.task.with_targets(encodings, data.targets, preproc.input)
    return dataclasses.replace(data, encodings=encodings, preproc=preproc, task=task)
