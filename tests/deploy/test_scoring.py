"""Scores: a prediction, how sure it is, and the arguments that `predict` takes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ktlite.deploy.scoring import column_types, score
from ktlite.errors import ArgumentError
from ktlite.tasks import Classification, Regression, Task


class Stars(Regression):
    """A task of one's own: three questions, "more than this many stars?"."""

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-logits))

    def decode(self, logits: np.ndarray) -> list[Any]:
        return (1 + (logits > 0).sum(axis=1)).tolist()


def predictor(task: Task, logits: list[float], asked: list[Any] | None = None) -> Any:
    """Stands in for a predictor whose model says the same of every text."""

    def run(texts: list[str], batch_size: int | None = None, verbose: int = 0) -> np.ndarray:
        if asked is not None:
            asked.append((batch_size, verbose))
        return np.array([logits] * len(texts))

    return SimpleNamespace(preproc=SimpleNamespace(task=task), logits=run)


def test_probability_is_that_of_the_class_that_is_predicted() -> None:
    found = score(predictor(Classification(["a", "b"]), [0.0, np.log(3)]), ["x", " "])
    assert found == [("b", pytest.approx(0.75)), (None, None)]


def test_largest_output_is_no_certainty_where_outputs_are_no_classes() -> None:
    assert score(predictor(Stars(), [2.0, 1.0, -1.0]), ["x"]) == [(3, None)]


def test_arguments_of_predict_are_taken() -> None:
    asked: list[Any] = []
    made = predictor(Classification(["a", "b"]), [0.0, 1.0], asked)
    score(made, ["x"], batch_size=7, verbose=1)
    assert asked == [(7, 1)]
    with pytest.raises(ArgumentError, match="coverage goes without return_proba"):
        score(made, ["x"], coverage=0.9, return_proba=True)


def test_interval_is_no_number() -> None:
    task = {"name": "regression"}
    assert column_types(task, {})["prediction"] == "double"
    assert column_types(task, {"coverage": 0.9})["prediction"] == "string"
