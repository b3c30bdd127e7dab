"""Tokens of rows that have several texts each."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ktlite.encodings.encodings import Seed
from ktlite.encodings.field import Field
from ktlite.encodings.tokens import TokenEncodings


@dataclass(frozen=True, eq=False, kw_only=True)
class GroupedEncodings(TokenEncodings):
    """Tokens of rows that have several texts each, to be compared with each other.

    `offsets` are those of the texts, a row's texts one after the other.

    Args:
        size: Texts a row.
    """

    size: int

    def __len__(self) -> int:
        return super().__len__() // self.size

    @property
    def fields(self) -> tuple[Field, ...]:
        """What a batch holds: int32 arrays [batch, size, length]."""
        return tuple(replace(field, shape=(self.size, *field.shape)) for field in super().fields)

    def take(self, examples: np.ndarray) -> TokenEncodings:
        return super().take(self._texts(examples))

    @property
    def lengths(self) -> np.ndarray:
        """int64 [rows]: the number of tokens of each row's longest text."""
        return super().lengths.reshape(-1, self.size).max(axis=1, initial=0)

    def batch(self, rows: np.ndarray, seed: Seed | None = None) -> dict[str, np.ndarray]:
        """Returns what `TokenEncodings.batch` does, each int32 [batch, size, length]."""
        return {
            name: array.reshape(len(rows), self.size, -1)
            for name, array in super().batch(self._texts(rows)).items()
        }

    def _texts(self, rows: np.ndarray) -> np.ndarray:
        """Returns the numbers of the texts of some rows, int [rows * size]."""
        return (rows[:, None] * self.size + np.arange(self.size)).reshape(-1)
