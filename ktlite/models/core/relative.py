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

from ktlite.models.core.init import Init, normalisation
from ktlite.models.core.spec import RelativeSpec, StackSpec


def t5_rows(
    distances: np.ndarray, buckets: int, max_distance: int, both_sides: bool = True
) -> np.ndarray:
    """Returns the table row of each distance key - query (Raffel et al., 2019, arXiv:1910.10683).

    Half of the rows are for keys to the right, or none (those keys have row 0 then); half of a
    side has a row a distance, the other half grows logarithmically up to `max_distance`.
    """
    if not both_sides:
        distances = np.minimum(distances, 0)
    side = buckets // 2 if both_sides else buckets
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


def by_pair(values: Any, n: Any = None) -> Any:
    """Moves values by distance to pairs of positions: [..., rows, distances] to [..., rows, n].

    The result at (i, j) is the input at (i, j - i + distances - n).

    Args:
        values: By distance, rising by one from column to column.
        n: How many keys there are. Default: so many that the distances are those of each of n
            positions from each, -(n - 1) to n - 1.
    """
    shape = ops.shape(values)
    lead, rows, width = shape[:-2], shape[-2], shape[-1]
    n = (width + 1) // 2 if n is None else n
    # Row i has to move i places to the left: rows one element longer, read again with
    # the old length, do just that.
    padded = ops.pad(values, [(0, 0)] * (len(shape) - 1) + [(0, 1)])
    flat = ops.reshape(padded, (*lead, rows * (width + 1)))
    moved = ops.reshape(flat[..., : rows * width], (*lead, rows, width))
    return moved[..., width - n :]


class RelativeTable(layers.Layer):
    """The table, and the row of each distance.

    `at(length)` gives what attention takes, for sequences of that length, or for their last rows.
    """

    def __init__(
        self,
        spec: RelativeSpec,
        encoder: StackSpec,
        longest: int,
        init: Init,
        *,
        dtype: Any = None,
    ) -> None:
        super().__init__(name="relative", dtype=dtype)
        policy = self.dtype_policy
        self.spec = spec
        self.width = self.row_width(encoder)
        self.reach = self.farthest(longest)
        self.table = init.embedding(spec.buckets, self.width, name="table", dtype=policy)
        self.norm = normalisation(spec.norm, name="norm", dtype=policy) if spec.norm else None
        self.rows = self.table_rows(np.arange(-self.reach, self.reach + 1)).astype(np.int32)

    def build(self, input_shape: Any = None) -> None:
        self.table.build((None,))
        if self.norm is not None:
            self.norm.build((None, self.width))
        self.built = True

    def row_width(self, encoder: StackSpec) -> int:
        """Returns how many numbers the table has for a distance; a kind defines it."""
        raise NotImplementedError

    def farthest(self, longest: int) -> int:
        """Returns the distance that all beyond it have the row of, in sequences up to `longest`."""
        return longest - 1

    def table_rows(self, distances: np.ndarray) -> np.ndarray:
        """Returns the table's row for each distance; a kind of relative positions defines it."""
        raise NotImplementedError

    def at(self, length: Any, rows: Any = None) -> Any:
        """Returns what attention adds at this length; a kind of relative positions defines it.

        Args:
            length: Of the sequence, in tokens: so many keys there are.
            rows: How many of its last tokens are queries. Default: all.
        """
        raise NotImplementedError

    def vectors(self, length: Any, rows: Any) -> Any:
        """Returns [length + rows - 1, width], by distance: from 1 - length to rows - 1."""
        distances = ops.clip(ops.arange(1 - length, rows), -self.reach, self.reach)
        vectors = self.table(ops.take(self.rows, distances + self.reach))
        return vectors if self.norm is None else self.norm(vectors)


class RelativeBias(RelativeTable):
    """A number a head and distance, as in T5. Returns float [heads, rows, length]."""

    def row_width(self, encoder: StackSpec) -> int:
        return encoder.attention.heads

    def table_rows(self, distances: np.ndarray) -> np.ndarray:
        spec = self.spec
        return t5_rows(distances, spec.buckets, spec.max_distance, spec.both_sides)

    def farthest(self, longest: int) -> int:
        return self.spec.max_distance

    def at(self, length: Any, rows: Any = None) -> Any:
        rows = length if rows is None else rows
        by_head = ops.expand_dims(ops.transpose(self.vectors(length, rows)), 1)
        by_row = ops.broadcast_to(by_head, (self.width, rows, length + rows - 1))
        return by_pair(by_row, length)


class RelativeVectors(RelativeTable):
    """A vector a distance query - key, as in DeBERTa. Returns float [2 * length - 1, width]."""

    def row_width(self, encoder: StackSpec) -> int:
        return encoder.width

    def table_rows(self, distances: np.ndarray) -> np.ndarray:
        return deberta_rows(distances, self.spec)

    def at(self, length: Any, rows: Any = None) -> Any:
        return self.vectors(length, length if rows is None else rows)


RELATIVE: dict[str, type[RelativeTable]] = {"bias": RelativeBias, "vectors": RelativeVectors}
