"""What moved a prediction: three ways to give each part of an example its share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ktlite._logging import logger
from ktlite.explain.explanation import Explanation
from ktlite.explain.gradients import POINTS, TOLERANCE, PathGradients
from ktlite.explain.subject import Subject
from ktlite.tasks.aims import Aim


@dataclass(frozen=True)
class Options:
    """What the methods are told.

    Args:
        gradients: The model's, for integrated gradients.
        n_samples: Of LIME.
        seed: Likewise.
    """

    gradients: PathGradients | None
    n_samples: int
    seed: int


# Takes the subject, the aim, the difference that all parts make together; returns float64 [parts].
Method = Callable[[Subject, Aim, float, Options], np.ndarray]


def integrated_gradients(
    subject: Subject, aim: Aim, difference: float, options: Options
) -> np.ndarray:
    """Integrates the gradient along the way from the example without its parts to the example.

    That of words' vectors, or of pixels. Sundararajan et al., 2017, arXiv:1703.01365. The scores
    of all parts add up to what they make together (completeness); gradients are taken at as many
    points as it needs for that.
    """
    assert options.gradients is not None
    allowed = max(abs(difference), max(np.abs(w).max() for w in aim.weights.values())) * TOLERANCE
    for points in POINTS:
        scores = np.zeros(len(subject.parts))
        for row in aim.weights:
            of_places = options.gradients(subject, aim, row, points)
            part_of = subject.parts.part_of[row]
            inside = part_of >= 0
            np.add.at(scores, part_of[inside], of_places[inside])
        if abs(scores.sum() - difference) <= allowed:
            break
    else:
        logger.warning(
            "explain: the scores add up to %.3g in place of %.3g, after %d gradients.",
            scores.sum(),
            difference,
            points,
        )
    return scores


def occlusion(subject: Subject, aim: Aim, difference: float, options: Options) -> np.ndarray:
    """Takes out one part at a time.

    Zeiler and Fergus, 2014, arXiv:1311.2901; of texts Li et al., 2016, arXiv:1612.08220.
    """
    scores, parts = np.zeros(len(subject.parts)), subject.parts.in_rows(aim.weights)
    kept = np.ones((len(parts) + 1, len(scores)), bool)
    kept[np.arange(len(parts)), parts] = False
    values = subject.values(aim, kept)
    scores[parts] = values[-1] - values[:-1]
    return scores


def lime(subject: Subject, aim: Aim, difference: float, options: Options) -> np.ndarray:
    """Takes out random parts, and fits a linear model to what comes of it.

    Ribeiro et al., 2016, arXiv:1602.04938: of each sample a random number of parts, weighted by
    exp(-d^2 / 0.25^2), where d is the cosine distance from the whole example.
    """
    scores, parts = np.zeros(len(subject.parts)), subject.parts.in_rows(aim.weights)
    if not len(parts):
        return scores
    random = np.random.default_rng(options.seed)
    # Of each sample a number of parts, the first ones of a random order.
    order = random.random((options.n_samples, len(parts))).argsort(axis=1).argsort(axis=1)
    there = order >= random.integers(1, len(parts) + 1, (options.n_samples, 1))
    there[0] = True
    kept = np.ones((len(there), len(scores)), bool)
    kept[:, parts] = there
    weights = np.exp(-(((1 - np.sqrt(there.mean(axis=1))) / 0.25) ** 2))
    scores[parts] = ridge(there.astype("float64"), subject.values(aim, kept), weights)
    return scores


def ridge(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Returns the slopes of weighted ridge regression with a free intercept, float64 [columns].

    Hoerl and Kennard, 1970. The penalty is 1, and the rows are weighted.

    Args:
        x: float64 [rows, columns].
        y: float64 [rows].
        weights: float64 [rows], of the rows.
    """
    x = x - np.average(x, axis=0, weights=weights)
    y = y - np.average(y, weights=weights)
    rows, columns = x.shape
    if columns > rows:  # the same solution, of a system of as many equations as rows
        root = np.sqrt(weights)
        x, y = x * root[:, None], y * root
        return x.T @ np.linalg.solve(x @ x.T + np.eye(rows), y)
    weighted = x * weights[:, None]
    return np.linalg.solve(weighted.T @ x + np.eye(columns), weighted.T @ y)


METHODS: dict[str, Method] = {
    "integrated-gradients": integrated_gradients,
    "occlusion": occlusion,
    "lime": lime,
}


def explained(
    subject: Subject, aim: Aim, method: str, options: Options, left_out: int = 0
) -> Explanation:
    """Explains one output for one example.

    Args:
        subject: The example.
        aim: The output.
        method: One of `METHODS`.
        options: For the method.
        left_out: Parts that the example had before it was cut.
    """
    parts = subject.parts
    all_and_none = np.repeat([[True], [False]], len(parts), axis=1)
    whole, empty = subject.values(aim, all_and_none)
    scores = METHODS[method](subject, aim, whole - empty, options)
    adds_up = method == "integrated-gradients"
    return Explanation(
        parts=parts,
        scores=scores,
        seen=parts.seen(aim.weights),
        left_out=left_out,
        target=aim.target,
        prediction=aim.prediction,
        probability=aim.probability,
        method=method,
        difference=float(whole - empty),
        completeness_error=float(scores.sum() - (whole - empty)) if adds_up else None,
    )
