"""What `get_learner` checks of its arguments before it reads anything."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from ktlite._arguments import at_least_one, between_0_and_1
from ktlite._places import check_places
from ktlite.data.sources import mistaken_texts, source_of
from ktlite.data.table import is_tabular
from ktlite.errors import Problems, did_you_mean, listing
from ktlite.inputs.input import Input, input_of
from ktlite.tasks import Task, find_task

Parameters = Mapping[str, inspect.Parameter]

# Arguments that only make sense where get_learner loads the data itself.
LOADING = (
    "text_column",
    "label_columns",
    "maxlen",
    "val_pct",
    "sep",
    "encoding",
    "names",
    "class_names",
    "missing",
    "na_values",
    "metrics",
    "loss",
    "label_smoothing",
    "sample_weight",
    "augment",
    "cache_folder",
    "window",
    "stride",
    "seconds",
    "revision",
    "ignore_config_fields",
)
# Those that say how the model that it makes is run.
EXECUTION = (
    "precision",
    "strategy",
    "devices",
    "xla",
    "accumulate",
    "remat",
    "lora",
    "lora_alpha",
    "ema",
    "micro_tokens",
    "mixup",
    "r_drop",
    "adversarial",
)


def refuse_loading(given: Mapping[str, Any], parameters: Parameters) -> None:
    """Raises if arguments that load data are given with a Keras model."""
    problems = Problems("get_learner")
    kind = type(given["model"]).__name__
    for name in (*LOADING, *EXECUTION):
        value, default = given[name], parameters[name].default
        done = "whose data must be loaded" if name in LOADING else "which has been compiled"
        problems.add_unless(
            _is_default(default, value),
            f"{name} goes with the name of a checkpoint; this model is of type {kind}, {done} "
            "already.",
        )
    problems.raise_if_any()


def check_loading(given: Mapping[str, Any], parameters: Parameters) -> None:
    """Raises if the arguments cannot work with the name of a checkpoint."""
    problems = Problems("get_learner")
    data, val_pct, source = given["train_data"], given["val_pct"], source_of(given["task"])
    problems.add_unless(
        data is not None,
        f"train_data is not given: {source.expected}.",
    )
    mistaken = mistaken_texts(data, given["val_data"], in_memory=source.in_memory)
    if mistaken:
        problems.add(mistaken)
    elif source.needs_columns and is_tabular(data):
        for name in ("text_column", "label_columns"):
            problems.add_unless(given[name] is not None, f"{name} is not given: which column?")
    problems.add_unless(
        given["preproc"] is None, "preproc goes with a Keras model; a checkpoint brings its own."
    )
    problems.add_unless(
        given["cache_folder"] is None
        or (source.needs_columns and not _has_own_tokens(given["task"])),
        "cache_folder= goes with tasks that read a text, or a pair, and its labels a row; leave it "
        "out.",
    )
    between_0_and_1(problems, val_pct=val_pct)
    _check_weights(problems, given["sample_weight"], data)
    problems.choice("missing", given["missing"], ("drop", "error"))
    sizes = {name: given[name] for name in ("batch_size", "eval_batch_size")}
    at_least_one(problems, **sizes)
    if given["batch_tokens"] is not None:
        at_least_one(problems, batch_tokens=given["batch_tokens"])
    execution = {name: given[name] for name in EXECUTION}
    if not all(_is_default(parameters[name].default, execution[name]) for name in EXECUTION):
        from ktlite.training.execution import Execution

        Execution(**execution).check(problems, **sizes)
    problems.raise_if_any()
    check_places("get_learner", given["model"], train=data, val=given["val_data"])


def kind_of(
    model: Any, revision: str | None, ignore_config_fields: Sequence[str], given: Mapping[str, Any]
) -> type[Input]:
    """Returns the kind of thing that a checkpoint reads, for `get_learner`."""
    kind = input_of(model, revision, ignore_config_fields)
    problems = Problems("get_learner")
    if kind.kind != "text":
        problems.add_unless(
            given["cache_folder"] is None,
            f"cache_folder= keeps the tokens of texts; this checkpoint reads {kind.kind}s: leave "
            "it out.",
        )
    problems.raise_if_any()
    return kind


def _is_default(default: Any, value: Any) -> bool:
    return bool(type(value) is type(default) and value == default)


def _has_own_tokens(task: Any) -> bool:
    """Says whether a task turns its examples into tokens in a way of its own."""
    kind = type(task) if isinstance(task, Task) else Task if task is None else find_task(task)
    return kind.tokenize is not Task.tokenize


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
