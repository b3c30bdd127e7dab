"""Pairs and triplets of texts from all that `get_learner` takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ktlite.data.groups import read_group_arrays, read_groups
from ktlite.errors import ArgumentError, DataError

OPTIONS: dict[str, Any] = {"sep": ",", "encoding": None, "names": None, "missing": "drop"}
PAIRS = [("a", "b"), ("c", "b"), ("a", "d")]
FRAME = pd.DataFrame({
    "anchor": ["a", "c"], "positive": ["b", "d"], "negative": ["x", "b"], "score": [0.5, 1]
})  # fmt: skip


def read(data: Any, texts: Any = None, scores: Any = None) -> Any:
    return read_groups(data, texts, scores, source="train_data", **OPTIONS)


def test_equal_texts_have_equal_numbers() -> None:
    raw = read(PAIRS)
    assert raw.items == PAIRS
    assert raw.labels.tolist() == [[0, 1], [2, 1], [0, 3]]
    assert raw.labels.dtype == np.int64


@pytest.mark.parametrize("data", [(PAIRS, [1, 0.5, -1]), [PAIRS, np.array([1, 0.5, -1])]])
def test_scores_are_the_labels(data: Any) -> None:
    assert read(data).labels.tolist() == [1, 0.5, -1]


def test_two_pairs_are_no_pairs_with_scores() -> None:
    assert read(PAIRS[:2]).items == PAIRS[:2]


def test_frame_has_columns_of_the_usual_names() -> None:
    assert read(FRAME).items == [("a", "b", "x"), ("c", "d", "b")]
    assert read(FRAME).labels.tolist() == [[0, 1, 2], [3, 4, 1]]
    assert read(FRAME, ["anchor", "negative"], "score").labels.tolist() == [0.5, 1]


def test_file(tmp_path: Path) -> None:
    FRAME.to_csv(tmp_path / "pairs.csv", index=False)
    path = tmp_path / "pairs.csv"
    assert read(path).items == [("a", "b"), ("c", "d")]
    assert read(path, ("anchor", "positive", "negative")).items[1] == ("c", "d", "b")
    assert read(str(path), ["positive", "anchor"], "score").labels.tolist() == [0.5, 1]


def test_rows_without_a_text_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    raw = read_group_arrays([("a", "b"), ("c", " "), ("d", "e")], [1, 0, 0.5])
    assert raw.items == [("a", "b"), ("d", "e")]
    assert raw.rows.tolist() == [0, 2]
    assert "left out 1 of 3 rows" in caplog.text


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (["a", "b", "c"], "expected tuples of two texts, or all of three; got 'a'"),
        ([("a", "b"), ("a", "b", "c"), ("d", "e")], "expected tuples of two texts"),
        ([("a",)] * 3, "expected tuples of two texts"),
        ((PAIRS, [1]), "3 groups of texts, but 1 scores"),
        ([], "expected tuples of two texts"),
    ],
)
def test_other_lists_are_refused(data: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(data)


@pytest.mark.parametrize(
    ("data", "texts", "message"),
    [
        (7, None, "train_data is of type int"),
        (FRAME, "anchor", "text_column='anchor'; expected the names of two columns"),
        (FRAME, ["anchor"] * 4, "expected the names of two columns"),
    ],
)
def test_other_arguments_are_refused(data: Any, texts: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        read(data, texts)


def test_missing_column_names_the_nearest() -> None:
    with pytest.raises(DataError, match="no column is 'positiv'. Did you mean 'positive'"):
        read(FRAME, ["anchor", "positiv"])
