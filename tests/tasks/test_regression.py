"""A number a text."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr
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
        "pearson": pearsonr(truth, predicted).statistic,
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


# Units, and several targets

LABELS = np.array([[1.0, 200.0], [3.0, 100.0], [5.0, 900.0]])


def learned(labels: Any, names: Any = ()) -> Regression:
    task = Regression.from_labels(labels, names)
    assert isinstance(task, Regression)
    return task


def test_units_are_learned_from_the_labels() -> None:
    task = learned(LABELS, ["stars", "price"])
    assert task.mean == pytest.approx(LABELS.mean(axis=0))
    assert task.scale == pytest.approx(LABELS.std(axis=0))
    assert task.classes == ["stars", "price"] and task.outputs == 2
    one = learned(LABELS[:, 1])
    assert (one.outputs, one.classes) == (1, [])
    assert one.decode(np.zeros((2, 1))) == pytest.approx([400, 400])


def test_a_constant_target_keeps_its_unit() -> None:
    assert learned([7, 7, 7]).scale.tolist() == [1.0]


def test_standardised_outputs_come_back_in_the_targets_units() -> None:
    task = learned(LABELS, ["stars", "price"])
    outputs = (LABELS - LABELS.mean(axis=0)) / LABELS.std(axis=0)
    assert np.array(task.decode(outputs)) == pytest.approx(LABELS)
    assert task.decode_targets(task.encode(LABELS)) == LABELS.tolist()
    assert task.example_losses(outputs, task.encode(LABELS)) == pytest.approx([0, 0, 0], abs=1e-9)
    metrics = task.report(outputs, LABELS).metrics
    assert metrics["mae"] == pytest.approx(0, abs=1e-9)
    assert metrics["spearman"] == pytest.approx(1)


def test_figures_of_several_targets_are_the_mean_of_each_and_a_table() -> None:
    random = np.random.default_rng(1)
    task = learned(LABELS, ["stars", "price"])
    truth, outputs = random.normal(300, 100, (40, 2)), random.normal(0, 1, (40, 2))
    predicted = np.array(task.decode(outputs))
    report = task.report(outputs, truth)
    assert report.metrics["mae"] == pytest.approx(mean_absolute_error(truth, predicted))
    assert report.metrics["r2"] == pytest.approx(r2_score(truth, predicted))
    lines = report.text.splitlines()
    assert [line.split()[0] for line in lines] == ["mae", "stars", "price", "mean"]
    price = mean_absolute_error(truth[:, 1], predicted[:, 1])
    assert float(lines[2].split()[1]) == pytest.approx(price, abs=1e-4)


def test_metric_during_training_is_in_the_targets_units() -> None:
    task = learned(LABELS, ["stars", "price"])
    (mae,) = task.metrics()
    targets = task.encode(LABELS)
    mae.update_state(targets, np.zeros((3, 2), "float32"))
    expected = mean_absolute_error(LABELS, np.tile(LABELS.mean(axis=0), (3, 1)))
    assert float(mae.result()) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"names": ["a", "b"], "mean": [0.0]}, r"mean=\[0.0\]; expected 2 finite numbers\."),
        ({"scale": [0.0]}, r"scale=\[0.0\]; expected 1 finite numbers above 0"),
        ({"mean": [float("nan")]}, "mean=.nan.; expected 1 finite"),
        ({"names": ["a", "a"]}, "names=a, a; expected distinct ones"),
    ],
)
def test_units_that_cannot_be_are_refused(arguments: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Regression(**arguments)


def test_names_must_be_one_a_column() -> None:
    with pytest.raises(DataError, match=r"reviews: 3 names \(a, b, c\) for 2 target"):
        Regression.from_labels(LABELS, ["a", "b", "c"], "reviews")
