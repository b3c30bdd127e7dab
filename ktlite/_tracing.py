"""Functions of tensors that are traced once, for inputs of all sizes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Sized:
    """A tensor of which some sizes are known.

    Args:
        shape: None: differs from call to call.
        dtype: Such as `"int32"`.
    """

    shape: tuple[int | None, ...]
    dtype: str


def traced(function: Callable[..., Any], *arguments: Any) -> Callable[..., Any]:
    """Returns a function that computes the same as one graph, where Keras runs on TensorFlow.

    On another backend it is the function itself.

    Args:
        function: Takes tensors, or nests of them, by position; it changes nothing but these.
        *arguments: Nests of `Sized`, as it takes tensors.

    Example:
        >>> add = traced(keras.ops.add, Sized((None,), "float32"), Sized((), "float32"))
        >>> add(np.ones(3, "float32"), np.float32(2))
    """
    import keras

    if keras.config.backend() != "tensorflow":
        return function
    import tensorflow as tf

    def spec(sized: Sized) -> Any:
        return tf.TensorSpec(sized.shape, sized.dtype)

    signature = [tf.nest.map_structure(spec, argument) for argument in arguments]
    run: Callable[..., Any] = tf.function(function, input_signature=signature, autograph=False)
    return run
