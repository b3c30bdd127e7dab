"""Entities from tags, compared with seqeval (`golden/make_seqeval.py`) and by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ktlite.tasks import TokenClassification
from ktlite.tasks.entities import entities, first_mixed, macro, parse_tag, score, score_table

CASES = json.loads((Path(__file__).parents[1] / "golden" / "seqeval.json").read_text())


@pytest.mark.parametrize("case", CASES)
def test_entities_are_those_of_seqeval(case: dict[str, Any]) -> None:
    for tags, expected in zip(case["true"], case["entities"], strict=True):
        found = [[kind, start, end - 1] for kind, start, end in entities(tags)]
        assert found == expected


@pytest.mark.parametrize("case", CASES)
def test_scores_are_those_of_seqeval(case: dict[str, Any]) -> None:
    by_type, overall = score(case["true"], case["predicted"])
    for name in ("precision", "recall", "f1"):
        assert getattr(overall, name) == pytest.approx(case[name], abs=1e-12)
    assert macro(by_type).f1 == pytest.approx(case["f1_macro"], abs=1e-12)
    assert {kind: list(each) for kind, each in by_type.items()} == {
        kind: pytest.approx(row, abs=1e-12) for kind, row in case["by_type"].items()
    }


@pytest.mark.parametrize("case", CASES)
def test_report_counts_entities(case: dict[str, Any]) -> None:
    task = TokenClassification.from_labels(case["true"] + case["predicted"])
    logits = np.fromiter(
        (np.eye(task.outputs)[row] * 9 for row in task.encode(case["predicted"])), object
    )
    report = task.report(logits, task.encode(case["true"]))
    assert report.result == report.metrics["f1"] == pytest.approx(case["f1"])
    assert report.metrics["f1_macro"] == pytest.approx(case["f1_macro"])
    assert f"{'PER':>12} {case['by_type']['PER'][0]:10.3f}" in report.text


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("B-P I-P O B-P", [("P", 0, 2), ("P", 3, 4)]),  # BIO
        ("I-P I-P B-P O I-L", [("P", 0, 2), ("P", 2, 3), ("L", 4, 5)]),  # IOB1
        ("B-P E-P S-P S-L O", [("P", 0, 2), ("P", 2, 3), ("L", 3, 4)]),  # IOBES
        ("B-P I-P L-P U-P", [("P", 0, 3), ("P", 3, 4)]),  # BILOU
        ("B-P M-P E-P W-P", [("P", 0, 3), ("P", 3, 4)]),  # BMEWO
        ("B-P I-L", [("P", 0, 1), ("L", 1, 2)]),
        ("E-P E-P", [("P", 0, 1), ("P", 1, 2)]),
        ("B-a-b I-a-b", [("a-b", 0, 2)]),
        ("O O", []),
        ("", []),
    ],
)
def test_schemes_are_read_alike(tags: str, expected: list[Any]) -> None:
    assert entities(tags.split()) == expected


def test_plain_tags_are_entities_by_runs() -> None:
    assert entities(["PER", "PER", "O", "LOC", "PER"], prefixed=False) == [
        ("PER", 0, 2),
        ("LOC", 3, 4),
        ("PER", 4, 5),
    ]


@pytest.mark.parametrize(
    ("tag", "expected"),
    [("B-PER", ("B", "PER")), ("U-X-Y", ("S", "X-Y")), ("O", ("O", "")), ("NOUN", ("O", ""))],
)
def test_tags_have_a_prefix_and_a_type(tag: str, expected: tuple[str, str]) -> None:
    assert parse_tag(tag) == expected


@pytest.mark.parametrize(
    ("sentences", "expected"),
    [
        (["B-P I-P", "O B-P B-P"], None),
        (["I-P I-P B-P", "O I-L"], None),
        (["S-P B-P E-P"], None),
        (["B-P O B-P", "O I-P", "I-P"], (0, 0)),
        (["B-P O B-P", "B-L I-P"], (1, 1)),
        (["O"], None),
    ],
)
def test_mixed_schemes_are_found_at_the_rarer_one(
    sentences: list[str], expected: tuple[int, int] | None
) -> None:
    assert first_mixed(s.split() for s in sentences) == expected


def test_no_entities_score_nothing() -> None:
    by_type, overall = score([["O"]], [["O"]])
    assert overall == (0, 0, 0, 0)
    assert by_type == {}
    assert "micro avg" in score_table(by_type, overall)
