"""What is said where texts are given in the place of files."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ktlite.data.reading import raw_for
from ktlite.data.sources import mistaken_texts, source_of
from ktlite.errors import ArgumentError
from ktlite.tasks import find_task

TEXTS = ["It cost 3.50 and broke.", "a kids' flick.' We try hard.'", "5* hotel", "see example.com"]


@pytest.mark.parametrize("texts", [TEXTS, TEXTS[::-1], [*TEXTS, "nothing\0much"], ["a b.c d"]])
def test_texts_are_no_paths_for_a_dot_in_one(texts: list[str]) -> None:
    labels = ["good", "bad"] * len(texts)
    assert "texts and their labels" in str(mistaken_texts(texts, labels[: len(texts)]))
    assert "train_data is a list of strings" in str(mistaken_texts(texts))


@pytest.mark.parametrize(
    "paths", [["a.csv", "b.csv"], ["a.csv.gz"], ["part-*"], ["{there}", "a text"], "a text", []]
)
def test_paths_are_no_texts(paths: Any, tmp_path: Path) -> None:
    (there := tmp_path / "data").write_text("")
    if isinstance(paths, list):
        paths = [path.format(there=there) for path in paths]
    assert mistaken_texts(paths) is None


def test_texts_without_labels_are_refused_where_figures_are_asked_for() -> None:
    known = {"text_column": "text", "label_columns": "label"}
    task = find_task("classification")(["bad", "good"])
    preproc: Any = SimpleNamespace(task=task, reading=known, source=source_of(task))
    with pytest.raises(ArgumentError, match=r"in lists: data=\(texts, labels\)"):
        raw_for(preproc, TEXTS, where="evaluate")
