"""Data that comes in batches of its own and can only be run through."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from ktlite.errors import ArgumentError


class Stream:
    """Data that can only be run through: a `tf.data.Dataset` or a `keras.utils.PyDataset`.

    Args:
        data: Its batches are `inputs`, `(inputs, targets)` or `(inputs, targets, weights)`.

    Attributes:
        steps: Batches in one pass; None where only running through would tell.
        endless: Whether a pass never ends.
    """

    def __init__(self, data: Any) -> None:
        is_tf = hasattr(data, "with_options")
        self.data = without_autotune(data) if is_tf else data
        count = int(data.cardinality()) if is_tf else data.num_batches
        self.steps: int | None = None if count is None or count < 0 else count
        self.endless = count is None or count == -1  # tf.data.INFINITE_CARDINALITY

    def repeated(self) -> Any:
        """Returns the data again and again, for epochs that are shorter than a pass.

        Keras goes on where the epoch before stopped, and ends an epoch early, down to
        no batch at all, where the data ends.
        """
        if hasattr(self.data, "repeat"):
            return self.data.repeat()
        return self.data if self.steps is None else _Repeated(self.data, self.steps)

    def example(self) -> Any:
        """Returns the inputs of one batch."""
        return _unpacked(next(iter(self.data)))[0]

    def batches(self) -> Iterator[tuple[Any, np.ndarray | None]]:
        """Runs through the data once: (inputs, targets) of each batch.

        Raises:
            ArgumentError: If a pass never ends.
        """
        if self.endless:
            raise ArgumentError(
                "the data never ends, so there is no whole of it to look at; leave out the "
                "repeat(), or take(n) batches."
            )
        return map(_unpacked, itertools.islice(self.data, self.steps))


def _unpacked(batch: Any) -> tuple[Any, np.ndarray | None]:
    inputs, *rest = batch if isinstance(batch, (tuple, list)) else (batch,)
    return inputs, np.asarray(rest[0]) if rest else None


class _Repeated(keras.utils.PyDataset):
    """A `PyDataset` of `steps` batches, again and again."""

    def __init__(self, data: Any, steps: int) -> None:
        super().__init__(data.workers, data.use_multiprocessing, data.max_queue_size)
        self.data = data
        self.steps = steps

    @property
    def num_batches(self) -> None:
        return None  # endless, to Keras

    def __getitem__(self, index: int) -> Any:
        return self.data[index % self.steps]

    def on_epoch_begin(self) -> None:
        self.data.on_epoch_begin()

    def on_epoch_end(self) -> None:
        self.data.on_epoch_end()


def without_autotune(dataset: Any) -> Any:
    """Turns off `tf.data`'s autotune thread, for which `fit` would wait at its end.

    The thread sleeps ever longer (10 ms * 2^k), and the end of the iteration waits for it
    to wake up: up to a third of the wall time of a fit.
    """
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
