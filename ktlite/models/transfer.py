"""Moves weights between a checkpoint's tensors and a model's variables, all or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from keras import ops

from ktlite._logging import logger
from ktlite.errors import CheckpointError, Problems, did_you_mean, listing, plural
from ktlite.models.checkpoint import CheckpointReader
from ktlite.models.families.family import Family
from ktlite.models.mapping import Rule, expand, matches, variable_at

_SHOWN = 10  # tensors named in an error; a wrong hidden_size makes all of them wrong


@dataclass(frozen=True)
class _Planned:
    rule: Rule
    variable: Any
    names: tuple[str, ...]


def load_weights(model: Any, reader: CheckpointReader, *, new_head: bool = True) -> list[str]:
    """Fills a model from a checkpoint. Everything is checked before anything is assigned.

    The backbone must be there in full. A head that the checkpoint lacks, or has
    for another number of outputs, keeps its initial values, and a warning says so.

    Args:
        model: A `TransformerModel`.
        reader: The open checkpoint.
        new_head: False makes a head that does not fit an error too.

    Returns:
        The attribute paths of variables that keep their initial values.

    Raises:
        CheckpointError: If tensors are missing, unknown, or of another shape.
    """
    family: Family = model.family
    prefix = _find_prefix(reader, family)
    problems = Problems(f"checkpoint {reader.folder}", CheckpointError)
    backbone = _plan(model, family.names, prefix)
    head = _plan(model, family.heads.get(model.task_name, ()), prefix)
    _check_cover(model, [*backbone, *head])

    _check_present(backbone if new_head else [*backbone, *head], reader, problems)
    _check_extra(model, backbone, reader, prefix, problems)
    problems.raise_if_any()

    for planned in (*backbone, *(p for p in head if not _faults(p, reader))):
        tensors = [reader.read(name) for name in planned.names]
        planned.variable.assign(planned.rule.op.join(tensors).astype(planned.variable.dtype))
    fresh = [planned.rule.ours for planned in head if _faults(planned, reader)]
    if fresh:
        logger.warning(
            "%s: not in the checkpoint, or of another shape; new, and in need of training",
            listing(fresh),
        )
    return fresh


def collect_tensors(model: Any) -> dict[str, np.ndarray]:
    """Returns a model's weights under Hugging Face names: the way back of `load_weights`."""
    family: Family = model.family
    prefix = family.prefixes[0] if model.task_name else ""
    rules = (*family.names, *family.heads.get(model.task_name, ()))
    tensors: dict[str, np.ndarray] = {}
    for planned in _plan(model, rules, prefix):
        ours = ops.convert_to_numpy(planned.variable)
        parts = planned.rule.op.split(ours, len(planned.names))
        tensors.update(zip(planned.names, parts, strict=True))
    return tensors


def _plan(model: Any, rules: Sequence[Rule], prefix: str) -> list[_Planned]:
    # A table covers all that a family can have; which variables there are, the config says.
    planned = []
    for rule in expand(rules, model.spec.encoder.blocks):
        variable = variable_at(model, rule.ours)
        if variable is not None:
            planned.append(_Planned(rule, variable, rule.names(prefix)))
    return planned


def _find_prefix(reader: CheckpointReader, family: Family) -> str:
    anchor = family.names[0]
    for prefix in family.prefixes:
        if all(name in reader for name in anchor.names(prefix)):
            return prefix
    expected = [anchor.names(prefix)[0] for prefix in family.prefixes]
    raise CheckpointError(
        f"checkpoint {reader.folder}: found none of {listing(expected)}. Its tensors start with "
        f"{listing(reader.names(), 3)}. Is config.json's model_type the right one?"
    )


def _faults(planned: _Planned, reader: CheckpointReader) -> dict[str, str]:
    """Returns what is wrong with the tensors for a variable, by tensor name."""
    faults = {}
    wanted = planned.rule.op.shapes(tuple(planned.variable.shape), len(planned.names))
    for name, shape in zip(planned.names, wanted, strict=True):
        if name not in reader:
            faults[name] = "is missing"
        elif not reader.is_float(name):
            faults[name] = "is not floating point; quantised files are not supported"
        elif reader.shape(name) != shape:
            found = list(reader.shape(name))
            faults[name] = f"has shape {found}; config.json asks for {list(shape)}"
    return faults


def _check_present(
    planned: Sequence[_Planned], reader: CheckpointReader, problems: Problems
) -> None:
    faults = {name: text for p in planned for name, text in _faults(p, reader).items()}
    for name, text in islice(faults.items(), _SHOWN):
        hint = did_you_mean(name, reader.names()) if name not in reader else ""
        problems.add(f"tensor {name} {text}.{hint}")
    if len(faults) > _SHOWN:
        problems.add(f"the like for {plural(len(faults) - _SHOWN, 'more tensor')}.")


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
    reader: CheckpointReader,
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
