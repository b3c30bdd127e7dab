"""Masking: whole words, in runs, as many as asked for, and 80/10/10."""

from __future__ import annotations

import numpy as np
import pytest

from ktlite.data.masking import Masking

MASK = 4


def masking(probability: float = 0.15, max_ngram: int = 1) -> Masking:
    return Masking(MASK, np.arange(10, 60), probability, max_ngram)


def runs(positions: np.ndarray) -> list[int]:
    """Returns the lengths of the runs of consecutive positions."""
    return [len(run) for run in np.split(positions, np.flatnonzero(np.diff(positions) > 1) + 1)]


@pytest.mark.parametrize("seed", range(20))
def test_words_are_masked_whole(seed: int) -> None:
    starts = np.array([0, 1, 4, 5, 9, 10, 12, 13, 14, 18])
    ends = [*starts[1:], 20]
    chosen = masking(0.3, 3).choose(starts, 20, np.random.default_rng(seed))
    words = [set(range(a, b)) for a, b in zip(starts, ends, strict=True)]
    assert all(not word & set(chosen) or word <= set(chosen) for word in words)


@pytest.mark.parametrize("max_ngram", [1, 2, 3])
@pytest.mark.parametrize("length", [1, 2, 3, 7, 20, 100])
def test_as_many_tokens_are_chosen_as_asked_for(length: int, max_ngram: int) -> None:
    for seed in range(20):
        chosen = masking(0.15, max_ngram).choose(
            np.arange(length), length, np.random.default_rng(seed)
        )
        assert len(chosen) == max(1, round(0.15 * length))
        assert len(set(chosen)) == len(chosen) and chosen.max() < length
        assert (np.diff(chosen) > 0).all()


def test_the_shortest_word_is_chosen_where_all_are_too_long() -> None:
    chosen = masking(0.1).choose(np.array([0, 5, 8]), 12, np.random.default_rng(0))
    assert list(chosen) == [5, 6, 7]


def test_runs_of_n_words_are_chosen_in_proportion_to_one_over_n() -> None:
    found: list[int] = []
    for seed in range(60):
        chosen = masking(0.02, 3).choose(np.arange(3000), 3000, np.random.default_rng(seed))
        found += runs(chosen)
    shares = np.bincount(found, minlength=4)[1:4] / len(found)
    np.testing.assert_allclose(shares, np.array([6, 3, 2]) / 11, atol=0.05)


def test_of_the_chosen_80_percent_are_hidden_10_replaced_10_kept() -> None:
    ids = np.full(20_000, 77)  # not among the replacements
    shown = masking().hide(ids, np.random.default_rng(1))
    assert np.mean(shown == MASK) == pytest.approx(0.8, abs=0.01)
    assert np.mean(shown == 77) == pytest.approx(0.1, abs=0.01)
    drawn = shown[(shown != MASK) & (shown != 77)]
    assert set(drawn) == set(range(10, 60))


def test_one_seed_gives_one_choice() -> None:
    def draw(seed: int) -> list[int]:
        return list(masking(max_ngram=3).choose(np.arange(90), 90, np.random.default_rng(seed)))

    assert draw(3) == draw(3)
    assert draw(3) != draw(4)
