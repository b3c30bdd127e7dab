"""A number a text."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

from ktlite.errors import DataError
from ktlite.tasks import Regression


def random_answers(seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    truth = random.normal(3, 2, 100).astype("float32")
    noise = random.normal(0, 1, 100).astype("float32")
    return (truth + noise)[:, None], truth


@pytest.mark.parametrize(
    "labels", [[1, -2.5, 1e6], ["1", "-2.5", "1e6"], [[1], [-2.5], [1e6]], np.array([1, -2.5, 1e6])]
)
def test_numbers_become_float_targets(labels: Any) -> None:
    targets = Regression().encode(labels)
    assert targets.tolist() == [1, -2.5, 1e6]
    assert targets.dtype == np.float32


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["good", "bad"], "regression needs numbers as labels: .*good"),
        ([[1, 2], [3, 4]], r"one number a text, got labels of shape \[2, 2\]"),
        ([1.0, float("nan")], r"label of text 1 is nan"),
        ([1.0, 2.0, float("-inf")], r"label of text 2 is -inf"),
        ([1.0, None], r"label of text 1 is nan"),
    ],
)
def test_other_labels_are_refused(labels: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Regression().encode(labels, "train.csv")


@pytest.mark.parametrize("seed", range(3))
def test_report_is_scikit_learns(seed: int) -> None:
    logits, truth = random_answers(seed)
    report, predicted = Regression().report(logits, truth), logits[:, 0]
    expected = {
        "mae": mean_absolute_error(truth, predicted),
        "rmse": mean_squared_error(truth, predicted) ** 0.5,
        "r2": r2_score(truth, predicted),
        "spearman": spearmanr(truth, predicted).statistic,
    }
    assert report.metrics == pytest.approx(expected, rel=1e-5)
    assert report.result == list(report.metrics.items())  # ktrain's [(metric, value), ...]
    assert all(name in report.text for name in expected)


def test_loss_of_a_text_is_its_squared_error() -> None:
    logits, truth = random_answers(0)
    losses = Regression().example_losses(logits, truth)
    assert losses.shape == (100,)
    assert losses.mean() == pytest.approx(mean_squared_error(truth, logits[:, 0]), rel=1e-6)


@pytest.mark.parametrize("predicted", [[1.0], [1.0, 1.0]])
def test_figures_that_need_variety_are_nan_without_it(
    predicted: list[float], recwarn: pytest.WarningsRecorder
) -> None:
    truth = np.arange(len(predicted), dtype="float32")
    metrics = Regression().report(np.array(predicted)[:, None], truth).metrics
    assert np.isnan(metrics["spearman"])
    assert not recwarn.list


def test_predictions_are_floats() -> None:
    predictions = Regression().decode(np.array([[1.5], [-2.0]], "float32"))
    assert predictions == [1.5, -2.0]
    assert {type(p) for p in predictions} == {float}


def test_probabilities_are_refused() -> None:
    with pytest.raises(DataError, match=r"no probabilities; predict\(\) gives the numbers"):
        Regression().probabilities(np.zeros((1, 1)))
