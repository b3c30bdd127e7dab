"""Small functions over the arrays that tasks take: rows of unequal size, logits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ktlite.encodings.tokens import row_lengths


def unpadded(outputs: np.ndarray, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """Returns outputs [batch, length, ...] as ragged ones, without those of the padding."""
    lengths = row_lengths(inputs)
    return ragged([row[:length] for row, length in zip(outputs, lengths, strict=True)])


def mean_of_rows(outputs: np.ndarray, example_of: np.ndarray) -> np.ndarray:
    """Returns the mean output of each text, [texts, ...], from those of its rows.

    Args:
        outputs: float [rows, ...].
        example_of: int [rows], the text of each row, ascending.
    """
    _, first, counts = np.unique(example_of, return_index=True, return_counts=True)
    shape = (-1,) + (1,) * (outputs.ndim - 1)
    return np.add.reduceat(outputs, first, axis=0) / counts.astype("float32").reshape(shape)


def ragged(items: Sequence[Any]) -> np.ndarray:
    """Returns items of unequal size as an array of objects [items]."""
    return np.fromiter(items, object, len(items))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Softmax over the last axis, in float64."""
    shifted = np.asarray(logits, "float64") - np.max(logits, axis=-1, keepdims=True)
    powers = np.exp(shifted)
    return powers / powers.sum(axis=-1, keepdims=True)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Logarithm of softmax over the last axis, in float64."""
    shifted = np.asarray(logits, "float64") - np.max(logits, axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Logistic function, in float64, in a form that does not overflow."""
    return np.exp(-np.logaddexp(0.0, -np.asarray(logits, "float64")))


def in_digits(values: np.ndarray) -> Any:
    """Returns numbers as lists, without digits that mean nothing: 3.1, not 3.0999999046325684.

    float32 as it is written; float64, which models of float32 do not fill, in 8 digits.

    Example:
        >>> in_digits(np.array([3.1], "float32")), in_digits(np.array([2 / 3]))
        ([3.1], [0.66666667])
    """
    array = np.asarray(values)
    write = str if array.dtype == np.float32 else "{:.8g}".format
    short = [float(write(value)) for value in array.ravel()]
    return np.array(short, "float64").reshape(array.shape).tolist()


def plain(values: Sequence[Any]) -> list[Any]:
    """Turns NumPy scalars into Python ones, which JSON can hold."""
    return [v.item() if isinstance(v, np.generic) else v for v in values]
