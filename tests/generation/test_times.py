"""Times between words: the rule of transformers, and what it asks for."""

from __future__ import annotations

import numpy as np
import pytest

from ktlite.generation.rules import Prefixes
from ktlite.generation.times import paired_times

END, WITHOUT, FIRST, SIZE = 20, 23, 24, 40
NEVER = -np.inf


def prefixes(rows: list[list[int]], prompt: int) -> Prefixes:
    tokens = np.array(rows, "int32")
    same = np.full(len(rows), prompt)
    return Prefixes(tokens, same, same + 30, np.arange(len(rows)))


def allowed(own: list[int], scores: np.ndarray | None = None, latest: int | None = 4) -> list[int]:
    """Returns the tokens that can follow a text's own ones, behind a prompt of two."""
    line = np.zeros((1, SIZE), "float32") if scores is None else scores[None].astype("float32")
    found = paired_times(FIRST, END, WITHOUT, latest)(line, prefixes([[1, 2, *own]], 2))
    return np.flatnonzero(found[0] > NEVER).tolist()


WORDS = [token for token in range(FIRST) if token != WITHOUT]
LIKELY = np.where(np.arange(SIZE) < FIRST, 5.0, 0.0)  # words, and not times


def test_what_may_follow() -> None:
    assert allowed([], LIKELY) == list(range(FIRST, FIRST + 5))
    assert allowed([], LIKELY, None) == list(range(FIRST, SIZE))
    assert allowed([26], LIKELY) == WORDS
    assert allowed([26, 7], LIKELY) == [*WORDS, *range(27, SIZE)]
    assert allowed([26, 7, 30], LIKELY) == [token for token in [*WORDS, *range(30, SIZE)]
                                            if token >= END]  # fmt: skip
    assert allowed([26, 7, 30, 30], LIKELY) == WORDS


def test_times_come_where_all_together_are_likelier_than_a_word() -> None:
    scores = np.zeros(SIZE)
    scores[5] = 2.0  # e ** 2 is less than 13 times 1
    assert allowed([26, 7], scores) == list(range(27, SIZE))
    scores[5] = 3.0
    assert allowed([26, 7], scores) == [*WORDS, *range(27, SIZE)]


@pytest.mark.torch
def test_the_same_as_in_transformers() -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    config = transformers.GenerationConfig(
        eos_token_id=END, no_timestamps_token_id=WITHOUT, max_initial_timestamp_index=4
    )
    theirs = transformers.WhisperTimeStampLogitsProcessor(config, begin_index=2)
    ours, random = paired_times(FIRST, END, WITHOUT, 4), np.random.default_rng(0)
    for length in [0, 1, 2, 3, 4, 6] * 20:
        own = random.integers(5, SIZE, (3, length))
        own[:, 0:1] = random.integers(FIRST, SIZE, (3, min(length, 1)))
        rows = np.concatenate([np.tile([[1, 2]], (3, 1)), own], axis=1).astype("int32")
        scores = (2 * random.standard_normal((3, SIZE))).astype("float32")
        expected = theirs(torch.from_numpy(rows).long(), torch.from_numpy(scores.copy())).numpy()
        found = ours(scores.copy(), prefixes(rows.tolist(), 2))
        np.testing.assert_array_equal(found, expected)
