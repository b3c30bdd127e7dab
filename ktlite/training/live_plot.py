"""The curves of a training while it runs, in a notebook."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any

import keras

from ktlite._logging import logger
from ktlite.errors import listing
from ktlite.training.plots import BLUE, new_figure, plot_history


class LivePlot(keras.callbacks.Callback):
    """Draws the training loss as it falls, and after each epoch the curves of `metrics`.

    Each picture replaces the one before. Outside of a notebook nothing is drawn.

    Args:
        metrics: Names of figures to draw, training beside validation, once an epoch has ended.
        every: Seconds between two pictures inside an epoch.

    Example:
        >>> learner.fit_onecycle(5e-5, 3, callbacks=[ktlite.LivePlot(["loss", "accuracy"])])
    """

    def __init__(self, metrics: Sequence[str] = ("loss",), every: float = 5.0) -> None:
        super().__init__()
        self.metrics = list(metrics)
        self.every = every

    def on_train_begin(self, logs: Any = None) -> None:
        self._shown: dict[str, Any] = {}
        self._steps: list[int] = []
        self._losses: list[float] = []
        self._drawn = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._steps.append(len(self._steps) + 1)
        self._losses.append(float((logs or {})["loss"]))
        if time.monotonic() - self._drawn < self.every:
            return
        figure, axes = new_figure("Step", "Loss, mean of the epoch so far")
        axes.plot(self._steps, self._losses, color=BLUE, linewidth=2)
        self._show("steps", figure)
        self._drawn = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        # Keras' own record, which callbacks before this one have filled, lacks this epoch.
        history = {name: [*values] for name, values in self.model.history.history.items()}
        for name, value in (logs or {}).items():
            if len(history.setdefault(name, [])) <= epoch:
                history[name].append(value)
        for name in self.metrics:
            if history.get(name):
                self._show(name, plot_history(history, name))
            elif epoch == 0:  # no reason to end a training
                logger.warning("LivePlot: there is no %r; there are %s", name, listing(history))

    def _show(self, name: str, figure: Any) -> None:
        """Shows a figure in place of the last one of that name."""
        if "ipykernel" not in sys.modules:
            return
        from IPython.display import display

        if name in self._shown:
            self._shown[name].update(figure)
        else:
            self._shown[name] = display(figure, display_id=True)
