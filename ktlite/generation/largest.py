"""The largest scores of each row, without sorting a vocabulary."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Ids = npt.NDArray[np.intp]


def largest(scores: Array, count: int) -> Ids:
    """Returns where the largest scores of each row are, the largest first.

    Of equal scores the one that stands first comes first, so that what is chosen does not
    depend on how NumPy partitions.

    Args:
        scores: float array [rows, n], without NaN.
        count: How many, from 1 to n.

    Returns:
        Indices [rows, count].

    Example:
        >>> largest(np.array([[1.0, 3.0, 2.0, 3.0]]), 3)
        array([[1, 3, 2]])
    """
    size = scores.shape[1]
    groups = int((size * count) ** 0.5)  # where sorting groups and their members costs the same
    members = size // groups if groups else 0
    if members < 4 or count > groups:
        return np.argsort(-scores, axis=1, kind="stable")[:, :count]
    candidates = _members_of_the_best(scores, count, groups, members)
    values = np.take_along_axis(scores, candidates, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")[:, :count]
    found = np.take_along_axis(candidates, order, axis=1)
    least = np.take_along_axis(values, order[:, -1:], axis=1)
    # Which of those that equal the least one are among the candidates is chance.
    for row in np.flatnonzero(np.count_nonzero(scores >= least, axis=1) > count):
        above = found[row][scores[row, found[row]] > least[row]]
        equal = np.flatnonzero(scores[row] == least[row])[: count - len(above)]
        found[row] = np.concatenate([above, equal])
    return found


def _members_of_the_best(scores: Array, count: int, groups: int, members: int) -> Ids:
    """Returns the indices, ascending, of groups that hold the `count` largest of each row.

    A group is every `groups`-th element: the `count` largest are in the `count` groups with the
    largest maxima. What is left over at the end is a group of its own that is always looked at.
    """
    rows = len(scores)
    grouped = scores[:, : groups * members].reshape(rows, members, groups)
    best = np.argpartition(-grouped.max(axis=1), count - 1, axis=1)[:, :count]
    inside = np.arange(members)[None, :, None] * groups + np.sort(best, axis=1)[:, None, :]
    left = np.arange(groups * members, scores.shape[1])
    return np.concatenate([inside.reshape(rows, -1), np.tile(left, (rows, 1))], axis=1)
