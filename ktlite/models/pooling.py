"""From the vectors of tokens to the vector of a text."""

from __future__ import annotations

from typing import Any

from keras import ops

#: "first": the first token's (`[CLS]`). "max": the largest of each number. "mean"; and "mean_sqrt",
#: the sum over the square root of the number of tokens.
POOLINGS = ("mean", "first", "max", "mean_sqrt")


def pool(hidden: Any, attention_mask: Any, pooling: str, normalize: bool = False) -> Any:
    """Makes one vector a text (Reimers and Gurevych, 2019, arXiv:1908.10084, section 3).

    Args:
        hidden: float [batch, length, width].
        attention_mask: int or bool [batch, length]; 0 marks padding. None: there is none.
        pooling: One of `POOLINGS`.
        normalize: Scale the vectors to length 1, so that their products are cosines.

    Returns:
        float32 [batch, width].
    """
    # In float32: the sum over a long text leaves float16's range.
    hidden = ops.cast(hidden, "float32")
    if attention_mask is None:
        attention_mask = ops.ones_like(hidden[..., 0])
    tokens = ops.expand_dims(ops.cast(attention_mask, "float32"), -1)
    if pooling == "first":
        vectors = hidden[:, 0]
    elif pooling == "max":
        vectors = ops.max(ops.where(tokens > 0, hidden, -1e9), axis=1)
    else:
        count = ops.maximum(ops.sum(tokens, axis=1), 1.0)
        total = ops.sum(hidden * tokens, axis=1)
        vectors = total / (ops.sqrt(count) if pooling == "mean_sqrt" else count)
    return unit(vectors) if normalize else vectors


def unit(vectors: Any) -> Any:
    """Scales vectors [..., width] to length 1; those of length 0 stay."""
    squares = ops.sum(ops.square(vectors), axis=-1, keepdims=True)
    # PyTorch's `normalize` has the same floor, 1e-12 for the length.
    return vectors * ops.rsqrt(ops.maximum(squares, 1e-24))
