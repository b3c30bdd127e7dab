"""Tokenised texts with their targets: what training and validation run on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ktlite.batching import Encodings

if TYPE_CHECKING:
    from ktlite.text.preprocessor import Preprocessor


@dataclass(frozen=True, eq=False)
class TextDataset:
    """Tokenised texts. Made by `preprocess_train`, `preprocess_test` and the loaders.

    Args:
        texts: The texts as they were given; what the task's reader makes of them.
        encodings: Their tokens: one row a text, or several where it was cut into windows.
        targets: What is true of each text, in the task's form; None without labels.
        preproc: The preprocessor that made it.
        rows: int64 [texts], the row numbers in the source.
        weights: float32 [texts], how much each counts in the loss; None: all the same.
    """

    texts: Sequence[Any]
    encodings: Encodings
    targets: np.ndarray | None
    preproc: Preprocessor
    rows: np.ndarray
    weights: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.encodings)

    @property
    def lengths(self) -> np.ndarray:
        """int64 [rows]: tokens of each row."""
        return self.encodings.lengths

    @property
    def text_of(self) -> np.ndarray | None:
        """int64 [rows], the text that each row is of; None where row `i` is text `i`."""
        return self.encodings.text_of

    @property
    def sample_weight(self) -> np.ndarray | None:
        """float32 [rows]: how much each row counts in the loss; None: all the same."""
        if self.weights is None or self.text_of is None:
            return self.weights
        return self.weights[self.text_of]

    @property
    def y(self) -> np.ndarray | None:
        """The targets, under ktrain's name."""
        return self.targets

    def inputs(self, rows: np.ndarray) -> dict[str, Any]:
        """Returns the model's inputs for some rows, padded to a common length."""
        return self.encodings.pad(rows)

    def examples(self, rows: np.ndarray, seed: tuple[int, ...]) -> tuple[dict[str, Any], Any]:
        """Returns (inputs, targets) for some rows; there is nothing to draw by the seed."""
        if self.targets is None:
            return self.inputs(rows), None
        return self.inputs(rows), self.preproc.task.align(self.targets, self.encodings, rows)
