"""Any number of labels a text: each class on its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import f1_score, log_loss, multilabel_confusion_matrix, roc_auc_score

from ktlite.errors import DataError
from ktlite.tasks import MultiLabel

NAMES = ["toxic", "threat", "insult"]


def random_answers(seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    logits = random.normal(0, 3, (100, 3)).astype("float32")
    return logits, random.integers(0, 2, (100, 3)).astype("float32")


@pytest.mark.parametrize(
    "labels",
    [
        [[1, 0, 1], [0, 0, 0]],
        np.array([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]]),
        np.array([[True, False, True], [False, False, False]]),
    ],
)
def test_matrix_of_zeros_and_ones_becomes_float_targets(labels: Any) -> None:
    targets = MultiLabel(NAMES).encode(labels)
    assert targets.tolist() == [[1, 0, 1], [0, 0, 0]]
    assert targets.dtype == np.float32


@pytest.mark.parametrize(
    "labels", [[1, 0, 1], [[1, 0]], [[1, 0, 2]], [[0.5, 0, 1]], [["toxic", "insult", ""]]]
)
def test_other_labels_are_refused(labels: Any) -> None:
    with pytest.raises(DataError, match=r"\[texts, 3\], one column for each of toxic, threat, in"):
        MultiLabel(NAMES).encode(labels)


@pytest.mark.parametrize(("classes", "got"), [([], "none"), (["a", "a"], "a, a")])
def test_classes_must_be_distinct(classes: list[str], got: str) -> None:
    with pytest.raises(DataError, match=f"expected distinct classes, got {got}"):
        MultiLabel(classes)


@pytest.mark.parametrize("seed", range(3))
def test_report_is_scikit_learns(seed: int) -> None:
    logits, targets = random_answers(seed)
    report, predicted = MultiLabel(NAMES).report(logits, targets), (logits > 0).astype(int)
    truth, probabilities = targets.astype(int), expit(logits.astype("float64"))
    per_class = [log_loss(truth[:, i], probabilities[:, i], labels=[0, 1]) for i in range(3)]
    assert report.metrics == pytest.approx(
        {
            "loss": np.mean(per_class),
            "binary_accuracy": (truth == predicted).mean(),
            "f1_micro": f1_score(truth, predicted, average="micro"),
            "f1_macro": f1_score(truth, predicted, average="macro"),
            "f1_weighted": f1_score(truth, predicted, average="weighted"),
            "roc_auc": roc_auc_score(truth, probabilities, average="macro"),
        },
        rel=1e-6,
    )
    expected = multilabel_confusion_matrix(truth, predicted)
    assert report.result.tolist() == expected.tolist()
    assert all(name in report.text for name in NAMES)


def test_probabilities_are_independent_and_do_not_overflow() -> None:
    logits = np.array([[1e4, 0.0, -1e4], [2.0, -3.0, 0.5]])
    with np.errstate(all="raise", under="ignore"):
        probabilities = MultiLabel(NAMES).probabilities(logits)
    assert probabilities.dtype == np.float32
    assert probabilities[0].tolist() == [1, 0.5, 0]
    assert probabilities[1] == pytest.approx(expit(logits[1]))


def test_prediction_is_every_class_with_its_probability() -> None:
    task = MultiLabel(NAMES)
    logits = np.array([[2.0, -3.0, 0.5]])
    [[*pairs]] = task.decode(logits)
    assert [name for name, _ in pairs] == NAMES
    assert [p for _, p in pairs] == pytest.approx(task.probabilities(logits)[0].tolist())
    assert {type(p) for _, p in pairs} == {float}


def test_targets_read_as_the_classes_that_are_on() -> None:
    targets = np.array([[1, 0, 1], [0, 0, 0]], "float32")
    assert MultiLabel(NAMES).decode_targets(targets) == [["toxic", "insult"], []]


# Thresholds


@pytest.mark.parametrize("seed", range(5))
def test_tuned_thresholds_give_the_highest_f1_of_each_class(seed: int) -> None:
    logits, targets = random_answers(seed)
    task = MultiLabel(NAMES)
    task.tune_thresholds(logits, targets)
    predicted = expit(logits.astype("float64")) >= task.thresholds
    for i in range(3):
        cuts = [logits[:, i] >= cut for cut in logits[:, i]]
        best = max(f1_score(targets[:, i], cut) for cut in cuts)
        assert f1_score(targets[:, i], predicted[:, i]) == pytest.approx(best)
    f1 = task.report(logits, targets).metrics["f1_macro"]
    assert f1 == pytest.approx(f1_score(targets, predicted, average="macro"))
    assert f1 >= MultiLabel(NAMES).report(logits, targets).metrics["f1_macro"]


def test_a_class_without_texts_keeps_its_threshold() -> None:
    task = MultiLabel(["a", "b"])
    task.tune_thresholds(np.array([[3.0, -1.0], [-2.0, 2.0]]), np.array([[1.0, 0], [0, 0]]))
    assert task.thresholds[1] == 0.5
    assert expit(-2.0) < task.thresholds[0] < expit(3.0)


def test_thresholds_decide_and_are_saved() -> None:
    task = MultiLabel.from_config(MultiLabel(NAMES, [0.9, 0.5, 0.1]).get_config())
    logits = np.array([[2.0, 0.5, -2.0]])  # 0.88, 0.62, 0.12

    def run(texts: Any) -> np.ndarray:
        return logits.repeat(len(texts), axis=0)

    assert task.predict("a", run, return_labels=True) == ["threat", "insult"]
    assert task.predict(["a", "b"], run, return_labels=True) == [["threat", "insult"]] * 2
    assert [name for name, _ in task.predict("a", run)] == NAMES
    assert task.report(logits, np.array([[0.0, 1, 1]])).metrics["f1_micro"] == 1
    (accuracy,) = task.metrics()
    accuracy.update_state(np.array([[0.0, 1, 1]]), logits)
    assert float(accuracy.result()) == 1


@pytest.mark.parametrize("thresholds", [[0.5, 0.5], [0, 0.5, 0.5], [1, 0.5, 0.5], [np.nan] * 3])
def test_thresholds_must_be_probabilities(thresholds: list[float]) -> None:
    with pytest.raises(DataError, match="above 0 and below 1 for each of 3 classes"):
        MultiLabel(NAMES, thresholds)
