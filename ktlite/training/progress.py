"""Where a training run is: it begins anywhere, is kept in checkpoints, and stops cleanly."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from ktlite._interrupts import Interrupts
from ktlite._logging import logger
from ktlite.errors import plural
from ktlite.training.bars import with_bar
from ktlite.training.checkpoints import Checkpoint, Checkpoints
from ktlite.training.distribution import spread_seeds
from ktlite.training.state import assign, average_names, copies, copy
from ktlite.training.workers import agreed, first_writes

_LASTING, _IN_EPOCH = ("model", "optimizer"), ("model", "optimizer", "metrics")


class NotFinite(Exception):
    """A batch whose loss is NaN or infinite.

    Args:
        epoch: Of this run, from 0.
        position: Of the batch in the epoch, from 0.
    """

    def __init__(self, epoch: int, position: int) -> None:
        super().__init__(epoch, position)
        self.epoch = epoch
        self.position = position


class Progress(keras.callbacks.CallbackList):
    """The callbacks of one `keras.Model.fit`, which may begin in the middle of an epoch.

    A fit that begins with batch 7 of an epoch of 10 is given data that begins there. It stops
    that epoch after three batches; callbacks see them as 7, 8 and 9. A checkpoint is taken
    before a batch: before the first one of every epoch but the first, which is when all that
    happens at an epoch's end is done, and inside an epoch by the clock.

    A callback with `state()` and `set_state(state)` takes part: `state` returns a dict of JSON
    values, and maybe a list of arrays as `"weights"`.

    Args:
        model: A compiled model, with the variables of its optimizer made.
        callbacks: Keras callbacks.
        epochs: Number of epochs.
        endless: Whether that is only a bound, which nobody wants to see.
        steps: Batches an epoch; None: unknown.
        verbose: As Keras has it.
        interrupts: Whether to stop.
        checkpoints: Where to keep them, and which one to begin with.
        exact: Whether the data can begin inside an epoch.
    """

    def __init__(
        self,
        model: Any,
        callbacks: Sequence[Any],
        *,
        epochs: int,
        endless: bool = False,
        steps: int | None,
        verbose: int,
        interrupts: Interrupts,
        checkpoints: Checkpoints | None = None,
        exact: bool = True,
    ) -> None:
        super().__init__(
            with_bar(list(callbacks), verbose, endless),
            add_history=True,
            add_progbar=verbose != 0,
            model=model,
            verbose=verbose,
            epochs=epochs,
            steps=steps,
        )
        self._stops = interrupts
        self._checkpoints = checkpoints
        self._exact = exact
        self._steps = steps
        self._last = None if checkpoints is None else checkpoints.last
        state = {} if self._last is None else self._last.state
        self.epoch: int = state.get("epoch", 0)
        self.position: int = state.get("position", 0)
        self._done: int = state.get("step", 0)
        self._kept: int = self._done
        self._offset = 0
        self._cuts = False
        self._good: list[np.ndarray] = []

    def on_train_begin(self, logs: Any = None) -> None:
        super().on_train_begin(logs)
        self._saved_at = time.monotonic()
        if self._last is not None:
            self._set_states(self._last)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        super().on_epoch_begin(epoch, logs)
        self.epoch, self._offset = epoch, 0
        if self._last is not None:  # here, for Keras has just reset the metrics
            self._offset = self.position
            put_back(self.model, self._last, _IN_EPOCH if self._offset else _LASTING)
            self._last = None
        self._good = [copy(variable) for variable in self.model.variables]

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.position = batch + self._offset
        asked = self._asked()
        self._keep_if_due(asked > 0)
        if asked > 1:
            self._stops.noted = asked
            self._stops.raise_if_any()
        super().on_train_batch_begin(self.position, logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        last = batch + self._offset
        self._done += last - self.position + 1
        super().on_train_batch_end(last, logs)
        if not math.isfinite(float((logs or {}).get("loss", 0.0))):
            if any(getattr(one, "ends_at_nan", False) for one in self.callbacks):
                return
            raise NotFinite(self.epoch, self.position)
        if self._offset and last + 1 == self._steps and not self.model.stop_training:
            self._cuts = self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self._cuts:
            self._cuts = self.model.stop_training = False
        super().on_epoch_end(epoch, logs)

    def finish(self) -> None:
        """Keeps the end of the run; a signal that one worker got is then known to all."""
        self._keep(finished=True)
        self._stops.noted = agreed(self.model, self._stops.noted or 0) or None

    def already_finished(self) -> bool:
        """Says whether the run has ended; if so, puts its end into the model."""
        if self._last is None or not self._last.state["finished"]:
            return False
        put_back(self.model, self._last, _LASTING)
        self._set_states(self._last)
        logger.info(
            "the run in %s is complete (%s, %s): weights and history are as it left them, and "
            "nothing is trained. To train on, call a fit with another checkpoint_folder, or none",
            self._last.folder.parent,
            plural(len(self._last.state["epochs"]), "epoch"),
            plural(self._last.state["step"], "step"),
        )
        return True

    def roll_back(self) -> None:
        """Puts the weights back that the epoch began with."""
        for variable, value in zip(self.model.variables, self._good, strict=True):
            variable.assign(value)

    def _asked(self) -> int:
        """Returns the signal that this worker or another got, or 1 if a checkpoint is due."""
        kept = self._checkpoints
        late = kept is not None and time.monotonic() - self._saved_at > kept.seconds
        return agreed(self.model, self._stops.noted or int(late))

    def _keep_if_due(self, asked: bool) -> None:
        if self._checkpoints is None or not (self._exact or self.position == 0):
            return
        new_epoch = self.position == 0 and self._done > self._kept
        if new_epoch or asked:
            self._keep()

    def _keep(self, finished: bool = False) -> None:
        if self._checkpoints is None:
            return
        states = [one.state() for one in self._stateful()]
        tensors = copies(self.model)
        for i, state in enumerate(states):
            for j, array in enumerate(state.pop("weights", ())):
                tensors[f"callback{i}/{j}"] = array
        name, keys, *rest = np.random.get_state(legacy=True)
        state = {
            "step": self._done,
            "epoch": self.epoch,
            "position": 0 if finished else self.position,
            "finished": finished,
            "history": self.model.history.history,
            "epochs": self.model.history.epoch,
            "averages": {} if finished else average_names(self.model),
            "callbacks": states,
            "python_random": random.getstate(),
            "numpy_random": [name, np.asarray(keys).tolist(), *rest],
        }
        with first_writes(self.model, self._checkpoints.folder) as first:
            if first:
                self._checkpoints.write(state, tensors)
        self._kept, self._saved_at = self._done, time.monotonic()

    def _stateful(self) -> list[Any]:
        return [one for one in self.callbacks if hasattr(one, "set_state")]

    def _set_states(self, last: Checkpoint) -> None:
        states = last.state["callbacks"]
        for i, (one, state) in enumerate(zip(self._stateful(), states, strict=True)):
            count = sum(name.startswith(f"callback{i}/") for name in last.tensors)
            weights = [last.tensors[f"callback{i}/{j}"] for j in range(count)]
            one.set_state({**state, "weights": weights} if weights else state)
        history = self.model.history
        for name, values in last.state["history"].items():
            history.history.setdefault(name, [])[:] = values  # a callback may hold the list
        history.epoch = last.state["epochs"]


def put_back(model: Any, checkpoint: Checkpoint, groups: tuple[str, ...]) -> None:
    """Puts a checkpoint's variables into a model, and its random states into the process."""
    assign(model, checkpoint.tensors, groups)
    spread_seeds(model)
    state = checkpoint.state
    version, numbers, gauss = state["python_random"]
    random.setstate((version, tuple(numbers), gauss))
    name, keys, *rest = state["numpy_random"]
    np.random.set_state((name, np.array(keys, "uint32"), *rest))
