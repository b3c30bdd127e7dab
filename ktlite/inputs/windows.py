"""Words to tokens, and texts that are too long to windows that overlap."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

# Share of a window that it has in common with the next, so that words at the edges have
# context on both sides.
OVERLAP = 0.25


class Window(NamedTuple):
    """Words `start` to before `end`, of which those from `first` to before `last` are its own."""

    start: int
    end: int
    first: int
    last: int


def windows(sizes: np.ndarray, room: int) -> Iterator[Window]:
    """Yields windows over the words of a text; each word is one window's own.

    Args:
        sizes: int [words], tokens of each word, at most `room`.
        room: Tokens that fit into a window.

    Example:
        >>> list(windows(np.ones(10, int), 6))
        [Window(start=0, end=6, first=0, last=6), Window(start=5, end=10, first=6, last=10)]
    """
    ends = np.concatenate([[0], np.cumsum(sizes)])
    count, start, first = len(sizes), 0, 0
    while True:
        end = int(np.searchsorted(ends, ends[start] + room, side="right")) - 1
        if end >= count:
            yield Window(start, count, first, count)
            return
        # The next window has the next word at least, and before it what there is room for.
        shared = min(int(room * OVERLAP), room - int(sizes[end]))
        following = int(np.searchsorted(ends, ends[end] - shared, side="left"))
        # Of the words in both, each is taken where more of the context is.
        last = (following + end + 1) // 2
        yield Window(start, end, first, last)
        start, first = following, last


def fill_gaps(
    ids: Sequence[int], words: Sequence[int], count: int, filler: int
) -> tuple[np.ndarray, np.ndarray]:
    """Gives a token to words that have none.

    Args:
        ids: [tokens].
        words: [tokens], the number of each token's word, ascending.
        count: The number of words.
        filler: The id of the token.

    Returns:
        ids and words, int32 [tokens], with all words.
    """
    tokens, numbers = np.array(ids, "int32"), np.array(words, "int32")
    missing = np.setdiff1d(np.arange(count), numbers)
    where = np.searchsorted(numbers, missing)
    return np.insert(tokens, where, filler), np.insert(numbers, where, missing)


def cut(
    tokens: np.ndarray, numbers: np.ndarray, room: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields the windows of a tokenised text as (tokens, numbers), each int32 [length].

    Args:
        tokens: int32 [tokens], their ids.
        numbers: int32 [tokens], the number of each token's word: 0, 1, 2, ..., none left out.
            In the windows, -1 for the words that another window has.
        room: Tokens that fit into a window. Of a longer word, the first `room` are taken.
    """
    if len(tokens) <= room:
        yield tokens, numbers
        return
    starts = np.flatnonzero(np.diff(numbers, prepend=-1))
    sizes = np.diff(starts, append=len(tokens))
    if sizes.max() > room:
        kept = np.arange(len(tokens)) - np.repeat(starts, sizes) < room
        tokens, numbers, sizes = tokens[kept], numbers[kept], np.minimum(sizes, room)
    ends = np.concatenate([[0], np.cumsum(sizes)])
    for window in windows(sizes, room):
        inside = slice(ends[window.start], ends[window.end])
        own = (numbers[inside] >= window.first) & (numbers[inside] < window.last)
        yield tokens[inside], np.where(own, numbers[inside], -1)
