"""Data whose rows can be fetched by number, with what is true of them."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any

import numpy as np

from ktlite.encodings.encodings import Encodings, Seed
from ktlite.encodings.field import Field


class IndexedData(abc.ABC):
    """Data whose rows can be fetched by number: what training and validation run on.

    Attributes:
        items: The examples as they were given; None where they are the model's inputs.
        encodings: Of the examples; None where there are none.
        targets: What is true of each example, in the task's form; None without labels, or where
            `examples` makes them.
        rows: int64 [examples], the row numbers in the source; None: those of the examples.
        task: What the targets mean; None where that is not known.
        preproc: What made the encodings of the items; None where nothing of ktlite did.
        sample_weight: float32 [rows], how much each row counts in the loss; None: all the same.
    """

    items: Sequence[Any] | None = None
    encodings: Encodings | None = None
    targets: Any = None
    rows: np.ndarray | None = None
    task: Any = None
    preproc: Any = None
    sample_weight: np.ndarray | None = None

    @property
    def example_of(self) -> np.ndarray | None:
        """int64 [rows], the example that each row is of; None where row `i` is example `i`."""
        return None if self.encodings is None else self.encodings.example_of

    @property
    @abc.abstractmethod
    def fields(self) -> tuple[Field, ...] | None:
        """What the inputs of a batch are; None where all are of one shape, or have no names."""

    @property
    @abc.abstractmethod
    def lengths(self) -> np.ndarray:
        """int64 [rows]: the length of each row, such as its tokens; 0 where all are alike."""

    @abc.abstractmethod
    def __len__(self) -> int:
        """The number of rows."""

    @abc.abstractmethod
    def examples(self, rows: np.ndarray, seed: Seed) -> tuple[Any, Any]:
        """Returns (inputs, targets) of some rows; data that draws at random draws by `seed`."""

    def training_examples(self, rows: np.ndarray, seed: Seed) -> tuple[Any, Any]:
        """Returns what `examples` does, augmented where the data is, to train on."""
        return self.examples(rows, seed)

    def content(self, rows: np.ndarray) -> Any:
        """Returns arrays that tell some rows from others, for hashes."""
        return self.examples(rows, (0,))


def items_of(data: Any) -> Sequence[Any] | None:
    """Returns the examples of any data as they were given; None where they are not known."""
    return data.items if isinstance(data, IndexedData) else None


def source_rows_of(data: Any) -> np.ndarray | None:
    """Returns the row numbers in the source of any data's examples; None: those of the examples."""
    return data.rows if isinstance(data, IndexedData) else None


def noun_of(data: Any) -> str:
    """Returns what an example of any data is called: "text", "image", or "row"."""
    return "row" if items_of(data) is None else str(data.preproc.input.noun)
