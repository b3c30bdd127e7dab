"""How long a step takes."""

from __future__ import annotations

import time
from typing import Any

import keras

_LEAST = 3  # steps to time


class StepClock(keras.callbacks.Callback):
    """Notes when each batch of a training or of an evaluation ends.

    Args:
        seconds: Stops after so many, and three steps. Default: it does not stop.

    Example:
        >>> clock = StepClock()
        >>> model.fit(x, y, callbacks=[clock])
        >>> clock.seconds_each()
    """

    def __init__(self, seconds: float = float("inf")) -> None:
        super().__init__()
        self.seconds = seconds
        self.begun = time.monotonic()
        self.ends: list[float] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.ends.append(time.monotonic())
        if len(self.ends) > _LEAST and self.ends[-1] - self.ends[0] > self.seconds:
            self.model.stop_training = True

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        self.on_train_batch_end(batch)
        self.model.stop_evaluating = self.model.stop_training

    def seconds_each(self) -> float:
        """Returns the mean of all batches but the first, which traces the graph."""
        if len(self.ends) == 1:
            return self.ends[0] - self.begun
        return (self.ends[-1] - self.ends[0]) / (len(self.ends) - 1)
