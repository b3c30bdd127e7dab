"""The method of a `Learner` that trains for a given time."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from typing import Any

import keras

from ktlite._arguments import at_least_one, checked, positive
from ktlite._logging import logger
from ktlite.errors import ArgumentError, plural
from ktlite.learner.fitting import Fitting
from ktlite.training import run
from ktlite.training.callbacks import ScheduleCallback
from ktlite.training.distribution import strategy_of
from ktlite.training.feed import Feed
from ktlite.training.schedules import OneCycle
from ktlite.training.snapshot import Snapshot
from ktlite.training.step_clock import StepClock
from ktlite.training.workers import check_alone

# Steps are timed for this share of the time, and this share is left for what nobody foresees.
_MEASURED, _SPARE = 0.05, 0.08
_MOST = 30  # steps that are timed
_ENCODING = 0.5  # share of the time that a frozen encoder may take to go through the texts


class Budget(Fitting):
    """Training that ends in time."""

    @checked
    def fit_within(
        self,
        minutes: float,
        lr: float | None = None,
        max_epochs: int = 10,
        checkpoint_folder: str | os.PathLike[str] | None = None,
        class_weight: Any = None,
        callbacks: Sequence[Any] | None = None,
        verbose: int = 1,
        *,
        learning_rate: float | None = None,
    ) -> Any:
        """Trains with one cycle for as many epochs as end in time, validation counted.

        The speed is measured first, on a few steps that leave no trace. Where the time is too
        short for an epoch, a part of one is planned. The plan is in the log. Should the machine
        become slower, training stops when the time is over, with a warning.

        Args:
            minutes: How long it may take, from now.
            lr: The highest learning rate. Default: the valley of the last `lr_find`.
            max_epochs: Epochs, at most: more rarely help a pretrained model.
            checkpoint_folder: As in `fit_onecycle`. Should the run be killed, `fit_onecycle` with
                the epochs and steps of the plan, and `resume=True`, goes on with it.
            class_weight: `"balanced"`, or a dict from class to weight.
            callbacks: Keras callbacks.
            verbose: 0 silent, 1 progress bar, 2 a line an epoch.
            learning_rate: The same as `lr`.

        Returns:
            Keras' `History`, as from `fit_onecycle`.

        Raises:
            ArgumentError: If arguments cannot work, or the time is too short for one step.

        Example:
            >>> learner.fit_within(minutes=30, lr=5e-5)
        """
        started = time.monotonic()
        problems = self._ready("fit_within")
        check_alone(problems, self.model, "each has a clock of its own; use fit_onecycle")
        rate = self._rate(problems, lr, learning_rate)
        positive(problems, minutes=minutes)
        at_least_one(problems, max_epochs=max_epochs)
        problems.raise_if_any()
        steps = self._steps(None, "fit_within")
        end = started + 60 * minutes
        with self._features_within(60 * minutes * _ENCODING):
            step, validation = self._speed(steps, 60 * minutes * _MEASURED, verbose)
            left = max(0.0, end - time.monotonic() - 60 * minutes * _SPARE)
            epochs = min(max_epochs, int(left / (steps * step + validation)))
            part = steps if epochs else min(steps, int((left - validation) / step))
            if part < 1:
                raise ArgumentError(
                    f"fit_within: minutes={minutes:g} is too short: a step takes {step:.2g} s, "
                    f"validation {validation:.2g} s, and {left:.2g} s are left."
                )
            epochs = max(epochs, 1)
            logger.info(
                "%.3g ms a step, %.3g s a validation: %s of %s, in about %.2g of %.2g minutes",
                1000 * step,
                validation,
                plural(epochs, "epoch"),
                plural(part, "step"),
                (time.monotonic() - started + epochs * (part * step + validation)) / 60,
                minutes,
            )
            return self.fit_onecycle(
                rate,
                epochs,
                checkpoint_folder=checkpoint_folder,
                class_weight=class_weight,
                callbacks=[*(callbacks or ()), _Deadline(end - validation - step)],
                steps_per_epoch=part,
                verbose=verbose,
            )

    @contextlib.contextmanager
    def _features_within(self, seconds: float) -> Iterator[None]:
        """Trains on texts where a frozen encoder would not be through with them in that time."""
        wanted, feeds = self._keep_features, {"train": self._train, "val": self._val}
        if wanted and self._features.seconds(feeds, self.eval_batch_size) > seconds:
            logger.info(
                "encoding all data would take most of the time: it trains on the data itself"
            )
            self._keep_features = False
        try:
            yield
        finally:
            self._keep_features = wanted

    def _speed(self, steps: int, seconds: float, verbose: int = 0) -> tuple[float, float]:
        """Returns the seconds of a step, and of a validation; model and data stay as they are."""
        feed, val = self._feeds(verbose)
        clock = StepClock(seconds)
        with Snapshot(self.model):
            schedule = ScheduleCallback(OneCycle(1e-9, steps))
            run.fit(
                self.model,
                feed,
                None,
                epochs=1,
                steps=min(steps, _MOST),
                schedule=schedule,
                callbacks=[clock],
                verbose=0,
            )
            if val is None:
                return clock.seconds_each(), 0.0
            strategy = strategy_of(self.model)
            is_feed = isinstance(val, Feed)
            count = val.validation_steps(strategy) if isinstance(val, Feed) else val.steps
            timed = StepClock(seconds)
            self.model.evaluate(
                val.validation(strategy) if isinstance(val, Feed) else val.data,
                steps=count if count is None or not is_feed else min(count, _MOST),
                callbacks=[timed],
                verbose=0,
            )
        return clock.seconds_each(), timed.seconds_each() * (count or len(timed.ends))


class _Deadline(keras.callbacks.Callback):
    """Ends a training, with a validation, at a moment."""

    def __init__(self, moment: float) -> None:
        super().__init__()
        self.moment = moment

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if time.monotonic() > self.moment and not self.model.stop_training:
            self.model.stop_training = True
            logger.warning("the time is over before the plan: training stops at this step")
