"""Weights of rows, with which the mean of parts is the mean of the whole.

Keras takes the mean of a loss over each device's share of a batch, or over each batch of a
group that makes one step; these means are of different numbers of rows, or of targets.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ktlite.tasks.losses import IGNORE


def evened(
    targets: np.ndarray, weights: np.ndarray, rows: int, parts: list[slice], counted: bool
) -> np.ndarray:
    """Returns weights with which the mean of the devices' losses is the loss of the batch.

    Keras gives each device the mean over its share, and averages these.

    Args:
        targets: Of a batch that was filled up, [filled, ...].
        weights: float32 [filled, ...].
        rows: Those of the batch; the others weigh nothing.
        parts: The shares of the devices.
        counted: Whether a mean is one over the targets that count, not one over the rows.
    """
    counts = np.ones(len(targets))
    if counted:
        counts = (targets != IGNORE).reshape(len(targets), -1).sum(axis=1)
    factors = np.zeros(len(targets))
    for part in parts:
        factors[part] = counts[part].sum() / max(1, part.stop - part.start)
    factors *= len(targets) / max(1, counts[:rows].sum())
    factors[rows:] = 0
    return (weights * factors.reshape(-1, *[1] * (weights.ndim - 1))).astype("float32")


def weighed(
    batches: list[list[np.ndarray]], rows: Sequence[int], outputs: int
) -> list[list[np.ndarray]]:
    """Returns the batches of a group, weighed so that a mean over targets is one over rows.

    The mean of the batches' losses, each counted by its rows, is then the loss of one batch of
    them all; so it is for each of several outputs.

    Args:
        batches: Columns of each: inputs, targets, and as many weights as targets.
        rows: Of each batch; what it was filled up with comes after them, and does not count.
        outputs: The number of columns of targets.
    """
    for output in range(-2 * outputs, -outputs):
        parts = [batch[output][:count] for batch, count in zip(batches, rows, strict=True)]
        counts = np.array([(targets != IGNORE).sum() for targets in parts])
        each = max(1, counts.sum()) / sum(rows)
        for batch, count, size in zip(batches, counts, rows, strict=True):
            batch[output + outputs] = batch[output + outputs] * np.float32(count / size / each)
    return batches
