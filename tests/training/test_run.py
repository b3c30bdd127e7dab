"""One run of `keras.Model.fit`: how many batches, which ones, traced how often."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from ktlite.training import run
from ktlite.training.callbacks import ReduceOnPlateau, ScheduleCallback
from ktlite.training.feed import Feed, as_feed
from ktlite.training.optimizers import AdamW
from ktlite.training.schedules import Constant
from ktlite.training.stream import Stream

X = np.arange(26, dtype="float32").reshape(13, 2) / 26
Y = X[:, :1].copy()
BATCHES = 4  # of 4, 4, 4 and 1 rows


class Pieces(keras.utils.PyDataset):
    """The data in batches; notes the ends of epochs."""

    def __init__(self, workers: int = 1) -> None:
        super().__init__(workers=workers)
        self.epochs = 0

    def __len__(self) -> int:
        return BATCHES

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return X[4 * index : 4 * index + 4], Y[4 * index : 4 * index + 4]

    def on_epoch_end(self) -> None:
        self.epochs += 1


class Endless(Pieces):
    @property
    def num_batches(self) -> None:
        return None

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return super().__getitem__(index % BATCHES)


class Count(keras.callbacks.Callback):
    """Counts the batches of each epoch."""

    def on_train_begin(self, logs: Any = None) -> None:
        self.batches: list[int] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.batches.append(0)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.batches[-1] += 1


def tf_data(kind: str) -> Any:
    import tensorflow as tf

    data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(4)
    return {
        "known": data,
        "unknown": data.filter(lambda x, y: True),
        "endless": data.repeat(),
    }[kind]


DATA = {
    "arrays": lambda: (X, Y),
    "tf.data": lambda: tf_data("known"),
    "tf.data, unknown length": lambda: tf_data("unknown"),
    "PyDataset": Pieces,
    "PyDataset, two workers": lambda: Pieces(workers=2),
}


def small(optimizer: Any = "sgd", **options: Any) -> Any:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(optimizer, loss="mse", **{"run_eagerly": True, **options})
    return model


def feed_of(data: Any) -> Feed | Stream:
    feed = as_feed(data, 4, 0, "data")
    assert feed is not None
    return feed


@pytest.mark.filterwarnings("ignore:Your input ran out of data")  # Keras, of an unknown length
@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("steps", [None, 3], ids=["whole epochs", "three batches"])
def test_each_epoch_has_the_same_number_of_batches(name: str, steps: int | None) -> None:
    feed, count = feed_of(DATA[name]()), Count()
    run.fit(
        small(),
        feed,
        None,
        epochs=3,
        steps=run.steps_per_epoch(feed, steps),
        callbacks=[count],
        verbose=0,
    )
    assert count.batches == [steps or BATCHES] * 3


@pytest.mark.parametrize("data", [Endless, lambda: tf_data("endless")], ids=["PyDataset", "tf"])
def test_endless_data_ends_where_it_is_told_to(data: Any) -> None:
    count = Count()
    run.fit(small(), feed_of(data()), None, epochs=2, steps=5, callbacks=[count], verbose=0)
    assert count.batches == [5, 5]


@pytest.mark.parametrize("data", [Pieces, lambda: Pieces(2), lambda: tf_data("known")])
def test_epochs_that_are_shorter_than_the_data_go_on_where_the_last_one_ended(data: Any) -> None:
    class Seen(keras.Sequential):
        def train_step(self, data: Any) -> Any:
            seen.append(float(data[0][0, 0]))
            return super().train_step(data)

    seen: list[float] = []
    model, pieces = Seen([keras.Input((2,)), keras.layers.Dense(1)]), data()
    model.compile("sgd", loss="mse", run_eagerly=True)
    run.fit(model, feed_of(pieces), None, epochs=4, steps=3, verbose=0)
    np.testing.assert_array_equal(seen, np.tile(X[::4, 0], 3))
    assert getattr(pieces, "epochs", 4) >= 4


@pytest.mark.parametrize(
    ("data", "wanted", "expected"),
    [
        ((X, Y), None, 4),
        ((X, Y), 3, 3),
        ((X, Y), 9, 4),
        (Pieces(), 3, 3),
        (Endless(), None, None),
        (Endless(), 9, 9),
    ],
)
def test_steps_per_epoch_are_at_most_all(data: Any, wanted: Any, expected: Any) -> None:
    assert run.steps_per_epoch(feed_of(data), wanted) == expected


@pytest.mark.parametrize("name", DATA)
def test_validation_looks_at_each_row_once(name: str) -> None:
    model, data = small(), feed_of(DATA[name]())
    rate = ScheduleCallback(Constant(1e-30))
    logs = run.fit(model, feed_of((X, Y)), data, epochs=2, steps=4, schedule=rate, verbose=0)
    error = np.square(model.predict(X, verbose=0) - Y).mean()
    np.testing.assert_allclose(logs.history["val_loss"], [error] * 2, rtol=1e-5)


def test_the_training_step_is_traced_once() -> None:
    class Traced(keras.Sequential):
        traces = 0

        def train_step(self, data: Any) -> Any:
            self.traces += 1
            return super().train_step(data)

    model = Traced([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(AdamW(), loss="mse", jit_compile=False)
    rate = ScheduleCallback(Constant(0.1))
    for _ in range(2):  # the batches of 4 and of 1 row too
        run.fit(model, feed_of((X, Y)), None, epochs=2, steps=4, schedule=rate, verbose=0)
    assert model.traces == 1


@pytest.mark.parametrize(
    ("mode", "expected"), [("min", [8, 8, 8, 4, 4, 2, 2]), ("max", [8, 8, 8, 8, 8, 8, 4])]
)
def test_a_plateau_reduces_the_rates(mode: str, expected: list[float]) -> None:
    schedule = ScheduleCallback(Constant(8.0))
    plateau = ReduceOnPlateau(schedule, "figure", 2, 2, mode)
    found = []
    for value in (1.0, 1.0, 2.0, 3.0, 3.0, 3.0, 3.0):
        found.append(8.0 * schedule.scale)
        plateau.on_epoch_end(len(found), {"figure": value})
    assert found == expected


def own_metric(y_true: Any, y_pred: Any) -> Any:
    return keras.ops.mean(y_pred)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"metrics": ["mae", own_metric, keras.metrics.MeanSquaredError(name="far")]},
        {"weighted_metrics": ["mse"]},
    ],
)
def test_metric_names_are_those_in_the_logs(options: dict[str, Any]) -> None:
    model = small(**options)
    before = run.metric_names(model)
    logs = model.fit(X, Y, verbose=0).history
    assert sorted(["loss", *before]) == sorted(logs)
    assert run.metric_names(model) == before
