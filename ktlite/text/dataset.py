"""Tokenised texts with their targets: what training and validation run on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ktlite.batching import Encodings
from ktlite.text.tokenizer import Text

if TYPE_CHECKING:
    from ktlite.text.preprocessor import Preprocessor


@dataclass(frozen=True, eq=False)
class TextDataset:
    """Tokenised texts. Made by `preprocess_train`, `preprocess_test` and the loaders.

    Args:
        texts: The texts as they were given.
        encodings: Their tokens.
        targets: What the loss compares with, one row a text; None without labels.
        preproc: The preprocessor that made it.
        rows: int64 [texts], the row numbers in the source.
    """

    texts: Sequence[Text]
    encodings: Encodings
    targets: np.ndarray | None
    preproc: Preprocessor
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.encodings)

    @property
    def lengths(self) -> np.ndarray:
        """int64 [texts]: tokens of each text."""
        return self.encodings.lengths

    @property
    def y(self) -> np.ndarray | None:
        """The targets, under ktrain's name."""
        return self.targets

    def inputs(self, rows: np.ndarray) -> dict[str, Any]:
        """Returns the model's inputs for some texts, padded to a common length."""
        return self.encodings.pad(rows)

    def examples(self, rows: np.ndarray, seed: tuple[int, ...]) -> tuple[dict[str, Any], Any]:
        """Returns (inputs, targets) for some texts; there is nothing to draw by the seed."""
        return self.inputs(rows), None if self.targets is None else self.targets[rows]
