"""A model's answers to a data set, beside what is true."""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest

from ktlite.encodings.indexed import IndexedData
from ktlite.errors import ArgumentError
from ktlite.evaluation import Outputs, run_model, show_top_losses
from ktlite.inference.runner import Forward
from ktlite.inputs.texts import Texts
from ktlite.tasks import Classification, MultiLabel, Regression
from ktlite.training.feed import as_feed

X = np.random.default_rng(0).normal(size=(10, 2)).astype("float32")
Y = np.array([0, 1, 2, 1, 0, 2, 1, 0, 1, 2], "int32")
TASK = Classification(["no", "maybe", "yes"])


class Pieces(keras.utils.PyDataset):
    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        rows = slice(3 * index, 3 * index + 3)
        return X[rows], Y[rows]


def tf_data(*columns: Any) -> Any:
    import tensorflow as tf

    data = tf.data.Dataset.from_tensor_slices(columns if len(columns) > 1 else columns[0])
    return data.batch(3)


@pytest.fixture(scope="module")
def model() -> Any:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss=loss, run_eagerly=True)
    return model


def outputs_of(model: Any, data: Any, task: Any = None) -> Outputs:
    feed = as_feed(data, 3, 0, "data")
    assert feed is not None
    return run_model(Forward(model), feed, task, batch_size=3)


@pytest.mark.parametrize(
    "data",
    [
        lambda: (X, Y),
        lambda: (X, Y, np.arange(10.0)),
        lambda: tf_data(X, Y),
        lambda: tf_data(X, Y, np.arange(10.0)),
        lambda: tf_data(X, Y).filter(lambda x, y: True),
        Pieces,
    ],
    ids=["arrays", "weighted arrays", "tf", "weighted tf", "tf of unknown length", "PyDataset"],
)
def test_outputs_are_in_the_order_of_the_data(model: Any, data: Callable[[], Any]) -> None:
    found = outputs_of(model, data())
    np.testing.assert_allclose(found.logits, model.predict(X, verbose=0), rtol=1e-5)
    np.testing.assert_array_equal(found.known_targets(), Y)
    assert found.task.classes == [0, 1, 2]


@pytest.mark.parametrize("data", [lambda: (X, None), lambda: tf_data(X)], ids=["arrays", "tf"])
def test_data_without_labels_has_outputs_only(model: Any, data: Callable[[], Any]) -> None:
    found = outputs_of(model, data())
    assert found.logits.shape == (10, 3)
    for compare in (found.known_targets, lambda: found.top_losses(1)):
        with pytest.raises(ArgumentError, match="no labels"):
            compare()


def test_endless_data_is_refused(model: Any) -> None:
    with pytest.raises(ArgumentError, match="never ends"):
        outputs_of(model, tf_data(X, Y).repeat())


def test_no_data_is_refused(model: Any) -> None:
    with pytest.raises(ArgumentError, match="no batches"):
        outputs_of(model, tf_data(X, Y).take(0))


def test_models_with_several_outputs_are_refused() -> None:
    x = keras.Input((2,))
    two = keras.Model(x, [keras.layers.Dense(1)(x), keras.layers.Dense(1)(x)])
    deep = keras.Sequential([keras.Input((2,)), keras.layers.RepeatVector(3)])
    for model in (two, deep):
        model.compile("sgd", loss="mse", run_eagerly=True)
        with pytest.raises(ArgumentError, match=r"one output, \[rows, outputs\]"):
            outputs_of(model, (X, Y))


class Source(IndexedData):
    """Texts of a source."""

    fields = None
    preproc = SimpleNamespace(input=Texts)

    def __init__(self, texts: list[Any], rows: np.ndarray) -> None:
        self.items, self.rows = texts, rows

    @property
    def lengths(self) -> np.ndarray:
        return np.zeros(len(self), "int64")

    def __len__(self) -> int:
        return len(self.rows)

    def examples(self, rows: np.ndarray, seed: Any) -> tuple[Any, Any]:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("task", "logits", "targets", "expected"),
    [
        (
            TASK,
            np.log([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8], [0.25, 0.5, 0.25]]),
            np.array([0, 1, 2]),
            [(1, 0.1, "maybe", "yes"), (2, 0.25, "yes", "maybe"), (0, 0.5, "no", "no")],
        ),
        (
            Regression(),
            np.array([[1.0], [5.0], [2.0]]),
            np.array([1.5, 3.0, 2.0], "float32"),
            [(1, np.exp(-4.0), 3.0, 5.0), (0, np.exp(-0.25), 1.5, 1.0), (2, 1.0, 2.0, 2.0)],
        ),
    ],
)
def test_top_losses_are_sorted_and_readable(
    task: Any, logits: np.ndarray, targets: np.ndarray, expected: list[Any]
) -> None:
    outputs = Outputs(task, logits, targets, None)
    found = outputs.top_losses(3)
    assert [(row, true, predicted) for row, _, true, predicted in found] == [
        (row, true, predicted) for row, _, true, predicted in expected
    ]
    # The loss of a row is minus the logarithm of the probability that it gives the truth
    # (of a normal distribution with variance 1/2, up to a constant, for a number).
    np.testing.assert_allclose([loss for _, loss, _, _ in found], -np.log([e[1] for e in expected]))
    assert outputs.top_losses(1) == found[:1]
    assert outputs.top_losses(99) == found
    assert {type(value) for row in found for value in row[:2]} == {int, float}


def test_equal_losses_stay_in_the_order_of_the_data() -> None:
    outputs = Outputs(TASK, np.zeros((4, 3)), np.zeros(4, int), None)
    assert [row for row, *_ in outputs.top_losses(3)] == [0, 1, 2]


def test_top_losses_of_several_labels() -> None:
    logits, targets = np.array([[3.0, -3.0], [-2.0, 2.0]]), np.array([[1, 0], [1, 0]], "float32")
    row, loss, true, predicted = Outputs(MultiLabel(["a", "b"]), logits, targets, None).top_losses(
        1
    )[0]
    assert (row, true) == (1, ["a"])
    assert loss == pytest.approx(np.log1p(np.exp(2.0)))
    assert dict(predicted) == {
        "a": pytest.approx(1 / (1 + np.exp(2.0))),
        "b": pytest.approx(1 / (1 + np.exp(-2.0))),
    }


def test_the_worst_rows_are_shown_with_their_texts(caplog: pytest.LogCaptureFixture) -> None:
    losses = [(1, 2.25, "yes", "no"), (0, 0.5, "no", "yes")]
    with caplog.at_level(logging.INFO, "ktlite"):
        source = Source(["fine", ("left", "right")], np.array([4, 7]))
        for chosen, data in ((losses, source), (losses[:1], object())):
            show_top_losses(chosen, Outputs(TASK, np.zeros((2, 3)), None, data))
    assert [record.getMessage() for record in caplog.records] == [
        "row 1 | loss 2.250 | true: yes | predicted: no | row 7 of the source\n    left\n    right",
        "row 0 | loss 0.500 | true: no | predicted: yes | row 4 of the source\n    fine",
        "row 1 | loss 2.250 | true: yes | predicted: no",
    ]
