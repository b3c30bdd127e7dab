"""Answers that are part of a text: where they are in its tokens, and the likeliest of a model."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ktlite.inputs.words import Span, inside_word


class Answer(NamedTuple):
    """An answer that is known: its text, and the character of the context that it starts with."""

    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


class Guess(NamedTuple):
    """An answer of a model.

    Args:
        text: `context[start:end]`; "" if there is none.
        score: Of its start and its end together, a sum of logits.
        span: (start, end), the characters of the context; (0, 0) if there is none.
    """

    text: str
    score: float
    span: Span


NOTHING = Guess("", 0.0, (0, 0))


def answer_tokens(answer: Answer, spans: np.ndarray) -> tuple[int, int]:
    """Returns the first and the last token of an answer.

    Args:
        answer: The answer.
        spans: int64 [tokens, 2], the characters that each token starts with and ends before.

    Returns:
        Two numbers; the first one is the larger where no token is of the answer.
    """
    first = int(np.searchsorted(spans[:, 1], answer.start, side="right"))
    last = int(np.searchsorted(spans[:, 0], answer.end, side="left")) - 1
    return first, last


def answer_places(
    answers: Sequence[Answer], spans: np.ndarray, window: np.ndarray
) -> tuple[int, int]:
    """Returns where in a row of tokens the first of some answers starts and ends.

    That is (0, 0), the place of [CLS], where the row's window does not have the whole of it.

    Args:
        answers: Those that are right; none where there is no answer.
        spans: int64 [tokens, 2], the characters of the tokens of the context.
        window: As in `ContextEncodings.windows`.
    """
    if not answers:
        return 0, 0
    begin, end, place = window.tolist()
    first, last = answer_tokens(answers[0], spans)
    if begin <= first <= last < end:
        return first - begin + place, last - begin + place
    return 0, 0


@dataclass(frozen=True, eq=False)
class AnswerLogits:
    """What a model says of a question: where in the context the answer starts, and ends.

    As an array it is the logits of all windows, float32 [tokens, 2].

    Args:
        context: The text that the answer is in.
        spans: int64 [tokens, 2], the characters that each of its tokens starts with and ends
            before.
        windows: int64 [windows, 3], as in `ContextEncodings`.
        logits: For each window float32 [length, 2].
    """

    context: str
    spans: np.ndarray
    windows: np.ndarray
    logits: Sequence[np.ndarray]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.concatenate(self.logits).astype(dtype or "float32")

    @functools.cached_property
    def no_answer(self) -> float:
        """The score of no answer: that of [CLS], in the window that says least for it."""
        return min(float(logits[0].astype("float64").sum()) for logits in self.logits)

    @functools.cached_property
    def _edges(self) -> np.ndarray:
        """Whether an answer may start with a token, and end with it: bool [tokens, 2]."""
        spans = self.spans.tolist()
        return np.array(
            [
                (start < end and not inside_word(self.context, start),
                 start < end and not inside_word(self.context, end))
                for start, end in spans
            ],
            bool,
        ).reshape(-1, 2)  # fmt: skip

    def scores(self, longest: int) -> np.ndarray:
        """Returns the score of each answer that there can be; -inf where there can be none.

        Of an answer in several windows, the highest.

        Args:
            longest: The most tokens of an answer.

        Returns:
            float64 [tokens, longest], by the first token and by how many follow.
        """
        scores = np.full((len(self.spans), longest), -np.inf)
        for (first, last, place), logits in zip(self.windows, self.logits, strict=True):
            inside = logits[place : place + last - first].astype("float64")
            starts, ends = np.where(self._edges[first:last], inside, -np.inf).T
            ends = np.append(ends, np.full(longest - 1, -np.inf))
            if len(starts):
                sums = starts[:, None] + sliding_window_view(ends, longest)
                scores[first:last] = np.maximum(scores[first:last], sums)
        return scores

    def guesses(self, scores: np.ndarray, count: int) -> list[Guess]:
        """Returns the likeliest answers, the best first, without that there is none.

        Args:
            scores: Of `scores`.
            count: How many, at most.
        """
        longest = scores.shape[1]
        scores = scores.reshape(-1)
        found: dict[Span, Guess] = {}
        # Tokens that are parts of one character stand for the same answer.
        best = [int(scores.argmax())] if count == 1 and scores.size else np.argsort(-scores)
        for place in best:
            if len(found) == count or scores[place] == -np.inf:
                break
            first, more = divmod(int(place), longest)
            span = (int(self.spans[first, 0]), int(self.spans[first + more, 1]))
            guess = Guess(self.context[slice(*span)], float(scores[place]), span)
            found.setdefault(span, guess)
        return list(found.values())

    def best(self, longest: int) -> Guess:
        """Returns the likeliest answer; `NOTHING` where the context has no words."""
        return next(iter(self.guesses(self.scores(longest), 1)), NOTHING)

    def losses(self, answers: Sequence[Answer]) -> tuple[np.ndarray, np.ndarray]:
        """Compares with what is right, window by window.

        Returns:
            The loss, float64 [windows], and whether the likeliest start and end are right,
            bool [windows, 2].
        """
        losses, right = [], []
        for window, logits in zip(self.windows, self.logits, strict=True):
            places = np.array(answer_places(answers, self.spans, window))
            shifted = logits.astype("float64") - logits.max(axis=0)
            true = shifted[places, [0, 1]]
            losses.append((np.log(np.exp(shifted).sum(axis=0)) - true).mean())
            right.append(shifted.argmax(axis=0) == places)
        return np.array(losses), np.array(right)
