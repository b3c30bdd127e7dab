"""Texts of a table, compared with transformers' `generate` (`golden/make_generation.py`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ktlite.generation import Generated, Generation, generate
from tests.generation.table import Table

VOCABULARY = 23
ENDS = [2, 5]
CASES = json.loads((Path(__file__).parents[1] / "golden" / "generation.json").read_text())["texts"]


def ours(case: dict[str, Any], **more: Any) -> list[Generated]:
    table = Table(case["seed"], VOCABULARY, ENDS, case["push"])
    options = Generation(pad_token_id=0).with_(**case["options"])
    begin = table.begin(case["sources"] or [[]] * len(case["prompts"]))
    return generate(table.step, begin, case["prompts"], options, sources=case["sources"], **more)


def assert_same(case: dict[str, Any], texts: list[Generated], expected: Any) -> None:
    assert [text.ids.tolist() for text in texts] == [text["ids"] for text in expected], case
    for text, other in zip(texts, expected, strict=True):
        if other["score"] is not None:
            assert text.score == pytest.approx(other["score"], abs=2e-6, rel=2e-6)


@pytest.mark.parametrize("place", range(len(CASES)))
def test_is_what_transformers_writes(place: int) -> None:
    assert_same(CASES[place], ours(CASES[place]), CASES[place]["expected"])


@pytest.mark.torch
def test_is_what_transformers_writes_today() -> None:
    from tests.golden import make_generation

    for seed in range(1000, 1030):
        case = make_generation.a_case(seed)
        assert_same(case, ours(case), make_generation.reference(case))


@pytest.mark.parametrize("place", range(0, len(CASES), 4))
def test_does_not_depend_on_rows_that_are_taken_out(place: int) -> None:
    dropped, kept = ours(CASES[place]), ours(CASES[place], drop_finished=False)
    assert [t.ids.tolist() for t in dropped] == [t.ids.tolist() for t in kept]
    assert [t.score for t in dropped] == [t.score for t in kept]
