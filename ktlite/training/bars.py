"""Keras' progress bar, written where bars go."""

from __future__ import annotations

from contextlib import redirect_stdout
from typing import Any

import keras

from ktlite._progress import screen


class Bar(keras.callbacks.ProgbarLogger):
    """Keras' progress bar on standard error, in a notebook in the cell's output.

    Keras writes to standard output, among the results of a script.

    Args:
        endless: Whether nobody knows how many epochs there will be, so that each is shown by its
            number alone.
    """

    def __init__(self, endless: bool = False) -> None:
        super().__init__()
        self.endless = endless

    def set_params(self, params: dict[str, Any]) -> None:
        # Of one epoch Keras does not say which it is.
        super().set_params({**params, "epochs": 1} if self.endless else params)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if self.endless and self.verbose and keras.config.is_interactive_logging_enabled():
            screen().write(f"Epoch {epoch + 1}\n")
        with redirect_stdout(screen()):
            super().on_epoch_begin(epoch, logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        with redirect_stdout(screen()):
            super().on_train_batch_end(batch, logs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        with redirect_stdout(screen()):
            super().on_epoch_end(epoch, logs)


def with_bar(callbacks: list[Any], verbose: int, endless: bool = False) -> list[Any]:
    """Returns callbacks with a bar, unless it is not wanted or there is one."""
    own = any(isinstance(callback, keras.callbacks.ProgbarLogger) for callback in callbacks)
    return callbacks if own or not verbose else [*callbacks, Bar(endless)]
