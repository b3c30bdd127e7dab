"""What a schedule does during `keras.Model.fit`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras

from ktlite.training.accumulation import Accumulator, batches_a_step
from ktlite.training.optimizers import (
    inner,
    momentum,
    set_learning_rate,
    set_momentum,
    strategy_scope,
)
from ktlite.training.schedules import Schedule
from ktlite.training.state import averages, copy


class ScheduleCallback(keras.callbacks.Callback):
    """Sets learning rate and momentum before each batch, and records them.

    After training, the fit's `history` has, beside Keras' values of each epoch, lists
    with one value for each batch that was trained on: `iterations` (batches so far,
    from 1), `lr`, and `momentum` where the schedule changes it and the optimizer has it.
    They are there too when training stops early or is interrupted. With Keras'
    `steps_per_execution` above 1 there is one value for each execution.

    Where the optimizer takes a step for several batches, the schedule counts its steps, and
    they begin anew with every epoch.

    A momentum schedule needs `momentum_variable(model)` around the fit.

    Args:
        schedule: Learning rate and momentum of each step.

    Attributes:
        scale: What the schedule's rates are multiplied by: 1 unless another callback,
            such as a reduction on a plateau, changes it.

    Raises:
        ArgumentError: Before the first batch, if the optimizer's learning rate
            cannot be set.

    Example:
        >>> schedule = ScheduleCallback(OneCycle(0.01, steps=100))
        >>> with momentum_variable(model):
        ...     history = model.fit(x, y, callbacks=[schedule]).history
        >>> max(history["lr"])
        0.01
    """

    def __init__(self, schedule: Schedule) -> None:
        super().__init__()
        self.schedule = schedule
        self.scale = 1.0

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._done = self._steps = 0
        self._group = batches_a_step(self.model.optimizer)
        self._cycles_momentum = (
            self.schedule.at(0)[1] is not None and momentum(self.model.optimizer) is not None
        )
        self._record: dict[str, list[float]] = {"iterations": [], "lr": []}
        if self._cycles_momentum:
            self._record["momentum"] = []
        # The lists themselves, so that an interrupted fit leaves its values behind.
        self.model.history.history.update(self._record)

    def state(self) -> dict[str, Any]:
        """Returns what a resumed run needs, beside the history."""
        before = {"done": self._done_before_epoch, "steps": self._steps_before_epoch}
        return {"scale": self.scale, **before}

    def set_state(self, state: dict[str, Any]) -> None:
        """Puts back what `state` returned."""
        self.scale, self._done = state["scale"], state["done"]
        self._steps = state.get("steps", self._done)  # earlier versions counted batches alone

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._done_before_epoch, self._steps_before_epoch = self._done, self._steps

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        step = self._steps_before_epoch + batch // self._group
        rate, momentum_now = self.schedule.at(step)
        optimizer = self.model.optimizer
        self._rate = rate * self.scale
        set_learning_rate(optimizer, self._rate)
        if self._cycles_momentum and momentum_now is not None:
            self._momentum = momentum_now
            set_momentum(optimizer, momentum_now)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        # Here and not at the batch's begin, which Keras also calls where the data ends.
        self._done = self._done_before_epoch + batch + 1
        self._steps = self._steps_before_epoch + batch // self._group + 1
        self._record["iterations"].append(self._done)
        self._record["lr"].append(self._rate)
        if self._cycles_momentum:
            self._record["momentum"].append(self._momentum)


class WholeGroups(keras.callbacks.Callback):
    """Ends every epoch with a step of an optimizer that accumulates gradients.

    The last group of an epoch may have fewer batches. ktlite's `AdamW` is told before each batch
    what share of its group's rows it has. One of Keras' takes a step after each n-th batch,
    counted over all epochs and fits; here its last group of an epoch counts as a whole one. (It
    divides its sum by n all the same: the step is as much smaller as the group.) What an
    interrupted training has left is dropped.

    Args:
        steps: Batches of an epoch; None: unknown, and `AdamW` takes its last step when the epoch
            has ended.
        rows: Takes the number of an epoch of this fit, and returns how many rows each of its
            batches has. None: unknown, and all batches count alike.
    """

    def __init__(
        self, steps: int | None, rows: Callable[[int], Sequence[int]] | None = None
    ) -> None:
        super().__init__()
        self.steps = steps
        self.rows = rows

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._size = batches_a_step(self.model.optimizer)
        self._optimizer = inner(self.model.optimizer)
        self._accumulator: Accumulator | None = getattr(self._optimizer, "accumulator", None)
        if self._accumulator is not None:
            if not self.model.optimizer.built:
                with strategy_scope(self.model):
                    self.model.optimizer.build(self.model.trainable_variables)
            self._accumulator.clear()
            return
        left = self._in_group()
        if left:
            self._optimizer._iterations.assign_sub(left)
            for gradient in self._optimizer._accumulated_gradients:
                gradient.assign(keras.ops.zeros_like(gradient))

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self.steps is not None:
            rows = [1] * self.steps if self.rows is None else self.rows(epoch)
            self._rows = list(rows)[: self.steps]

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        last = self.steps is not None and batch == self.steps - 1
        if self._accumulator is None:
            if last:
                self._optimizer._iterations.assign_add(self._size - 1 - self._in_group())
        elif self.steps is None:
            self._accumulator.begin(1 / self._size)
        else:
            group = batch // self._size * self._size
            share = self._rows[batch] / sum(self._rows[group : group + self._size])
            self._accumulator.begin(share, last)

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        if self._accumulator is not None:
            self._accumulator.finish(self.model)  # where nobody knew that the epoch would end

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.on_test_begin()

    def _in_group(self) -> int:
        """Returns how many batches the group of one of Keras' optimizers has so far."""
        return int(keras.ops.convert_to_numpy(self._optimizer._iterations)) % self._size


class EarlyStopping(keras.callbacks.EarlyStopping):
    """Keras' `EarlyStopping`, as a run that is resumed needs it."""

    _KEPT = ("wait", "stopped_epoch", "best", "best_epoch")

    def state(self) -> dict[str, Any]:
        """Returns how long it has waited, and the best weights so far."""
        best = {} if self.best_weights is None else {"weights": self.best_weights}
        return {**{name: getattr(self, name) for name in self._KEPT}, **best}

    def set_state(self, state: dict[str, Any]) -> None:
        """Puts back what `state` returned."""
        for name in self._KEPT:
            setattr(self, name, state[name])
        self.best_weights = state.get("weights")


class ReduceOnPlateau(keras.callbacks.Callback):
    """Divides the schedule's rates by `factor` when `monitor` has not improved for `patience`.

    Args:
        schedule: The running schedule's callback.
        monitor: A key of the epoch's logs.
        factor: What the rates are divided by.
        patience: Epochs without improvement.
        mode: `"min"` or `"max"`: which way is better.
    """

    def __init__(
        self,
        schedule: ScheduleCallback,
        monitor: str,
        factor: float,
        patience: int,
        mode: str,
    ) -> None:
        super().__init__()
        self.schedule = schedule
        self.monitor = monitor
        self.factor = factor
        self.patience = patience
        self.sign = 1.0 if mode == "min" else -1.0
        self.best = float("inf")
        self.waited = 0

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        value = self.sign * (logs or {})[self.monitor]
        if value < self.best:
            self.best, self.waited = value, 0
            return
        self.waited += 1
        if self.waited >= self.patience:
            self.schedule.scale /= self.factor
            self.waited = 0

    def state(self) -> dict[str, Any]:
        """Returns what a resumed run needs; the scale is the schedule's."""
        return {"best": self.best, "waited": self.waited}

    def set_state(self, state: dict[str, Any]) -> None:
        """Puts back what `state` returned."""
        self.best, self.waited = state["best"], state["waited"]


class MovingAverage(keras.callbacks.Callback):
    """Lets validation, and what follows training, see the average that the optimizer keeps.

    Polyak averaging (Polyak and Juditsky, 1992). `keras.callbacks.SwapEMAWeights` exchanges
    weights and average by adding and subtracting, which rounds both; here the weights wait
    in memory, bit by bit. The average is of this fit, and begins with its weights.
    """

    def __init__(self) -> None:
        super().__init__()
        self._waiting: list[Any] = []

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        for weight, average in averages(self.model):
            average.assign(weight)

    def show(self, *_: Any, **__: Any) -> None:
        """Puts the average into the model."""
        if not self._waiting:
            self._waiting = [copy(weight) for weight, _ in averages(self.model)]
            for weight, average in averages(self.model):
                weight.assign(average)

    def hide(self, *_: Any, **__: Any) -> None:
        """Puts the weights back that are being trained."""
        if self._waiting:
            for (weight, _), value in zip(averages(self.model), self._waiting, strict=True):
                weight.assign(value)
        self._waiting = []

    on_test_begin = on_epoch_end = show
    on_test_end = on_epoch_begin = hide
