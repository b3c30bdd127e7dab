"""Picture of how honest a model's probabilities are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ktlite.tasks.calibration import Reliability
from ktlite.training.plots import BLUE, FAINT_INK, INK, VERMILION, new_figure, title_font

if TYPE_CHECKING:
    from matplotlib.figure import Figure


_FEW = 10  # predictions whose share of right ones says next to nothing


def plot_reliability(reliability: Reliability, on: str = "", *, in_sample: bool = False) -> Figure:
    """Draws the share of right predictions against their mean probability, and where they lie.

    On the diagonal, predictions of 80 % are right in 80 of 100 cases. Below it the model is too
    sure, above it not sure enough. (DeGroot and Fienberg, 1983; Guo et al., 2017,
    arXiv:1706.04599.) Each point has its number of predictions, and a bar to where the share may
    as well be (Wilson, 1927, 95 %); points of fewer than 10 are hollow.

    Args:
        reliability: Of the predictions.
        on: What they are of, in words.
        in_sample: Whether the probabilities were calibrated on the same examples.

    Example:
        >>> plot_reliability(Reliability.of(confidence, right)).savefig("calibration.png")
    """
    sure = "How sure (probability of the prediction)"
    figure, axes = new_figure(f"{sure}\non {on}" if on else sure, "How often right")
    bins, shares = len(reliability.counts), reliability.counts / reliability.counts.sum()
    lefts = np.arange(bins) / bins
    axes.bar(
        lefts, shares, 1 / bins, align="edge", color=FAINT_INK, alpha=0.22, label="share of all"
    )
    axes.plot((0, 1), (0, 1), color=INK, linewidth=1.2, linestyle=(0, (4, 3)), label="honest")
    there = reliability.counts > 0
    confidence, accuracy = reliability.confidence[there], reliability.accuracy[there]
    counts = reliability.counts[there]
    axes.vlines(
        confidence, *_wilson(accuracy, counts), color=VERMILION, linewidth=1.6, alpha=0.7,
        label="95 % interval",
    )  # fmt: skip
    axes.plot(
        confidence, accuracy, "o-", color=BLUE, linewidth=1.4, markersize=7,
        markeredgecolor="white", label="this model",
    )  # fmt: skip
    few = counts < _FEW
    if few.any():
        axes.scatter(
            confidence[few], accuracy[few], 40, facecolor="white", edgecolor=BLUE, zorder=3,
            label=f"fewer than {_FEW} predictions",
        )  # fmt: skip
    for x, y, count in zip(confidence, accuracy, counts, strict=True):
        below = y > 0.5  # where there is room
        axes.annotate(
            f"{count:,}", (x, y), (7, -9 if below else 5), textcoords="offset points",
            fontsize=8.5, color=FAINT_INK,
        )  # fmt: skip
    axes.set_xlim(float(lefts[there][0]), 1)
    axes.set_ylim(0, 1.02)
    axes.legend(frameon=False, fontsize=10, labelcolor=INK, loc="upper left")
    axes.set_title("Calibration", loc="left", pad=14, **title_font())
    error = f"expected calibration error: {100 * reliability.error:.1f} %"
    if in_sample:
        error += " (in-sample)"
    axes.set_title(error, loc="right", pad=14, fontsize=9.5, color=FAINT_INK)
    return figure


def _wilson(shares: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns between what the share of all predictions lies that there could be (Wilson, 1927).

    Args:
        shares: float [points], the shares that were found.
        counts: int [points], of how many predictions.
    """
    z2 = 1.959964**2
    middle = (shares + z2 / (2 * counts)) / (1 + z2 / counts)
    variance = shares * (1 - shares) / counts + z2 / (4 * counts**2)
    reach = np.sqrt(z2 * variance) / (1 + z2 / counts)
    return middle - reach, middle + reach
