"""Keras' progress bar, written where bars go."""

from __future__ import annotations

from contextlib import redirect_stdout
from typing import Any

import keras

from ktlite._progress import screen


class Bar(keras.callbacks.ProgbarLogger):
    """Keras' progress bar on standard error, in a notebook in the cell's output.

    Keras writes to standard output, among the results of a script.
    """

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        with redirect_stdout(screen()):
            super().on_epoch_begin(epoch, logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        with redirect_stdout(screen()):
            super().on_train_batch_end(batch, logs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        with redirect_stdout(screen()):
            super().on_epoch_end(epoch, logs)


def with_bar(callbacks: list[Any], verbose: int) -> list[Any]:
    """Returns callbacks with a bar, unless it is not wanted or there is one."""
    own = any(isinstance(callback, keras.callbacks.ProgbarLogger) for callback in callbacks)
    return callbacks if own or not verbose else [*callbacks, Bar()]
