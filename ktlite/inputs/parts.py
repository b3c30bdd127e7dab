"""What an explanation takes out of an example to see what becomes of the prediction."""

from __future__ import annotations

import abc
from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np

from ktlite.encodings.encodings import Encodings
from ktlite.inputs.words import Words


class Parts(abc.ABC):
    """The parts of one example: its words, its patches.

    Attributes:
        part_of: For each row of its encodings int64, the number of the part that a place of
            `field` is of; -1 for places of none, which always stay. [length] of tokens,
            [height, width] of pixels.
        texts: The texts that words are of; empty where parts are no words.
    """

    #: What one is called, and several are.
    noun: ClassVar[str]
    nouns: ClassVar[str]
    #: The names of what `places` says of each.
    columns: ClassVar[tuple[str, ...]]
    #: The model's input that they are taken out of.
    field: str

    part_of: list[np.ndarray]
    texts: tuple[Words, ...]

    @abc.abstractmethod
    def __len__(self) -> int:
        """How many there are."""

    @abc.abstractmethod
    def variants(self, row: int, kept: np.ndarray) -> Encodings:
        """Returns a row with parts taken out, a row a variant.

        What stands in for a part is the same in all of them.

        Args:
            row: The row.
            kept: bool [variants, parts], which stay.
        """

    @abc.abstractmethod
    def places(self) -> list[tuple[Any, ...]]:
        """Returns where each part is, as `columns` has it, in values for JSON."""

    def in_rows(self, rows: Iterable[int]) -> np.ndarray:
        """Returns the numbers of the parts that are in some rows, int64 [n], ascending."""
        found = np.unique(np.concatenate([self.part_of[row].ravel() for row in rows]))
        return found[found >= 0]

    def seen(self, rows: Iterable[int]) -> np.ndarray:
        """Returns bool [parts]: whether the model reads a part in one of some rows."""
        seen = np.zeros(len(self), bool)
        seen[self.in_rows(rows)] = True
        return seen

    @abc.abstractmethod
    def as_html(self, scores: np.ndarray, seen: np.ndarray, summary: str, unit: str) -> str:
        """Returns a fragment of HTML without any asset: the example, and its parts in colours.

        Args:
            scores: float64 [parts].
            seen: bool [parts].
            summary: What to write above.
            unit: What the scores are.
        """

    @abc.abstractmethod
    def as_text(self, scores: np.ndarray, seen: np.ndarray, summary: str, unit: str) -> str:
        """Returns the same for terminals; arguments as `as_html`."""
