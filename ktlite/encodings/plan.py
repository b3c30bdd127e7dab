"""Batches of rows of like length, in few shapes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from numbers import Integral

import numpy as np

from ktlite.errors import ArgumentError


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
