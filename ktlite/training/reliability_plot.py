"""Picture of how honest a model's probabilities are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ktlite.tasks.calibration import Reliability
from ktlite.training.plots import BLUE, FAINT_INK, INK, VERMILION, new_figure, title_font

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_reliability(reliability: Reliability) -> Figure:
    """Draws the share of right predictions against their mean probability, and where they lie.

    On the diagonal, predictions of 80 % are right in 80 of 100 cases. Below it the model is too
    sure, above it not sure enough. (DeGroot and Fienberg, 1983; Guo et al., 2017,
    arXiv:1706.04599.)

    Example:
        >>> plot_reliability(Reliability.of(confidence, right)).savefig("calibration.png")
    """
    figure, axes = new_figure("How sure (probability of the prediction)", "How often right")
    bins, shares = len(reliability.counts), reliability.counts / reliability.counts.sum()
    lefts = np.arange(bins) / bins
    axes.bar(
        lefts, shares, 1 / bins, align="edge", color=FAINT_INK, alpha=0.22, label="share of all"
    )
    axes.plot((0, 1), (0, 1), color=INK, linewidth=1.2, linestyle=(0, (4, 3)), label="honest")
    there = reliability.counts > 0
    confidence, accuracy = reliability.confidence[there], reliability.accuracy[there]
    axes.vlines(confidence, confidence, accuracy, color=VERMILION, linewidth=1.6, alpha=0.7)
    axes.plot(
        confidence, accuracy, "o-", color=BLUE, linewidth=2.2, markersize=7,
        markeredgecolor="white", label="this model",
    )  # fmt: skip
    axes.set_xlim(float(lefts[there][0]), 1)
    axes.set_ylim(0, 1.02)
    axes.legend(frameon=False, fontsize=10, labelcolor=INK, loc="upper left")
    axes.set_title("Calibration", loc="left", pad=14, **title_font())
    error = f"expected calibration error: {100 * reliability.error:.1f} %"
    axes.set_title(error, loc="right", pad=14, fontsize=9.5, color=FAINT_INK)
    return figure
