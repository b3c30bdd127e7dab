"""The largest scores of rows, as a stable sort finds them."""

from __future__ import annotations

import numpy as np
import pytest

from ktlite.generation.largest import largest


@pytest.mark.parametrize("count", [1, 2, 8, 50, 300])
@pytest.mark.parametrize("size", [300, 1000, 32_007])
@pytest.mark.parametrize("values", ["distinct", "few", "mostly -inf"])
def test_is_what_a_stable_sort_puts_first(size: int, count: int, values: str) -> None:
    random = np.random.default_rng(size + count)
    scores = random.normal(size=(3, size)).astype(np.float32)
    if values == "few":  # so that equal ones compete for the last place
        scores = np.round(scores)
    if values == "mostly -inf":
        scores[random.random(scores.shape) < 0.999] = -np.inf
    expected = np.argsort(-scores, axis=1, kind="stable")[:, :count]
    np.testing.assert_array_equal(largest(scores, count), expected)
