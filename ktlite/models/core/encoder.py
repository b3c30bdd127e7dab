"""Blocks, and the stack of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import layers, ops

from ktlite.models.core.attention import BiasedSelfAttention, RotarySelfAttention, SelfAttention
from ktlite.models.core.disentangled import Convolution, DisentangledSelfAttention
from ktlite.models.core.feed_forward import FEED_FORWARD
from ktlite.models.core.init import Init, layer_norm
from ktlite.models.core.relative import RELATIVE
from ktlite.models.core.spec import EncoderSpec

ATTENTION: dict[str, type[SelfAttention]] = {
    "standard": SelfAttention,
    "biased": BiasedSelfAttention,
    "rotary": RotarySelfAttention,
    "disentangled": DisentangledSelfAttention,
}


class Block(layers.Layer):
    """Attention, then the feed-forward network, each added to the stream and normalised."""

    def __init__(self, spec: EncoderSpec, number: int, init: Init, *, dtype: Any = None) -> None:
        super().__init__(name=f"block_{number}", dtype=dtype)
        policy = self.dtype_policy
        self.spec = spec
        self.number = number
        attention = spec.attention_of(number)
        self.attention = ATTENTION[attention.kind](attention, spec.width, init, dtype=policy)
        self.attention_norm = self.first_norm()
        self.feed_forward = FEED_FORWARD[spec.feed_forward.kind](
            spec.feed_forward, spec.width, init, dtype=policy
        )
        self.feed_forward_norm = layer_norm(spec.norm, name="feed_forward_norm", dtype=policy)
        self.attention_dropout = init.dropout(
            spec.attention_dropout, name="attention_dropout", dtype=policy
        )
        self.feed_forward_dropout = init.dropout(
            spec.feed_forward_dropout, name="feed_forward_dropout", dtype=policy
        )

    def first_norm(self) -> Any:
        return layer_norm(self.spec.norm, name="attention_norm", dtype=self.dtype_policy)

    def build(self, input_shape: Any = None) -> None:
        shape = (None, None, self.spec.width)
        for layer in (
            self.attention,
            self.attention_norm,
            self.feed_forward,
            self.feed_forward_norm,
        ):
            if layer is not None:
                layer.build(shape)
        self.built = True

    def call(
        self,
        x: Any,
        visible: Any,
        relative: Any = None,
        first_only: bool = False,
        training: Any = None,
    ) -> Any:
        attended = self.attention(x, visible, relative, first_only=first_only, training=training)
        x = x[:, :1] if first_only else x
        x = self.attention_norm(x + self.attention_dropout(attended, training=training))
        transformed = self.feed_forward(x, training=training)
        return self.feed_forward_norm(x + self.feed_forward_dropout(transformed, training=training))


class PreNormBlock(Block):
    """Normalises what goes into attention and feed-forward network, not what comes out.

    Xiong et al., 2020, arXiv:2002.04745. Where the embeddings are normalised already, the first
    block has no norm of its own before attention (`EncoderSpec.first_norm`).
    """

    def first_norm(self) -> Any:
        return super().first_norm() if self.number or self.spec.first_norm else None

    def call(
        self,
        x: Any,
        visible: Any,
        relative: Any = None,
        first_only: bool = False,
        training: Any = None,
    ) -> Any:
        normed = x if self.attention_norm is None else self.attention_norm(x)
        attended = self.attention(
            normed, visible, relative, first_only=first_only, training=training
        )
        x = x[:, :1] if first_only else x
        x = x + self.attention_dropout(attended, training=training)
        transformed = self.feed_forward(self.feed_forward_norm(x), training=training)
        return x + self.feed_forward_dropout(transformed, training=training)


def _call(block: Block, *args: Any, **options: Any) -> Any:
    return block(*args, **options)


BLOCKS = {"post": Block, "pre": PreNormBlock}


class Encoder(layers.Layer):
    """A stack of blocks.

    Call arguments:
        x: float [batch, length, width].
        attention_mask: int or bool [batch, length]; 0 marks padding. None: there is none.
        first_only: Compute the first token's output alone, which is all that some heads look
            at. The last block then needs its attention's output and its feed-forward network
            for one token a text: three quarters of its matrix products less.

    Returns:
        float [batch, length, width], the last block's output, or [batch, 1, width].

    Args:
        longest: The longest sequence, in tokens.
    """

    def __init__(self, spec: EncoderSpec, longest: int, init: Init, *, dtype: Any = None) -> None:
        super().__init__(name="encoder", dtype=dtype)
        policy = self.dtype_policy
        self.spec = spec
        # Stands in for calling a block, where something runs it in another way.
        self.run_block: Callable[..., Any] = _call
        self.relative = self.convolution = self.norm = None
        if spec.relative is not None:
            table = RELATIVE[spec.relative.kind]
            self.relative = table(spec.relative, spec, longest, init, dtype=policy)
        self.blocks = [
            BLOCKS[spec.norm.place](spec, i, init, dtype=policy) for i in range(spec.blocks)
        ]
        if spec.convolution is not None:
            self.convolution = Convolution(
                spec.convolution, spec.width, spec.norm, init, dtype=policy
            )
        if spec.norm.place == "pre":
            self.norm = layer_norm(spec.norm, name="norm", dtype=policy)

    def build(self, input_shape: Any = None) -> None:
        for layer in (self.relative, *self.blocks, self.convolution, self.norm):
            if layer is not None:
                layer.build((None, None, self.spec.width))
        self.built = True

    def call(
        self, x: Any, attention_mask: Any, first_only: bool = False, training: Any = None
    ) -> Any:
        batch, length = ops.shape(x)[0], ops.shape(x)[1]
        visible = None
        if attention_mask is not None:
            # Reshape, not indexing with None: the latter leaves LiteRT's own operators.
            visible = ops.reshape(ops.cast(attention_mask, "bool"), (batch, 1, 1, length))
        relative = None if self.relative is None else self.relative.at(length)
        embedded = x
        for i in range(self.spec.layers):
            block = self.blocks[i * self.spec.blocks // self.spec.layers]
            convolution = self.convolution if i == 0 else None
            narrows = first_only and i + 1 == self.spec.layers and convolution is None
            # What is frozen runs as it does in prediction, without dropout.
            on = training and block.trainable
            x = self.run_block(block, x, visible, relative, first_only=narrows, training=on)
            if convolution is not None:
                x = convolution(embedded, x, attention_mask, training=on)
        x = x[:, :1] if first_only else x
        return x if self.norm is None else self.norm(x)

    def layer_groups(self) -> list[tuple[str, list[Any]]]:
        """Returns (name, layers) of the blocks; what is not a block belongs to its neighbour."""
        groups: list[tuple[str, list[Any]]] = [
            (f"block {i}", [block]) for i, block in enumerate(self.blocks)
        ]
        if self.convolution is not None:
            groups[0][1].append(self.convolution)
        if self.norm is not None:
            groups[-1][1].append(self.norm)
        return groups
