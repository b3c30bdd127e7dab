"""Training that ends in time."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

import ktlite
from ktlite.errors import ArgumentError
from ktlite.learner import Learner
from ktlite.learner.budget import Budget

Make = Callable[..., Learner]


@keras.saving.register_keras_serializable(package="tests")
class SlowStep(keras.Sequential):
    """Each training step takes 50 ms, at least."""

    def train_step(self, data: Any) -> Any:
        time.sleep(0.05)
        return super().train_step(data)


def slow_learner(arrays: Any) -> Learner:
    model = SlowStep([keras.Input((4,)), keras.layers.Dense(3)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss=loss, run_eagerly=True)
    return ktlite.get_learner(
        model, (arrays.x, arrays.y), (arrays.x_val, arrays.y_val), batch_size=1
    )


def test_the_plan_is_that_of_a_one_cycle_and_the_measuring_leaves_no_trace(
    small_learner: Make,
) -> None:
    timed, plain = small_learner(dropout=0.3), small_learner(dropout=0.3)
    timed.fit_within(5, 0.05, 3, verbose=0)
    plain.fit_onecycle(0.05, 3, verbose=0)
    assert timed.history.history == plain.history.history
    for found, expected in zip(timed.model.get_weights(), plain.model.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)


def plan_with(monkeypatch: pytest.MonkeyPatch, step: float, validation: float) -> None:
    monkeypatch.setattr(Budget, "_speed", lambda *args: (step, validation))


def test_as_many_epochs_are_planned_as_end_in_time(
    small_learner: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Three steps of 5 s and a validation of 3 s: 18 s an epoch, and 92 % of 60 s are 55 s."""
    plan_with(monkeypatch, 5.0, 3.0)
    with caplog.at_level(logging.INFO, "ktlite"):
        history = small_learner().fit_within(1, 1e-3, verbose=0).history
    assert (
        "5e+03 ms a step, 3 s a validation: 3 epochs of 3 steps, in about 0.9 of 1" in caplog.text
    )
    assert (len(history["val_loss"]), len(history["lr"])) == (3, 9)
    assert history["lr"][-1] == pytest.approx(1e-6)  # the cycle is whole


def test_too_little_time_for_an_epoch_is_a_part_of_one(
    small_learner: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan_with(monkeypatch, 20.0, 3.0)
    history = small_learner().fit_within(1, 1e-3, verbose=0).history
    assert (len(history["val_loss"]), len(history["lr"])) == (1, 2)
    assert history["lr"][-1] == pytest.approx(1e-6)


def test_the_speed_is_that_of_the_steps_and_of_a_whole_validation(arrays: Any) -> None:
    step, validation = slow_learner(arrays)._speed(22, 0.2)
    assert 0.05 <= step < 5
    assert validation > 0


def test_a_machine_that_is_slower_than_planned_stops_in_time_with_a_warning(
    arrays: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The plan is 10 epochs of 22 steps, of 50 ms each and not of one."""
    plan_with(monkeypatch, 0.001, 0.01)
    with caplog.at_level(logging.WARNING, "ktlite"):
        history = slow_learner(arrays).fit_within(2 / 60, 1e-3, verbose=0).history
    assert "the time is over before the plan" in caplog.text
    assert len(history["lr"]) <= 2 / 0.05
    assert len(history["val_loss"]) == len(history["loss"])


def test_arguments_that_cannot_work_are_refused(
    small_learner: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ArgumentError, match=r"lr=None.*\n.*minutes=0; .*\n.*max_epochs=0"):
        small_learner().fit_within(0, None, 0)
    plan_with(monkeypatch, 20.0, 50.0)
    with pytest.raises(ArgumentError, match="minutes=1 is too short: a step takes 20 s"):
        small_learner().fit_within(1, 1e-3)
