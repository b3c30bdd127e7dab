"""What docs/generation.md shows runs and gives what it says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "generation.md"


def blocks() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.S | re.M)


def run(code: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(code, str(PAGE), "exec"), names)
    return names


def test_the_example_of_a_step_writes_what_it_says() -> None:
    names = run(blocks()[0])
    assert names["text"].ids.tolist() == [2, 3, 0]
    assert names["text"].score == pytest.approx(names["text"].token_scores.mean())
    assert names["written"].last


def test_the_example_of_figures_has_them_all() -> None:
    pytest.importorskip("sacrebleu")
    pytest.importorskip("rouge_score")
    found = run(blocks()[1])["measured"].figures
    assert list(found) == ["bleu", "chrf", "rouge1", "rouge2", "rougeL", "exact_match"]
    assert found["rouge1"] == pytest.approx(100 * 5 / 6)


def test_names_only_options_that_there_are_not() -> None:
    from ktlite.generation.config_files import OFF

    text = PAGE.read_text(encoding="utf-8")
    refused = text[text.index("Not here:") : text.index("A rule of your own")]
    assert set(re.findall(r"`(\w+)`", refused)) <= set(OFF)
