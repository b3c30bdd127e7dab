"""Tokens of texts: ragged ids, padded to batches of few shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ktlite.encodings.encodings import Encodings, Seed
from ktlite.encodings.field import Field
from ktlite.encodings.plan import padded_length
from ktlite.encodings.varied import VariedEncodings
from ktlite.errors import ArgumentError

NAMES = ("input_ids", "attention_mask", "token_type_ids")


@dataclass(frozen=True, eq=False)
class TokenEncodings(Encodings):
    """Token ids of many texts, end to end, without padding.

    A row is what the model takes at once: a text, or a window of one that is too long.

    Args:
        ids: int32 [tokens], all rows one after the other.
        offsets: int64 [rows + 1]; row `i` is `ids[offsets[i]:offsets[i + 1]]`.
        type_ids: int8 [tokens], the token types, or None where all are 0.
        max_length: No row is longer than this many tokens.
        pad_id: What padding is filled with.
        words: int32 [tokens], the number of the word in its text that a token is of; -1 for
            special tokens, and for words that a window has for context only: each word is in
            one row alone. None where words do not matter.
        example_of: int64 [rows], the text that a row is of, ascending. None: row `i` is text `i`.
        starts: int64 [rows], where each row starts in `ids`. None: one after the other.
    """

    ids: np.ndarray
    offsets: np.ndarray
    type_ids: np.ndarray | None
    max_length: int
    pad_id: int = 0
    words: np.ndarray | None = None
    example_of: np.ndarray | None = None
    starts: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """int64 [rows]: the number of tokens of each row."""
        return np.diff(self.offsets)

    @property
    def fields(self) -> tuple[Field, ...]:
        """What a batch holds: int32 arrays [batch, length]."""
        fills = (self.pad_id, 0, 0)
        return tuple(
            Field(name, "int32", (None,), fill) for name, fill in zip(NAMES, fills, strict=True)
        )

    def take(self, examples: np.ndarray) -> TokenEncodings:
        """Returns the rows of some texts, in their order; the tokens stay where they are."""
        rows, example_of = examples, None
        if self.example_of is not None:
            first, end = (
                np.searchsorted(self.example_of, examples, side) for side in ("left", "right")
            )
            counts = end - first
            example_of = np.repeat(np.arange(len(examples)), counts)
            rows = np.arange(counts.sum()) + (first - np.cumsum(counts) + counts)[example_of]
        lengths = self.offsets[rows + 1] - self.offsets[rows]
        return replace(
            self,
            offsets=np.concatenate([[0], np.cumsum(lengths)]),
            starts=(self.offsets if self.starts is None else self.starts)[rows],
            example_of=example_of,
        )

    def augmented(self, augmentation: Any, again: Any = None) -> Encodings:
        """Returns the same rows; examples that a seed draws are changed and tokenised anew."""
        if again is None:
            return super().augmented(augmentation)
        return VariedEncodings(self, augmentation, again)

    def words_in(self, row: int) -> np.ndarray:
        """Returns int32 [length], the numbers of a row's words."""
        if self.words is None:
            raise ArgumentError("these texts were not tokenised by words (encode_words).")
        start = (self.offsets if self.starts is None else self.starts)[row]
        return self.words[start : start + self.offsets[row + 1] - self.offsets[row]]

    def width(self, rows: np.ndarray) -> int:
        """Returns the length that `batch` gives to some rows."""
        longest = (self.offsets[rows + 1] - self.offsets[rows]).max()
        return padded_length(int(longest), self.max_length)

    def batch(self, rows: np.ndarray, seed: Seed | None = None) -> dict[str, np.ndarray]:
        """Returns a batch: some rows, padded to a common length from a short list of lengths.

        Args:
            rows: int [batch], which rows, in which order.
            seed: Nothing is drawn by it.

        Returns:
            `input_ids`, `attention_mask` and `token_type_ids`, each int32 [batch, length].
        """
        starts = (self.offsets if self.starts is None else self.starts)[rows]
        lengths = self.offsets[rows + 1] - self.offsets[rows]
        width = self.width(rows)
        inside = np.arange(width) < lengths[:, None]
        # Where a text ends its last position is read again; `inside` blanks it.
        where = np.minimum(starts[:, None] + np.arange(width), len(self.ids) - 1)
        types = np.zeros(inside.shape, "int32")
        if self.type_ids is not None:
            types = np.where(inside, self.type_ids[where], 0).astype("int32")
        return {
            "input_ids": np.where(inside, self.ids[where], self.pad_id).astype("int32"),
            "attention_mask": inside.astype("int32"),
            "token_type_ids": types,
        }


@dataclass(frozen=True, eq=False, kw_only=True)
class ContextEncodings(TokenEncodings):
    """Tokens of questions, each beside its context, or beside a window of one that is too long.

    Args:
        contexts: The context of each text.
        spans: For each text int64 [tokens, 2], the characters that each token of its context
            starts with and ends before.
        windows: int64 [rows, 3]: the first token of the context that a row has, the one after
            the last, and where in the row the first one is.
    """

    contexts: Sequence[str]
    spans: Sequence[np.ndarray]
    windows: np.ndarray

    def take(self, examples: np.ndarray) -> ContextEncodings:
        example_of = np.arange(len(self)) if self.example_of is None else self.example_of
        rows = [np.flatnonzero(example_of == text) for text in examples]
        taken: Any = super().take(examples)
        found: ContextEncodings = replace(
            taken,
            contexts=[self.contexts[text] for text in examples],
            spans=[self.spans[text] for text in examples],
            windows=self.windows[np.concatenate([np.zeros(0, "int64"), *rows])],
        )
        return found


def row_lengths(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """Returns the length of each row of a batch, int [batch], as its attention mask has it."""
    return np.asarray(inputs["attention_mask"].sum(axis=1))


def as_batch(
    ids: Sequence[np.ndarray], types: Sequence[np.ndarray], width: int, pad_id: int
) -> dict[str, np.ndarray]:
    """Returns a batch of rows of tokens, as `TokenEncodings.batch` does.

    Args:
        ids: The tokens of each row.
        types: Their types.
        width: What rows are padded to.
        pad_id: What padding is filled with.
    """
    columns = ((ids, pad_id), ([np.ones_like(row) for row in ids], 0), (types, 0))
    return {
        name: padded(rows, width, filler)
        for name, (rows, filler) in zip(NAMES, columns, strict=True)
    }


def padded(rows: Sequence[np.ndarray], width: int, filler: int) -> np.ndarray:
    """Returns rows of numbers as int32 [rows, width]."""
    matrix = np.full((len(rows), width), filler, "int32")
    for i, row in enumerate(rows):
        matrix[i, : len(row)] = row
    return matrix


def random_tokens(
    vocab_size: int, pad_id: int, lengths: np.ndarray, random: np.random.Generator
) -> dict[str, np.ndarray]:
    """Returns a batch of random tokens, as `TokenEncodings.batch` does, of two types.

    Args:
        vocab_size: Ids are below it.
        pad_id: What padding is filled with.
        lengths: int [batch], tokens of each row.
        random: What to draw with.
    """
    position = np.arange(lengths.max())
    inside = position < lengths[:, None]
    ids = random.integers(0, vocab_size, inside.shape)
    return {
        "input_ids": np.where(inside, ids, pad_id).astype("int32"),
        "attention_mask": inside.astype("int32"),
        "token_type_ids": (inside & (position > lengths.max() // 2)).astype("int32"),
    }
