"""One label a text: labels of every kind, scikit-learn's numbers, weights by class."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    log_loss,
    matthews_corrcoef,
    roc_auc_score,
)
from sklearn.utils.class_weight import compute_class_weight

from ktlite.errors import ArgumentError, DataError
from ktlite.tasks import Classification

NAMES = ["neg", "so-so", "pos"]


@pytest.mark.parametrize(
    ("task", "labels", "expected"),
    [
        (Classification(NAMES), ["pos", "neg"], [2, 0]),
        (Classification(NAMES), np.array(["pos", "neg"]), [2, 0]),
        (Classification(NAMES), np.array(["pos", "neg"], object), [2, 0]),
        (Classification([0, 1]), [1, 0, 1], [1, 0, 1]),
        (Classification([3, 7, 42]), [42, 3, 7], [2, 0, 1]),
        (Classification([3, 7, 42]), np.array([7], "uint8"), [1]),
        (Classification([3, 7, 42]), [42.0, 3.0], [2, 0]),
        (Classification([3, 7, 42]), ["42", "3"], [2, 0]),
        (Classification([-1, 1]), [1, -1], [1, 0]),
        (Classification(["1", "2", "3"]), [1, 3], [0, 2]),
        (Classification([False, True]), [True, False], [1, 0]),
        (Classification(NAMES), [[0, 0, 1], [1, 0, 0]], [2, 0]),
        (Classification(NAMES), np.array([[0.0, 1.0, 0.0]]), [1]),
        (Classification(NAMES, numbered=True), [2, 0], [2, 0]),
        (Classification(NAMES, numbered=True), [2.0, 0.0], [2, 0]),
        (Classification(NAMES, numbered=True), ["pos", "neg"], [2, 0]),
        # Five stars, counted from 0: which labels a batch holds changes nothing.
        (Classification([1, 2, 3, 4, 5], numbered=True), [1, 2], [1, 2]),
        (Classification(["1", "2", "3", "4", "5"], numbered=True), [1, 2], [1, 2]),
        (Classification(NAMES), [], []),
    ],
)
def test_label_becomes_its_class_number(
    task: Classification, labels: Any, expected: list[int]
) -> None:
    targets = task.encode(labels)
    assert targets.tolist() == expected
    assert targets.dtype == np.int32


@pytest.mark.parametrize(
    ("classes", "labels", "message"),
    [
        (NAMES, ["pos", "bad", "ned"], r"classes neg, so-so, pos: bad, ned\. A"),
        (NAMES, ["ned", "ned"], r"pos: ned\. Did you mean 'neg'\?"),
        (NAMES, [0, 1], r"pos: 0, 1\."),
        (NAMES, ["pos", None], r"pos: None\."),
        ([3, 7, 42], [3, 8], r"classes 3, 7, 42: 8\."),
        ([3, 7, 42], [3.5], r"3, 7, 42: 3\.5\."),
        ([3, 7, 42], [0, 1, 2], r"3, 7, 42: 0, 1, 2\."),
        (NAMES, list("abcdefghijkl"), r"j, \.\.\. \(12 in all\)"),
    ],
)
def test_unknown_labels_are_listed_beside_the_classes(
    classes: list[Any], labels: list[Any], message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        Classification(classes).encode(labels, "val.csv")
    assert str(caught.value).startswith("val.csv: labels that are not among the classes ")
    assert "add such texts to it" in str(caught.value)


@pytest.mark.parametrize("labels", [[0, 3], [-1], [0.5], [float("nan")]])
def test_position_outside_the_classes_is_refused(labels: list[Any]) -> None:
    task = Classification(NAMES, numbered=True)
    with pytest.raises(DataError, match=r"^val\.csv: .*neg, so-so, pos.* 0 to 2; found "):
        task.encode(labels, "val.csv")


@pytest.mark.parametrize(
    "matrix",
    [
        [[1, 0]],
        [[1, 0, 0, 0]],
        [[1, 1, 0]],
        [[0, 0, 0]],
        [[0.5, 0.5, 0]],
        [[2, 0, -1]],
        [["1", "0", "0"]],
    ],
)
def test_matrix_that_is_not_one_hot_is_refused(matrix: Any) -> None:
    with pytest.raises(DataError, match=r"one-hot, \[texts, 3\].*task='multilabel'"):
        Classification(NAMES).encode(matrix)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ([], "at least two classes, got none"),
        (["pos"], "at least two classes, got pos"),
        (["pos", "neg", "pos"], "listed twice: pos, neg, pos"),
    ],
)
def test_classes_must_be_two_or_more_and_distinct(classes: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Classification(classes)


def test_numpy_classes_become_plain_ones() -> None:
    assert [type(c) for c in Classification(np.array([3, 7])).classes] == [int, int]
    assert [type(c) for c in Classification(np.array(["a", "b"])).classes] == [str, str]


# Numbers


def random_answers(seed: int, rows: int = 200) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.normal(0, 3, (rows, 3)).astype("float32"), random.integers(0, 3, rows)


@pytest.mark.parametrize("seed", range(3))
def test_report_is_scikit_learns(seed: int) -> None:
    logits, targets = random_answers(seed)
    task = Classification(NAMES)
    report, predicted = task.report(logits, targets), logits.argmax(axis=1)
    probabilities = softmax(logits.astype("float64"), axis=1)
    np.testing.assert_allclose(task.probabilities(logits), probabilities, atol=1e-7)
    assert report.metrics == pytest.approx(
        {
            "loss": log_loss(targets, probabilities, labels=[0, 1, 2]),
            "accuracy": accuracy_score(targets, predicted),
            "f1_macro": f1_score(targets, predicted, average="macro"),
            "f1_micro": f1_score(targets, predicted, average="micro"),
            "f1_weighted": f1_score(targets, predicted, average="weighted"),
            "mcc": matthews_corrcoef(targets, predicted),
            "roc_auc": roc_auc_score(targets, probabilities, multi_class="ovr"),
        },
        rel=1e-5,
    )
    assert report.result.tolist() == confusion_matrix(targets, predicted).tolist()
    assert all(name in report.text for name in NAMES)


def test_report_counts_classes_that_the_data_lacks() -> None:
    logits = np.array([[5.0, 0, 0], [5.0, 0, 0], [0, 5.0, 0]])
    report = Classification(NAMES).report(logits, np.array([0, 0, 0]))
    assert report.result.tolist() == [[2, 1, 0], [0, 0, 0], [0, 0, 0]]
    assert report.metrics["accuracy"] == pytest.approx(2 / 3)
    assert report.metrics["f1_macro"] == pytest.approx((0.8 + 0 + 0) / 3)


def test_probabilities_do_not_overflow() -> None:
    with np.errstate(all="raise", under="ignore"):
        probabilities = Classification(NAMES).probabilities(np.array([[1e4, 0, -1e4]]))
    assert probabilities.tolist() == [[1, 0, 0]]
    assert probabilities.dtype == np.float32


def test_decoding_gives_the_labels_as_they_were() -> None:
    logits = np.array([[0, 1, 0], [0, 0, 1], [1, 0, 0]])
    assert Classification(NAMES).decode(logits) == ["so-so", "pos", "neg"]
    assert Classification([3, 7, 42]).decode(logits) == [7, 42, 3]
    assert Classification([3, 7, 42]).decode_targets(np.array([2, 0])) == [42, 3]


# Weights


@pytest.mark.parametrize("counts", [(5, 5, 5), (100, 10, 1), (7, 200, 3)])
def test_balanced_weights_are_scikit_learns(counts: tuple[int, ...]) -> None:
    targets = np.repeat([0, 1, 2], counts)
    weights = Classification(NAMES).class_weights("balanced", targets)
    expected = compute_class_weight("balanced", classes=np.arange(3), y=targets)
    assert weights == pytest.approx(dict(enumerate(expected)))


def test_balanced_weights_of_a_class_without_texts_are_finite() -> None:
    assert Classification(NAMES).class_weights("balanced", np.array([0, 0, 1])) == pytest.approx(
        {0: 0.5, 1: 1.0, 2: 1.0}
    )


@pytest.mark.parametrize(
    ("task", "weights", "expected"),
    [
        (Classification(NAMES), {"pos": 2.5}, {0: 1, 1: 1, 2: 2.5}),
        (Classification(NAMES), {0: 3, 2: np.float32(0.5)}, {0: 3, 1: 1, 2: 0.5}),
        (Classification(NAMES), {np.int64(1): 0}, {0: 1, 1: 0, 2: 1}),
        (Classification([3, 7, 42]), {42: 2, np.int64(3): 5}, {0: 5, 1: 1, 2: 2}),
        (Classification([1, 2, 3]), {1: 10}, {0: 10, 1: 1, 2: 1}),
        (Classification(NAMES), {}, {0: 1, 1: 1, 2: 1}),
    ],
)
def test_weights_go_by_class(
    task: Classification, weights: dict[Any, Any], expected: dict[int, float]
) -> None:
    assert task.class_weights(weights, np.zeros(1, int)) == expected


def test_bad_weights_are_all_named() -> None:
    with pytest.raises(ArgumentError) as caught:
        Classification(NAMES).class_weights(
            {"poss": 1, 3: 1, "neg": -1, "pos": "2", "so-so": float("nan")}, np.zeros(1, int)
        )
    for part in [
        "5 problems",
        "'poss' is no class; classes are neg, so-so, pos. Did you mean 'pos'?",
        "3 is no class",
        "the weight of 'neg' is -1",
        "the weight of 'pos' is '2'",
        "the weight of 'so-so' is nan",
    ]:
        assert part in str(caught.value)


def test_position_is_no_class_where_classes_are_integers() -> None:
    # {0: 1, 1: 5, 2: 9} would put 5 on the first class and 9 on the second.
    with pytest.raises(ArgumentError, match="0 is no class; classes are 1, 2, 3"):
        Classification([1, 2, 3]).class_weights({0: 1, 1: 5, 2: 9}, np.zeros(1, int))


@pytest.mark.parametrize("weights", ["balance", 2.0, [1, 2, 3], np.ones(3)])
def test_weights_of_another_kind_are_refused(weights: Any) -> None:
    with pytest.raises(ArgumentError, match="'balanced' or a dict.*{'neg': 2.0}"):
        Classification(NAMES).class_weights(weights, np.zeros(1, int))
