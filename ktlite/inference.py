"""Runs a model forward over many inputs: sorted by length, compiled once, order restored."""

from __future__ import annotations

import abc
import functools
from collections.abc import Callable
from numbers import Integral
from typing import Any

import numpy as np

from ktlite._progress import progress
from ktlite.batching import plan_batches

# Texts of more tokens go in smaller batches, so that these take as much memory as others.
_USUAL = 128


class Runner(abc.ABC):
    """What runs a model forward: Keras does, or the runtime that the model was exported for.

    Attributes:
        model: The model; where there is no Keras model, the runner itself.
    """

    model: Any

    @property
    @abc.abstractmethod
    def precision(self) -> str:
        """What it computes in: `"float32"`, `"bfloat16"`, `"float16"` or `"int8"`."""

    @abc.abstractmethod
    def __call__(self, inputs: dict[str, np.ndarray]) -> Any:
        """Returns the model's outputs, an array or a dict of them, for a batch.

        Args:
            inputs: int32 arrays [batch, length], or [batch, texts, length].
        """

    @abc.abstractmethod
    def embedder(self, pooling: str | None, normalize: bool | None) -> Runner:
        """Returns what makes vectors of texts with this model, for `Predictor.embed`.

        Its `model` has a `width`, and says whether it does `normalize`.

        Raises:
            ArgumentError: If the model cannot do that.
        """

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


class Forward(Runner):
    """A Keras model's forward pass, traced once for all batch sizes and lengths.

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

    @property
    def precision(self) -> str:
        return str(getattr(self.model, "compute_dtype", "float32"))

    def embedder(self, pooling: str | None, normalize: bool | None) -> Runner:
        from ktlite.models.embedder import Embedder

        return Forward(Embedder(self.model, pooling, normalize))

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
        batch_size: Rows a batch; fewer of those of more than 128 tokens.
        what: What to call it beside the progress bar.
        verbose: 1 shows the bar for many batches.

    Returns:
        What `run` returns, [n, ...] each; nothing where there are no rows.
    """
    tokens = None
    if isinstance(batch_size, Integral):
        tokens = max(int(batch_size) * _USUAL, 2 * int(lengths.max(initial=1)))
    batches = plan_batches(lengths, batch_size, max_tokens=tokens)
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
