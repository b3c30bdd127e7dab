"""A stack of blocks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from keras import initializers, layers, ops

from ktlite.models.core.attention import Cache, Seen, distances
from ktlite.models.core.blocks import BLOCKS, Block
from ktlite.models.core.disentangled import Convolution
from ktlite.models.core.init import Init, normalisation
from ktlite.models.core.relative import RELATIVE
from ktlite.models.core.spec import TowerSpec


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


def _call(block: Block, *args: Any, **options: Any) -> Any:
    return block(*args, **options)


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
        #: Changes what enters the stack, and its mask, while something in training asks for it.
        self.entering: Callable[[Any, Any], tuple[Any, Any]] | None = None
        self.relative = self.convolution = self.norm = self.dropout = None
        longest = tower.front.max_positions
        if spec.relative is not None and spec.relative.shared:
            table = RELATIVE[spec.relative.kind]
            self.relative = table(spec.relative, spec, longest, init, dtype=policy)
        make = BLOCKS[spec.norm.place]
        self.blocks = [
            make(spec, i, init, longest=longest, memory_width=memory_width, dtype=policy)
            for i in range(spec.blocks)
        ]
        if spec.convolution is not None:
            self.convolution = Convolution(
                spec.convolution, spec.width, spec.norm, init, dtype=policy
            )
        if spec.norm.place != "post" and spec.final_norm:
            self.norm = normalisation(spec.norm, name="norm", dtype=policy)
        if spec.output_dropout:
            self.dropout = init.dropout(spec.output_dropout, name="dropout", dtype=policy)
        self.mix: Any = None

    def build(self, input_shape: Any = None) -> None:
        for layer in (self.relative, *self.blocks, self.convolution, self.norm):
            if layer is not None:
                layer.build((None, None, self.spec.width))
        if self.spec.mixed:
            count = self.spec.layers + 1
            equal = initializers.Constant(1 / count)
            self.mix = self.add_weight(shape=(count,), initializer=equal, name="mix")
            if self.norm is not None:  # which the mean leaves out
                self.norm.trainable = False
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
        embedded, between = x, [x]
        for i, block in enumerate(self.order()):
            convolution = self.convolution if i == 0 else None
            last = i + 1 == self.spec.layers
            narrows = replace(seen, first_only=first_only and last and convolution is None)
            # What is frozen runs as it does in prediction, without dropout.
            on = training and block.trainable
            x = self.run_block(block, x, seen=narrows, training=on)
            if convolution is not None:
                x = convolution(embedded, x, attention_mask, training=on)
            if self.mix is not None:
                between.append(x)
        if self.mix is not None:
            return self._mixed(between)
        return self.end(x[:, :1] if first_only else x, training)

    def _mixed(self, states: list[Any]) -> Any:
        """Returns the mean of states by weights that are learned (SUPERB, arXiv:2105.01051).

        As `transformers` 5 takes it: the last state is that of the last block, without a norm.
        """
        weights = ops.unstack(ops.softmax(ops.cast(self.mix, "float32")), len(states))
        return sum(
            ops.cast(weight, state.dtype) * state
            for weight, state in zip(weights, states, strict=True)
        )

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
