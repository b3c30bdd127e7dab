"""Moves weights between a checkpoint's tensors and a model's variables, all or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

from ktlite._logging import logger
from ktlite._memory import as_tensor
from ktlite.errors import CheckpointError, Problems, did_you_mean, listing, plural
from ktlite.models.checkpoint import TensorReader
from ktlite.models.families.family import Family
from ktlite.models.head_labels import HeadLabels
from ktlite.models.mapping import Rule, expand, matches, variable_at

_MADE_BY = {"masked-lm": ", such as bert-base-uncased, or train one: ktlite.get_pretrainer."}
_SHOWN = 10  # tensors named in an error; a wrong hidden_size makes all of them wrong


@dataclass(frozen=True, eq=False)
class _Planned:
    rule: Rule
    variable: Any
    names: tuple[str, ...]


@dataclass(frozen=True)
class _Fault:
    """What is wrong with a tensor."""

    name: str
    text: str
    of_shape: bool = False


def load_weights(
    model: Any,
    reader: TensorReader,
    *,
    new_head: bool = True,
    ignore_mismatched_sizes: bool = False,
    labels: HeadLabels | None = None,
) -> list[str]:
    """Fills a model from a checkpoint. Everything is checked before anything is assigned.

    The backbone must be there in full. A head that the checkpoint lacks, or has
    for another number of outputs, keeps its initial values, and a warning says so.

    Args:
        model: A `TransformerModel`.
        reader: The open checkpoint. For a model that was made in a `keras.StatelessScope` it
            has to be open until the end of that, which is when the variables get memory.
        new_head: False makes a head that does not fit an error too.
        ignore_mismatched_sizes: Variables of the backbone whose tensors have another shape
            keep their initial values, and a warning gives both shapes.
        labels: How the labels of the head lie to those in the checkpoint. None: it is taken as
            it stands.

    Returns:
        The attribute paths of variables that keep their initial values.

    Raises:
        CheckpointError: If tensors are missing, unknown, or of another shape.
    """
    family: Family = model.family
    prefix = find_prefix(reader, family)
    problems = Problems(f"checkpoint {reader.folder}", CheckpointError)
    labels = labels or HeadLabels()
    backbone = _plan(model, family.names, prefix)
    head = _plan(model, family.heads.get(model.task_name, ()), prefix)
    _check_cover(model, [*backbone, *head])
    backbone, head = (
        [p for p in planned if not p.rule.optional or p.names[0] in reader]
        for planned in (backbone, head)
    )

    resized = [p for p in backbone if ignore_mismatched_sizes and _is_resized(p, reader)]
    wanted = [p for p in backbone if p not in resized]
    headless = bool(head) and not any(name in reader for p in head for name in p.names)
    if headless and not new_head:
        problems.add(_no_head(model))
    _check_present(wanted if new_head or headless else [*wanted, *head], reader, problems)
    _check_extra(model, backbone, reader, prefix, problems)
    problems.add_unless(new_head or not labels.differ, labels.say)
    problems.raise_if_any()

    by_label = [p for p in head if p.rule.ours.split(".")[1] in model.head.by_label]
    others = by_label if labels.differ else []
    fresh = [p for p in head if p in others or _faults(p, reader)]
    for planned in [*wanted, *(p for p in head if p not in fresh)]:
        _fill(planned, reader, labels.order if planned in by_label else None)
    if resized:
        logger.warning(
            "of another shape than in the checkpoint; new, and in need of training: %s",
            listing(f"{f.name} {f.text}" for p in resized for f in _faults(p, reader)),
        )
    if fresh:
        why = labels.say if others else "not in the checkpoint, or of another shape"
        logger.warning(
            "%s: %s; new, and in need of training",
            listing(planned.rule.ours for planned in fresh),
            why.removesuffix("."),
        )
    elif labels.say:
        logger.info("%s", labels.say)
    return [planned.rule.ours for planned in (*resized, *fresh)]


def _fill(planned: _Planned, reader: TensorReader, order: Sequence[int] | None = None) -> None:
    """Gives a variable its value, now or, if it has none yet, when it is made."""

    def value(shape: Any = None, dtype: Any = None) -> Any:
        ours = planned.rule.op.join([reader.read(name) for name in planned.names])
        if order is not None:
            ours = np.take(ours, order, axis=-1)
        return as_tensor(ours, planned.variable.dtype)

    if planned.variable._initializer is None:
        planned.variable.assign(value())
    else:  # made in a StatelessScope, which calls this at its end
        planned.variable._initializer = value


def collect_tensors(model: Any) -> dict[str, np.ndarray]:
    """Returns a model's weights under Hugging Face names: the way back of `load_weights`."""
    family: Family = model.family
    prefix = family.prefixes[0] if model.stored_task else ""
    rules = (*family.names, *family.heads.get(model.stored_task, ()))
    tensors: dict[str, np.ndarray] = {}
    for planned in _plan(model, rules, prefix):
        ours = ops.convert_to_numpy(planned.variable)
        parts = planned.rule.op.split(ours, len(planned.names))
        tensors.update(zip(planned.names, parts, strict=True))
    return tensors


def _plan(model: Any, rules: Sequence[Rule], prefix: str) -> list[_Planned]:
    # A table covers all that a family can have; which variables there are, the config says.
    planned = []
    for rule in expand(rules, model.spec):
        variable = variable_at(model, rule.ours)
        if variable is not None:
            planned.append(_Planned(rule, variable, rule.names(prefix)))
    return planned


def find_prefix(reader: TensorReader, family: Family) -> str:
    """Returns what stands before the names of the backbone's tensors.

    Raises:
        CheckpointError: If the checkpoint has no such backbone.
    """
    anchor = family.names[0].at(0)
    for prefix in family.prefixes:
        if all(name in reader for name in anchor.names(prefix)):
            return prefix
    expected = [anchor.names(prefix)[0] for prefix in family.prefixes]
    raise CheckpointError(
        f"checkpoint {reader.folder}: found none of {listing(expected)}. Its tensors start with "
        f"{listing(reader.names(), 3)}. Is config.json's model_type the right one?"
    )


def _faults(planned: _Planned, reader: TensorReader) -> list[_Fault]:
    """Returns what is wrong with the tensors for a variable."""
    faults = []
    wanted = planned.rule.op.shapes(tuple(planned.variable.shape), len(planned.names))
    for name, shape in zip(planned.names, wanted, strict=True):
        if name not in reader:
            faults.append(_Fault(name, "is missing"))
        elif not reader.is_float(name):
            text = "is not floating point; quantised files are not supported"
            faults.append(_Fault(name, text))
        elif reader.shape(name) != shape:
            text = f"has shape {list(reader.shape(name))}; config.json asks for {list(shape)}"
            faults.append(_Fault(name, text, of_shape=True))
    return faults


def _is_resized(planned: _Planned, reader: TensorReader) -> bool:
    """Says whether the shapes of a variable's tensors are wrong, and nothing else."""
    faults = _faults(planned, reader)
    return bool(faults) and all(fault.of_shape for fault in faults)


def _check_present(planned: Sequence[_Planned], reader: TensorReader, problems: Problems) -> None:
    faults = [fault for p in planned for fault in _faults(p, reader)]
    for fault in faults[:_SHOWN]:
        hint = did_you_mean(fault.name, reader.names()) if fault.name not in reader else ""
        problems.add(f"tensor {fault.name} {fault.text}.{hint}")
    if len(faults) > _SHOWN:
        problems.add(f"the like for {plural(len(faults) - _SHOWN, 'more tensor')}.")


def _no_head(model: Any) -> str:
    """Says that a checkpoint has nothing of a head that it was asked for."""
    made_for = listing(model.config.get("architectures") or ())
    return (
        f"it has no head for {model.task_name!r}"
        + (f"; its config.json says that it was saved as {made_for}" if made_for else "")
        + ". Take a checkpoint that was trained for it"
        + _MADE_BY.get(model.task_name, ", or train one: ktlite.get_learner.")
    )


def _check_cover(model: Any, planned: Sequence[_Planned]) -> None:
    """Checks the family's table itself: each variable named once, none forgotten."""
    named = [id(p.variable) for p in planned]
    forgotten = [w.path for w in model.weights if id(w) not in set(named)]
    if forgotten or len(named) != len(set(named)):
        twice = [p.rule.ours for p in planned if named.count(id(p.variable)) > 1]
        raise CheckpointError(
            f"the table of family {model.family.model_types[0]!r} is wrong: variables without a "
            f"rule: {listing(forgotten) or 'none'}; with two: {listing(twice) or 'none'}."
        )


def _check_extra(
    model: Any,
    backbone: Sequence[_Planned],
    reader: TensorReader,
    prefix: str,
    problems: Problems,
) -> None:
    """Finds tensors that neither the backbone nor any head of the family knows."""
    family: Family = model.family
    heads = [rule for rules in family.heads.values() for rule in rules]
    known = {name for planned in backbone for name in planned.names}
    known |= {name for rule in heads for name in rule.names(prefix)}
    extra = [
        name for name in reader.names() if name not in known and not matches(name, family.ignore)
    ]
    if extra:
        problems.add(
            f"tensors that config.json does not account for: {listing(extra)}."
            f"{did_you_mean(extra[0], known)}"
        )
