"""Temperatures, calibration errors, and sets that hold the truth as often as they promise."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from scipy.special import expit, softmax
from sklearn.calibration import calibration_curve

from ktlite.errors import ArgumentError
from ktlite.tasks import (
    Classification,
    MultiLabel,
    QuestionAnswering,
    Regression,
    Similarity,
    TokenClassification,
)
from ktlite.tasks.arrays import ragged
from ktlite.tasks.calibration import KEPT, Calibration, Reliability

RANDOM = np.random.default_rng(11)


def drawn(count: int, classes: int, sharpness: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns logits that are `sharpness` times too large, and classes drawn from the true ones."""
    logits = RANDOM.normal(0, 1.5, (count, classes))
    chances = softmax(logits, axis=1)
    targets = (chances.cumsum(axis=1) > RANDOM.random((count, 1))).argmax(axis=1)
    return (logits * sharpness).astype("float32"), targets.astype("int32")


# ---------------------------------------------------------------- how often predictions are right


def test_bins_are_those_of_scikit_learn() -> None:
    confidence = RANDOM.random(500)
    right = RANDOM.random(500) < confidence**2
    found = Reliability.of(confidence, right)
    accuracy, mean = calibration_curve(right, confidence, n_bins=15)
    there = found.counts > 0
    np.testing.assert_allclose(found.accuracy[there], accuracy)
    np.testing.assert_allclose(found.confidence[there], mean)


def test_the_error_is_the_mean_distance_of_confidence_and_accuracy() -> None:
    confidence = np.array([0.95, 0.99, 0.61, 0.65, 0.0, 1.0])
    right = np.array([True, False, True, True, False, True])
    # In (14/15, 1]: 0.95, 0.99, 1.0; in (9/15, 10/15]: 0.61, 0.65; in the first bin: 0.
    expected = (3 * abs(0.98 - 2 / 3) + 2 * abs(0.63 - 1) + 0) / 6
    found = Reliability.of(confidence, right)
    assert found.error == pytest.approx(expected)
    assert found.counts.tolist() == [1, *[0] * 8, 2, *[0] * 4, 3]


# --------------------------------------------------------------------------------- temperature


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_the_temperature_takes_back_what_is_too_sure(sharpness: float) -> None:
    task = Classification("abcd")
    logits, targets = drawn(20_000, 4, sharpness)
    before = task.reliability(logits, targets).error
    predicted = task.decode(logits)
    task.calibrate(logits, targets)
    assert task.calibration.temperature == pytest.approx(sharpness, rel=0.05)
    assert task.reliability(logits, targets).error < max(0.012, before / 5)
    assert task.decode(logits) == predicted
    expected = softmax(logits / task.calibration.temperature, axis=1)
    np.testing.assert_allclose(task.probabilities(logits), expected, rtol=1e-4)
    task.forget_calibration()
    np.testing.assert_allclose(task.probabilities(logits), softmax(logits, axis=1), rtol=1e-4)


def test_several_labels_share_a_temperature_and_keep_their_decisions() -> None:
    task = MultiLabel("abc", thresholds=[0.5, 0.2, 0.9])
    true_logits = RANDOM.normal(0, 1.5, (8000, 3))
    targets = (RANDOM.random((8000, 3)) < expit(true_logits)).astype("float32")
    logits = (2 * true_logits).astype("float32")
    run = lambda texts: logits  # noqa: E731
    texts = ["x"] * 8000
    decided = task.predict(texts, run, return_labels=True)
    task.calibrate(logits, targets)
    assert task.calibration.temperature == pytest.approx(2, rel=0.05)
    assert task.predict(texts, run, return_labels=True) == decided
    np.testing.assert_allclose(
        task.probabilities(logits), expit(logits / task.calibration.temperature), rtol=1e-4
    )
    least = np.log(task.thresholds) - np.log1p(-task.thresholds)
    expected = np.log([1, 0.2 / 0.8, 0.9 / 0.1])
    np.testing.assert_allclose(least * task.calibration.temperature, expected, atol=1e-6)
    task.tune_thresholds(logits, targets)
    again = MultiLabel.from_config(json.loads(json.dumps(task.get_config())))
    assert again.decode(logits[:5]) == task.decode(logits[:5])
    assert again.predict(texts, run, return_labels=True) == task.predict(
        texts, run, return_labels=True
    )


def test_tags_have_a_temperature_over_words() -> None:
    task = TokenClassification(["N", "V", "A"])
    logits, targets = drawn(9000, 3, 2.0)
    rows = ragged(np.split(logits, 3000)), ragged(np.split(targets, 3000))
    task.calibrate(*rows)
    assert task.calibration.temperature == pytest.approx(2, rel=0.07)
    chances = task.probabilities(rows[0])[0]
    expected = softmax(rows[0][0] / task.calibration.temperature, axis=1)
    np.testing.assert_allclose(chances, expected, rtol=1e-4)
    assert task.reliability(*rows).error < 0.02
    again = TokenClassification.from_config(json.loads(json.dumps(task.get_config())))
    assert again.calibration == task.calibration


# ----------------------------------------------------------------------------------------- sets


def test_the_limit_is_the_score_of_the_rank_that_the_proof_asks_for() -> None:
    scores = np.arange(1, 20) / 20  # 19 of them
    calibration = Calibration.of_scores(RANDOM.permutation(scores))
    assert calibration.limit(0.9) == 18 / 20  # ceil(20 * 0.9) = 18
    assert calibration.limit(0.95) == 19 / 20
    assert calibration.limit(0.5) == 10 / 20
    with pytest.raises(ArgumentError, match="coverage=0.96 takes at least 24 calibration examples"):
        calibration.limit(0.96)


def test_of_many_scores_few_are_kept_and_sets_never_shrink() -> None:
    scores = RANDOM.random(54_321)
    calibration, ordered = Calibration.of_scores(scores), np.sort(scores)
    assert len(calibration.scores) == KEPT
    for coverage in (0.01, 0.5, 0.9, 0.95, 0.99, 0.9999):
        exact = int(np.ceil((len(scores) + 1) * coverage))
        found = int(np.searchsorted(ordered, calibration.limit(coverage))) + 1
        assert 0 <= found - exact <= len(scores) / KEPT + 1


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
@pytest.mark.parametrize("sharpness", [0.5, 3.0])
def test_sets_hold_the_truth_as_often_as_they_promise(coverage: float, sharpness: float) -> None:
    task = Classification("abcdef")
    covered = []
    for _ in range(30):
        logits, targets = drawn(1500, 6, sharpness)
        task.calibrate(logits[:500], targets[:500])
        sets = task.sets(logits[500:], coverage)
        truth = task.decode_targets(targets[500:])
        covered.append(
            np.mean([label in labels for label, labels in zip(truth, sets, strict=True)])
        )
    assert np.mean(covered) == pytest.approx(coverage, abs=0.01)


def test_sets_begin_with_the_prediction_and_are_never_empty() -> None:
    task = Classification("abc", calibration={"temperature": 1, "scores": [0.3] * 9, "count": 9})
    logits = np.log([[0.2, 0.1, 0.7], [0.4, 0.35, 0.25], [0.05, 0.9, 0.05]])
    assert task.sets(logits, 0.8) == [["c"], ["a"], ["b"]]
    task.calibration = Calibration.of_scores([0.7] * 9)
    assert task.sets(logits, 0.8) == [["c"], ["a", "b"], ["b"]]


@pytest.mark.parametrize("names", [(), ("stars", "price")])
def test_intervals_of_numbers_hold_the_truth(names: tuple[str, ...]) -> None:
    width = len(names) or 1
    task = Regression(names, mean=[5.0, 100][:width], scale=[2.0, 50][:width])
    covered = []
    for _ in range(30):
        outputs = RANDOM.normal(size=(1500, width))
        truth = task.mean + task.scale * (outputs + RANDOM.standard_t(3, outputs.shape))
        targets = truth[:, 0] if width == 1 else truth
        task.calibrate(outputs[:500], targets[:500])
        ends = np.array(task.sets(outputs[500:], 0.9)).reshape(1000, width, 2)
        inside = (ends[..., 0] <= truth[500:]) & (truth[500:] <= ends[..., 1])
        covered.append(inside.all(axis=1).mean())
        np.testing.assert_allclose(ends.mean(axis=-1)[:, 0], np.array(
            task.decode(outputs[500:])).reshape(1000, width)[:, 0])  # fmt: skip
    assert np.mean(covered) == pytest.approx(0.9, abs=0.01)
    one = task.sets(outputs[:1], 0.9)[0]
    assert isinstance(one, tuple) if width == 1 else [len(pair) for pair in one] == [2, 2]


def test_the_config_keeps_sets() -> None:
    task = Classification("abc")
    assert "calibration" not in task.get_config()
    logits, targets = drawn(5000, 3, 2.0)
    task.calibrate(logits, targets)
    config = json.loads(json.dumps(task.get_config()))
    again = Classification.from_config(config)
    assert again.sets(logits, 0.9) == task.sets(logits, 0.9)
    np.testing.assert_array_equal(again.probabilities(logits), task.probabilities(logits))
    renamed = task.renamed(["x", "y", "z"])
    np.testing.assert_array_equal(renamed.probabilities(logits), task.probabilities(logits))


@pytest.mark.parametrize("coverage", [0, 1, -0.1, 90, "0.9"])
def test_coverage_is_a_share(coverage: Any) -> None:
    with pytest.raises(ArgumentError, match="coverage=.*expected more than 0, below 1"):
        Calibration.of_scores([0.1]).limit(coverage)


# ----------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize("task", [Classification("ab"), Regression()], ids=lambda task: task.name)
def test_sets_need_a_calibration(task: Any) -> None:
    with pytest.raises(ArgumentError, match=r"learner.calibrate\(\)"):
        task.sets(np.zeros((1, task.outputs)), 0.9)


@pytest.mark.parametrize(
    "task",
    [MultiLabel("ab"), TokenClassification("ab"), QuestionAnswering(), Similarity()],
    ids=lambda task: task.name,
)
def test_tasks_without_sets_say_so(task: Any) -> None:
    with pytest.raises(ArgumentError, match=f"a {task.name} task gives no sets"):
        task.sets(np.zeros((1, 2)), 0.9)


@pytest.mark.parametrize("task", [QuestionAnswering(), Similarity()], ids=lambda task: task.name)
def test_tasks_without_certainty_say_so(task: Any) -> None:
    with pytest.raises(ArgumentError, match=f"a {task.name} task cannot be calibrated"):
        task.calibrate(np.zeros((1, 2)), np.zeros(1))
    for one in (task, Regression()):
        with pytest.raises(ArgumentError, match=f"a {one.name} task gives no probabilities"):
            one.reliability(np.zeros((1, 1)), np.zeros(1))
