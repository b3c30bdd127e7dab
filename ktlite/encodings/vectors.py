"""Vectors in place of tokens: what stands in for all that is below a model's head."""

from __future__ import annotations

import numpy as np

from ktlite.encodings.encodings import Encodings, Seed
from ktlite.encodings.field import Field
from ktlite.encodings.tokens import TokenEncodings


class VectorEncodings(Encodings):
    """The vectors of rows, several a row or one, end to end.

    A batch has them as `hidden_states`, float32 [batch, length, width], with an `attention_mask`.

    Args:
        counts: int64 [rows], vectors of each row.
        width: Of a vector.
        longest: No row has more vectors.
    """

    def __init__(self, counts: np.ndarray, width: int, longest: int) -> None:
        offsets = np.concatenate([[0], np.cumsum(counts)])
        # In place of tokens, the numbers of the vectors.
        self._places = TokenEncodings(np.arange(offsets[-1], dtype="int32"), offsets, None, longest)
        self.vectors = np.empty((offsets[-1], width), "float32")

    @property
    def fields(self) -> tuple[Field, ...]:
        return (
            Field("attention_mask", "int32", (None,)),
            Field("hidden_states", "float32", (None, self.vectors.shape[1])),
        )

    @property
    def lengths(self) -> np.ndarray:
        return self._places.lengths

    def __len__(self) -> int:
        return len(self._places)

    def put(self, rows: np.ndarray, vectors: np.ndarray) -> None:
        """Keeps the vectors of some rows.

        Args:
            rows: int [batch].
            vectors: float [batch, length, width], padded to any length.
        """
        batch = self._places.batch(rows)
        places = batch["input_ids"][batch["attention_mask"] == 1]
        self.vectors[places] = vectors[np.arange(vectors.shape[1]) < self.lengths[rows][:, None]]

    def batch(self, rows: np.ndarray, seed: Seed | None = None) -> dict[str, np.ndarray]:
        batch = self._places.batch(rows)
        vectors = self.vectors[batch["input_ids"]]
        vectors[batch["attention_mask"] == 0] = 0
        return {"attention_mask": batch["attention_mask"], "hidden_states": vectors}

    def take(self, examples: np.ndarray) -> VectorEncodings:
        picked = VectorEncodings(
            self.lengths[examples], self.vectors.shape[1], self._places.max_length
        )
        for number, row in enumerate(examples):
            start, end = self._places.offsets[row : row + 2]
            first, last = picked._places.offsets[number : number + 2]
            picked.vectors[first:last] = self.vectors[start:end]
        return picked
