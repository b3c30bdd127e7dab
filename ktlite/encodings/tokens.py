"""Ragged encodings, and batches of like length in few shapes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any

import numpy as np

from ktlite.errors import ArgumentError


@dataclass(frozen=True, eq=False)
class Encodings:
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
        text_of: int64 [rows], the text that a row is of, ascending. None: row `i` is text `i`.
        starts: int64 [rows], where each row starts in `ids`. None: one after the other.
    """

    ids: np.ndarray
    offsets: np.ndarray
    type_ids: np.ndarray | None
    max_length: int
    pad_id: int = 0
    words: np.ndarray | None = None
    text_of: np.ndarray | None = None
    starts: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """int64 [rows]: the number of tokens of each row."""
        return np.diff(self.offsets)

    def take(self, texts: np.ndarray) -> Encodings:
        """Returns the rows of some texts, in their order; the tokens stay where they are.

        Args:
            texts: int [picked], their numbers.
        """
        rows, text_of = texts, None
        if self.text_of is not None:
            first, end = (np.searchsorted(self.text_of, texts, side) for side in ("left", "right"))
            counts = end - first
            text_of = np.repeat(np.arange(len(texts)), counts)
            rows = np.arange(counts.sum()) + (first - np.cumsum(counts) + counts)[text_of]
        lengths = self.offsets[rows + 1] - self.offsets[rows]
        return replace(
            self,
            offsets=np.concatenate([[0], np.cumsum(lengths)]),
            starts=(self.offsets if self.starts is None else self.starts)[rows],
            text_of=text_of,
        )

    def example(self, row: int) -> int:
        """Returns the number of the text that a row is of."""
        return int(row if self.text_of is None else self.text_of[row])

    def words_in(self, row: int) -> np.ndarray:
        """Returns int32 [length], the numbers of a row's words."""
        if self.words is None:
            raise ArgumentError("these texts were not tokenised by words (encode_words).")
        start = (self.offsets if self.starts is None else self.starts)[row]
        return self.words[start : start + self.offsets[row + 1] - self.offsets[row]]

    def width(self, rows: np.ndarray) -> int:
        """Returns the length that `pad` gives to some rows."""
        longest = (self.offsets[rows + 1] - self.offsets[rows]).max()
        return padded_length(int(longest), self.max_length)

    def pad(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Returns a batch: some rows, padded to a common length from a short list of lengths.

        Args:
            rows: int [batch], which rows, in which order.

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
class ContextEncodings(Encodings):
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

    def take(self, texts: np.ndarray) -> ContextEncodings:
        text_of = np.arange(len(self)) if self.text_of is None else self.text_of
        rows = [np.flatnonzero(text_of == text) for text in texts]
        taken: Any = super().take(texts)
        found: ContextEncodings = replace(
            taken,
            contexts=[self.contexts[text] for text in texts],
            spans=[self.spans[text] for text in texts],
            windows=self.windows[np.concatenate([np.zeros(0, "int64"), *rows])],
        )
        return found


@dataclass(frozen=True, eq=False, kw_only=True)
class GroupedEncodings(Encodings):
    """Tokens of rows that have several texts each, to be compared with each other.

    `offsets` are those of the texts, a row's texts one after the other.

    Args:
        size: Texts a row.
    """

    size: int

    def __len__(self) -> int:
        return super().__len__() // self.size

    def take(self, texts: np.ndarray) -> Encodings:
        return super().take((texts[:, None] * self.size + np.arange(self.size)).reshape(-1))

    @property
    def lengths(self) -> np.ndarray:
        """int64 [rows]: the number of tokens of each row's longest text."""
        return super().lengths.reshape(-1, self.size).max(axis=1, initial=0)

    def pad(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Returns what `Encodings.pad` does, each int32 [batch, size, length]."""
        texts = (rows[:, None] * self.size + np.arange(self.size)).reshape(-1)
        return {
            name: array.reshape(len(rows), self.size, -1)
            for name, array in super().pad(texts).items()
        }


def padded_length(length: int, limit: int) -> int:
    """Returns the length to pad to: at most 1/8 longer, from a list of few lengths.

    Up to 32 tokens the lengths are multiples of 2, up to 64 of 4, up to 128 of 8 and
    so on, and `limit`: below 50 in all for 512 tokens.

    Example:
        >>> padded_length(37, 128), padded_length(100, 512), padded_length(127, 128)
        (40, 104, 128)
    """
    step = max(2, 1 << max(0, (length - 1).bit_length() - 4))
    return min(-(-length // step) * step, limit)


def plan_batches(
    lengths: np.ndarray,
    batch_size: int,
    *,
    max_tokens: int | None = None,
    seed: Sequence[int] | None = None,
) -> list[np.ndarray]:
    """Groups texts of like length into batches; each text is in exactly one.

    Args:
        lengths: int [texts], tokens of each text.
        batch_size: Texts in a batch, at most.
        max_tokens: Tokens in a batch, at most, its padding counted: long texts go in
            smaller batches. Every seed makes the same number of batches.
        seed: Numbers that determine the shuffle, such as `(seed, epoch)`: texts meet others
            that are padded to the same length, and the batches are shuffled. None: no
            shuffle, from long to short, so that too large a batch shows at once.

    Returns:
        For each batch, an int64 array of text numbers.

    Raises:
        ArgumentError: If `batch_size` is not a whole number above 0, or the longest text is
            over `max_tokens`.

    Example:
        >>> plan_batches(np.array([3, 9, 4]), 2)
        [array([1, 2]), array([0])]
        >>> plan_batches(np.array([3, 9, 4, 10]), 4, max_tokens=20)
        [array([1, 3]), array([0, 2])]
    """
    if not isinstance(batch_size, Integral) or batch_size < 1:
        raise ArgumentError(f"batch_size={batch_size!r}; expected a whole number > 0.")
    widths = _padded_lengths(lengths)
    longest = widths.max(initial=1)
    if max_tokens is not None and longest > max_tokens:
        raise ArgumentError(
            f"batch_tokens={max_tokens}: the longest text needs {longest} tokens, its padding "
            "counted. Give at least so many, or a smaller maxlen."
        )

    def size(width: int) -> int:
        return batch_size if max_tokens is None else min(batch_size, max_tokens // width)

    if seed is None:
        return list(_from_long_to_short(lengths, widths, size))
    random = np.random.default_rng(list(seed))
    batches = _of_one_width(widths, size, random)
    return [batches[i] for i in random.permutation(len(batches))]


def _from_long_to_short(
    lengths: np.ndarray, widths: np.ndarray, size: Callable[[int], int]
) -> Iterator[np.ndarray]:
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        end = start + size(widths[order[start]])
        yield order[start:end]
        start = end


def _of_one_width(
    widths: np.ndarray, size: Callable[[int], int], random: np.random.Generator
) -> list[np.ndarray]:
    """Returns random batches of texts that are padded to one width.

    What is left of a width goes with the next one, so that one batch in all is short, and the
    number of batches depends on the lengths alone.
    """
    batches: list[np.ndarray] = []
    left = np.zeros(0, "int64")
    for width in np.unique(widths):
        rows = np.concatenate([left, random.permutation(np.flatnonzero(widths == width))])
        whole = len(rows) - len(rows) % size(width)
        batches += list(rows[:whole].reshape(-1, size(width)))
        left = rows[whole:]
    return [*batches, left] if len(left) else batches


def _padded_lengths(lengths: np.ndarray) -> np.ndarray:
    """Returns `padded_length` of each, whatever the limit."""
    different, where = np.unique(lengths, return_inverse=True)
    padded = [padded_length(int(length), 2 * int(length) + 2) for length in different]
    return np.maximum(np.array(padded, "int64"), 1)[where]
