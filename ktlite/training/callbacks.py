"""What a schedule does during `keras.Model.fit`."""

from __future__ import annotations

from typing import Any

import keras

from ktlite.training.optimizers import inner, momentum, set_learning_rate, set_momentum
from ktlite.training.schedules import Schedule


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
