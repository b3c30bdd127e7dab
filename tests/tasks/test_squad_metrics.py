"""Exact match, F1 and the best threshold, as the official SQuAD scripts have them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ktlite.tasks.squad_metrics import answer_scores, best_threshold, exact_match, f1, normalize

CASES = json.loads((Path(__file__).parents[1] / "golden" / "squad.json").read_text())


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("The Beatles", "beatles"),
        ("  an   apple a day ", "apple day"),
        ("U.S.", "us"),
        ("don't", "dont"),
        ("theatre and a-b", "theatre and ab"),
        ("1,000", "1000"),
        ("“quoted”", "“quoted”"),  # only ASCII marks
        ("北京。", "北京。"),
        ("The", ""),
        ("...", ""),
        ("", ""),
    ],
)
def test_answers_are_normalised(answer: str, expected: str) -> None:
    assert normalize(answer) == expected


@pytest.mark.parametrize(
    ("predicted", "true", "exact", "shared"),
    [
        ("Ann Lee", "the Ann Lee.", 1, 1),
        ("Ann", "Ann Lee", 0, 2 / 3),  # precision 1, recall 1/2
        ("in May 1999", "May 1999", 0, 0.8),  # precision 2/3, recall 1
        ("Ann Ann", "Ann", 0, 2 / 3),  # a word counts once for each time that both have it
        ("Bob", "Ann", 0, 0),
        ("", "Ann", 0, 0),
        ("the", "a", 1, 0),  # nothing is left of either: 1.1 says so
    ],
)
def test_one_answer(predicted: str, true: str, exact: float, shared: float) -> None:
    assert exact_match(predicted, true) == exact
    assert f1(predicted, true) == pytest.approx(shared)


@pytest.mark.parametrize("case", CASES, ids=[f"{c['version']}-{i}" for i, c in enumerate(CASES)])
def test_scores_are_those_of_the_official_scripts(case: dict[str, Any]) -> None:
    exact, shared = answer_scores(case["predicted"], case["true"])
    assert 100 * exact.mean() == pytest.approx(case["exact_match"], abs=1e-9)
    assert 100 * shared.mean() == pytest.approx(case["f1"], abs=1e-9)
    if case["version"] == 2:
        odds, said = np.array(case["odds"]), np.array([bool(text) for text in case["predicted"]])
        answerable = np.array([bool(answers) for answers in case["true"]])
        for name, scores in (("exact", exact), ("f1", shared)):
            value, threshold = best_threshold(scores, odds, said, answerable)
            assert (100 * value, threshold) == pytest.approx(tuple(case["best"][name]))


def test_both_versions_are_there() -> None:
    assert {case["version"] for case in CASES} == {1, 2}
    # Without a question that has no answer, the definition would be that of 1.1.
    assert all(not all(case["true"]) for case in CASES if case["version"] == 2)


def test_of_several_right_answers_the_nearest_counts() -> None:
    exact, shared = answer_scores(["May"], [["1999", "in May", "May 1999"]])
    assert exact.tolist() == [0.0]
    assert shared.tolist() == [pytest.approx(2 / 3)]


def test_no_answer_is_right_where_there_is_none() -> None:
    exact, shared = answer_scores(["", "Ann", "", "the"], [[], [], ["Ann"], ["The"]])
    # The last: of a right answer nothing is left, so that there is none, as in 2.0.
    assert exact.tolist() == shared.tolist() == [1.0, 0.0, 0.0, 1.0]


def test_the_best_threshold_separates() -> None:
    odds = np.array([-5.0, -1.0, 2.0, 4.0])
    answerable = np.array([True, True, False, False])
    scores = np.array([1.0, 0.5, 0.0, 0.0])
    always = np.ones(4, bool)
    assert best_threshold(scores, odds, always, answerable) == ((1 + 0.5 + 2) / 4, -1.0)


def test_where_no_answer_is_any_good_the_best_threshold_is_below_all_odds() -> None:
    odds = np.array([-5.0, -1.0])
    never = best_threshold(np.zeros(2), odds, np.ones(2, bool), np.array([False, False]))
    assert never[0] == 1.0
    assert never[1] < -5
