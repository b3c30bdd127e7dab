"""Losses of classes, compared with NumPy and with Keras' own over one-hot targets."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from ktlite.errors import ArgumentError
from ktlite.tasks import Classification, MultiLabel, Regression, TokenClassification, focal_loss

RANDOM = np.random.default_rng(3)
LOGITS = RANDOM.normal(0, 3, (6, 4)).astype("float32")
CLASSES = np.array([0, 3, 1, 1, 2, 0], "int32")
ONE_HOT = np.eye(4, dtype="float32")[CLASSES]


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits.astype("float64"))
    return powers / powers.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 5])
def test_focal_loss_is_that_of_its_paper(gamma: float) -> None:
    p = softmax(LOGITS)[np.arange(6), CLASSES]
    expected = (-((1 - p) ** gamma) * np.log(p)).mean()
    assert float(focal_loss(gamma)(CLASSES, LOGITS)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_smoothed_cross_entropy_is_keras(smoothing: float) -> None:
    standard = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)
    found = Classification("abcd").custom_loss(label_smoothing=smoothing)(CLASSES, LOGITS)
    assert float(found) == pytest.approx(float(standard(ONE_HOT, LOGITS)), rel=1e-5)


def test_smoothed_focal_loss_is_keras() -> None:
    standard = keras.losses.CategoricalFocalCrossentropy(
        alpha=1.0, gamma=2.0, from_logits=True, label_smoothing=0.1
    )
    found = Classification("abcd").custom_loss("focal", 0.1)(CLASSES, LOGITS)
    assert float(found) == pytest.approx(float(standard(ONE_HOT, LOGITS)), rel=1e-4)


def test_losses_take_columns_of_class_numbers_and_weights() -> None:
    weights = np.array([1, 0, 2, 0, 1, 3], "float32")
    loss = focal_loss(2.0)
    each = [float(loss(CLASSES[i : i + 1], LOGITS[i : i + 1])) for i in range(6)]
    found = float(loss(CLASSES[:, None], LOGITS, sample_weight=weights))
    assert found == pytest.approx((np.array(each) * weights).mean(), rel=1e-5)


@pytest.mark.parametrize("logits", [[[1000.0, -1000, 0, 0]], [[-1000.0, 1000, 0, 0]]])
def test_focal_loss_stays_finite_where_the_model_is_certain(logits: Any) -> None:
    assert np.isfinite(float(focal_loss()(np.array([0]), np.array(logits, "float32"))))


def test_losses_of_several_labels_by_name() -> None:
    targets = RANDOM.integers(0, 2, (6, 4)).astype("float32")
    task = MultiLabel("abcd")
    standard = keras.losses.BinaryFocalCrossentropy(from_logits=True)
    focal = float(task.custom_loss("focal")(targets, LOGITS))
    assert focal == pytest.approx(float(standard(targets, LOGITS)), rel=1e-6)
    smooth = keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.2)
    found = float(task.custom_loss(label_smoothing=0.2)(targets, LOGITS))
    assert found == pytest.approx(float(smooth(targets, LOGITS)), rel=1e-6)


@pytest.mark.parametrize("name", ["mae", "huber", "log_cosh", keras.losses.Huber(delta=0.5)])
def test_losses_of_numbers_are_keras_over_standardised_targets(name: Any) -> None:
    task = Regression(mean=[10.0], scale=[4.0])
    targets = RANDOM.normal(10, 4, 6).astype("float32")
    outputs = RANDOM.normal(0, 1, (6, 1)).astype("float32")
    standard = keras.losses.get(name)
    expected = np.mean(standard((targets[:, None] - 10) / 4, outputs))
    assert float(task.custom_loss(name)(targets, outputs)) == pytest.approx(expected, rel=1e-5)


def test_functions_and_keras_losses_are_taken_as_they_are() -> None:
    def loss(y_true: Any, y_pred: Any) -> Any:
        return y_pred

    poly = keras.losses.Poisson()
    for task in (Classification("ab"), MultiLabel("ab")):
        assert task.custom_loss(loss) is loss
        assert task.custom_loss(poly) is poly


@pytest.mark.parametrize(
    ("task", "arguments", "message"),
    [
        (Classification("ab"), ("focl",), r"'cross_entropy', 'focal'\. Did you mean 'focal'"),
        (Classification("ab"), (None, 1.0), r"label_smoothing=1.0; expected 0 to below 1"),
        (Classification("ab"), (len, 0.1), "label_smoothing=0.1 goes with the losses of a class"),
        (MultiLabel("ab"), ("hinge",), "loss='hinge' .* 'binary_cross_entropy', 'focal'"),
        (Regression(), ("hubber",), "loss='hubber': Keras knows no such loss"),
        (Regression(), (None, 0.1), "a regression task has no labels to smooth"),
        (TokenClassification(["A", "B"]), (None, 0.1), "token-classification task has no labels"),
    ],
)
def test_what_is_not_known_is_refused(task: Any, arguments: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        task.custom_loss(*arguments)


def test_gamma_must_be_a_number() -> None:
    with pytest.raises(ArgumentError, match=r"(?s)gamma=-1; expected 0 or more.*label_smoothing=2"):
        focal_loss(-1, 2)
