"""Checks before the first training of a `Learner`, and a record of each."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import keras

from ktlite._logging import logger
from ktlite.learner.checking import Checking
from ktlite.learner.fitting import Fitting
from ktlite.learner.judging import Judging
from ktlite.training import run
from ktlite.training.plots import PER_STEP
from ktlite.training.workers import is_first


class _Stopwatch(keras.callbacks.Callback):
    """Counts the seconds of a run, with those before it was stopped.

    Args:
        begin: What to do when training begins, after all that is tried before it.
    """

    def __init__(self, begin: Callable[[], None]) -> None:
        super().__init__()
        self._begin = begin
        self._before = 0.0
        #: Whether it goes on with a run, or found one that had ended.
        self.resumed = False
        self._start: float | None = None

    @property
    def began(self) -> bool:
        """Whether there was training: not of a run that had ended before."""
        return self._start is not None

    @property
    def seconds(self) -> float:
        return self._before + (0.0 if self._start is None else time.monotonic() - self._start)

    def on_train_begin(self, logs: Any = None) -> None:
        self._start = time.monotonic()
        self._begin()

    def state(self) -> dict[str, Any]:
        """Returns what a checkpoint keeps, as JSON values."""
        return {"seconds": self.seconds}

    def set_state(self, state: dict[str, Any]) -> None:
        """Puts back what `state` returned."""
        self._before = state["seconds"]
        self.resumed = True


def _epoch_of_weights(history: Any, callbacks: Sequence[Any]) -> int:
    """Returns the epoch of a run, from 0, that its weights are of: mostly the last."""
    for callback in callbacks:
        if getattr(callback, "restore_best_weights", False) and callback.best_weights is not None:
            return int(callback.best_epoch)
    return len(history.epoch) - 1


class Recording(Checking, Fitting, Judging):
    """Trains, and writes down what was done and what came of it."""

    def _fit(self, schedule: Any, epochs: int, *, callbacks: Sequence[Any], **options: Any) -> Any:
        self._initial.keep()  # the check may call the model, and layers may count calls
        self._check_once()
        record: dict[str, Any] = {
            "schedule": str(schedule.schedule),
            "epochs": "until it stops improving" if epochs == run.ENDLESS else epochs,
            "class_weight": options["class_weight"],
            "steps_per_epoch": options["steps_per_epoch"],
            "callbacks": [type(callback).__name__ for callback in callbacks],
            "seconds": 0.0,
            "history": {},
        }
        folder = options["checkpoint_folder"]
        watch = _Stopwatch(lambda: self._put_card(folder))
        self._fits.append(record)
        before, whole = self.history, False
        try:
            found = super()._fit(schedule, epochs, callbacks=[*callbacks, watch], **options)
            whole = True
            return found
        finally:
            if self.history is before:
                self._fits.remove(record)
            else:
                self._figures = {}
                if whole:  # else the weights are those of a step inside an epoch
                    epoch = _epoch_of_weights(self.history, callbacks)
                    self._keep_epoch(self.history.history, epoch)
                self._count_once(record, folder, watch.resumed)
                record["epochs"] = len(self.history.epoch)
                record["seconds"] = round(watch.seconds, 3)
                record["history"] = {
                    name: values
                    for name, values in self.history.history.items()
                    if name not in (*PER_STEP, "iterations")
                }
                if watch.began:
                    self._put_card(folder)

    def _count_once(
        self, record: dict[str, Any], folder: str | os.PathLike[str] | None, resumed: bool
    ) -> None:
        """Takes out the parts of a run that has gone on, and what it has taken back."""
        if folder is None:
            return
        part = self._runs.get(os.path.abspath(folder))
        self._runs[os.path.abspath(folder)] = record
        places = [i for i, one in enumerate(self._fits) if one is part]
        if resumed and places:
            self._fits[places[0] :] = [record]

    def _put_card(self, folder: str | os.PathLike[str] | None) -> None:
        """Writes the run card beside the checkpoints; a full disk must not end the training."""
        if folder is None or not is_first(self.model):
            return
        try:
            self.card.write(folder)
        except OSError as error:
            logger.warning("the run card could not be written to %s: %s", folder, error)
