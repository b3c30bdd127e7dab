"""Which task labels belong to: decided where it is clear, asked where it is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from ktlite.errors import ArgumentError, DataError
from ktlite.tasks import (
    TASKS,
    Classification,
    MultiLabel,
    Regression,
    Task,
    TokenClassification,
    infer_task,
)


@pytest.fixture(autouse=True)
def capture_info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="ktlite")


@pytest.mark.parametrize(
    ("labels", "options", "kind", "classes"),
    [
        (["good", "bad", "good"], {}, Classification, ["bad", "good"]),
        (["b", "a"], {"class_names": ["b", "a", "c"]}, Classification, ["b", "a", "c"]),
        (["b", "a"], {"class_names": np.array(["b", "a"])}, Classification, ["b", "a"]),
        (["10", "9"], {}, Classification, ["10", "9"]),
        (pd.Series(["x", "y"]), {}, Classification, ["x", "y"]),
        ([0, 1, 1], {}, Classification, [0, 1]),
        ([42, 3, 7, 3], {}, Classification, [3, 7, 42]),
        ([-1, 1], {}, Classification, [-1, 1]),
        ([0.0, 2.0], {}, Classification, [0, 2]),
        ([True, False], {}, Classification, [False, True]),
        (list(range(20)), {}, Classification, list(range(20))),
        (list(range(100)), {"task": "classification"}, Classification, list(range(100))),
        ([0, 2], {"class_names": ["neg", "so-so", "pos"]}, Classification, ["neg", "so-so", "pos"]),
        ([0.0, 1.0], {"class_names": ["neg", "pos"]}, Classification, ["neg", "pos"]),
        (["True", "False"], {"class_names": [True, False]}, Classification, [True, False]),
        ([1, 5, 3], {"class_names": [1, 2, 3, 4, 5]}, Classification, [1, 2, 3, 4, 5]),
        ([0, 4, 2], {"class_names": [1, 2, 3, 4, 5]}, Classification, [1, 2, 3, 4, 5]),
        ([[1, 0], [0, 1]], {}, Classification, [0, 1]),
        ([[1, 0], [0, 1]], {"class_names": ["a", "b"]}, Classification, ["a", "b"]),
        ([[1, 0], [0, 1]], {"task": "multilabel"}, MultiLabel, [0, 1]),
        ([[1, 1], [0, 1]], {}, MultiLabel, [0, 1]),
        ([[0, 0], [0, 1]], {"class_names": ["a", "b"]}, MultiLabel, ["a", "b"]),
        ([[1.0, 1.0], [0.0, 1.0]], {}, MultiLabel, [0, 1]),
        ([1, 2, 3], {"task": "regression"}, Regression, []),
        ([0.5, 2.25], {"task": "regression"}, Regression, []),
    ],
)
def test_labels_give_their_task(
    labels: Any, options: dict[str, Any], kind: type[Task], classes: list[Any]
) -> None:
    task = infer_task(labels, **options)
    assert type(task) is kind
    assert task.classes == classes
    assert {type(c) for c in task.classes} <= {str, int, bool}
    assert len(task.encode(labels)) == len(labels)


@pytest.mark.parametrize(
    ("labels", "class_names", "expected"),
    [
        ([2, 0, 1], ["neg", "so-so", "pos"], [2, 0, 1]),
        ([0, 4], ["1", "2", "3", "4", "5"], [0, 4]),
        ([0, 4], [1, 2, 3, 4, 5], [0, 4]),
        ([5, 1], [1, 2, 3, 4, 5], [4, 0]),
        (["5", "1"], ["1", "2", "3", "4", "5"], [4, 0]),
        ([[0, 1], [1, 0]], ["a", "b"], [1, 0]),
    ],
)
def test_class_names_name_integers_from_0_unless_they_are_the_labels(
    labels: Any, class_names: list[Any], expected: list[int]
) -> None:
    assert infer_task(labels, class_names=class_names).encode(labels).tolist() == expected


def test_what_integers_mean_does_not_depend_on_the_rows_at_hand() -> None:
    stars = infer_task([0, 1, 2, 3, 4], class_names=["1", "2", "3", "4", "5"])
    assert stars.encode([1, 2]).tolist() == [1, 2]
    numbers = infer_task(["1", "2", "3"])
    assert numbers.encode([1, 2]).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        ([], {}, "there are no labels"),
        (["a", "a"], {}, "all labels are 'a'; classification needs at least two.*label column"),
        ([3, 3], {}, "all labels are 3"),
        ([1.0, 1.0], {}, "all labels are 1;"),
        (["a"], {"class_names": ["a", "b"]}, "all labels are 'a'"),
        (range(21), {}, "21 distinct integers from 0 to 20 may be classes or quantities.*task=.cl"),
        ([0.5, 1, 2, 3, 4], {}, r"floats such as 0\.5, 1\.0, 2\.0, 3\.0, .*task='regression'"),
        ([0.5, 1.5], {"task": "classification"}, "floats such as"),
        ([1.0, float("nan")], {}, "floats such as"),
        (["a", "b"], {"task": "multilabel"}, "needs a matrix of 0 and 1"),
        ([0, 3], {"class_names": ["a", "b"]}, "2 class names, .* 0 to 1; found 0 to 3"),
        ([-1, 1], {"class_names": ["a", "b"]}, "must be 0 to 1; found -1 to 1"),
        (
            ["a", "bb"],
            {"class_names": ["a", "bbb"]},
            "labels bb are not among class_names a, bbb. D",
        ),
        ([[1, 0], [0, 1]], {"class_names": ["a"]}, "1 class names for 2 label columns"),
        ([[1, 0], [0, 2]], {}, "the numbers 0 and 1 only.*found 0, 1, 2"),
        ([[0.5, 0], [0, 1]], {}, r"found 0\.0, 0\.5, 1\.0"),
        ([["1", "0"], ["0", "1"]], {}, "the numbers 0 and 1 only.*found '0', '1'"),
        ([[1, 0], [1, 0]], {}, "only one class occurs"),
    ],
)
def test_labels_that_fit_no_task_or_several_are_refused(
    labels: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        infer_task(labels, source="reviews.csv", **options)
    assert str(caught.value).startswith("reviews.csv: ")


def test_a_task_of_ones_own_is_made_of_what_its_labels_say(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Mine(Classification):
        name = "mine"

    class Other(TokenClassification):
        name = "other"

        @classmethod
        def from_labels(cls, labels: Any, class_names: Any = (), source: str = "labels") -> None:
            return None

    monkeypatch.setitem(TASKS, "mine", Mine)
    monkeypatch.setitem(TASKS, "other", Other)
    found = infer_task(["b", "a"], "mine")
    assert type(found) is Mine and found.classes == ["a", "b"]
    with pytest.raises(ArgumentError, match="Other has to define from_labels, or pass the task"):
        infer_task(["b", "a"], "other")


def test_unknown_task_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ArgumentError, match=r"'multi-label' is not known.*Did you mean 'multilab"):
        infer_task(["a", "b"], "multi-label")


@pytest.mark.parametrize(
    ("labels", "options", "lines"),
    [
        ([0, 1, 2], {}, ["train: 3 distinct integers are taken for classes (task='regression' "]),
        ([0, 1, 2], {"task": "classification"}, []),
        ([0, 1, 2], {"class_names": ["a", "b", "c"]}, []),
        (["a", "b"], {}, []),
    ],
)
def test_one_line_says_when_integers_are_taken_for_classes(
    labels: Any, options: dict[str, Any], lines: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    infer_task(labels, source="train", **options)
    assert len(caplog.messages) == len(lines)
    assert all(m.startswith(line) for m, line in zip(caplog.messages, lines, strict=True))
