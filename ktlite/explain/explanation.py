"""`Explanation`: the parts of an example and what each did, to look at and to compute with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ktlite._extras import needs_extra
from ktlite.errors import plural
from ktlite.inputs.parts import Parts
from ktlite.inputs.words import Words

_LONG = 40  # characters of a target that is an answer


def _short(target: Any) -> str:
    named = str(target)
    return named if len(named) <= _LONG else f"{named[:_LONG]}..."


@dataclass(frozen=True, eq=False, repr=False)
class Explanation:
    """Which words, or patches of an image, moved a prediction.

    In a notebook it shows itself in colours, printed it is a text.

    Args:
        parts: The parts of the example: the words of its texts, or its patches. Words that share a
            token, as Chinese ones may, are one.
        scores: float64 [parts], of words through all texts: how much each speaks for the target,
            in the unit of the model's outputs: logits (of classes that exclude each other, against
            the mean of the others), or the unit of the numbers of a regression.
        seen: bool [parts]: the model has read it. Other words are beyond its `maxlen`, or in
            another window.
        left_out: Words beyond `truncate_len`, which are not in `parts`.
        target: What is explained: a label, an entity, an answer.
        prediction: What the model says.
        probability: Of the target; None where there is none.
        method: The method's name.
        difference: What all parts together make: the model's output for the example, less that
            for the example without them.
        completeness_error: How much the sum of the scores differs from that, for integrated
            gradients, whose scores should add up to it; None for other methods.

    Example:
        >>> explanation = predictor.explain("A warm, funny film.")
        >>> explanation.to_frame().head(1)
           text  word start end  score
        0     0     A     0   1  -0.01
    """

    parts: Parts
    scores: np.ndarray
    seen: np.ndarray
    left_out: int
    target: Any
    prediction: Any
    probability: float | None
    method: str
    difference: float
    completeness_error: float | None

    @property
    def texts(self) -> tuple[Words, ...]:
        """The texts of the example and their words, of a pair two; of images none."""
        return self.parts.texts

    @property
    def words(self) -> list[str]:
        """The words, those of all texts in a row."""
        return [word for text in self.texts for word in text.words]

    @property
    def summary(self) -> str:
        """What is explained, by which method, and what was not looked at."""
        chance = "" if self.probability is None else f", probability {self.probability:.3f}"
        parts = [f"{self.target!s}{chance}", self.method]
        if isinstance(self.prediction, (str, int, float)) and self.prediction != self.target:
            parts.insert(1, f"predicted {self.prediction}")
        unread = int((~self.seen).sum()) + self.left_out
        if unread:
            parts.append(f"{plural(unread, self.parts.noun)} not looked at")
        return " | ".join(parts)

    @property
    def unit(self) -> str:
        """What the scores are, in words: no shares, and no probabilities."""
        what = "the model's output" if self.probability is None else "logits"
        return f"differences of {what}: + speaks for {_short(self.target)}, - against it"

    def to_frame(self) -> Any:
        """Returns a pandas DataFrame with a row for each part.

        Its columns are, of words, `text` (0, or 1 for the second of a pair), `word`, the
        characters `start` and `end` of that text; of patches, `top`, `left`, `height` and `width`
        in pixels of the image; and `score`, NaN for what was not looked at.
        """
        with needs_extra("train", "a data frame"):
            import pandas as pd

        frame = pd.DataFrame(self.parts.places(), columns=list(self.parts.columns))
        return frame.assign(score=np.where(self.seen, self.scores, np.nan))

    def to_dict(self) -> dict[str, Any]:
        """Returns it as JSON values; the parts are under `words`, or `patches`."""
        error, parts = self.completeness_error, self.parts
        return {
            "target": self.target,
            "prediction": self.prediction,
            "probability": self.probability,
            "method": self.method,
            parts.nouns: [dict(zip(parts.columns, place, strict=True)) for place in parts.places()],
            "scores": [
                float(score) if seen else None
                for score, seen in zip(self.scores, self.seen, strict=True)
            ],
            "difference": self.difference,
            "completeness_error": error,
        }

    def __str__(self) -> str:
        return self.parts.as_text(self.scores, self.seen, self.summary, self.unit)

    def __repr__(self) -> str:
        return f"<Explanation of {self.summary}>"

    def _repr_html_(self) -> str:
        return self.parts.as_html(self.scores, self.seen, self.summary, self.unit)
