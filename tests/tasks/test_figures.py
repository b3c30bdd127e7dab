"""Figures: scikit-learn's, and the same from what `measure` keeps of each example."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sklearn.metrics as sk
from scipy.special import softmax

from ktlite.tasks import Classification, MultiLabel, Regression, TokenClassification
from ktlite.tasks.arrays import ragged
from ktlite.tasks.figures import (
    area_under_curve,
    confusion,
    dense_ranks,
    f1_averages,
    matthews,
)

RANDOM = np.random.default_rng(3)


def drawn(classes: int, count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Returns true and predicted classes."""
    return RANDOM.integers(classes, size=count), RANDOM.integers(classes, size=count)


CASES = {
    "two classes": (*drawn(2), 2),
    "five classes": (*drawn(5), 5),
    "a class that is neither true nor predicted": (*drawn(3), 4),
    "a class that is never predicted": (np.array([0, 1, 2, 2]), np.array([0, 1, 1, 0]), 3),
    "all right": (np.array([0, 1, 2]), np.array([0, 1, 2]), 3),
    "all wrong": (np.array([0, 1, 1]), np.array([1, 0, 0]), 2),
    "constant predictions": (np.array([0, 1, 1]), np.array([1, 1, 1]), 2),
    "one example": (np.array([1]), np.array([1]), 2),
}


@pytest.mark.parametrize("case", CASES)
def test_figures_of_classes_are_scikit_learns(case: str) -> None:
    true, predicted, classes = CASES[case]
    labels = range(classes)
    counts = confusion(true, predicted, classes)
    np.testing.assert_array_equal(counts, sk.confusion_matrix(true, predicted, labels=labels))
    f1 = f1_averages(counts.diagonal(), counts.sum(axis=0), counts.sum(axis=1))
    for average in ("macro", "micro", "weighted"):
        expected = sk.f1_score(true, predicted, labels=labels, average=average, zero_division=0)
        assert f1[f"f1_{average}"] == pytest.approx(expected)
    varied = len({*true, *predicted}) > 1
    assert matthews(counts) == pytest.approx(
        sk.matthews_corrcoef(true, predicted) if varied else 0.0
    )


def test_matthews_of_large_counts_does_not_overflow() -> None:
    true = np.repeat([0, 0, 1, 1], [900, 100, 200, 800])
    predicted = np.repeat([0, 1, 0, 1], [900, 100, 200, 800])
    counts = confusion(true, predicted, 2)
    expected = sk.matthews_corrcoef(true, predicted)
    assert matthews(counts * 10**7) == pytest.approx(expected)


@pytest.mark.parametrize("decimals", [8, 0], ids=["distinct", "with ties"])
def test_area_under_the_curve_is_scikit_learns(decimals: int) -> None:
    scores, positive = RANDOM.normal(0, 2, 80).round(decimals), RANDOM.random(80) < 0.3
    ranks = dense_ranks(scores[:, None])[:, 0]
    for rows in (np.arange(80), RANDOM.integers(80, size=80)):  # all, and a sample of them
        expected = sk.roc_auc_score(positive[rows], scores[rows])
        assert area_under_curve(ranks[rows], positive[rows]) == pytest.approx(expected)
    assert np.isnan(area_under_curve(ranks, np.ones(80, bool)))


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("temperature", [None, 2.5])
def test_classification(classes: int, temperature: float | None) -> None:
    logits = RANDOM.normal(0, 2, (70, classes)).astype("float32")
    true = RANDOM.integers(classes, size=70)
    calibration = temperature and {"temperature": temperature, "scores": [], "count": 0}
    task = Classification(range(classes), calibration=calibration or None)
    found = task.report(logits, true).metrics
    chances = softmax(logits / (temperature or 1), axis=1)
    assert found["loss"] == pytest.approx(sk.log_loss(true, chances), rel=1e-5)
    probability = softmax(logits.astype("float64") / (temperature or 1.0), axis=1)
    scores = probability[:, 1] if classes == 2 else probability
    assert found["roc_auc"] == pytest.approx(sk.roc_auc_score(true, scores, multi_class="ovr"))
    assert found["accuracy"] == sk.accuracy_score(true, logits.argmax(axis=1))


def test_multilabel() -> None:
    task = MultiLabel("abcd", thresholds=[0.5, 0.3, 0.7, 0.5])
    logits = RANDOM.normal(0, 2, (70, 4)).astype("float32")
    true = (RANDOM.random((70, 4)) < 0.4).astype("float32")
    true[:, 3] = 0  # a class that no text has
    predicted = 1 / (1 + np.exp(-logits)) >= task.thresholds
    found = task.report(logits, true).metrics
    for average in ("macro", "micro", "weighted"):
        expected = sk.f1_score(true, predicted, average=average, zero_division=0)
        assert found[f"f1_{average}"] == pytest.approx(expected)
    assert found["binary_accuracy"] == pytest.approx((predicted == true).mean())
    assert found["roc_auc"] == pytest.approx(sk.roc_auc_score(true[:, :3], logits[:, :3]))


@pytest.mark.parametrize("targets", [1, 3])
def test_regression(targets: int) -> None:
    names = [f"t{i}" for i in range(targets)] if targets > 1 else []
    task = Regression(names, mean=[5.0] * targets, scale=[2.0] * targets)
    logits = RANDOM.normal(0, 1, (40, targets)).astype("float32")
    true = RANDOM.normal(5, 2, (40, targets)).round(1)
    predicted = logits.astype("float64") * 2 + 5
    found = task.report(logits, true).metrics
    assert found["mae"] == pytest.approx(sk.mean_absolute_error(true, predicted))
    rmse = np.sqrt(sk.mean_squared_error(true, predicted, multioutput="raw_values")).mean()
    assert found["rmse"] == pytest.approx(rmse)
    assert found["r2"] == pytest.approx(sk.r2_score(true, predicted))
    import scipy.stats

    for name, function in (("spearman", scipy.stats.spearmanr), ("pearson", scipy.stats.pearsonr)):
        each = [function(true[:, i], predicted[:, i]).statistic for i in range(targets)]
        assert found[name] == pytest.approx(np.mean(each))


@pytest.mark.parametrize(
    ("true", "predicted"), [([2.0, 2.0], [2.0, 2.0]), ([2.0, 2.0], [1.0, 3.0])]
)
def test_r2_of_equal_targets_is_scikit_learns(true: list[float], predicted: list[float]) -> None:
    found = Regression().report(np.array(predicted)[:, None], np.array(true)).metrics
    assert found["r2"] == sk.r2_score(true, predicted)
    assert np.isnan(found["pearson"])


def test_plain_tags() -> None:
    task = TokenClassification(["A", "B", "C", "D"])
    sizes = RANDOM.integers(1, 9, 20)
    true = ragged([RANDOM.integers(3, size=n).astype("int32") for n in sizes])
    logits = ragged([RANDOM.normal(0, 1, (n, 4))[:, [0, 1, 2, 2]] for n in sizes])
    flat, guess = np.concatenate(list(true)), np.concatenate([row.argmax(-1) for row in logits])
    found = task.report(logits, true).metrics
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(flat, guess))
    assert found["f1_macro"] == pytest.approx(sk.f1_score(flat, guess, average="macro"))


def as_dict(figures: dict[str, Any]) -> dict[str, Any]:
    return {name: pytest.approx(value, nan_ok=True) for name, value in figures.items()}


TASKS: dict[str, tuple[Any, Any, Any]] = {
    "classification": (Classification("abc"), RANDOM.normal(size=(9, 3)), np.arange(9) % 3),
    "multilabel": (MultiLabel("ab"), RANDOM.normal(size=(9, 2)), RANDOM.integers(2, size=(9, 2))),
    "regression": (Regression(), RANDOM.normal(size=(9, 1)), RANDOM.normal(size=9)),
    "entities": (
        TokenClassification(["O", "B-X", "I-X", "B-Y", "I-Y"]),
        ragged([RANDOM.normal(size=(n, 5)) for n in range(1, 10)]),
        ragged([RANDOM.integers(5, size=n) for n in range(1, 10)]),
    ),
    "plain tags": (
        TokenClassification(["N", "V"]),
        ragged([RANDOM.normal(size=(n, 2)) for n in range(1, 10)]),
        ragged([RANDOM.integers(2, size=n) for n in range(1, 10)]),
    ),
}


@pytest.mark.parametrize("name", TASKS)
def test_figures_of_a_sample_are_those_of_its_report(name: str) -> None:
    task, logits, targets = TASKS[name]
    measured = task.measure(logits, targets)
    for rows in (np.arange(9), np.array([4, 4, 0, 8, 7, 1, 1, 1, 5]), np.array([2])):
        sample = {key: values[rows] for key, values in measured.items()}
        assert task.figures(sample) == as_dict(task.report(logits[rows], targets[rows]).metrics)
