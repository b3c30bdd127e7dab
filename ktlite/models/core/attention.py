"""Multi-head self-attention, and its variants by name."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from keras import layers, ops

from ktlite.models.core.init import Init
from ktlite.models.core.spec import AttentionSpec

# Added to nothing, put in place of scores: a finite number keeps rows that are
# masked as a whole free of NaN, in every precision.
MASKED_SCORE = -1e9


class SelfAttention(layers.Layer):
    """Scaled dot-product self-attention (Vaswani et al., 2017, arXiv:1706.03762).

    Queries, keys and values come from one matrix product with a kernel
    [width, 3 * heads * head_width], in the order query, key, value. Variants give
    `scores` another formula.

    Call arguments:
        x: float [batch, length, width].
        visible: bool [batch, 1, 1, length] or broadcastable to the scores [batch, heads,
            length, length]; True where a token may be attended to. None: all. (Not `mask`: a
            None of that name Keras fills in.)
        relative: What the encoder's table of relative positions gives for this
            length; None where it has none.
        first_only: Compute the output of the first token alone.

    Returns:
        float [batch, length, width], or [batch, 1, width].
    """

    def __init__(self, spec: AttentionSpec, width: int, init: Init, *, dtype: Any = None) -> None:
        super().__init__(name="attention", dtype=dtype)
        policy = self.dtype_policy
        self.spec = spec
        self.width = width
        inner = spec.heads * spec.head_width
        self.qkv = init.dense(3 * inner, bias=spec.bias, name="qkv", dtype=policy)
        self.dropout = init.dropout(spec.dropout, name="dropout", dtype=policy)
        out_bias = spec.bias if spec.out_bias is None else spec.out_bias
        self.out = init.dense(
            width, bias=out_bias, stddev=init.spec.out_stddev, name="out", dtype=policy
        )

    def build(self, input_shape: Any = None) -> None:
        self.qkv.build((None, None, self.width))
        self.out.build((None, None, self.spec.heads * self.spec.head_width))
        self.built = True

    def call(
        self,
        x: Any,
        visible: Any,
        relative: Any = None,
        first_only: bool = False,
        training: Any = None,
    ) -> Any:
        heads, head_width = self.spec.heads, self.spec.head_width
        batch, length = ops.shape(x)[0], ops.shape(x)[1]
        qkv = ops.reshape(self.qkv(x), (batch, length, 3, heads, head_width))
        qkv = ops.transpose(qkv, (2, 0, 3, 1, 4))
        # Not by indices, and no slice that takes all: the gradient of a slice is an array of
        # zeros of the size of what it was cut from.
        query, key, value = ops.unstack(qkv, 3)
        rows = 1 if first_only else length
        scores = self.scores(query[:, :, :1] if first_only else query, key, relative, training)
        scores = ops.cast(scores, "float32")
        if self.spec.window is not None:
            near = within(self.spec.window, length)[:rows]
            visible = near if visible is None else ops.logical_and(visible, near)
        if visible is not None:
            scores = ops.where(visible, scores, MASKED_SCORE)
        probabilities = ops.cast(ops.softmax(scores, axis=-1), value.dtype)
        probabilities = self.dropout(probabilities, training=training)
        context = ops.transpose(ops.matmul(probabilities, value), (0, 2, 1, 3))
        return self.out(ops.reshape(context, (batch, rows, heads * head_width)))

    def scores(self, query: Any, key: Any, relative: Any, training: Any) -> Any:
        """Returns [batch, heads, rows, length] of query and key, in any precision.

        Args:
            query: [batch, heads, rows, head_width], the first tokens of a text, or all of them.
            key: [batch, heads, length, head_width].
            relative: As for a call.
            training: Whether dropout is on.
        """
        query = query * (1.0 / math.sqrt(self.spec.head_width))
        return ops.matmul(query, ops.transpose(key, (0, 1, 3, 2)))


class BiasedSelfAttention(SelfAttention):
    """Adds a number a head and distance to the scores (Raffel et al., 2019, arXiv:1910.10683).

    `relative` is that number, [heads, length, length].
    """

    def scores(self, query: Any, key: Any, relative: Any, training: Any) -> Any:
        bias = relative[:, : ops.shape(query)[2]]
        return super().scores(query, key, None, training) + bias


class RotarySelfAttention(SelfAttention):
    """Turns queries and keys by an angle that grows with the position (Su et al., 2021).

    RoFormer, arXiv:2104.09864. The scores depend on the distance alone.
    """

    def scores(self, query: Any, key: Any, relative: Any, training: Any) -> Any:
        half = self.spec.head_width // 2
        base = np.float32(self.spec.rotary_base)
        frequency = 1.0 / base ** (np.arange(half, dtype=np.float32) / np.float32(half))
        position = ops.arange(ops.shape(key)[2], dtype="float32")
        angle = ops.expand_dims(position, 1) * frequency
        cos, sin = ops.cos(angle), ops.sin(angle)
        rows = ops.shape(query)[2]
        query, key = rotate(query, cos[:rows], sin[:rows]), rotate(key, cos, sin)
        return super().scores(query, key, None, training)


def rotate(x: Any, cos: Any, sin: Any) -> Any:
    """Turns each pair (x[k], x[k + width / 2]) by its angle, in float32; keeps the precision."""
    first, second = ops.split(ops.cast(x, "float32"), 2, axis=-1)
    turned = [first * cos - second * sin, second * cos + first * sin]
    return ops.cast(ops.concatenate(turned, axis=-1), x.dtype)


def within(window: int, length: Any) -> Any:
    """Returns bool [length, length]: whether two positions are at most `window` apart."""
    position = ops.arange(length)
    distance = ops.expand_dims(position, 1) - ops.expand_dims(position, 0)
    return ops.abs(distance) <= window
