"""Gradients of a model's outputs along the way from an example without its parts to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ktlite._process import check_process
from ktlite.encodings.field import Field
from ktlite.explain.subject import Subject
from ktlite.tasks.aims import Aim

# The sum of the scores may differ from what they explain by this share of it (or of the largest
# weight of an output, if that is more).
TOLERANCE = 0.01
POINTS = (16, 32, 64, 128, 256)
_BATCH_TOKENS = 4_096


class PathGradients:
    """Integrates a model's gradient over its word vectors, or over the numbers that it reads.

    Traced once.

    Args:
        model: A `TransformerModel`.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self._traced: dict[tuple[str, int, int], Any] = {}

    @staticmethod
    def applies_to(model: Any) -> bool:
        """Says whether a model takes word vectors, and TensorFlow runs it."""
        if not hasattr(model, "hidden_states"):
            return False
        import keras

        return bool(keras.config.backend() == "tensorflow")

    def __call__(self, subject: Subject, aim: Aim, row: int, points: int) -> np.ndarray:
        """Returns the integral for each place of a row, float64 of the shape of `Parts.part_of`.

        Args:
            subject: The example.
            aim: What is explained.
            row: One of the example's.
            points: How many gradients are taken: those of Gauss-Legendre quadrature.
        """
        check_process()
        parts, name = subject.parts, subject.parts.field
        inputs = subject.encodings.batch(np.array([row]))
        nothing = parts.variants(row, np.zeros((1, len(parts)), bool))
        base = nothing.batch(np.array([0]))[name]
        weights = aim.weights[row].astype("float32")
        if weights.ndim > 1:  # an output for each token, and tokens are padded
            weights = np.pad(weights, ((0, inputs[name].shape[1] - len(weights)), (0, 0)))
        integral = self._integral(subject, weights.ndim, parts.part_of[row].ndim)
        where, share = np.polynomial.legendre.leggauss(points)
        where, share = (where + 1) / 2, share / 2
        length = int(subject.encodings.lengths[row]) or self.model.spec.max_positions
        size = max(1, _BATCH_TOKENS // length)
        total = np.zeros(inputs[name].shape[1 : 1 + parts.part_of[row].ndim])
        for start in range(0, points, size):
            part = slice(start, start + size)
            total += integral(
                inputs,
                base,
                weights,
                where[part].astype("float32"),
                share[part].astype("float32"),
            ).numpy()
        return total[: len(parts.part_of[row])]

    def _integral(self, subject: Subject, rank: int, places: int) -> Any:
        known = subject.parts.field, rank, places
        if known not in self._traced:
            self._traced[known] = self._trace(subject.encodings.fields, *known)
        return self._traced[known]

    def _trace(self, fields: Sequence[Field], name: str, rank: int, places: int) -> Any:
        import tensorflow as tf

        inputs_of = {f.name: tf.TensorSpec((1, *f.shape), f.dtype) for f in fields}
        numbers = tf.TensorSpec((None,), tf.float32)
        signature = [
            inputs_of, inputs_of[name], tf.TensorSpec((None,) * rank, tf.float32), numbers, numbers
        ]  # fmt: skip
        # Of ids there is no gradient: theirs are followed as vectors.
        words = None if inputs_of[name].dtype.is_floating else self.model.towers[0].front.word
        path = name if words is None else "word_vectors"

        def integral(inputs: Any, base: Any, weights: Any, where: Any, share: Any) -> Any:
            ends = (base, inputs[name]) if words is None else (words(base), words(inputs[name]))
            # In float32, whatever the model computes in: sums of small differences.
            first, last = (tf.cast(end, "float32") for end in ends)
            with tf.GradientTape() as tape:
                along = tf.reshape(where, (-1, *[1] * (len(first.shape) - 1)))
                vectors = first + along * (last - first)
                tape.watch(vectors)
                many = {key: tf.repeat(x, tf.shape(where)[0], 0) for key, x in inputs.items()}
                outputs = self.model({**many, path: vectors}, training=False)
                value = tf.reduce_sum(outputs * weights)
            gradient = tape.gradient(value, vectors) * (last - first)
            for _ in range(len(first.shape) - 1 - places):  # of numbers that a place has
                gradient = tf.reduce_sum(gradient, -1)
            return tf.tensordot(share, gradient, 1)

        return tf.function(integral, input_signature=signature, autograph=False)
