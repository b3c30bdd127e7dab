"""What a compiled loss says about a model's outputs and its targets."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from ktlite.errors import ArgumentError
from ktlite.tasks import Classification, MultiLabel, Regression
from ktlite.training.generic import read_model

ROWS = 6
RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(ROWS, 3))
LOGIT = RNG.normal(size=(ROWS, 1))
SOFTMAX = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
INDICES = np.array([0, 2, 1, 1, 0, 2])
BITS = np.array([0, 1, 1, 0, 1, 0])
ONE_HOT = np.eye(3)[INDICES]
MATRIX = np.array([[0, 1, 1], [1, 0, 0], [0, 0, 0], [1, 1, 1], [0, 0, 1], [1, 0, 1]], "float32")


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def compiled(loss: Any, outputs: int = 3) -> Any:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(outputs)])
    model.compile("sgd", loss=loss)
    return model


def class_probabilities(rows: np.ndarray) -> np.ndarray:
    return np.hstack([1 - rows, rows])


@pytest.mark.parametrize(
    ("loss", "outputs", "kind", "probabilities"),
    [
        ("sparse_categorical_crossentropy", SOFTMAX, Classification, SOFTMAX),
        (keras.losses.sparse_categorical_crossentropy, SOFTMAX, Classification, SOFTMAX),
        (keras.losses.SparseCategoricalCrossentropy(), SOFTMAX, Classification, SOFTMAX),
        (
            keras.losses.SparseCategoricalCrossentropy(from_logits=True, name="mine"),
            LOGITS,
            Classification,
            SOFTMAX,
        ),
        ("categorical_crossentropy", SOFTMAX, Classification, SOFTMAX),
        (
            keras.losses.CategoricalCrossentropy(from_logits=True),
            LOGITS,
            Classification,
            SOFTMAX,
        ),
        (
            "binary_crossentropy",
            sigmoid(LOGIT),
            Classification,
            class_probabilities(sigmoid(LOGIT)),
        ),
        (
            keras.losses.BinaryCrossentropy(from_logits=True),
            LOGIT,
            Classification,
            class_probabilities(sigmoid(LOGIT)),
        ),
        ("binary_crossentropy", sigmoid(LOGITS), MultiLabel, sigmoid(LOGITS)),
        (keras.losses.BinaryCrossentropy(from_logits=True), LOGITS, MultiLabel, sigmoid(LOGITS)),
    ],
)
def test_outputs_are_read_as_the_loss_reads_them(
    loss: Any, outputs: np.ndarray, kind: type, probabilities: np.ndarray
) -> None:
    width = outputs.shape[1]
    reading = read_model(compiled(loss, width), width)
    assert type(reading.task) is kind
    found = reading.task.probabilities(reading.logits(outputs.astype("float32")))
    np.testing.assert_allclose(found, probabilities, rtol=1e-5)


@pytest.mark.parametrize(
    ("loss", "outputs", "targets", "width"),
    [
        ("sparse_categorical_crossentropy", SOFTMAX, INDICES, 3),
        ("categorical_crossentropy", SOFTMAX, ONE_HOT, 3),
        ("binary_crossentropy", sigmoid(LOGIT), BITS, 1),
        ("binary_crossentropy", sigmoid(LOGITS), MATRIX, 3),
        ("mean_squared_error", LOGIT, BITS, 1),
    ],
)
def test_row_losses_are_those_of_keras(
    loss: str, outputs: np.ndarray, targets: np.ndarray, width: int
) -> None:
    outputs = outputs.astype("float32")
    reading = read_model(compiled(loss, width), width)
    found = reading.task.example_losses(reading.logits(outputs), reading.targets(targets))
    column = targets if targets.ndim == 2 or loss.startswith("sparse") else targets[:, None]
    np.testing.assert_allclose(found, keras.losses.get(loss)(column, outputs), rtol=1e-4)


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_certain_outputs_have_finite_logits(probability: float) -> None:
    for width in (1, 3):
        reading = read_model(compiled("binary_crossentropy", width), width)
        assert np.isfinite(reading.logits(np.full((2, width), probability, "float32"))).all()
    reading = read_model(compiled("categorical_crossentropy"), 3)
    assert np.isfinite(reading.logits(np.eye(3, dtype="float32"))).all()


@pytest.mark.parametrize("dtype", ["int64", "float32", "bool"])
@pytest.mark.parametrize("shape", [(ROWS,), (ROWS, 1)])
def test_class_numbers_may_be_of_any_type_and_a_column(shape: tuple[int, ...], dtype: str) -> None:
    reading = read_model(compiled("binary_crossentropy", 1), 1)
    found = reading.targets(BITS.astype(dtype).reshape(shape))
    np.testing.assert_array_equal(found, BITS)
    assert found.dtype == "int32"


@pytest.mark.parametrize(
    "loss",
    ["mse", "mae", "huber", "mean_squared_error", keras.losses.LogCosh(), keras.losses.Huber()],
)
def test_distances_are_of_a_regression(loss: Any) -> None:
    reading = read_model(compiled(loss, 1), 1)
    assert type(reading.task) is Regression
    assert reading.task.decode(reading.logits(LOGIT)) == pytest.approx(LOGIT[:, 0])
    np.testing.assert_array_equal(reading.targets(BITS[:, None]), BITS)


class OwnLoss(keras.losses.Loss):
    def call(self, y_true: Any, y_pred: Any) -> Any:
        return y_pred


@pytest.mark.parametrize(
    ("loss", "outputs", "message"),
    [
        (lambda y, p: keras.ops.mean(p), 3, "the loss '<lambda>' does not tell.*task="),
        (OwnLoss(), 3, "the loss 'OwnLoss' does not tell"),
        ("hinge", 1, "the loss 'hinge' does not tell; losses that do: "),
        (None, 1, "does not tell"),
        (["mse"], 1, "one output"),
    ],
)
def test_a_loss_that_does_not_tell_is_refused(loss: Any, outputs: int, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        read_model(compiled(loss, outputs), outputs)


def test_a_model_that_is_not_compiled_is_refused() -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    with pytest.raises(ArgumentError, match="not compiled"):
        read_model(model, 1)
