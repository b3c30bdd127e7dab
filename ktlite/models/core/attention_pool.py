"""One vector of many, by attention whose query is learned."""

from __future__ import annotations

import math
from typing import Any

from keras import layers, ops

from ktlite.models.core.contrast import ContrastSpec
from ktlite.models.core.feed_forward import FeedForward
from ktlite.models.core.init import Init, normalisation
from ktlite.models.core.spec import FeedForwardSpec, NormSpec


class AttentionPool(layers.Layer):
    """Attention from a learned vector, and a feed-forward network (SigLIP's "MAP head").

    Lee et al., 2018, arXiv:1810.00825; Zhai et al., 2021, arXiv:2106.04560.

    Call arguments:
        x: float [batch, length, width].

    Returns:
        float [batch, width].
    """

    def __init__(self, spec: ContrastSpec, width: int, init: Init, *, dtype: Any = None) -> None:
        super().__init__(name="pool", dtype=dtype)
        policy = self.dtype_policy
        self.heads, self.width = spec.pool_heads, width
        self._start = init.kernel()
        # Queries, keys and values as one, which is how checkpoints have them here.
        self.qkv = init.dense(3 * width, name="qkv", dtype=policy)
        self.out = init.dense(width, name="out", dtype=policy)
        self.norm = normalisation(NormSpec(spec.pool_eps), name="norm", dtype=policy)
        network = FeedForwardSpec(spec.pool_width, spec.pool_activation)
        self.feed_forward = FeedForward(network, width, init, dtype=policy)

    def build(self, input_shape: Any = None) -> None:
        shape = (1, 1, self.width)
        self.probe = self.add_weight(shape=shape, initializer=self._start, name="probe")
        for layer in (self.qkv, self.out, self.norm, self.feed_forward):
            layer.build((None, None, self.width))
        self.built = True

    def call(self, x: Any) -> Any:
        batch, length = ops.shape(x)[0], ops.shape(x)[1]
        head = self.width // self.heads
        query = self.qkv(ops.cast(self.probe, x.dtype))[..., : self.width]
        _, key, value = ops.split(self.qkv(x), 3, axis=-1)
        query = ops.reshape(query, (1, self.heads, 1, head))
        key, value = (
            ops.transpose(ops.reshape(one, (batch, length, self.heads, head)), (0, 2, 1, 3))
            for one in (key, value)
        )
        scores = ops.sum(ops.cast(query * key, "float32"), axis=-1) / math.sqrt(head)
        shares = ops.expand_dims(ops.cast(ops.softmax(scores), value.dtype), 3)
        x = self.out(ops.reshape(ops.sum(shares * value, axis=2), (batch, self.width)))
        return x + self.feed_forward(self.norm(x))
