"""From an image to vectors: one a patch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keras import layers, ops

from ktlite.models.core.init import Init, normalisation
from ktlite.models.core.spec import PatchesSpec


class Patches(layers.Layer):
    """Patches of an image as vectors, after learned ones, with positions (arXiv:2010.11929).

    Dosovitskiy et al., 2020; with a token for distillation: Touvron et al., 2020,
    arXiv:2012.12877.

    Call arguments:
        inputs: `pixel_values`, float [batch, height, width, channels], of the spec's size.

    Returns:
        float [batch, 1 + patches, width]; with a distillation token one vector more, without a
        first token one less.
    """

    def __init__(
        self, spec: PatchesSpec, init: Init, *, name: str = "embeddings", dtype: Any = None
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        policy = self.dtype_policy
        self.spec = spec
        self.projection = layers.Conv2D(
            spec.width,
            spec.patch,
            strides=spec.stride or spec.patch,
            use_bias=spec.bias,
            kernel_initializer=init.kernel(),
            name="projection",
            dtype=policy,
        )
        self.norm: Any = None
        if spec.norm is not None:
            self.norm = normalisation(spec.norm, name="norm", dtype=policy)
        self.dropout = init.dropout(spec.dropout, name="dropout", dtype=policy)
        first, positions = init.kernel(), init.kernel()
        self._initial = ("zeros", "zeros") if spec.zero_start else (first, positions)

    def build(self, input_shape: Any = None) -> None:
        self.projection.build((None, *self.spec.size, self.spec.channels))
        token, rows = (1, 1, self.spec.width), (1, self.spec.max_positions, self.spec.width)
        first, positions = self._initial
        self.first_token = (
            self.add_weight(shape=token, initializer=first, name="first_token")
            if self.spec.first
            else None
        )
        self.position = self.add_weight(shape=rows, initializer=positions, name="position")
        self.distillation_token = (
            self.add_weight(shape=token, initializer="zeros", name="distillation_token")
            if self.spec.distillation
            else None
        )
        if self.norm is not None:
            self.norm.build((None, None, self.spec.width))
        self.built = True

    def mask(self, inputs: Mapping[str, Any]) -> None:
        """Returns the attention mask: None, since an image has no padding."""

    def picture(self, inputs: Mapping[str, Any]) -> Any:
        """Returns what patches are cut out of, float [batch, height, width, channels]."""
        return inputs["pixel_values"]

    def call(
        self, inputs: Mapping[str, Any], attention_mask: Any = None, training: Any = None
    ) -> Any:
        x = self.projection(self.picture(inputs))
        batch = ops.shape(x)[0]
        patches = self.spec.max_positions - self.spec.first_tokens
        x = ops.reshape(x, (batch, patches, self.spec.width))
        shape = (batch, 1, self.spec.width)
        first = [
            ops.broadcast_to(ops.cast(token, x.dtype), shape)
            for token in (self.first_token, self.distillation_token)
            if token is not None
        ]
        x = ops.concatenate([*first, x], axis=1) if first else x
        x = x + ops.cast(self.position, x.dtype)
        return self.dropout(x if self.norm is None else self.norm(x), training=training)
