"""Vectors of texts from any model that has an encoder."""

from __future__ import annotations

from typing import Any

import keras

from ktlite.encodings.field import Field
from ktlite.errors import ArgumentError, Problems
from ktlite.models.heads import EMBEDDING
from ktlite.models.model import TransformerModel
from ktlite.models.pooling import POOLINGS, pool, unit
from ktlite.models.towers import Inputs


class Embedder(keras.Model):
    """Makes vectors of texts with the encoder of a model, whatever its head.

    Args:
        model: The model.
        pooling: One of `ktlite.models.pooling.POOLINGS`. Default: the model's; without a head
            for embeddings, the mean.
        normalize: Whether vectors are scaled to length 1. Default: likewise, no.

    Raises:
        ArgumentError: If the pooling is not known, or the model is not a `TransformerModel`.

    Example:
        >>> embedder = Embedder(load_model("my-bert"))
        >>> embedder({"input_ids": np.array([[101, 2023, 102]])}).shape
        TensorShape([1, 768])
    """

    def __init__(
        self, model: Any, pooling: str | None = None, normalize: bool | None = None
    ) -> None:
        super().__init__(name="embedder")
        if not isinstance(model, TransformerModel):
            raise ArgumentError(
                f"embed: a model of type {type(model).__name__} has no encoder that is known; "
                "models of ktlite.models have."
            )
        head = model.spec.heads[EMBEDDING]
        self.model = model
        self.pooling = head.pooling if pooling is None else pooling
        self.normalize = head.normalize if normalize is None else normalize
        self.width = model.spec.width
        problems = Problems("embed")
        contrast = head.contrast
        if contrast is not None:
            self.width = contrast.width
            problems.add_unless(
                pooling is None,
                f"pooling={pooling!r}; this checkpoint says itself how a vector comes of an image "
                "or a text: leave it out.",
            )
        problems.choice("pooling", self.pooling, POOLINGS)
        problems.raise_if_any()

    @property
    def fields(self) -> tuple[Field, ...]:
        """What it reads."""
        return self.model.fields

    def call(self, inputs: Inputs, training: Any = None) -> Any:
        if self.model.head is not None and self.model.head.apart:
            states = self.model.tower_states(inputs, training)
            if len(states) != 1:
                raise ArgumentError("embed: give images or texts, one of them at a time.")
            (vectors,) = self.model.head.vectors(states, inputs.get("input_ids")).values()
            return unit(vectors) if self.normalize else vectors
        first_only = self.pooling == "first"
        hidden, mask = self.model.hidden_states(inputs, training, first_only=first_only)
        return pool(hidden, mask, self.pooling, self.normalize)
