"""Figures of classification with scikit-learn's values, quick enough for a thousand samples."""

from __future__ import annotations

import numpy as np


def confusion(true: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Returns how often each class was taken for each, int [true, predicted]."""
    cells = np.bincount(true * classes + predicted, minlength=classes**2)
    return cells.reshape(classes, classes)


def f1_averages(right: np.ndarray, said: np.ndarray, known: np.ndarray) -> dict[str, float]:
    """Returns F1 as it is averaged over classes.

    Args:
        right: int [classes], how often each was predicted where it is true.
        said: int [classes], how often it was predicted.
        known: int [classes], how often it is true.

    Returns:
        `f1_macro`, the plain mean; `f1_micro`, of all classes together; `f1_weighted`, the mean
        weighted by `known`. The F1 of a class that is neither true nor predicted is 0.
    """
    f1 = 2 * right / np.maximum(said + known, 1)
    return {
        "f1_macro": float(f1.mean()),
        "f1_micro": float(2 * right.sum() / max(said.sum() + known.sum(), 1)),
        "f1_weighted": float((f1 * known).sum() / max(known.sum(), 1)),
    }


def matthews(counts: np.ndarray) -> float:
    """Returns Matthews' correlation of a confusion matrix (Gorodkin, 2004); 0 where undefined."""
    counts = counts.astype("float64")
    total, known, said = counts.sum(), counts.sum(axis=1), counts.sum(axis=0)
    spread = (total**2 - (known**2).sum()) * (total**2 - (said**2).sum())
    return float((counts.trace() * total - known @ said) / np.sqrt(spread)) if spread > 0 else 0.0


def dense_ranks(scores: np.ndarray) -> np.ndarray:
    """Returns the rank of each score in its column, int64 [examples, columns]; ties are equal."""
    columns = [np.unique(column, return_inverse=True)[1] for column in scores.T]
    return np.stack(columns, axis=-1)


def area_under_curve(ranks: np.ndarray, positive: np.ndarray) -> float:
    """Returns the area under the ROC curve: how often a positive has the higher score.

    Mann and Whitney's statistic; ties count a half. NaN where there are no positives, or nothing
    else.

    Args:
        ranks: int [examples], of the scores, as `dense_ranks` gives them.
        positive: bool [examples].
    """
    count = int(positive.sum())
    others = len(positive) - count
    if not count or not others:
        return float("nan")
    known = np.bincount(ranks[positive], minlength=int(ranks.max()) + 1)
    rest = np.bincount(ranks) - known
    lower = rest.cumsum() - rest / 2
    return float(known @ lower / (count * others))
