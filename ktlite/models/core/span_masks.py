"""Spans that are hidden in training: SpecAugment (Park et al., 2019, arXiv:1904.08779)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
from keras import ops


@dataclass(frozen=True)
class SpansSpec:
    """Spans along one axis: of so much of it, of some length, at least so many."""

    share: float
    length: int
    least: int = 0


def hidden_spans(
    spec: SpansSpec, rows: Any, size: Any, lengths: Any, seed: keras.random.SeedGenerator
) -> Any:
    """Draws which places of each row are hidden.

    As many spans as `transformers` draws, begun at different places; they may overlap.

    Args:
        spec: How many, of which length.
        rows: Of the batch.
        size: Places of a row, padding counted.
        lengths: float [rows], places of each that are no padding.
        seed: Of what is drawn.

    Returns:
        bool [rows, size].
    """
    length = float(spec.length)
    # A part of a span is a span with that chance.
    more = keras.random.uniform((rows,), seed=seed)
    count = ops.floor(spec.share * lengths / length + more)
    count = ops.maximum(count, float(spec.least))
    count = ops.minimum(count, ops.floor(lengths / length))
    begins = lengths - (length - 1.0)  # places where a span has room
    count = ops.clip(count, 0.0, ops.maximum(begins, 0.0))
    place = ops.arange(size, dtype="float32")
    drawn = keras.random.uniform((rows, size), seed=seed)
    drawn = ops.where(place < ops.expand_dims(begins, 1), drawn, 2.0)
    # The `count` smallest of a row begin spans.
    last = ops.cast(ops.maximum(count - 1.0, 0.0), "int32")
    limit = ops.take_along_axis(ops.sort(drawn, axis=1), ops.expand_dims(last, 1), axis=1)
    first = ops.logical_and(drawn <= limit, ops.expand_dims(count, 1) > 0.0)
    begun = ops.cumsum(ops.cast(first, "int32"), axis=1)
    ended = ops.pad(begun, ((0, 0), (spec.length, 0)))[:, :size]
    return begun > ended
