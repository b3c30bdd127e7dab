import gc

import keras
import numpy as np
import pytest

from ktlite.errors import ArgumentError
from ktlite.training.callbacks import ScheduleCallback
from ktlite.training.optimizers import AdamW, learning_rate, momentum, momentum_variable
from ktlite.training.schedules import Constant, OneCycle

X = np.random.default_rng(0).normal(size=(22, 3)).astype("float32")
Y = X.sum(axis=1, keepdims=True)
STEPS = 6  # batches of 4; the last one has 2 rows


def compiled(optimizer=None, **kwargs):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile(optimizer or AdamW(), loss="mse", jit_compile=False, **kwargs)
    return model


def fit(model, callbacks, epochs=1, **kwargs):
    with momentum_variable(model):
        history = model.fit(
            X, Y, batch_size=4, epochs=epochs, verbose=0, callbacks=callbacks, **kwargs
        )
    return history.history


class Watch(keras.callbacks.Callback):
    """Reads what the optimizer really trained each batch with."""

    def on_train_begin(self, logs=None):
        self.seen = []

    def on_train_batch_end(self, batch, logs=None):
        optimizer = self.model.optimizer
        self.seen.append((learning_rate(optimizer), momentum(optimizer)))


class StopAfter(keras.callbacks.Callback):
    def __init__(self, batches, error=None):
        super().__init__()
        self.batches, self.error = batches, error

    def on_train_batch_end(self, batch, logs=None):
        self.batches -= 1
        if self.batches == 0:
            if self.error is not None:
                raise self.error
            self.model.stop_training = True


@pytest.fixture
def freed():
    """Frees an interrupted fit's iterator at once: the older it is, the longer tf.data waits."""
    yield
    gc.collect()


@pytest.mark.parametrize("optimizer", [AdamW, keras.optimizers.Adam])
def test_each_batch_of_all_epochs_is_trained_with_the_schedules_values(optimizer):
    schedule, watch = OneCycle(0.1, 2 * STEPS), Watch()
    history = fit(compiled(optimizer()), [ScheduleCallback(schedule), watch], epochs=2)
    expected = [schedule.at(step) for step in range(2 * STEPS)]
    np.testing.assert_allclose(watch.seen, expected, rtol=1e-6)
    assert history["lr"] == [rate for rate, _ in expected]
    assert history["momentum"] == [value for _, value in expected]
    assert history["iterations"] == list(range(1, 2 * STEPS + 1))
    assert max(history["lr"]) == 0.1
    assert len(history["loss"]) == 2


def test_history_belongs_to_one_fit():
    model, callback = compiled(), ScheduleCallback(Constant(0.1))
    assert fit(model, [callback])["lr"] == [0.1] * STEPS
    assert fit(model, [callback], epochs=2)["iterations"] == list(range(1, 2 * STEPS + 1))


def test_no_momentum_is_recorded_where_none_is_changed():
    assert "momentum" not in fit(compiled(), [ScheduleCallback(Constant(0.1))])
    plain = compiled(keras.optimizers.SGD())
    assert "momentum" not in fit(plain, [ScheduleCallback(OneCycle(0.1, STEPS))])


def test_scale_multiplies_the_rates_from_then_on():
    callback = ScheduleCallback(Constant(0.4))

    class Halve(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            callback.scale /= 2

    history = fit(compiled(), [callback, Halve()], epochs=2)
    assert history["lr"] == [0.4] * STEPS + [0.2] * STEPS


def test_record_holds_the_batches_that_were_trained_when_training_stops_early():
    callback = ScheduleCallback(OneCycle(0.1, 5 * STEPS))
    history = fit(compiled(), [callback, StopAfter(STEPS + 2)], epochs=5)
    assert history["iterations"] == list(range(1, STEPS + 3))
    assert len(history["lr"]) == len(history["momentum"]) == STEPS + 2


def test_record_survives_an_interrupt(freed):
    model = compiled()
    with pytest.raises(KeyboardInterrupt):
        fit(model, [ScheduleCallback(Constant(0.1)), StopAfter(3, KeyboardInterrupt())])
    assert model.history.history["iterations"] == [1, 2, 3]


def test_data_of_unknown_length_counts_only_its_batches():
    def batches():
        for i in range(0, 22, 4):
            yield X[i : i + 4], Y[i : i + 4]

    model = compiled()
    schedule = ScheduleCallback(Constant(0.1))
    history = model.fit(batches(), epochs=1, verbose=0, callbacks=[schedule])
    assert history.history["iterations"] == list(range(1, STEPS + 1))


def test_several_steps_per_execution_share_a_value():
    schedule = OneCycle(0.1, STEPS)
    history = fit(compiled(steps_per_execution=2), [ScheduleCallback(schedule)])
    assert history["iterations"] == [2, 4, 6]
    assert history["lr"] == [schedule.at(step)[0] for step in (0, 2, 4)]


def test_an_optimizer_with_a_schedule_of_its_own_is_refused(freed):
    decay = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    with pytest.raises(ArgumentError, match="LearningRateSchedule"):
        fit(compiled(AdamW(decay)), [ScheduleCallback(Constant(0.1))])
