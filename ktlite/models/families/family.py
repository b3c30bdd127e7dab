"""What a family file declares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ktlite.models.checkpoint import TensorReader
from ktlite.models.config import ConfigReader
from ktlite.models.core.spec import ModelSpec
from ktlite.models.mapping import Rule


@dataclass(frozen=True)
class Family:
    """Everything that ktlite knows of one Hugging Face architecture.

    Args:
        model_types: The `model_type` values of configs that belong to it.
        spec: Reads a config into a `ModelSpec`.
        prefixes: Backbone prefixes in checkpoints; the first is written where the
            model has a head.
        names: The table of the backbone's tensors, of all that a config can ask for: a
            rule whose variable a model does not have is passed over.
        heads: By Hugging Face task name, the table of the head's tensors.
        architectures: By task name (`None`: bare backbone), the PyTorch class that
            opens the checkpoint.
        modules: Where PyTorch's modules are called otherwise than the tensors of a checkpoint, as
            adapters have them: parts of names (in the checkpoint, in the model), replaced one
            after the other.
        ignore: Patterns of tensors that a checkpoint may hold and that no model uses.
        layers_field: The config field that counts the layers.
        positions_field: The config field that counts the positions.
        settle: What of a config a checkpoint's tensors decide: takes both, and returns the fields
            that change. None: nothing.
    """

    model_types: tuple[str, ...]
    spec: Callable[[ConfigReader], ModelSpec]
    prefixes: tuple[str, ...]
    names: tuple[Rule, ...]
    heads: Mapping[str, tuple[Rule, ...]]
    architectures: Mapping[str | None, str]
    ignore: tuple[str, ...] = field(default=())
    modules: tuple[tuple[str, str], ...] = ()
    layers_field: str = "num_hidden_layers"
    positions_field: str = "max_position_embeddings"
    settle: Callable[[Mapping[str, Any], TensorReader], Mapping[str, Any]] | None = None

    def in_pytorch(self, name: str) -> str:
        """Returns what the module of a tensor of a checkpoint is called in PyTorch's model."""
        for stored, called in self.modules:
            name = name.replace(stored, called)
        return name

    def in_checkpoint(self, name: str) -> str:
        """Returns the reverse of `in_pytorch`; names of checkpoints stay as they are."""
        for stored, called in self.modules:
            name = name.replace(called, stored)
        return name
