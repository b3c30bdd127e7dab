"""Relative positions: tables of distances that all layers of an encoder share.

Nothing here looks up a value for each pair of positions. A pair has one of
2 * length - 1 distances; `by_pair` moves what was computed once a distance to
its pairs, by reshaping alone, and so does its gradient.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from keras import layers, ops

from ktlite.models.core.init import Init, layer_norm
from ktlite.models.core.spec import EncoderSpec, RelativeSpec


def t5_rows(distances: np.ndarray, buckets: int, max_distance: int) -> np.ndarray:
    """Returns the table row of each distance key - query (Raffel et al., 2019, arXiv:1910.10683).

    Half of the rows are for keys to the right; half of a side has a row a distance,
    the other half grows logarithmically up to `max_distance`.
    """
    side = buckets // 2
    exact = side // 2
    far = np.maximum(np.abs(distances), 1).astype(np.float32)
    log = np.log(far / np.float32(exact)) / np.float32(math.log(max_distance / exact))
    rows = exact + (log * np.float32(side - exact)).astype(np.int32)
    rows = np.where(np.abs(distances) < exact, np.abs(distances), np.minimum(rows, side - 1))
    return rows + np.where(distances > 0, side, 0)


def deberta_rows(distances: np.ndarray, spec: RelativeSpec) -> np.ndarray:
    """Returns the table row of each distance query - key (He et al., 2021, arXiv:2111.09543)."""
    side = spec.buckets // 2
    signed = distances
    if spec.log:
        middle = side // 2
        far = np.maximum(np.abs(distances), 1).astype(np.float32)
        scale = np.log(np.float32((spec.max_distance - 1) / middle))
        log = np.log(far / np.float32(middle)) / scale
        steps = np.ceil(log * np.float32(middle - 1)).astype(np.int32) + middle
        signed = np.where(np.abs(distances) <= middle, distances, steps * np.sign(distances))
    return np.clip(signed + side, 0, spec.buckets - 1)


def by_pair(values: Any) -> Any:
    """Moves values by distance to pairs of positions: [..., rows, 2n - 1] to [..., rows, n].

    Column d of the input belongs to the distance d - (n - 1), so the result at
    (i, j) is the input at (i, j - i + n - 1).
    """
    shape = ops.shape(values)
    lead, rows, width = shape[:-2], shape[-2], shape[-1]
    n = (width + 1) // 2
    # Row i has to move i places to the left: rows one element longer, read again with
    # the old length, do just that.
    padded = ops.pad(values, [(0, 0)] * (len(shape) - 1) + [(0, 1)])
    flat = ops.reshape(padded, (*lead, rows * (width + 1)))
    moved = ops.reshape(flat[..., : rows * width], (*lead, rows, width))
    return moved[..., n - 1 :]


class RelativeTable(layers.Layer):
    """The table, and the row of each distance from -(length - 1) to length - 1.

    `at(length)` gives what attention takes, for sequences of that length.
    """

    def __init__(
        self,
        spec: RelativeSpec,
        encoder: EncoderSpec,
        longest: int,
        init: Init,
        *,
        dtype: Any = None,
    ) -> None:
        super().__init__(name="relative", dtype=dtype)
        policy = self.dtype_policy
        self.spec = spec
        self.width = self.row_width(encoder)
        self.longest = longest
        self.table = init.embedding(spec.buckets, self.width, name="table", dtype=policy)
        self.norm = layer_norm(spec.norm, name="norm", dtype=policy) if spec.norm else None
        self.rows = self.table_rows(np.arange(-(longest - 1), longest)).astype(np.int32)

    def build(self, input_shape: Any = None) -> None:
        self.table.build((None,))
        if self.norm is not None:
            self.norm.build((None, self.width))
        self.built = True

    def row_width(self, encoder: EncoderSpec) -> int:
        """Returns how many numbers the table has for a distance; a kind defines it."""
        raise NotImplementedError

    def table_rows(self, distances: np.ndarray) -> np.ndarray:
        """Returns the table's row for each distance; a kind of relative positions defines it."""
        raise NotImplementedError

    def at(self, length: Any) -> Any:
        """Returns what attention adds at this length; a kind of relative positions defines it."""
        raise NotImplementedError

    def vectors(self, length: Any) -> Any:
        """Returns [2 * length - 1, width], by distance."""
        rows = ops.convert_to_tensor(self.rows)
        vectors = self.table(rows[self.longest - length : self.longest - 1 + length])
        return vectors if self.norm is None else self.norm(vectors)


class RelativeBias(RelativeTable):
    """A number a head and distance, as in T5. Returns float [heads, length, length]."""

    def row_width(self, encoder: EncoderSpec) -> int:
        return encoder.attention.heads

    def table_rows(self, distances: np.ndarray) -> np.ndarray:
        return t5_rows(distances, self.spec.buckets, self.spec.max_distance)

    def at(self, length: Any) -> Any:
        by_head = ops.expand_dims(ops.transpose(self.vectors(length)), 1)
        return by_pair(ops.broadcast_to(by_head, (self.width, length, 2 * length - 1)))


class RelativeVectors(RelativeTable):
    """A vector a distance query - key, as in DeBERTa. Returns float [2 * length - 1, width]."""

    def row_width(self, encoder: EncoderSpec) -> int:
        return encoder.width

    def table_rows(self, distances: np.ndarray) -> np.ndarray:
        return deberta_rows(distances, self.spec)

    def at(self, length: Any) -> Any:
        return self.vectors(length)


RELATIVE: dict[str, type[RelativeTable]] = {"bias": RelativeBias, "vectors": RelativeVectors}
