"""What a schedule does during `keras.Model.fit`."""

from __future__ import annotations

from typing import Any

import keras

from ktlite.training.optimizers import inner, momentum, set_learning_rate, set_momentum
from ktlite.training.schedules import Schedule
from ktlite.training.state import averages, copy


class ScheduleCallback(keras.callbacks.Callback):
    """Sets learning rate and momentum before each batch, and records them.

    After training, the fit's `history` has, beside Keras' values of each epoch, lists
    with one value for each batch that was trained on: `iterations` (batches so far,
    from 1), `lr`, and `momentum` where the schedule changes it and the optimizer has it.
    They are there too when training stops early or is interrupted. With Keras'
    `steps_per_execution` above 1 there is one value for each execution.

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
        self._done = 0
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
        return {"scale": self.scale, "done": self._done_before_epoch}

    def set_state(self, state: dict[str, Any]) -> None:
        """Puts back what `state` returned."""
        self.scale, self._done = state["scale"], state["done"]

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._done_before_epoch = self._done

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        rate, momentum_now = self.schedule.at(self._done_before_epoch + batch)
        optimizer = self.model.optimizer
        self._rate = rate * self.scale
        set_learning_rate(optimizer, self._rate)
        if self._cycles_momentum and momentum_now is not None:
            self._momentum = momentum_now
            set_momentum(optimizer, momentum_now)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        # Here and not at the batch's begin, which Keras also calls where the data ends.
        self._done = self._done_before_epoch + batch + 1
        self._record["iterations"].append(self._done)
        self._record["lr"].append(self._rate)
        if self._cycles_momentum:
            self._record["momentum"].append(self._momentum)


class WholeGroups(keras.callbacks.Callback):
    """Ends every epoch with a step of an optimizer that accumulates gradients.

    Keras takes a step after each n-th batch, counted over all epochs and fits, so that
    the gradients of the last batches of a training would wait for the next one. Here the
    last group of an epoch may have fewer batches. (Keras divides its sum by n all the same:
    the step is as much smaller as the group.) What an interrupted training has left is
    dropped.

    Args:
        steps: Batches of an epoch.
    """

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        optimizer, left = self._batches_in_group()
        if not left:
            return
        optimizer._iterations.assign_sub(left)
        for gradient in optimizer._accumulated_gradients:
            gradient.assign(keras.ops.zeros_like(gradient))

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if batch == self.steps - 1:
            optimizer, before = self._batches_in_group()
            optimizer._iterations.assign_add(optimizer.gradient_accumulation_steps - 1 - before)

    def _batches_in_group(self) -> tuple[Any, int]:
        """Returns the optimizer, and how many batches its group has so far."""
        optimizer = inner(self.model.optimizer)
        count = int(keras.ops.convert_to_numpy(optimizer._iterations))
        return optimizer, count % optimizer.gradient_accumulation_steps


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
