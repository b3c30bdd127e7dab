"""Confidence intervals: those of scipy's bootstrap, and wide enough in simulations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import bootstrap, norm

from ktlite.errors import ArgumentError
from ktlite.evaluation import Outputs, confidence_intervals, interval_table, level_of
from ktlite.tasks import Classification, MultiLabel, Regression

RANDOM = np.random.default_rng(7)


def classified(count: int, accuracy: float, random: np.random.Generator) -> Outputs:
    targets = random.integers(2, size=count)
    right = random.random(count) < accuracy
    predicted = np.where(right, targets, 1 - targets)
    return Outputs(Classification("ab"), 2.0 * np.eye(2)[predicted], targets, None)


def test_intervals_are_those_of_scipy() -> None:
    outputs = classified(400, 0.8, RANDOM)
    right = outputs.logits.argmax(axis=1) == outputs.known_targets()
    expected = bootstrap(
        (right,), np.mean, n_resamples=5000, method="percentile", rng=RANDOM, confidence_level=0.9
    ).confidence_interval
    low, high = confidence_intervals(outputs, 0.9)["accuracy"]
    assert low == pytest.approx(expected.low, abs=0.006)
    assert high == pytest.approx(expected.high, abs=0.006)


def test_they_are_the_same_each_time_and_wider_for_higher_levels() -> None:
    outputs = classified(200, 0.7, RANDOM)
    found = confidence_intervals(outputs)
    assert confidence_intervals(outputs) == found
    wide = confidence_intervals(outputs, 0.99)
    for name, value in outputs.task.report(outputs.logits, outputs.targets).metrics.items():
        assert wide[name][0] < found[name][0] < value < found[name][1] < wide[name][1]


def test_they_hold_the_true_accuracy_as_often_as_they_say() -> None:
    held = 0
    for seed in range(40):
        outputs = classified(150, 0.8, np.random.default_rng(seed))
        low, high = confidence_intervals(outputs, 0.9)["accuracy"]
        held += low <= 0.8 <= high
    # Of 40, 36 on average; below 30 in one of 500 cases.
    assert 30 <= held <= 40


def test_errors_of_numbers_have_the_width_of_theory() -> None:
    truth = RANDOM.normal(size=500)
    outputs = Outputs(Regression(), (truth + RANDOM.normal(size=500))[:, None], truth, None)
    low, high = confidence_intervals(outputs)["mae"]
    off = np.abs(outputs.logits[:, 0] - truth)
    half = norm.ppf(0.975) * off.std() / np.sqrt(500)
    assert (high - low) / 2 == pytest.approx(half, rel=0.15)


def test_a_figure_that_is_not_defined_has_no_interval() -> None:
    outputs = Outputs(Classification("abc"), RANDOM.normal(size=(20, 3)), np.arange(20) % 2, None)
    assert np.isnan(confidence_intervals(outputs)["roc_auc"]).all()


def test_a_class_that_some_samples_lack_still_has_an_interval() -> None:
    targets = np.zeros((30, 2), "float32")
    targets[0, 0] = targets[:15, 1] = 1
    outputs = Outputs(MultiLabel("ab"), RANDOM.normal(size=(30, 2)), targets, None)
    low, high = confidence_intervals(outputs)["roc_auc"]
    assert 0 <= low < high <= 1


def test_examples_are_measured_once_for_all_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    outputs, measured = classified(200, 0.8, RANDOM), []
    measure = Classification.measure

    def count(self: Any, logits: Any, targets: Any) -> Any:
        measured.append(len(logits))
        return measure(self, logits, targets)

    monkeypatch.setattr(Classification, "measure", count)
    assert set(confidence_intervals(outputs)) >= {"accuracy", "loss"}
    assert measured == [200]


def test_the_table_shows_value_and_interval() -> None:
    table = interval_table(
        {"accuracy": 0.8, "mcc": 0.5}, {"accuracy": (0.7, 0.9), "mcc": (0, 1)}, 0.9
    )
    assert table.splitlines() == [
        "90 % confidence intervals (1,000 bootstrap samples)",
        "accuracy    0.8000  [0.7000, 0.9000]",
        "     mcc    0.5000  [0.0000, 1.0000]",
    ]


@pytest.mark.parametrize("ci", [0, 1, 95, "yes"])
def test_levels_are_shares(ci: Any) -> None:
    with pytest.raises(ArgumentError, match="validate: ci=.*expected more than 0, below 1"):
        level_of("validate", ci)
    assert level_of("validate", True) == 0.95
    assert level_of("validate", False) is None
    assert level_of("validate", 0.9) == 0.9
