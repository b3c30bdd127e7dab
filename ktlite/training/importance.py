"""How much each unit and each head of a model matters to its loss, by one gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from ktlite._process import check_process
from ktlite._progress import progress
from ktlite.data.dataset import Dataset
from ktlite.errors import ArgumentError
from ktlite.models.pruning import shares_heads
from ktlite.models.towers import towers_of
from ktlite.training.feed import FIXED

_BATCH = 8  # rows whose gates are one: of more, what helps one text hides what harms another


class Importance:
    """The first-order Taylor estimate of what the loss changes by without a unit or a head.

    Think of a gate of 1 on what a unit, or a head of attention, gives. Its importance is the mean
    over batches of the absolute gradient of the loss with respect to that gate, which is the sum
    of |gradient x output| (Michel et al., 2019, arXiv:1905.10650; Molchanov et al., 2019,
    arXiv:1906.10771). What a unit gives goes into one row of the next dense layer's kernel, and the
    gradient of its gate is the product of that row with the row's own gradient: no layer has to
    be changed for it.

    Args:
        model: A `TransformerModel` with one tower.
        loss: Of a batch's targets and the model's outputs, a number.

    Attributes:
        units: float64 [units] for each block.
        heads: float64 [heads of keys] for each block.
    """

    def __init__(self, model: Any, loss: Callable[[Any, Any], Any]) -> None:
        if keras.config.backend() != "tensorflow":
            raise ArgumentError(
                "prune: the importance of heads and units is measured with Keras' TensorFlow "
                f"backend; this is {keras.config.backend()}. Take layers= or vocabulary= alone."
            )
        check_process()
        (tower,) = towers_of(model)
        self.model, self.loss = model, loss
        self._blocks = tower.stack.blocks
        self._attention = [tower.spec.stack.attention_of(i) for i in range(len(self._blocks))]
        self.units = [np.zeros(block.feed_forward.spec.width) for block in self._blocks]
        self.heads = [np.zeros(one.kv_heads or one.heads) for one in self._attention]

    def measure(self, data: Dataset, rows: np.ndarray, verbose: int = 0) -> None:
        """Adds up what some rows of labelled data say.

        Args:
            data: The data.
            rows: int [rows], which of its rows.
            verbose: 1 shows a progress bar.
        """
        import tensorflow as tf

        kernels = [
            kernel.value
            for block in self._blocks
            for kernel in (block.feed_forward.down.kernel, block.attention.out.kernel)
        ]

        @tf.function(reduce_retracing=True, autograph=False)
        def gates(inputs: Any, targets: Any) -> Any:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(kernels)
                loss = self.loss(targets, self.model(inputs, training=False))
            found = tape.gradient(loss, kernels)
            return [
                tf.reduce_sum(kernel * gradient, axis=1)
                for kernel, gradient in zip(kernels, found, strict=True)
            ]

        rows = rows[np.argsort(data.lengths[rows], kind="stable")]
        bar = progress(len(rows), "Measuring importance", "row", shown=verbose)
        for start in range(0, len(rows), _BATCH):
            batch = rows[start : start + _BATCH]
            inputs, targets = data.examples(batch, FIXED)
            found = [gate.numpy() for gate in gates(_tensors(inputs), _tensors(targets))]
            for number, attention in enumerate(self._attention):
                self.units[number] += np.abs(found[2 * number])
                # Heads of queries that share one of keys go together, and so do their gates.
                by_head = found[2 * number + 1].reshape(
                    -1, shares_heads(attention), attention.head_width
                )
                self.heads[number] += np.abs(by_head.sum((1, 2)))
            bar.update(len(batch))
        bar.close()


def most(importance: np.ndarray, count: int) -> np.ndarray:
    """Returns the numbers of the most important ones, int64 [count], ascending."""
    return np.sort(np.argsort(-importance, kind="stable")[:count])


def _tensors(arrays: Any) -> Any:
    return keras.tree.map_structure(keras.ops.convert_to_tensor, arrays)
