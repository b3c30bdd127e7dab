"""Blocks, and the stack of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from keras import layers, ops

from ktlite.models.core.attention import (
    Attention,
    BiasedAttention,
    Cache,
    RotaryAttention,
    Seen,
    distances,
)
from ktlite.models.core.disentangled import Convolution, DisentangledAttention
from ktlite.models.core.feed_forward import FEED_FORWARD
from ktlite.models.core.init import Init, normalisation
from ktlite.models.core.relative import RELATIVE
from ktlite.models.core.spec import StackSpec, TowerSpec

ATTENTION: dict[str, type[Attention]] = {
    "standard": Attention,
    "biased": BiasedAttention,
    "rotary": RotaryAttention,
    "disentangled": DisentangledAttention,
}


class State(NamedTuple):
    """What a stack that reads from left to right keeps from step to step: tensors alone.

    Args:
        own: For each block the keys and values of its tokens so far.
        memory: For each block those of the other tower's states; none, if there is none.
        visible: bool [sequences, 1, 1, length], which of these are tokens; none: all.
    """

    own: tuple[Cache, ...]
    memory: tuple[Cache, ...] = ()
    visible: tuple[Any, ...] = ()


class Block(layers.Layer):
    """Attention, then the feed-forward network, each added to the stream and normalised.

    Between them may be attention to a memory, which is another tower's states.

    Call arguments:
        x: float [batch, length, width].
        seen: What attention knows beside it.

    Returns:
        float [batch, length, width], or [batch, 1, width]. With a cache in `seen` a pair: that,
        and the cache with these tokens behind it.
    """

    def __init__(
        self,
        spec: StackSpec,
        number: int,
        init: Init,
        *,
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
        transformed = self.feed_forward(x, training=training)
        x = self.feed_forward_norm(x + self.feed_forward_dropout(transformed, training=training))
        return x if seen.cache is None else (x, kept)

    def attend(self, x: Any, seen: Seen, training: Any) -> tuple[Any, Cache | None]:
        """Returns what attention gives, and the cache, if there is one."""
        own = replace(seen, memory=None, memory_visible=None)
        attended = self.attention(x, seen=own, training=training)
        return (attended, None) if seen.cache is None else attended

    def recall(self, x: Any, seen: Seen, training: Any) -> Any:
        """Returns what attention to the memory gives."""
        other = Seen(visible=seen.memory_visible, memory=seen.memory)
        return self.cross_dropout(self.cross(x, seen=other, training=training), training=training)


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
        transformed = self.feed_forward(self.feed_forward_norm(x), training=training)
        x = x + self.feed_forward_dropout(transformed, training=training)
        return x if seen.cache is None else (x, kept)


def _call(block: Block, *args: Any, **options: Any) -> Any:
    return block(*args, **options)


BLOCKS = {"post": Block, "pre": PreNormBlock}


class Stack(layers.Layer):
    """A stack of blocks.

    Call arguments:
        x: float [batch, length, width].
        attention_mask: int or bool [batch, length]; 0 marks padding. None: there is none.
        memory: float [batch, keys, memory width], the states of the tower that this one attends
            to, if it attends to one.
        memory_mask: int or bool [batch, keys]; 0 marks padding. None: there is none.
        first_only: Compute the first token's output alone, which is all that some heads look
            at. The last block then needs its attention's output and its feed-forward network
            for one token a text: three quarters of its matrix products less.

    Returns:
        float [batch, length, width], the last block's output, or [batch, 1, width].

    Args:
        tower: The tower that it is of.
        memory_width: Width of the states of the tower that it attends to; None: it attends to
            none.
    """

    def __init__(
        self,
        tower: TowerSpec,
        init: Init,
        *,
        memory_width: int | None = None,
        name: str = "encoder",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        policy = self.dtype_policy
        self.spec = spec = tower.stack
        self.causal = tower.causal
        # Stands in for calling a block, where something runs it in another way.
        self.run_block: Callable[..., Any] = _call
        #: Stands in for the whole stack where something compiles it, with the same arguments.
        self.compiled: Any = None
        self.relative = self.convolution = self.norm = self.dropout = None
        if spec.relative is not None:
            table = RELATIVE[spec.relative.kind]
            longest = tower.front.max_positions
            self.relative = table(spec.relative, spec, longest, init, dtype=policy)
        self.blocks = [
            BLOCKS[spec.norm.place](spec, i, init, memory_width=memory_width, dtype=policy)
            for i in range(spec.blocks)
        ]
        if spec.convolution is not None:
            self.convolution = Convolution(
                spec.convolution, spec.width, spec.norm, init, dtype=policy
            )
        if spec.norm.place == "pre" and spec.final_norm:
            self.norm = normalisation(spec.norm, name="norm", dtype=policy)
        if spec.output_dropout:
            self.dropout = init.dropout(spec.output_dropout, name="dropout", dtype=policy)

    def build(self, input_shape: Any = None) -> None:
        for layer in (self.relative, *self.blocks, self.convolution, self.norm):
            if layer is not None:
                layer.build((None, None, self.spec.width))
        self.built = True

    def call(
        self,
        x: Any,
        attention_mask: Any,
        memory: Any = None,
        memory_mask: Any = None,
        first_only: bool = False,
        training: Any = None,
    ) -> Any:
        length = ops.shape(x)[1]
        visible = as_keys(attention_mask)
        if self.causal:
            before = distances(length, length, 0) >= 0
            visible = before if visible is None else ops.logical_and(visible, before)
        seen = Seen(
            visible=visible,
            relative=None if self.relative is None else self.relative.at(length),
            memory=memory,
            memory_visible=as_keys(memory_mask),
        )
        embedded = x
        for i, block in enumerate(self.order()):
            convolution = self.convolution if i == 0 else None
            last = i + 1 == self.spec.layers
            narrows = replace(seen, first_only=first_only and last and convolution is None)
            # What is frozen runs as it does in prediction, without dropout.
            on = training and block.trainable
            x = self.run_block(block, x, seen=narrows, training=on)
            if convolution is not None:
                x = convolution(embedded, x, attention_mask, training=on)
        return self.end(x[:, :1] if first_only else x, training)

    def order(self) -> list[Block]:
        """Returns the block of each layer; layers may share one."""
        spec = self.spec
        return [self.blocks[i * spec.blocks // spec.layers] for i in range(spec.layers)]

    def end(self, x: Any, training: Any = None) -> Any:
        """Returns the stack's output of the last block's."""
        x = x if self.norm is None else self.norm(x)
        return x if self.dropout is None else self.dropout(x, training=training)

    def start(self, batch: Any, memory: Any = None, memory_mask: Any = None) -> State:
        """Returns the state before the first token.

        Args:
            batch: Sequences to come.
            memory: As for a call.
            memory_mask: Likewise.
        """
        order = self.order()
        own = tuple(block.attention.nothing(batch) for block in order)
        if memory is None:
            return State(own)
        known = tuple(block.cross.remembered(memory) for block in order)
        return State(own, known, () if memory_mask is None else (as_keys(memory_mask),))

    def step(self, x: Any, state: State, position: Any) -> tuple[Any, State]:
        """Returns the output for the next tokens, float [batch, rows, width], and the new state.

        Args:
            x: float [batch, rows, width].
            state: What came before.
            position: That of the first of these tokens: how many came before.
        """
        rows = ops.shape(x)[1]
        length = position + rows
        seen = Seen(
            visible=distances(length, rows, position) >= 0,
            relative=None if self.relative is None else self.relative.at(length, rows),
            memory_visible=state.visible[0] if state.visible else None,
            position=position,
        )
        kept = []
        for i, block in enumerate(self.order()):
            memory = state.memory[i] if state.memory else None
            x, cache = block(x, seen=replace(seen, cache=state.own[i], memory=memory))
            kept.append(cache)
        return self.end(x), state._replace(own=tuple(kept))

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


def as_keys(mask: Any) -> Any:
    """Returns a mask [batch, length] as bool [batch, 1, 1, length]; None of none."""
    if mask is None:
        return None
    # Reshape, not indexing with None: the latter leaves LiteRT's own operators.
    batch, length = ops.shape(mask)[0], ops.shape(mask)[1]
    return ops.reshape(ops.cast(mask, "bool"), (batch, 1, 1, length))
