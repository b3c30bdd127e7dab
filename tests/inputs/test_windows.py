"""Windows over words: none lost, none doubled, each with context."""

from __future__ import annotations

import random

import numpy as np
import pytest

from ktlite.inputs.windows import cut, fill_gaps, windows


@pytest.mark.parametrize("room", [1, 2, 3, 7, 30])
def test_each_word_is_one_windows_own(room: int) -> None:
    rng = random.Random(room)
    for _ in range(200):
        sizes = np.array([rng.randint(1, min(room, 9)) for _ in range(rng.randrange(1, 60))])
        found = list(windows(sizes, room))
        owned = [word for window in found for word in range(window.first, window.last)]
        assert owned == list(range(len(sizes)))
        for window in found:
            assert window.start <= window.first <= window.last <= window.end
            assert sizes[window.start : window.end].sum() <= room
        for left, right in zip(found, found[1:], strict=False):
            assert left.start < right.start and left.end < right.end


def test_words_at_an_edge_have_context_in_their_window() -> None:
    found = list(windows(np.ones(100, int), 20))
    # A quarter is shared: on both sides of a seam, two words of context at least.
    for left, right in zip(found, found[1:], strict=False):
        assert left.end - right.start == 5
        assert left.end - left.last >= 2
        assert right.first - right.start >= 2


def test_a_text_that_fits_is_one_window() -> None:
    assert list(windows(np.array([2, 3]), 5)) == [(0, 2, 0, 2)]


def as_lists(parts: object) -> list[list[list[int]]]:
    return [[part.tolist() for part in pair] for pair in parts]  # type: ignore[attr-defined]


def test_windows_never_cut_a_word() -> None:
    tokens, numbers = np.arange(10, 18), np.array([0, 0, 1, 1, 2, 2, 3, 3])
    assert as_lists(cut(tokens, numbers, 5)) == [
        [[10, 11, 12, 13], [0, 0, 1, 1]],
        [[14, 15, 16, 17], [2, 2, 3, 3]],
    ]
    assert as_lists(cut(tokens, numbers, 8)) == [[tokens.tolist(), numbers.tolist()]]


def test_words_that_serve_as_context_have_no_number() -> None:
    parts = as_lists(cut(np.arange(10, 20), np.arange(10), 8))
    assert parts == [
        [list(range(10, 18)), [0, 1, 2, 3, 4, 5, 6, -1]],
        [list(range(16, 20)), [-1, 7, 8, 9]],
    ]


def test_of_a_word_that_is_longer_than_a_window_the_beginning_is_taken() -> None:
    numbers = np.array([0, 1, 1, 1, 1, 1, 2])
    assert as_lists(cut(np.arange(7), numbers, 3)) == [
        [[0], [0]],
        [[1, 2, 3], [1, 1, 1]],
        [[6], [2]],
    ]


@pytest.mark.parametrize(
    ("words", "count", "expected"),
    [
        ([0, 0, 2], 4, ([5, 6, 9, 7, 9], [0, 0, 1, 2, 3])),
        ([1, 1, 1], 2, ([9, 5, 6, 7], [0, 1, 1, 1])),
        ([0, 1, 2], 3, ([5, 6, 7], [0, 1, 2])),
    ],
)
def test_words_without_a_token_get_one(
    words: list[int], count: int, expected: tuple[list[int], list[int]]
) -> None:
    ids, numbers = fill_gaps([5, 6, 7], words, count, 9)
    assert (ids.tolist(), numbers.tolist()) == expected


def test_no_words_are_one_empty_window() -> None:
    assert as_lists(cut(*fill_gaps([], [], 0, 9), 3)) == [[[], []]]
    assert as_lists(cut(*fill_gaps([], [], 1, 9), 3)) == [[[9], [0]]]
