"""Blocks of a stack, by where their norms stand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from keras import layers, ops

from ktlite.models.core.attention import (
    Attention,
    BiasedAttention,
    Cache,
    RotaryAttention,
    Seen,
)
from ktlite.models.core.disentangled import DisentangledAttention
from ktlite.models.core.feed_forward import FEED_FORWARD
from ktlite.models.core.init import Init, normalisation
from ktlite.models.core.relative import RELATIVE
from ktlite.models.core.spec import StackSpec

ATTENTION: dict[str, type[Attention]] = {
    "standard": Attention,
    "biased": BiasedAttention,
    "rotary": RotaryAttention,
    "disentangled": DisentangledAttention,
}


class Block(layers.Layer):
    """Attention, then the feed-forward network, each added to the stream and normalised.

    Between them may be attention to a memory, which is another tower's states.

    Call arguments:
        x: float [batch, length, width].
        seen: What attention knows beside it.

    Returns:
        float [batch, length, width], or [batch, 1, width]. With a cache in `seen` a pair: that,
        and the cache with these tokens behind it.

    Args:
        longest: The most positions there can be.
        memory_width: Width of the memory; None: there is none.
    """

    def __init__(
        self,
        spec: StackSpec,
        number: int,
        init: Init,
        *,
        longest: int,
        memory_width: int | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name=f"block_{number}", dtype=dtype)
        policy = self.dtype_policy
        self.spec = spec
        self.number = number
        attention = spec.attention_of(number)
        make = ATTENTION[attention.kind]
        self.attention = make(attention, spec.width, init, dtype=policy)
        self.attention_norm = self.first_norm()
        self.relative: Any = None
        if spec.relative is not None and not spec.relative.shared:
            table = RELATIVE[spec.relative.kind]
            self.relative = table(spec.relative, spec, longest, init, dtype=policy)
        self.cross: Any = None
        self.cross_norm: Any = None
        if memory_width is not None:
            self.cross = make(
                replace(attention, kv_heads=None, window=None),
                spec.width,
                init,
                memory_width=memory_width,
                name="cross",
                dtype=policy,
            )
            self.cross_norm = normalisation(spec.norm, name="cross_norm", dtype=policy)
        self.feed_forward = FEED_FORWARD[spec.feed_forward.kind](
            spec.feed_forward, spec.width, init, dtype=policy
        )
        self.feed_forward_norm = normalisation(spec.norm, name="feed_forward_norm", dtype=policy)
        self.attention_dropout = init.dropout(
            spec.attention_dropout, name="attention_dropout", dtype=policy
        )
        self.cross_dropout: Any = (
            None
            if memory_width is None
            else init.dropout(spec.attention_dropout, name="cross_dropout", dtype=policy)
        )
        self.feed_forward_dropout = init.dropout(
            spec.feed_forward_dropout, name="feed_forward_dropout", dtype=policy
        )

    def first_norm(self) -> Any:
        return normalisation(self.spec.norm, name="attention_norm", dtype=self.dtype_policy)

    def build(self, input_shape: Any = None) -> None:
        shape = (None, None, self.spec.width)
        for layer in (
            self.attention,
            self.attention_norm,
            self.relative,
            self.cross,
            self.cross_norm,
            self.feed_forward,
            self.feed_forward_norm,
        ):
            if layer is not None:
                layer.build(shape)
        self.built = True

    def call(self, x: Any, seen: Seen | None = None, training: Any = None) -> Any:
        seen = seen or Seen()
        attended, kept = self.attend(x, seen, training)
        x = x[:, :1] if seen.first_only else x
        x = self.attention_norm(x + self.attention_dropout(attended, training=training))
        if self.cross is not None:
            x = self.cross_norm(x + self.recall(x, seen, training))
        transformed = self.transform(x, training)
        x = self.feed_forward_norm(x + self.feed_forward_dropout(transformed, training=training))
        return x if seen.cache is None else (x, kept)

    def attend(self, x: Any, seen: Seen, training: Any) -> tuple[Any, Cache | None]:
        """Returns what attention gives, and the cache, if there is one."""
        own = replace(seen, memory=None, memory_visible=None)
        if self.relative is not None:
            rows = ops.shape(x)[1]
            own = replace(own, relative=self.relative.at(seen.position + rows, rows))
        attended = self.attention(x, seen=own, training=training)
        return (attended, None) if seen.cache is None else attended

    def recall(self, x: Any, seen: Seen, training: Any) -> Any:
        """Returns what attention to the memory gives."""
        other = Seen(visible=seen.memory_visible, memory=seen.memory)
        return self.cross_dropout(self.cross(x, seen=other, training=training), training=training)

    def transform(self, x: Any, training: Any) -> Any:
        """Returns what the feed-forward network gives."""
        return self.feed_forward(x, training=training)


class PreNormBlock(Block):
    """Normalises what goes into attention and feed-forward network, not what comes out.

    Xiong et al., 2020, arXiv:2002.04745. Where the embeddings are normalised already, the first
    block has no norm of its own before attention (`StackSpec.first_norm`).
    """

    def first_norm(self) -> Any:
        return super().first_norm() if self.number or self.spec.first_norm else None

    def call(self, x: Any, seen: Seen | None = None, training: Any = None) -> Any:
        seen = seen or Seen()
        normed = x if self.attention_norm is None else self.attention_norm(x)
        attended, kept = self.attend(normed, seen, training)
        x = x[:, :1] if seen.first_only else x
        x = x + self.attention_dropout(attended, training=training)
        if self.cross is not None:
            x = x + self.recall(self.cross_norm(x), seen, training)
        transformed = self.transform(self.feed_forward_norm(x), training)
        x = x + self.feed_forward_dropout(transformed, training=training)
        return x if seen.cache is None else (x, kept)


class ParallelBlock(PreNormBlock):
    """Attention and feed-forward network side by side: both take what goes into the block.

    Each behind a norm of its own. Black et al., 2022, arXiv:2204.06745.
    """

    def call(self, x: Any, seen: Seen | None = None, training: Any = None) -> Any:
        seen = seen or Seen()
        attended, kept = self.attend(self.attention_norm(x), seen, training)
        x = x[:, :1] if seen.first_only else x
        transformed = self.transform(self.feed_forward_norm(x), training)
        x = x + self.attention_dropout(attended, training=training)
        x = x + self.feed_forward_dropout(transformed, training=training)
        return x if seen.cache is None else (x, kept)


class SandwichBlock(PreNormBlock):
    """Normalises what comes out of attention and feed-forward network as well.

    Gemma 2, Riviere et al., 2024, arXiv:2408.00118.
    """

    def __init__(self, spec: StackSpec, number: int, init: Init, **options: Any) -> None:
        super().__init__(spec, number, init, **options)
        self.attention_end_norm, self.feed_forward_end_norm = (
            normalisation(spec.norm, name=f"{part}_end_norm", dtype=self.dtype_policy)
            for part in ("attention", "feed_forward")
        )

    def build(self, input_shape: Any = None) -> None:
        for layer in (self.attention_end_norm, self.feed_forward_end_norm):
            layer.build((None, None, self.spec.width))
        super().build(input_shape)

    def attend(self, x: Any, seen: Seen, training: Any) -> tuple[Any, Cache | None]:
        attended, kept = super().attend(x, seen, training)
        return self.attention_end_norm(attended), kept

    def transform(self, x: Any, training: Any) -> Any:
        return self.feed_forward_end_norm(super().transform(x, training))


BLOCKS = {
    "post": Block,
    "pre": PreNormBlock,
    "parallel": ParallelBlock,
    "sandwich": SandwichBlock,
}
