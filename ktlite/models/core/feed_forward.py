"""The position-wise networks of a block, by name."""

from __future__ import annotations

from typing import Any

from keras import layers, ops

from ktlite.models.core.activations import get_activation
from ktlite.models.core.init import Init
from ktlite.models.core.spec import FeedForwardSpec


class FeedForward(layers.Layer):
    """Two dense layers with an activation between: [batch, length, width] to the same."""

    def __init__(self, spec: FeedForwardSpec, width: int, init: Init, *, dtype: Any = None) -> None:
        super().__init__(name="feed_forward", dtype=dtype)
        policy = self.dtype_policy
        self.spec = spec
        self.width = width
        self.activation = get_activation(spec.activation)
        self.up = init.dense(self.up_width, bias=spec.bias, name="up", dtype=policy)
        self.down = init.dense(
            width, bias=spec.bias, stddev=init.spec.out_stddev, name="down", dtype=policy
        )
        self.dropout: Any = (
            init.dropout(spec.dropout, name="dropout", dtype=policy) if spec.dropout else None
        )

    @property
    def up_width(self) -> int:
        """Outputs of the first dense layer."""
        return self.spec.width

    def build(self, input_shape: Any = None) -> None:
        self.up.build((None, None, self.width))
        self.down.build((None, None, self.spec.width))
        self.built = True

    def call(self, x: Any, training: Any = None) -> Any:
        x = self.activation(self.up(x))
        return self.down(x if self.dropout is None else self.dropout(x, training=training))


class GatedFeedForward(FeedForward):
    """One half of the first layer's outputs gates the other (Shazeer, 2020, arXiv:2002.05202)."""

    def __init__(self, spec: FeedForwardSpec, width: int, init: Init, *, dtype: Any = None) -> None:
        super().__init__(spec, width, init, dtype=dtype)
        if self.dropout is None:
            self.dropout = init.dropout(0.0, name="dropout", dtype=self.dtype_policy)

    @property
    def up_width(self) -> int:
        return 2 * self.spec.width

    def call(self, x: Any, training: Any = None) -> Any:
        value, gate = ops.split(self.up(x), 2, axis=-1)
        return self.down(self.dropout(self.activation(value) * gate, training=training))


FEED_FORWARD = {"standard": FeedForward, "gated": GatedFeedForward}
