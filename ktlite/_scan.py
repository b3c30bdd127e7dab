"""One step after the other along an axis whose length is not known before the model runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ktlite import _keras_start  # noqa: F401  isort: skip  (first: loads Keras without noise)
import keras
from keras import ops


def scan(step: Callable[[Any, Any], Any], begin: Any, given: Any) -> Any:
    """Returns the states that steps lead to, one after the other: [steps, ...].

    `keras.ops.scan` of TensorFlow has to know the number of steps.

    Args:
        step: Makes a state of the one before and of what is given to a step.
        begin: The state before the first step.
        given: To each step, a tensor [steps, ...] or a tuple of them.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.scan(step, given, begin, parallel_iterations=1)

    def both(state: Any, one: Any) -> tuple[Any, Any]:
        found = step(state, one)
        return found, found

    return ops.scan(both, begin, given)[1]
