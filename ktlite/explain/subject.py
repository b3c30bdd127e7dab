"""One example before a model, with any of its parts taken out."""

from __future__ import annotations

from typing import Any

import numpy as np

from ktlite.encodings.encodings import Encodings
from ktlite.inference.answers import row_answers
from ktlite.inputs.parts import Parts
from ktlite.tasks.aims import Aim


class Subject:
    """An example whose prediction is to be explained.

    Its input says what its parts are, and what stands in for one that is taken out.

    Args:
        example: What a caller of `predict` gives.
        preproc: The preprocessor.
        forward: Runs the model.
        batch_size: Rows a batch.

    Raises:
        ArgumentError: If no parts of it are known.
    """

    def __init__(self, example: Any, preproc: Any, forward: Any, batch_size: int) -> None:
        self.example, self.task, self.forward = example, preproc.task, forward
        self.batch_size = batch_size
        self.encodings: Encodings = preproc.encode([example])
        self.parts: Parts = preproc.input.parts(example, self.encodings)

    def aims(self, target: Any = None) -> list[Aim]:
        """Returns what there is to explain; `Task.aims` describes it."""
        outputs = self._outputs(self.encodings)
        found: list[Aim] = self.task.aims(self.example, outputs, self.encodings, target)
        return found

    def values(self, aim: Aim, kept: np.ndarray) -> np.ndarray:
        """Returns what the model gives with parts taken out, float64 [variants].

        Args:
            aim: Of the model's outputs.
            kept: bool [variants, parts]: which stay.
        """
        values = np.zeros(len(kept))
        for row, weights in aim.weights.items():
            outputs = self._outputs(self.parts.variants(row, kept))
            values += [float((np.asarray(one, "float64") * weights).sum()) for one in outputs]
        return values

    def _outputs(self, encodings: Encodings) -> np.ndarray:
        return row_answers(self.forward, encodings, self.task, batch_size=self.batch_size)
