"""Multi-head attention, to a sequence itself or to another one, and its variants by name."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from keras import layers, ops

from ktlite.models.core.init import Init, normalisation
from ktlite.models.core.spec import AttentionSpec, RotarySpec

# Added to nothing, put in place of scores: a finite number keeps rows that are
# masked as a whole free of NaN, in every precision.
MASKED_SCORE = -1e9


class Cache(NamedTuple):
    """The keys and values of tokens, each float [sequences, key heads, tokens, head width]."""

    key: Any
    value: Any


@dataclass(frozen=True)
class Seen:
    """What attention knows beside its input, float [batch, rows, width].

    Args:
        visible: bool, broadcastable to the scores [batch, heads, rows, keys]; True where a token
            may be attended to. None: all.
        relative: What the stack's table of relative positions gives for these rows and keys; None
            where it has none.
        memory: Another sequence, which keys and values come from: float [batch, keys, width], or
            the keys and values themselves, of as many sequences or of fewer: then neighbours
            among the rows of the batch share one (beams).
        memory_visible: As `visible`, of the memory; bool [sequences, 1, 1, keys].
        cache: The keys and values of the tokens before. Those of the input are put behind them,
            and come back with the output. None: there are none, and none come back.
        position: That of the first row.
        first_only: Compute the output of the first token alone.
    """

    visible: Any = None
    relative: Any = None
    memory: Any = None
    memory_visible: Any = None
    cache: Cache | None = None
    position: Any = 0
    first_only: bool = False


class Attention(layers.Layer):
    """Scaled dot-product attention (Vaswani et al., 2017, arXiv:1706.03762).

    Queries, keys and values of a sequence's attention to itself come from one matrix product with
    a kernel [width, 3 * heads * head_width], in the order query, key, value. Where there are
    fewer heads of keys than of queries (Ainslie et al., 2023, arXiv:2305.13245), or where keys
    and values are those of a memory, queries have a kernel of their own. Variants give `scores`
    another formula, or `placed`.

    Call arguments:
        x: float [batch, length, width].
        seen: What else there is to know.

    Returns:
        float [batch, length, width], or [batch, 1, width]. With a cache a pair: that, and the
        cache with what was put behind it.

    Args:
        memory_width: Width of the memory; None: a sequence attends to itself.
    """

    def __init__(
        self,
        spec: AttentionSpec,
        width: int,
        init: Init,
        *,
        memory_width: int | None = None,
        name: str = "attention",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        policy = self.dtype_policy
        self.spec = spec
        self.width = width
        self.memory_width = memory_width
        self.kv_heads = spec.kv_heads or spec.heads
        self.scale = 1.0 / math.sqrt(spec.head_width) if spec.scale is None else spec.scale
        self.qkv: Any = None
        self.query: Any = None
        self.key_value: Any = None
        inner, kv = spec.heads * spec.head_width, self.kv_heads * spec.head_width
        if memory_width is None and spec.kv_heads is None:
            self.qkv = init.dense(
                3 * inner,
                bias=spec.bias,
                biased=(True, spec.key_bias, True),
                name="qkv",
                dtype=policy,
            )
        else:
            self.query = init.dense(inner, bias=spec.bias, name="query", dtype=policy)
            self.key_value = init.dense(
                2 * kv,
                bias=spec.bias,
                biased=(spec.key_bias, True),
                name="key_value",
                dtype=policy,
            )
        self.query_norm: Any = None
        self.key_norm: Any = None
        if spec.norm is not None and memory_width is None:
            self.query_norm = normalisation(spec.norm, name="query_norm", dtype=policy)
            self.key_norm = normalisation(spec.norm, name="key_norm", dtype=policy)
        self.dropout = init.dropout(spec.dropout, name="dropout", dtype=policy)
        out_bias = spec.bias if spec.out_bias is None else spec.out_bias
        self.out = init.dense(
            width, bias=out_bias, stddev=init.spec.out_stddev, name="out", dtype=policy
        )

    def build(self, input_shape: Any = None) -> None:
        if self.qkv is not None:
            self.qkv.build((None, None, self.width))
        else:
            self.query.build((None, None, self.width))
            self.key_value.build((None, None, self.memory_width or self.width))
        for norm in (self.query_norm, self.key_norm):
            if norm is not None:
                norm.build((None, None, None, self.spec.head_width))
        self.out.build((None, None, self.spec.heads * self.spec.head_width))
        self.built = True

    def call(self, x: Any, seen: Seen | None = None, training: Any = None) -> Any:
        seen = seen or Seen()
        query, key, value = self.projected(x, seen.memory)
        query = query[:, :, :1] if seen.first_only else query
        batch, heads, rows, head_width = ops.shape(query)
        if self.query_norm is not None:
            query, key = self.query_norm(query), self.key_norm(key)
        if self.memory_width is None:
            query, key = self.placed(query, key, seen.position)
        if seen.cache is not None:
            key = ops.concatenate([seen.cache.key, key], axis=2)
            value = ops.concatenate([seen.cache.value, value], axis=2)
        shared = isinstance(seen.memory, Cache)
        if shared:
            query = beside(query, ops.shape(key)[0])
        scores = self.scores(query, key, seen.relative, training)
        scores = ops.cast(scores, "float32")
        visible = seen.visible
        if self.spec.window is not None:
            near = within(self.spec.window, ops.shape(key)[2], rows, seen.position)
            visible = near if visible is None else ops.logical_and(visible, near)
        if visible is not None:
            scores = ops.where(visible, scores, MASKED_SCORE)
        probabilities = ops.cast(ops.softmax(scores, axis=-1), value.dtype)
        probabilities = self.dropout(probabilities, training=training)
        context = self.by_group(probabilities, value)
        if shared:
            context = apart(context, batch)
        context = ops.transpose(context, (0, 2, 1, 3))
        output = self.out(ops.reshape(context, (batch, rows, heads * head_width)))
        return output if seen.cache is None else (output, Cache(key, value))

    def projected(self, x: Any, memory: Any) -> tuple[Any, Any, Any]:
        """Returns queries, keys and values, each [batch, heads, length, head_width]."""
        heads, head_width = self.spec.heads, self.spec.head_width
        batch, length = ops.shape(x)[0], ops.shape(x)[1]
        if self.qkv is not None:
            qkv = ops.reshape(self.qkv(x), (batch, length, 3, heads, head_width))
            qkv = ops.transpose(qkv, (2, 0, 3, 1, 4))
            # Not by indices, and no slice that takes all: the gradient of a slice is an array of
            # zeros of the size of what it was cut from.
            query, key, value = ops.unstack(qkv, 3)
            return query, key, value
        query = ops.reshape(self.query(x), (batch, length, heads, head_width))
        query = ops.transpose(query, (0, 2, 1, 3))
        known = isinstance(memory, Cache)
        return query, *(memory if known else self.remembered(x if memory is None else memory))

    def remembered(self, memory: Any) -> Cache:
        """Returns the keys and values of a sequence, float [batch, length, width]."""
        batch, length = ops.shape(memory)[0], ops.shape(memory)[1]
        shape = (batch, length, 2, self.kv_heads, self.spec.head_width)
        both = ops.transpose(ops.reshape(self.key_value(memory), shape), (2, 0, 3, 1, 4))
        return Cache(*ops.unstack(both, 2))

    def nothing(self, batch: Any) -> Cache:
        """Returns the keys and values of no tokens."""
        shape = (batch, self.kv_heads, 0, self.spec.head_width)
        return Cache(*(ops.zeros(shape, self.compute_dtype) for _ in range(2)))

    def placed(self, query: Any, key: Any, position: Any) -> tuple[Any, Any]:
        """Returns queries and keys that know their positions, the first of which is given."""
        return query, key

    def scores(self, query: Any, key: Any, relative: Any, training: Any) -> Any:
        """Returns [batch, heads, rows, length] of query and key, in any precision.

        Args:
            query: [batch, heads, rows, head_width], the first tokens of a text, or all of them.
            key: [batch, key heads, length, head_width].
            relative: As in `Seen`.
            training: Whether dropout is on.
        """
        return self.by_group(query * self.scale, ops.transpose(key, (0, 1, 3, 2)))

    def by_group(self, left: Any, right: Any) -> Any:
        """Multiplies matrices of heads, [batch, heads, ...], with those of their keys' heads."""
        if self.kv_heads == self.spec.heads:
            return ops.matmul(left, right)
        batch, heads, rows, inner = ops.shape(left)
        rows_of_group = heads // self.kv_heads * rows
        product = ops.matmul(ops.reshape(left, (batch, self.kv_heads, rows_of_group, inner)), right)
        return ops.reshape(product, (batch, heads, rows, ops.shape(product)[3]))


class BiasedAttention(Attention):
    """Adds a number a head and distance to the scores (Raffel et al., 2019, arXiv:1910.10683).

    `relative` is that number, [heads, length, length].
    """

    def scores(self, query: Any, key: Any, relative: Any, training: Any) -> Any:
        scores = super().scores(query, key, None, training)
        # The stack's table is of its own tokens, and says nothing of a memory.
        return scores if relative is None else scores + relative[:, : ops.shape(query)[2]]


class RotaryAttention(Attention):
    """Turns queries and keys by an angle that grows with the position (Su et al., 2021).

    RoFormer, arXiv:2104.09864. The scores depend on the distance alone; or, where only a part of
    a head turns, on it and the content.
    """

    def placed(self, query: Any, key: Any, position: Any) -> tuple[Any, Any]:
        rotary = self.spec.rotary
        frequency = frequencies(rotary, (rotary.width or self.spec.head_width) // 2)
        positions = ops.arange(ops.shape(key)[2], dtype="float32") + ops.cast(position, "float32")
        angle = ops.expand_dims(positions, 1) * frequency
        cos, sin = ops.cos(angle), ops.sin(angle)
        rows = ops.shape(query)[2]
        return rotate(query, cos[:rows], sin[:rows]), rotate(key, cos, sin)


def frequencies(spec: RotarySpec, count: int) -> np.ndarray:
    """Returns by how much each pair turns from one position to the next, float32 [count]."""
    part = np.arange(count, dtype=np.float32) / np.float32(count)
    frequency = np.float32(1.0) / np.float32(spec.base) ** part
    slow = frequency / np.float32(spec.factor)
    if not spec.high_frequency:
        return slow if spec.factor != 1.0 else frequency
    turns = spec.original * frequency / (2 * math.pi)
    share = (turns - spec.low_frequency) / (spec.high_frequency - spec.low_frequency)
    share = np.clip(share, 0.0, 1.0)
    return ((1 - share) * slow + share * frequency).astype(np.float32)


def rotate(x: Any, cos: Any, sin: Any) -> Any:
    """Turns each pair (x[k], x[k + width / 2]) by its angle, in float32; keeps the precision.

    The width is twice the number of angles; numbers of x beyond it stay.
    """
    width = 2 * cos.shape[-1]
    if width < x.shape[-1]:
        turning, still = ops.split(x, [width], axis=-1)
        return ops.concatenate([rotate(turning, cos, sin), still], axis=-1)
    first, second = ops.split(ops.cast(x, "float32"), 2, axis=-1)
    turned = [first * cos - second * sin, second * cos + first * sin]
    return ops.cast(ops.concatenate(turned, axis=-1), x.dtype)


def distances(keys: Any, rows: Any, position: Any) -> Any:
    """Returns query - key, int32 [rows, keys], where the first query is at a position."""
    query = ops.expand_dims(ops.arange(rows) + position, 1)
    return query - ops.expand_dims(ops.arange(keys), 0)


def within(window: int, keys: Any, rows: Any = None, position: Any = 0) -> Any:
    """Returns bool [rows, keys]: whether two positions are at most `window` apart."""
    return ops.abs(distances(keys, keys if rows is None else rows, position)) <= window


def beside(query: Any, sequences: Any) -> Any:
    """Puts the queries of neighbours side by side, [sequences, heads, neighbours * rows, width]."""
    batch, heads, rows, width = ops.shape(query)
    many = batch // sequences
    query = ops.transpose(
        ops.reshape(query, (sequences, many, heads, rows, width)), (0, 2, 1, 3, 4)
    )
    return ops.reshape(query, (sequences, heads, many * rows, width))


def apart(context: Any, batch: Any) -> Any:
    """Takes apart what `beside` put together: [batch, heads, rows, width]."""
    sequences, heads, rows, width = ops.shape(context)
    many = batch // sequences
    shape = (sequences, heads, many, rows // many, width)
    context = ops.transpose(ops.reshape(context, shape), (0, 2, 1, 3, 4))
    return ops.reshape(context, (batch, heads, rows // many, width))
