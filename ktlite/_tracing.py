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

    sizes = tf.nest.flatten(arguments)

    def of_leaves(*leaves: Any) -> Any:
        return function(*tf.nest.pack_sequence_as(arguments, leaves))

    graph = tf.function(
        of_leaves,
        input_signature=[tf.TensorSpec(sized.shape, sized.dtype) for sized in sizes],
        autograph=False,
    )
    concrete: list[Any] = []  # once it is traced

    def run(*given: Any) -> Any:
        # Of a call with nests TensorFlow compares each leaf with the signature: of a small step
        # that was a fifth of its time.
        leaves = [
            tf.convert_to_tensor(leaf, sized.dtype)
            for leaf, sized in zip(tf.nest.flatten(given), sizes, strict=True)
        ]
        if not concrete:
            concrete.append(graph.get_concrete_function())
        return concrete[0](*leaves)

    return run
