"""Gradients of a model's outputs along the way from a text without its words to the text."""

from __future__ import annotations

from typing import Any

import numpy as np

from ktlite._process import check_process
from ktlite.explain.subject import Subject
from ktlite.tasks.aims import Aim

# The sum of the scores may differ from what they explain by this share of it (or of the largest
# weight of an output, if that is more).
TOLERANCE = 0.01
POINTS = (16, 32, 64, 128, 256)
_BATCH_TOKENS = 4_096


class PathGradients:
    """Integrates a model's gradient over its word vectors, traced once.

    Args:
        model: A `TransformerModel`.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self._traced: dict[int, Any] = {}

    @staticmethod
    def applies_to(model: Any) -> bool:
        """Says whether a model takes word vectors, and TensorFlow runs it."""
        if not hasattr(model, "hidden_states"):
            return False
        import keras

        return bool(keras.config.backend() == "tensorflow")

    def __call__(self, subject: Subject, aim: Aim, row: int, points: int) -> np.ndarray:
        """Returns the integral for each token of a row, float64 [length].

        Args:
            subject: The example.
            aim: What is explained.
            row: One of the example's.
            points: How many gradients are taken: those of Gauss-Legendre quadrature.
        """
        check_process()
        inputs = subject.encodings.batch(np.array([row]))
        length, width = len(subject.parts.word_of[row]), inputs["input_ids"].shape[1]
        nothing = np.zeros((1, len(subject.parts)), bool)
        base = inputs["input_ids"].copy()
        base[:, :length] = subject.without(row, nothing)
        weights = aim.weights[row].astype("float32")
        if weights.ndim > 1:  # an output for each token
            weights = np.pad(weights, ((0, width - length), (0, 0)))
        if weights.ndim not in self._traced:
            self._traced[weights.ndim] = self._trace(weights.ndim)
        where, share = np.polynomial.legendre.leggauss(points)
        where, share = (where + 1) / 2, share / 2
        size = max(1, _BATCH_TOKENS // width)
        total = np.zeros(width)
        for start in range(0, points, size):
            part = slice(start, start + size)
            total += self._traced[weights.ndim](
                inputs,
                base,
                weights,
                where[part].astype("float32"),
                share[part].astype("float32"),
            ).numpy()
        return total[:length]

    def _trace(self, rank: int) -> Any:
        import tensorflow as tf

        ids = tf.TensorSpec((1, None), tf.int32)
        numbers = tf.TensorSpec((None,), tf.float32)
        names = ("input_ids", "attention_mask", "token_type_ids")
        signature = [
            dict.fromkeys(names, ids), ids, tf.TensorSpec((None,) * rank, tf.float32),
            numbers, numbers,
        ]  # fmt: skip

        def integral(inputs: Any, base: Any, weights: Any, where: Any, share: Any) -> Any:
            words = self.model.towers[0].front.word
            # In float32, whatever the model computes in: sums of small differences.
            first, last = (tf.cast(words(ids), "float32") for ids in (base, inputs["input_ids"]))
            with tf.GradientTape() as tape:
                vectors = first + where[:, None, None] * (last - first)
                tape.watch(vectors)
                many = {name: tf.repeat(x, tf.shape(where)[0], 0) for name, x in inputs.items()}
                outputs = self.model({**many, "word_vectors": vectors}, training=False)
                value = tf.reduce_sum(outputs * weights)
            along = tf.reduce_sum(tape.gradient(value, vectors) * (last - first), -1)
            return tf.linalg.matvec(along, share, transpose_a=True)

        return tf.function(integral, input_signature=signature, autograph=False)
