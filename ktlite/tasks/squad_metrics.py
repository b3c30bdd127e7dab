"""Exact match and F1 of answers, as the official scripts of SQuAD count them.

Their definitions are those of `evaluate-v1.1.py` (Rajpurkar et al., 2016, arXiv:1606.05250) and
of `evaluate-v2.0.py` (Rajpurkar et al., 2018, arXiv:1806.03822).
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

import numpy as np

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


def normalize(answer: str) -> str:
    """Returns an answer in lower case, without punctuation, English articles and extra spaces.

    Example:
        >>> normalize("The  Beatles' album, a  classic")
        'beatles album classic'
    """
    return " ".join(_ARTICLES.sub(" ", answer.lower().translate(_PUNCTUATION)).split())


def exact_match(predicted: str, true: str) -> float:
    """Returns 1 if two answers are the same when normalised, else 0."""
    return float(normalize(predicted) == normalize(true))


def f1(predicted: str, true: str) -> float:
    """Returns the F1 of the words that two answers share; 0 where neither has any.

    Words are what is between spaces, so that in Chinese an answer is one word.
    """
    guessed, right = normalize(predicted).split(), normalize(true).split()
    shared = sum((Counter(guessed) & Counter(right)).values())
    return 2 * shared / (len(guessed) + len(right)) if shared else 0.0


def answer_scores(
    predicted: Sequence[str], true: Sequence[Sequence[str]]
) -> tuple[np.ndarray, np.ndarray]:
    """Returns exact match and F1 of each prediction, float64 [questions], from 0 to 1.

    Where some questions have no answer, the definition is that of SQuAD 2.0: to answer one of
    these with "" is right, with anything else wrong, and true answers that are empty when
    normalised do not count. Else it is that of SQuAD 1.1.

    Args:
        predicted: An answer a question; "" for none.
        true: The right answers of each question.

    Example:
        >>> answer_scores(["Ann Lee", ""], [["Ann", "Lee"], []])
        (array([0., 1.]), array([0.66666667, 1.        ]))
    """
    second = not all(true)
    scores = []
    for guess, answers in zip(predicted, true, strict=True):
        if second:
            answers = [answer for answer in answers if normalize(answer)]
            if not answers or not normalize(guess):
                # With nothing on one side, it is right to have nothing on the other.
                right = float(not answers and not normalize(guess))
                scores.append((right, right))
                continue
        scores.append((max(exact_match(guess, a) for a in answers),
                       max(f1(guess, a) for a in answers)))  # fmt: skip
    exact, shared = np.array(scores, "float64").reshape(-1, 2).T
    return exact, shared


def best_threshold(
    scores: np.ndarray, odds: np.ndarray, answered: np.ndarray, answerable: np.ndarray
) -> tuple[float, float]:
    """Finds the threshold above which it is best to say that there is no answer.

    Args:
        scores: float [questions], of the answers that are given where one is given.
        odds: float [questions], how much more likely it is that there is no answer. Where they
            are above the threshold, no answer is given.
        answered: bool [questions], whether an answer can be given at all.
        answerable: bool [questions], whether there is one.

    Returns:
        The mean score with the best threshold, and that threshold.

    Example:
        >>> best_threshold(np.array([1.0, 0.0]), np.array([-2.0, 3.0]),
        ...                np.array([True, True]), np.array([True, False]))
        (1.0, -2.0)
    """
    order = np.argsort(odds, kind="stable")
    # What is won by answering one question more, in this order.
    won = np.where(answerable, scores, -answered.astype("float64"))[order]
    totals = np.cumsum(np.append(float((~answerable).sum()), won))
    best = int(totals.argmax())
    # To answer nothing at all may be best.
    threshold = odds[order[best - 1]] if best else odds.min() - 1
    return float(totals[best] / len(scores)), float(threshold)
