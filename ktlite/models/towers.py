"""Towers: a front that turns an input into vectors, and the stack of blocks on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ktlite.errors import ArgumentError, listing
from ktlite.models.core.fronts import front
from ktlite.models.core.init import Init
from ktlite.models.core.spec import ModelSpec, TowerSpec
from ktlite.models.core.stack import Stack
from ktlite.models.mapping import variable_at

Inputs = Mapping[str, Any]


class Tower(NamedTuple):
    """One tower of a model.

    Args:
        name: Such as `"encoder"`.
        spec: What it is made of.
        front: The layer from inputs to vectors.
        stack: The blocks.
    """

    name: str
    spec: TowerSpec
    front: Any
    stack: Stack

    @property
    def layers(self) -> list[Any]:
        """Front and stack."""
        return [self.front, self.stack]

    def read(self, inputs: Inputs) -> Inputs:
        """Returns the tower's own inputs of a model's, by the names that the front has for them.

        Raises:
            ArgumentError: If they are not there.
        """
        prefix = self.spec.prefix
        own = {
            name.removeprefix(prefix): x for name, x in inputs.items() if name.startswith(prefix)
        }
        wanted = self.spec.fields[0].name
        if wanted not in inputs:
            raise ArgumentError(
                f"the inputs are {listing(inputs)}; the model's {self.name} reads {wanted}. Give "
                "it, too."
            )
        return own


def front_name(name: str) -> str:
    """Returns the attribute of a model that holds a tower's front."""
    return "embeddings" if name == "encoder" else f"{name}_embeddings"


def add_towers(model: Any, spec: ModelSpec, init: Init, dtype: Any) -> None:
    """Makes the layers of a spec's towers, and the model's attributes that hold them."""
    for name, tower in spec.towers.items():
        options: dict[str, Any] = {}
        word = spec.tied.get(f"{front_name(name)}.word")
        if word is not None:
            options["word"] = variable_at(model, word)
        layer = front(tower.front, init, name=front_name(name), dtype=dtype, **options)
        width = None if tower.cross is None else spec.towers[tower.cross].stack.width
        stack = Stack(tower, init, memory_width=width, name=name, dtype=dtype)
        setattr(model, front_name(name), layer)
        setattr(model, name, stack)


def towers_of(model: Any) -> list[Tower]:
    """Returns the towers of a model, in the order of computing; none, if it has none."""
    spec = getattr(model, "spec", None)
    return [
        Tower(name, tower, getattr(model, front_name(name)), getattr(model, name))
        for name, tower in getattr(spec, "towers", {}).items()
    ]


def run_towers(
    towers: list[Tower], inputs: Inputs, training: Any, first_only: bool
) -> tuple[Any, Any]:
    """Returns the last tower's hidden states [batch, length, width], and its attention mask.

    Args:
        towers: Those of a model.
        inputs: The model's.
        training: Whether dropout is on.
        first_only: Give the states of the first tokens alone, [batch, 1, width].
    """
    states: dict[str | None, tuple[Any, Any]] = {None: (None, None)}
    x = mask = None
    for tower in towers:
        own = tower.read(inputs)
        mask = tower.front.mask(own)
        # Layers that are frozen run as they do in prediction, without dropout.
        x = tower.front(own, mask, training=training and tower.front.trainable)
        if tower.stack.entering is not None:
            x, mask = tower.stack.entering(x, mask)
        memory, memory_mask = states[tower.spec.cross]
        run = tower.stack.compiled or tower.stack
        x = run(
            x,
            mask,
            memory=memory,
            memory_mask=memory_mask,
            first_only=first_only and tower is towers[-1],
            training=training,
        )
        states[tower.name] = (x, mask)
    return x, mask


def layer_groups(towers: list[Tower]) -> list[tuple[str, list[Any]]]:
    """Returns (name, layers) of towers from input to output: all fronts, then each block.

    No layer is in two of them, though several towers may share it.
    """
    fronts: list[Any] = []
    for tower in towers:
        parts = [tower.front]
        shared = {id(w) for layer in fronts for w in layer.weights}
        if any(id(w) in shared for w in tower.front.weights):
            own = [layer for layer in tower.front._layers if layer.weights]
            parts = [layer for layer in own if not shared & {id(w) for w in layer.weights}]
        relative = tower.stack.relative
        fronts += [*parts, *([] if relative is None else [relative])]
    groups: list[tuple[str, list[Any]]] = [("embeddings", fronts)]
    for tower in towers:
        before = "" if len(towers) == 1 else f"{tower.name} "
        groups += [(before + name, layers) for name, layers in tower.stack.layer_groups()]
    return groups
