"""Token ids to vectors."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from keras import initializers, layers, ops

from ktlite.models.core.init import Init, normalisation
from ktlite.models.core.spec import TokensSpec


class Embeddings(layers.Layer):
    """Word, position and token-type embeddings, summed, perhaps normalised, dropped out.

    Call arguments:
        inputs: `input_ids`, int32 [batch, length]. Perhaps `token_type_ids`, int32 [batch, length]
            (default: all of type 0; passed over by a family that has no token types, or one).
            Perhaps `word_vectors`, float [batch, length, word width], which stand in for those of
            `input_ids`, as explanations by gradients need it.
        attention_mask: int or bool [batch, length]; 0 marks padding. Used where the spec says
            `masked`.
        position: That of the first token.

    Returns:
        float [batch, length, width].

    Args:
        word: The table of words, if it is another front's, too. Default: its own.
    """

    def __init__(
        self,
        spec: TokensSpec,
        init: Init,
        *,
        name: str = "embeddings",
        word: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        policy = self.dtype_policy
        self.spec = spec
        self.word = word or init.embedding(
            spec.vocab_size,
            spec.width,
            zero_row=spec.pad_id,
            stddev=init.spec.word_stddev,
            name="word",
            dtype=policy,
        )
        self.position: Any = None
        if spec.positions not in ("none", "fixed", "fixed_pad_aware"):
            # Pad-aware tables start with rows that no token has (see `_pad_aware`).
            pad_id = spec.pad_id if spec.positions == "pad_aware" else -1
            rows = spec.max_positions + spec.first_row + pad_id + 1
            self.position = init.embedding(
                rows, spec.width, zero_row=pad_id, name="position", dtype=policy
            )
            if spec.positions == "sinusoidal" and not init.blank:
                table = sinusoids(rows, spec.width)
                self.position.embeddings_initializer = initializers.Constant(table)
            if spec.positions == "stored":
                table = halved_sinusoids(rows, spec.width)
                self.position = StoredTable(table, name="position", dtype=policy)
        self.token_type = (
            init.embedding(spec.type_vocab_size, spec.width, name="token_type", dtype=policy)
            if spec.type_vocab_size
            else None
        )
        self.norm = normalisation(spec.norm, name="norm", dtype=policy) if spec.norm else None
        self.dropout = init.dropout(spec.dropout, name="dropout", dtype=policy)
        self.projection = (
            init.dense(spec.project_to, name="projection", dtype=policy)
            if spec.project_to
            else None
        )

    def build(self, input_shape: Any = None) -> None:
        for table in (self.word, self.position, self.token_type):
            if table is not None and not table.built:
                table.build((None, None))
        if self.norm is not None:
            self.norm.build((None, None, self.spec.width))
        if self.projection is not None:
            self.projection.build((None, None, self.spec.width))
        self.built = True

    def mask(self, inputs: Mapping[str, Any]) -> Any:
        """Returns the attention mask, [batch, length]; without one, all are tokens.

        None where texts are filled up, and what they are filled with is read, too.
        """
        if self.spec.fill_id is not None:
            return None
        mask = inputs.get("attention_mask")
        return ops.ones_like(inputs["input_ids"], dtype="int32") if mask is None else mask

    def call(
        self,
        inputs: Mapping[str, Any],
        attention_mask: Any = None,
        position: Any = 0,
        training: Any = None,
    ) -> Any:
        input_ids, vectors = inputs["input_ids"], inputs.get("word_vectors")
        if self.spec.fill_id is not None:
            input_ids = self._filled(input_ids, inputs.get("attention_mask"))
        x = self.word(input_ids) if vectors is None else vectors
        if self.spec.scale != 1.0:
            x = x * self.spec.scale
        if self.spec.positions in ("learned", "sinusoidal", "stored"):
            # A slice, not a look-up: every row of the batch has the positions 0, 1, 2, ...
            first, length = self.spec.first_row + position, ops.shape(input_ids)[1]
            positions = self.position.embeddings[first : first + length]
            x = x + ops.expand_dims(ops.cast(positions, x.dtype), 0)
        elif self.spec.positions == "fixed":
            table = ops.convert_to_tensor(halved_sinusoids(self.spec.max_positions, x.shape[-1]))
            positions = table[position : position + ops.shape(input_ids)[1]]
            x = x + ops.expand_dims(ops.cast(positions, x.dtype), 0)
        elif self.spec.positions == "pad_aware":
            x = x + self.position(self._pad_aware(input_ids, position))
        elif self.spec.positions == "fixed_pad_aware":
            pad = self.spec.pad_id
            table = tensor2tensor_sinusoids(self.spec.max_positions + pad + 1, x.shape[-1], pad)
            places = ops.take(table, self._pad_aware(input_ids, position), axis=0)
            x = x + ops.cast(places, x.dtype)
        if self.token_type is not None:
            token_type_ids = inputs.get("token_type_ids")
            if token_type_ids is None or self.spec.type_vocab_size == 1:
                token_type_ids = ops.zeros_like(input_ids)
            x = x + self.token_type(token_type_ids)
        x = x if self.norm is None else self.norm(x)
        if self.spec.masked:
            x = x * ops.cast(ops.expand_dims(attention_mask, -1), x.dtype)
        x = self.dropout(x, training=training)
        return x if self.projection is None else self.projection(x)

    def _filled(self, input_ids: Any, attention_mask: Any) -> Any:
        """Returns ids [batch, max_positions], with the spec's `fill_id` for what is no text."""
        fill = ops.ones_like(input_ids) * self.spec.fill_id
        if attention_mask is not None:
            input_ids = ops.where(ops.cast(attention_mask, "bool"), input_ids, fill)
        more = ops.tile(fill[:, :1], (1, self.spec.max_positions))
        return ops.concatenate([input_ids, more], axis=1)[:, : self.spec.max_positions]

    def _pad_aware(self, input_ids: Any, position: Any) -> Any:
        """Counts tokens from `pad_id + 1`; padding has position `pad_id`, as fairseq does it."""
        tokens = ops.cast(ops.not_equal(input_ids, self.spec.pad_id), "int32")
        return (ops.cumsum(tokens, axis=1) + position) * tokens + self.spec.pad_id


class StoredTable(layers.Layer):
    """A table that a checkpoint may hold, and that does not train. It is not called."""

    def __init__(self, table: np.ndarray, *, name: str, dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.shape, self.start = table.shape, initializers.Constant(table)

    def build(self, input_shape: Any = None) -> None:
        self.embeddings = self.add_weight(
            shape=self.shape, initializer=self.start, name="embeddings", trainable=False
        )
        self.built = True


def sinusoids(rows: int, width: int) -> np.ndarray:
    """Returns the positions of Vaswani et al. (2017), sine and cosine in turn: [rows, width]."""
    pair = np.arange(width) // 2
    angle = np.arange(rows)[:, None] / 10_000 ** (2 * pair / width)
    return np.where(np.arange(width) % 2, np.cos(angle), np.sin(angle)).astype(np.float32)


@functools.cache
def halved_sinusoids(rows: int, width: int) -> np.ndarray:
    """Returns the same, all sines before all cosines, as Marian has them: [rows, width]."""
    table = sinusoids(rows, width)
    return np.concatenate([table[:, 0::2], table[:, 1::2]], axis=1)


@functools.cache
def tensor2tensor_sinusoids(rows: int, width: int, zero_row: int | None = None) -> np.ndarray:
    """Returns those of M2M100: other wavelengths, in float32, and perhaps one row of zeros."""
    half = width // 2
    step = np.float32(-math.log(10_000) / (half - 1))
    frequency = np.exp(np.arange(half, dtype=np.float32) * step)
    angle = np.arange(rows, dtype=np.float32)[:, None] * frequency
    table = np.zeros((rows, width), np.float32)
    table[:, : 2 * half] = np.concatenate([np.sin(angle), np.cos(angle)], axis=1)
    if zero_row is not None:
        table[zero_row] = 0
    return table
