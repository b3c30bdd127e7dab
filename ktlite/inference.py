"""Runs a model forward over many inputs: sorted by length, compiled once, order restored."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from ktlite._progress import progress
from ktlite.batching import plan_batches


class Forward:
    """A model's forward pass, traced once for all batch sizes and lengths.

    `model.predict` costs 100 ms a call and traces anew for shapes it has not seen;
    this costs what the model costs.

    Args:
        model: A Keras model that takes a dict of int32 arrays [batch, length], or [batch, texts,
            length], and returns an array, or a dict of them.

    Example:
        >>> Forward(model)({"input_ids": np.array([[101, 102]], "int32")}).shape
        (1, 2)
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self._traced: dict[tuple[tuple[str, int], ...], Any] = {}

    def __call__(self, inputs: dict[str, np.ndarray]) -> Any:
        import keras

        if keras.config.backend() != "tensorflow":
            return self.model.predict_on_batch(inputs)
        ranks = tuple((name, array.ndim) for name, array in inputs.items())
        if ranks not in self._traced:
            self._traced[ranks] = self._trace(dict(ranks))
        outputs = self._traced[ranks](inputs)
        return keras.tree.map_structure(lambda output: output.numpy(), outputs)

    def _trace(self, ranks: dict[str, int]) -> Any:
        import tensorflow as tf

        signature = {
            name: tf.TensorSpec((None,) * rank, tf.int32, name=name) for name, rank in ranks.items()
        }
        # A partial, not a lambda: TensorFlow counts the traces of one piece of code over all
        # predictors of a process, and would warn at the fifth.
        forward = functools.partial(self.model, training=False)
        return tf.function(forward, input_signature=[signature], autograph=False)

    def over(
        self,
        data: Any,
        *,
        batch_size: int,
        verbose: int = 0,
        keep: Callable[[Any, dict[str, np.ndarray]], np.ndarray] = lambda outputs, inputs: outputs,
    ) -> np.ndarray:
        """Returns the outputs for all of `data`, in its order.

        Args:
            data: Has `lengths`, int [n], and either `inputs(rows)` or `pad(rows)`: a
                `TextDataset` or `Encodings`.
            batch_size: Rows a batch.
            verbose: 1 shows a progress bar.
            keep: Takes a batch's (outputs, inputs), returns what to keep: an item a row.

        Returns:
            What was kept, [n, ...].
        """
        batch_of = getattr(data, "inputs", None) or data.pad

        def run(number: int, rows: np.ndarray) -> tuple[np.ndarray]:
            inputs = batch_of(rows)
            return (keep(self(inputs), inputs),)

        kept = in_order(run, data.lengths, batch_size, what="Predicting", verbose=verbose)
        return kept[0] if kept else np.zeros((0,), "float32")


def in_order(
    run: Callable[[int, np.ndarray], tuple[np.ndarray | None, ...]],
    lengths: np.ndarray,
    batch_size: int,
    *,
    what: str,
    verbose: int = 0,
) -> list[Any]:
    """Runs batches of rows of like length, and puts what they give in the order of the rows.

    Args:
        run: Takes the number of a batch and its rows, int64 [batch]; returns arrays, an item a
            row, or None in place of one.
        lengths: int [n], tokens of each row.
        batch_size: Rows a batch.
        what: What to call it beside the progress bar.
        verbose: 1 shows the bar for many batches.

    Returns:
        What `run` returns, [n, ...] each; nothing where there are no rows.
    """
    batches = plan_batches(lengths, batch_size)
    joined: list[Any] = []
    bar = progress(len(lengths), what, "row", shown=verbose and len(batches) > 20)
    for number, rows in enumerate(batches):
        parts = run(number, rows)
        if not number:
            joined = [
                None if part is None else np.empty((len(lengths), *part.shape[1:]), part.dtype)
                for part in parts
            ]
        for whole, part in zip(joined, parts, strict=True):
            if part is not None:
                whole[rows] = part
        bar.update(len(rows))
    bar.close()
    return joined
