"""What a model is given, one row at a time: the base of all kinds."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ktlite.encodings.field import Field
from ktlite.errors import ArgumentError

Seed = Sequence[int]


class Drawn(NamedTuple):
    """Rows that were drawn at random for a batch.

    Args:
        encodings: Of the batch's examples.
        rows: int64 [batch], the batch's rows there.
        examples: int64 [examples], the number of each example in all of the data.
    """

    encodings: Encodings
    rows: np.ndarray
    examples: np.ndarray


class Encodings(abc.ABC):
    """Rows that batches are made of, each when it is asked for.

    A row is what the model takes at once: an example, or a part of one that is too long.

    Attributes:
        example_of: int64 [rows], the example that a row is of, ascending. None: row `i` is
            example `i`.
    """

    example_of: np.ndarray | None = None

    @property
    @abc.abstractmethod
    def fields(self) -> tuple[Field, ...]:
        """What a batch holds."""

    @property
    @abc.abstractmethod
    def lengths(self) -> np.ndarray:
        """int64 [rows]: the length of each row, such as its tokens; 0 where all are alike."""

    @abc.abstractmethod
    def __len__(self) -> int:
        """The number of rows."""

    @abc.abstractmethod
    def batch(self, rows: np.ndarray, seed: Seed | None = None) -> dict[str, np.ndarray]:
        """Returns some rows as arrays by the names of `fields`, padded where lengths differ.

        Args:
            rows: int [batch], which rows, in which order.
            seed: Of what is drawn at random, if anything is. None: nothing is.
        """

    @abc.abstractmethod
    def take(self, examples: np.ndarray) -> Encodings:
        """Returns the rows of some examples, in their order.

        Args:
            examples: int [picked], their numbers.
        """

    def example(self, row: int) -> int:
        """Returns the number of the example that a row is of."""
        return int(row if self.example_of is None else self.example_of[row])

    def augmented(self, augmentation: Any, again: Any = None) -> Encodings:
        """Returns the same rows, changed at random in the batches that a seed draws.

        Args:
            augmentation: How.
            again: Encodes examples anew: (their numbers, for each how it is changed or None) ->
                `Encodings`. None: they cannot be.

        Raises:
            ArgumentError: If nothing is known that changes rows of this kind.
        """
        raise ArgumentError(
            f"augment={augmentation!r}: {type(self).__name__} are not changed at random. It goes "
            "with images, and with texts that are no more than read."
        )

    def drawn(self, rows: np.ndarray, seed: Seed) -> Drawn | None:
        """Returns what a seed draws in place of some rows, with which targets are to be made.

        None: targets are those of the rows themselves, whatever `batch` draws.
        """
        return None

    def content(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Returns what tells some rows from others, for hashes: by default, their batch."""
        return self.batch(rows)
