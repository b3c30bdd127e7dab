"""One example before a model, with any of its words taken out."""

from __future__ import annotations

from typing import Any

import numpy as np

from ktlite.encodings.tokens import TokenEncodings
from ktlite.errors import CheckpointError
from ktlite.explain.parts import Parts, parts_of
from ktlite.inference.answers import row_answers
from ktlite.tasks.aims import Aim


class Subject:
    """An example whose prediction is to be explained.

    A word is taken out by putting the mask token (without one, the unknown token) in the place of
    its tokens. So the others stay where they are, which deletion would not do, and what the
    methods compare with is the same for all.

    Args:
        example: What a caller of `predict` gives.
        preproc: The preprocessor.
        forward: Runs the model.
        batch_size: Rows a batch.
    """

    def __init__(self, example: Any, preproc: Any, forward: Any, batch_size: int) -> None:
        self.example, self.task, self.forward = example, preproc.task, forward
        self.batch_size = batch_size
        self.encodings: TokenEncodings = preproc.encode([example])
        self.parts: Parts = parts_of(example, self.encodings, preproc.tokenizer)
        self.filler = _filler(preproc.tokenizer)

    def aims(self, target: Any = None) -> list[Aim]:
        """Returns what there is to explain; `Task.aims` describes it."""
        outputs = self._outputs(self.encodings)
        found: list[Aim] = self.task.aims(self.example, outputs, self.encodings, target)
        return found

    def words_of(self, aim: Aim) -> np.ndarray:
        """Returns the numbers of the words that the model has read for it, int64 [n], ascending."""
        found = np.unique(np.concatenate([self.parts.word_of[row] for row in aim.weights]))
        return found[found >= 0]

    def without(self, row: int, kept: np.ndarray) -> np.ndarray:
        """Returns the ids of a row with words taken out, int32 [variants, length].

        Args:
            row: The row.
            kept: bool [variants, words]: which words stay.
        """
        start, end = self.encodings.offsets[row : row + 2]
        word_of = self.parts.word_of[row]
        # A column more, for special tokens: they always stay.
        stays = np.pad(kept, ((0, 0), (0, 1)), constant_values=True)[:, word_of]
        return np.where(stays, self.encodings.ids[start:end], self.filler).astype("int32")

    def values(self, aim: Aim, kept: np.ndarray) -> np.ndarray:
        """Returns what the model gives with words taken out, float64 [variants].

        Args:
            aim: Of the model's outputs.
            kept: bool [variants, words]: which words stay.
        """
        values = np.zeros(len(kept))
        for row, weights in aim.weights.items():
            outputs = self._outputs(self._variants(row, kept))
            values += [float((np.asarray(one, "float64") * weights).sum()) for one in outputs]
        return values

    def _variants(self, row: int, kept: np.ndarray) -> TokenEncodings:
        ids = self.without(row, kept)
        count, length = ids.shape
        start, end = self.encodings.offsets[row : row + 2]
        types = self.encodings.type_ids
        return TokenEncodings(
            ids.reshape(-1),
            np.arange(count + 1) * length,
            None if types is None else np.tile(types[start:end], count),
            self.encodings.max_length,
            self.encodings.pad_id,
        )

    def _outputs(self, encodings: TokenEncodings) -> np.ndarray:
        return row_answers(self.forward, encodings, self.task, batch_size=self.batch_size)


def _filler(tokenizer: Any) -> int:
    """Returns the id of what stands in for a word that is taken out."""
    try:
        return int(tokenizer.mask_id)
    except CheckpointError:
        return int(tokenizer.unknown_id)
