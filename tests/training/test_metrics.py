"""Scores of classes during training, against scikit-learn on the raw predictions."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import sklearn.metrics as sk

from ktlite.errors import ArgumentError
from ktlite.tasks import Classification, MultiLabel, Regression
from ktlite.training.metrics import SCORES, as_metric

RANDOM = np.random.default_rng(5)
LOGITS = RANDOM.normal(0, 1, (50, 3)).astype("float32")
TRUE = RANDOM.integers(0, 3, 50)
GUESS = LOGITS.argmax(axis=-1)
TASK = Classification("abc")

EXPECTED = {
    "f1_macro": sk.f1_score(TRUE, GUESS, average="macro"),
    "f1_micro": sk.f1_score(TRUE, GUESS, average="micro"),
    "f1_weighted": sk.f1_score(TRUE, GUESS, average="weighted"),
    "precision_macro": sk.precision_score(TRUE, GUESS, average="macro"),
    "recall_weighted": sk.recall_score(TRUE, GUESS, average="weighted"),
    "jaccard_macro": sk.jaccard_score(TRUE, GUESS, average="macro"),
    "balanced_accuracy": sk.balanced_accuracy_score(TRUE, GUESS),
    "mcc": sk.matthews_corrcoef(TRUE, GUESS),
    "matthews_corrcoef": sk.matthews_corrcoef(TRUE, GUESS),
    "cohen_kappa": sk.cohen_kappa_score(TRUE, GUESS),
}


def in_batches(metric: keras.metrics.Metric) -> float:
    for part in (slice(0, 16), slice(16, 32), slice(32, 48), slice(48, 50)):
        metric.update_state(TRUE[part], LOGITS[part])
    return float(metric.result())


@pytest.mark.parametrize("name", EXPECTED)
def test_names_are_scikit_learns_scores_over_all_batches(name: str) -> None:
    assert in_batches(as_metric(name, TASK)) == pytest.approx(EXPECTED[name], abs=1e-6)


@pytest.mark.parametrize("name", SCORES)
def test_every_name_gives_a_number(name: str) -> None:
    metric = as_metric(name, TASK)
    assert metric.name == name
    assert float(metric.result()) == 0  # before the first batch
    assert -1 <= in_batches(metric) <= 1


@pytest.mark.parametrize("function", [sk.zero_one_loss, sk.accuracy_score, sk.hamming_loss])
def test_functions_of_scikit_learn_are_taken(function: Any) -> None:
    metric = as_metric(function, TASK)
    assert metric.name == function.__name__
    assert in_batches(metric) == pytest.approx(function(TRUE, GUESS), abs=1e-6)


def test_classes_that_do_not_occur_count_as_in_the_report() -> None:
    logits = np.eye(3, dtype="float32")[[0, 1, 1, 0]]
    metric = as_metric("f1_macro", TASK)
    metric.update_state(np.array([0, 1, 1, 0]), logits)
    report = TASK.report(logits, np.array([0, 1, 1, 0]))
    assert float(metric.result()) == pytest.approx(report.metrics["f1_macro"]) == 2 / 3


def test_reset_forgets() -> None:
    metric = as_metric("mcc", TASK)
    in_batches(metric)
    metric.reset_state()
    assert in_batches(metric) == pytest.approx(EXPECTED["mcc"], abs=1e-6)


def test_it_is_logged_by_fit() -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, metrics=[as_metric("f1_macro", TASK), "accuracy"])
    logs = model.fit(LOGITS, TRUE, validation_data=(LOGITS, TRUE), verbose=0).history
    guess = model.predict(LOGITS, verbose=0).argmax(axis=-1)
    expected = sk.f1_score(TRUE, guess, average="macro", zero_division=0)
    assert logs["val_f1_macro"] == [pytest.approx(expected, abs=1e-6)]
    assert logs["val_accuracy"] == [pytest.approx((guess == TRUE).mean(), abs=1e-6)]


def test_metrics_and_functions_of_keras_are_taken_as_they_are() -> None:
    auc = keras.metrics.AUC()
    assert as_metric(auc, TASK) is auc
    assert as_metric(keras.losses.mean_squared_error, TASK) is keras.losses.mean_squared_error


@pytest.mark.parametrize("task", [TASK, MultiLabel("abc"), Regression()], ids=lambda t: t.name)
def test_names_of_the_tasks_own_metrics_are_these(task: Any) -> None:
    for metric in task.metrics():
        assert type(as_metric(metric.name, task)) is type(metric)


def test_area_under_the_curve_is_over_logits() -> None:
    two = Classification("ab")
    found = as_metric("roc_auc", two)
    found.update_state(TRUE.clip(0, 1), LOGITS[:, :2])
    expected = sk.roc_auc_score(TRUE.clip(0, 1), LOGITS[:, 1] - LOGITS[:, 0])
    assert float(found.result()) == pytest.approx(expected, abs=0.02)  # of 200 thresholds
    targets = RANDOM.integers(0, 2, (50, 3))
    several = as_metric("AUC", MultiLabel("abc"))
    several.update_state(targets, LOGITS)
    assert float(several.result()) == pytest.approx(sk.roc_auc_score(targets, LOGITS), abs=0.02)


@pytest.mark.parametrize("name", ["mse", "mean_absolute_percentage_error", "MeanSquaredError"])
def test_names_of_keras_are_in_the_targets_units(name: str) -> None:
    task = Regression(mean=[10.0], scale=[3.0])
    targets, outputs = RANDOM.normal(10, 3, 20).astype("float32"), LOGITS[:20, :1]
    metric = as_metric(name, task)
    metric.update_state(targets[:7], outputs[:7])
    metric.update_state(targets[7:], outputs[7:])
    values = outputs[:, 0] * 3 + 10
    if name.startswith("mean_abs"):
        expected = 100 * np.mean(np.abs(values - targets) / np.abs(targets))
    else:
        expected = sk.mean_squared_error(targets, values)
    assert float(metric.result()) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("metric", "task", "message"),
    [
        ("f1_marco", TASK, "metric='f1_marco' is not known; .*Did you mean 'f1_macro'"),
        ("Precision", TASK, "metric='Precision' is not known; expected one of 'accuracy'"),
        ("AUC", TASK, "'auc' is for two classes during training; of 3, learner.metrics"),
        ("f1_macro", MultiLabel("ab"), "'f1_macro' compares one class a text; of a multilabel"),
        (sk.r2_score, Regression(), "'r2_score' is none that compares labels"),
        (sk.log_loss, TASK, "'log_loss' is none that compares labels .*learner.ground_truth"),
        (sk.f1_score, Regression(), "'f1_score' compares one class a text; of a regression"),
        ("msee", Regression(), "Keras knows no 'msee'. Did you mean 'mse'"),
        ("R2Score", Regression(), "'R2Score' is no mean over examples; learner.metrics"),
    ],
)
def test_what_cannot_work_is_refused(metric: Any, task: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        as_metric(metric, task)
