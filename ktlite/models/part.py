"""A part of a checkpoint: some of its blocks, or another number of positions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np

from ktlite.errors import ArgumentError, Problems, listing, plural
from ktlite.models.checkpoint import TensorReader
from ktlite.models.config import ConfigReader
from ktlite.models.core.embeddings import sinusoids
from ktlite.models.core.spec import Front, ModelSpec, TokensSpec
from ktlite.models.families.family import Family
from ktlite.models.towers import front_name
from ktlite.models.transfer import find_prefix

Layers = int | Sequence[int] | None


def check_arguments(
    config: Any, layers: Any, max_positions: Any, num_labels: Any, labels: Any = None
) -> None:
    """Checks what can be checked before a checkpoint is looked for.

    Raises:
        ArgumentError: If an argument is of the wrong kind; all that are get named.
    """
    problems = Problems("from_pretrained")
    problems.add_unless(
        config is None or isinstance(config, Mapping),
        f"config={config!r}; expected a mapping of config fields to change.",
    )
    several = isinstance(layers, Sequence) and not isinstance(layers, str)
    numbers = list(layers) if several else [layers]
    problems.add_unless(
        layers is None or bool(numbers) and all(_whole(n, 0 if several else 1) for n in numbers),
        f"layers={layers!r}; expected how many of the first blocks to keep, or the numbers of "
        "the blocks to keep, from 0.",
    )
    for name, value in (("max_positions", max_positions), ("num_labels", num_labels)):
        problems.add_unless(
            value is None or _whole(value, 1),
            f"{name}={value!r}; expected a whole number of 1 or more.",
        )
    if labels is not None:
        _check_labels(problems, labels, num_labels)
    problems.raise_if_any()


def _check_labels(problems: Problems, labels: Any, num_labels: Any) -> None:
    fine = isinstance(labels, (Sequence, np.ndarray)) and not isinstance(labels, str)
    names = [str(label) for label in labels] if fine else []
    problems.add_unless(
        bool(names) and len(set(names)) == len(names),
        f"labels={labels!r:.80}; expected the names of the outputs, each once.",
    )
    problems.add_unless(
        num_labels is None or num_labels == len(names),
        f"num_labels={num_labels!r}, but {plural(len(names), 'label')}; leave num_labels out.",
    )


def _whole(value: Any, least: int) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least


def part_config(
    config: Mapping[str, Any],
    changed: Mapping[str, Any],
    spec: ModelSpec,
    family: Family,
    layers: Layers,
    max_positions: int | None,
    where: str = "from_pretrained",
) -> dict[str, Any]:
    """Returns the config of a part.

    Args:
        config: That of the whole checkpoint, with the fields in `changed`.
        changed: The fields that the user changes.
        spec: What `config` says.
        family: The checkpoint's family.
        layers: As in `from_pretrained`.
        max_positions: As in `from_pretrained`.
        where: What was called, for messages.

    Raises:
        ArgumentError: If the checkpoint has no such part; all reasons are named.
    """
    problems = Problems(where)
    for argument, value, name in (
        ("layers", layers, family.layers_field),
        ("max_positions", max_positions, family.positions_field),
    ):
        problems.add_unless(
            value is None or name not in changed,
            f"{argument}={value!r} sets the config field {name}; leave it out of config.",
        )
        problems.add_unless(
            value is None or len(spec.towers) == 1,
            f"{argument}={value!r} goes with one stack of blocks; this model has "
            f"{listing(spec.towers)}.",
        )
    part = dict(config)
    if layers is not None:
        _check_layers(spec, layers, problems)
        part[family.layers_field] = len(layers) if isinstance(layers, Sequence) else int(layers)
        blocks = kept_blocks(spec, layers)
        if spec.first.stack.local_attention is not None and blocks is not None:
            local = spec.first.stack.local_layers
            part["layer_types"] = [
                "sliding_attention" if block in local else "full_attention" for block in blocks
            ]
    if max_positions is not None:
        problems.add_unless(
            isinstance(spec.first.front, TokensSpec),
            f"max_positions={max_positions!r} goes with texts; this model reads {spec.input}s.",
        )
        # The field counts positions; in RoBERTa's relatives the rows of their table.
        by_rows = getattr(spec.first.front, "positions", None) == "pad_aware"
        before = first_position(spec.first.front) if by_rows else 0
        part[family.positions_field] = int(max_positions) + before
    problems.raise_if_any()
    if max_positions is not None:
        _check_relative(spec, family.spec(ConfigReader(part)), max_positions)
    return part


def _check_relative(whole: ModelSpec, part: ModelSpec, max_positions: int) -> None:
    before = whole.first.stack.relative
    if before is not None and part.first.stack.relative != before:
        raise ArgumentError(
            f"from_pretrained: max_positions={max_positions} would change the relative positions "
            "as well, whose reach the config leaves to the number of positions; keep it with "
            f"config={{'max_relative_positions': {before.max_distance}}}."
        )


def _check_layers(spec: ModelSpec, layers: int | Sequence[int], problems: Problems) -> None:
    encoder = spec.first.stack
    if encoder.groups is not None:
        problems.add_unless(
            not isinstance(layers, Sequence),
            f"layers={layers!r}; the layers of this checkpoint share their weights: give a number.",
        )
        return
    blocks = kept_blocks(spec, layers) or ()
    problems.add_unless(
        max(blocks) < encoder.layers,
        f"layers={layers!r}; the checkpoint has {plural(encoder.layers, 'block')}, 0 to "
        f"{encoder.layers - 1}.",
    )
    alike = encoder.norm.place == "post" or encoder.first_norm
    problems.add_unless(
        alike or [i for i, b in enumerate(blocks) if b == 0] == [0],
        f"layers={layers!r}; the first block of this family has one norm less than the others: "
        "begin with block 0, and have it once.",
    )


def kept_blocks(spec: ModelSpec, layers: Layers) -> tuple[int, ...] | None:
    """Returns the numbers of the blocks to keep; None: all, or a block that layers share."""
    if layers is None or spec.first.stack.groups is not None:
        return None
    return tuple(map(int, layers if isinstance(layers, Sequence) else range(layers)))


def first_position(spec: Front) -> int:
    """Returns the row of the position table that a text's first token has."""
    if not isinstance(spec, TokensSpec):
        return 0
    return spec.pad_id + 1 if spec.positions == "pad_aware" else spec.first_row


class PartReader:
    """Reads a checkpoint as if it had been saved with some of its blocks, or other positions.

    Args:
        whole: The open checkpoint.
        family: Its family.
        spec: What its config says.
        blocks: The numbers of the blocks to keep, in their new order. None: all.
        max_positions: Usable positions. A table that is too short is continued by its own
            rows, as for Longformer (Beltagy et al., 2020, arXiv:2004.05150, section 5); a
            longer one is cut. None: as they are.
    """

    def __init__(
        self,
        whole: TensorReader,
        family: Family,
        spec: ModelSpec,
        blocks: Sequence[int] | None,
        max_positions: int | None,
    ) -> None:
        self.folder = whole.folder
        self._whole = whole
        self._spec = spec
        prefix = find_prefix(whole, family)
        self._names = {name: name for name in whole.names()}
        if blocks is not None:
            self._keep(family, prefix, blocks)
        self._table: str | None = None
        if max_positions is not None and spec.tokens.positions not in (
            "none",
            "fixed",
            "fixed_pad_aware",
        ):
            table = f"{front_name(next(iter(spec.towers)))}.position.embeddings"
            rule = next(rule for rule in family.names if rule.ours == table)
            (self._table,) = rule.names(prefix)
        self._first = first_position(spec.first.front)
        self._rows = (max_positions or 0) + self._first

    def _keep(self, family: Family, prefix: str, blocks: Sequence[int]) -> None:
        rules = [rule for rule in family.names if "{i}" in rule.ours]
        for rule in rules:
            for number in range(self._spec.first.stack.blocks):
                for name in rule.at(number).names(prefix):
                    self._names.pop(name, None)
        for rule in rules:
            for new, old in enumerate(blocks):
                pairs = zip(rule.at(new).names(prefix), rule.at(old).names(prefix), strict=True)
                self._names.update((ours, name) for ours, name in pairs if name in self._whole)

    def names(self) -> list[str]:
        """Returns all tensor names, under the numbers that the blocks have now."""
        return list(self._names)

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def is_float(self, name: str) -> bool:
        return self._whole.is_float(self._names[name])

    def shape(self, name: str) -> tuple[int, ...]:
        shape = self._whole.shape(self._names[name])
        whole = self._spec.max_positions + self._first
        # A table that does not fit the config stays as it is, for load_weights to refuse.
        return (self._rows, *shape[1:]) if name == self._table and shape[0] == whole else shape

    def read(self, name: str) -> np.ndarray:
        """Returns a tensor in the precision it is stored in."""
        tensor = self._whole.read(self._names[name])
        if name != self._table:
            return tensor
        if self._spec.tokens.positions == "sinusoidal":
            return sinusoids(self._rows, tensor.shape[1])
        usable = tensor[self._first :]
        times = -(-self._rows // len(usable))  # rounded up
        return np.concatenate([tensor[: self._first], np.tile(usable, (times, 1))])[: self._rows]
