"""Rules for scores, compared with transformers' processors and by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ktlite.errors import ArgumentError
from ktlite.generation import Generation
from ktlite.generation.narrowing import min_p, narrowing_of, top_k, top_p, typical_p
from ktlite.generation.rules import Prefixes, apply, log_softmax, renormalized, rules_of

VOCABULARY = 23
CASES = json.loads((Path(__file__).parents[1] / "golden" / "generation.json").read_text())["scores"]


def some_scores(case: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    state = np.random.RandomState(case["seed"])
    scores = state.normal(size=(3, VOCABULARY)).astype(np.float32) * 2
    return scores, state.randint(6, 12, size=(3, case["length"]))


def prefixes_of(case: dict[str, Any], before: np.ndarray) -> Prefixes:
    rows = np.ones(3, np.intp)
    return Prefixes(
        before.astype(np.int32), rows * case["prompt"], rows * case["limit"], np.arange(3)
    )


def ours(case: dict[str, Any]) -> np.ndarray:
    options = Generation().with_(**case["options"])
    rules = rules_of(options, [np.array(case["source"])] * 3) + narrowing_of(options)
    rules += [renormalized] if options.renormalize_logits else []
    scores, before = some_scores(case)
    kept = scores.copy()
    after = apply(rules, scores, prefixes_of(case, before))
    np.testing.assert_array_equal(scores, kept)  # what was given stays as it is
    return after


def assert_same(found: np.ndarray, expected: list[list[float | None]]) -> None:
    other = np.array([[-np.inf if v is None else v for v in row] for row in expected], np.float32)
    np.testing.assert_array_equal(found == -np.inf, other == -np.inf)
    np.testing.assert_allclose(found, other, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("place", range(len(CASES)))
def test_scores_are_those_of_transformers(place: int) -> None:
    assert_same(ours(CASES[place]), CASES[place]["expected"])


@pytest.mark.torch
def test_scores_are_those_of_transformers_today() -> None:
    from tests.golden import make_generation

    for seed in range(2000, 2200):
        case = make_generation.a_scoring(seed)
        assert_same(ours(case), make_generation.reference_scores(case))


@pytest.mark.torch
@pytest.mark.parametrize("name", ["top_k", "top_p", "min_p", "typical_p"])
def test_narrowing_of_a_whole_vocabulary_is_that_of_transformers(name: str) -> None:
    import torch
    from transformers.generation import logits_process as theirs

    scores = np.random.default_rng(0).normal(size=(3, 5000)).astype(np.float32) * 3
    function, other = {
        "top_k": (lambda s: top_k(s, 40), theirs.TopKLogitsWarper(40)),
        "top_p": (lambda s: top_p(s, 0.8), theirs.TopPLogitsWarper(0.8)),
        "min_p": (lambda s: min_p(s, 0.02), theirs.MinPLogitsWarper(0.02)),
        "typical_p": (lambda s: typical_p(s, 0.6), theirs.TypicalLogitsWarper(0.6)),
    }[name]
    expected = other(torch.zeros(3, 1, dtype=torch.long), torch.tensor(scores)).numpy()
    assert 0 < (expected > -np.inf).sum() < expected.size
    np.testing.assert_array_equal(function(scores.copy()), expected)


@pytest.mark.parametrize("share", [0.1, 0.6, 0.99])
def test_top_p_of_flat_and_of_steep_rows(share: float) -> None:
    """As its definition has it: sorted as a whole, also where thousands of tokens stay."""
    random = np.random.default_rng(1)
    scores = random.normal(size=(3, 5000)) * np.array([[0.1], [2.0], [9.0]])
    found = top_p(scores.astype(np.float32), share)
    for row, kept in zip(scores.astype(np.float32), found, strict=True):
        order = np.argsort(-row)
        sums = np.cumsum(np.exp(row[order].astype(np.float64)))
        enough = int(np.searchsorted(sums / sums[-1], share)) + 1
        count = np.count_nonzero(kept > -np.inf)
        assert abs(count - enough) <= 1  # one that float32 cannot tell
        assert set(np.flatnonzero(kept > -np.inf)) == set(order[:count])


def test_rows_have_lengths_of_their_own() -> None:
    """Rows of other prompts and limits, as a batch has them and transformers does not."""
    options = Generation(eos_token_id=2, min_new_tokens=3, forced_eos_token_id=1,
                         begin_suppress_tokens=(0,))  # fmt: skip
    rows = Prefixes(np.full((3, 5), 3, np.int32), np.array([1, 3, 5]), np.array([6, 9, 9]),
                    np.arange(3))  # fmt: skip
    found = apply(rules_of(options, []), np.ones((3, 4), np.float32), rows)
    inf = -np.inf
    expected = [[inf, 0, inf, inf], [1, 1, inf, 1], [inf, 1, inf, 1]]
    np.testing.assert_array_equal(found, expected)


def test_ids_that_the_model_has_no_scores_for_are_passed_over_or_refused() -> None:
    rows = Prefixes(np.array([[9]], np.int32), np.array([1]), np.array([5]), np.array([0]))
    scores = np.ones((1, 4), np.float32)
    fine = Generation(eos_token_id=9, min_length=3, suppress_tokens=(1, 9),
                      begin_suppress_tokens=(2, 9), repetition_penalty=2.0,
                      no_repeat_ngram_size=1)  # fmt: skip
    found = apply(rules_of(fine, []), scores, rows)
    np.testing.assert_array_equal(found, [[1, -np.inf, -np.inf, 1]])
    for wrong in ({"bad_words_ids": [[1], [9]]}, {"forced_bos_token_id": 9},
                  {"forced_eos_token_id": [1, 9]}):  # fmt: skip
        with pytest.raises(ArgumentError, match=r"has 9, and the model scores 4 tokens"):
            apply(rules_of(Generation(**wrong), []), scores, rows)


def test_log_softmax_is_a_log_of_probabilities() -> None:
    scores = np.array([[1.0, 2.0, 700.0], [-np.inf, 0.0, 0.0], [-np.inf] * 3], np.float32)
    found = log_softmax(scores)
    np.testing.assert_allclose(np.exp(found).sum(axis=1), [1, 1, 0], rtol=1e-6)
    np.testing.assert_allclose(found[1], [-np.inf, np.log(0.5), np.log(0.5)], rtol=1e-6)
