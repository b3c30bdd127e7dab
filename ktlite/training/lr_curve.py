"""The curve of a learning-rate sweep, and the learning rates that it suggests."""

from __future__ import annotations

import html
import math
from bisect import bisect_left
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ktlite.errors import plural

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Fewer batches say nothing, and the average over them is not yet one.
MIN_POINTS = 10
# A fall of less than this many times its standard error is no fall but noise. It is high
# because the largest of many falls is looked at: 1 in 100 flat curves has one above 4.8.
CLEAR_FALL = 5.0
# The factor of a sweep of 200 steps over eight decades, which `lag` compares with.
DENSE = 1e8 ** (1 / 199)
# The curve counts as level until this part of the fall is done.
LEVEL_PART = 0.1

MEANINGS = {
    "valley": "the middle of the longest fall",
    "min_over_10": "a tenth of the rate of the lowest loss",
    "steepest": "where the loss falls fastest",
}


class LRFinderResult:
    """The curve of a learning-rate sweep, and what it suggests.

    Printing it, or showing it in a notebook, gives the suggestions; `plot()` the curve.
    Each suggestion is a learning rate, or `None` where the curve does not tell (`problem`
    says why).

    Args:
        lrs: Learning rate of each batch [batches], each the same factor above the last.
        losses: Loss of each batch alone [batches]. From the first one that is not finite
            on, both are cut.
        lag: What the suggestions are divided by, as the function `lag` says of a sweep.

    Attributes:
        lrs: Learning rates, float64 [batches].
        losses: Losses, float64 [batches].
        smoothed: Debiased exponential moving average of the losses, float64 [batches]. It
            is equally wide on the axis of log lr whatever the factor: 0.98 at 1.01.
        valley: Half-way through the longest fall of the smoothed curve: fastai's `valley`,
            without the level part before it.
        min_over_10: A tenth of the rate where the smoothed loss is lowest.
        steepest: Where the smoothed loss falls fastest against log lr, measured over half
            a decade.
        problem: Why there are no suggestions, or `None`.

    Example:
        >>> lrs = 1e-6 * 1.2 ** np.arange(70)
        >>> result = LRFinderResult(lrs, 1 / (1 + lrs / 1e-3) + lrs)
        >>> 1e-4 < result.valley < 1e-2
        True
    """

    def __init__(self, lrs: Sequence[float], losses: Sequence[float], lag: float = 1.0) -> None:
        self.lag = lag
        finite = np.isfinite(np.asarray(losses, "float64"))
        end = len(finite) if finite.all() else int(finite.argmin())
        self.lrs = np.asarray(lrs, "float64")[:end]
        self.losses = np.asarray(losses, "float64")[:end]
        average = MovingLoss(self._lr_mult)
        self.smoothed = np.array([average.add(loss) for loss in self.losses])
        self.valley: float | None = None
        self.min_over_10: float | None = None
        self.steepest: float | None = None
        self.problem = self._find_problem(average.beta)
        if self.problem is None:
            lowest = int(self.smoothed.argmin())
            self.valley = float(self.lrs[self._valley_index(lowest)] / lag)
            self.min_over_10 = float(self.lrs[lowest] / 10 / lag)
            self.steepest = float(self.lrs[self._steepest_index(lowest)] / lag)

    @property
    def suggestions(self) -> dict[str, float | None]:
        """The three suggested learning rates by name."""
        return {name: getattr(self, name) for name in MEANINGS}

    @property
    def meanings(self) -> dict[str, str]:
        """What each suggestion is, and which of them is the cautious and which the bold one."""
        rates = {name: rate for name, rate in self.suggestions.items() if rate is not None}
        words: dict[str, list[str]] = {name: [] for name in rates}
        if rates:
            words["valley"].append("the one to start with")
        if len(set(rates.values())) == len(rates):  # else no one of them is the lowest
            order = sorted(rates, key=lambda name: rates[name])
            for name, what in zip((order[0], order[-1]), ("cautious", "bold"), strict=True):
                words[name].append(f"also the most {what}" if words[name] else f"the {what} one")
        return {name: f"{MEANINGS[name]}: {', '.join(words[name])}".rstrip(": ") for name in rates}

    def plot(self, n_skip_beginning: int = 10, n_skip_end: int = 5, suggest: bool = True) -> Figure:
        """Returns a picture of the loss against the learning rate.

        Args:
            n_skip_beginning: Batches to leave out at the start. Of a short curve, at least
                half is always shown.
            n_skip_end: Batches to leave out at the end.
            suggest: Whether to mark the suggestions.

        Example:
            >>> result.plot().savefig("lr.png")
        """
        from ktlite.training.plots import plot_lr_finder

        return plot_lr_finder(self, n_skip_beginning, n_skip_end, suggest)

    def __repr__(self) -> str:
        lines = [f"lr_find: {self._summary()}"]
        if self.problem:
            return f"{lines[0]}\n  no suggestions: {self.problem}"
        meanings = self.meanings
        lines += [f"  {n:<12} {r:.1e}  {meanings[n]}" for n, r in self.suggestions.items()]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        head = f"<p><b>Learning-rate finder</b>: {html.escape(self._summary())}</p>"
        if self.problem:
            return f"{head}<p>No suggestions: {html.escape(self.problem)}</p>"
        meanings = self.meanings
        rows = "".join(
            f"<tr><td><code>{n}</code></td><td><b>{r:.1e}</b></td>"
            f'<td style="text-align: left">{html.escape(meanings[n])}</td></tr>'
            for n, r in self.suggestions.items()
        )
        return f"{head}<table>{rows}</table>"

    def _summary(self) -> str:
        if not len(self.lrs):
            return "no steps"
        steps = plural(len(self.lrs), "step")
        rates = f"{steps}, learning rates {self.lrs[0]:.1e} to {self.lrs[-1]:.1e}"
        if self.lag == 1 or self.problem:
            return rates
        return f"{rates}; so few show the fall late: suggested is {self.lag:.2g} times less"

    @property
    def _lr_mult(self) -> float:
        return float(self.lrs[1] / self.lrs[0]) if len(self.lrs) > 1 else 1.01

    def _find_problem(self, beta: float) -> str | None:
        if len(self.lrs) < MIN_POINTS:
            return (
                f"only {plural(len(self.lrs), 'step')} of the sweep have a finite loss, too few to "
                f"tell; it takes {MIN_POINTS}. Sweep more of them: lr_find(max_epochs=...), or a "
                "smaller lr_mult."
            )
        lowest = int(self.smoothed.argmin())
        smoothed, losses = self.smoothed[: lowest + 1], self.losses[: lowest + 1]
        # Neighbours differ by noise and hardly by trend: by twice the variance of one batch.
        # The median, made to fit a normal distribution, sees past the end of the sweep,
        # where a model that has begun to learn is right on one batch and wrong on the next.
        typical = np.median(np.abs(np.diff(losses))) * 1.4826 if lowest else 0.0
        noise = typical**2 / 2
        # Of that variance, the average over the first n batches has this part.
        tail = beta ** np.arange(1, lowest + 2)
        part = (1 - beta) / (1 + beta) * (1 + tail) / (1 - tail)
        error = np.sqrt(noise * (part + part[-1]))
        rounding = 1e-6 * np.abs(smoothed).max()
        if (smoothed - smoothed[-1] > CLEAR_FALL * error + rounding).any():
            return None
        return (
            "the loss never fell by more than its own noise. Look at the plot; then sweep more "
            "batches (max_epochs, or a smaller lr_mult), larger ones, or from a lower start_lr."
        )

    def _valley_index(self, lowest: int) -> int:
        """Returns the middle of the longest run of ever lower values in the fall to `lowest`.

        As fastai has it, values in between may be higher: it is the longest decreasing
        subsequence, and the valley is as many points wide as that has members. That is
        meant for 100 points over 8 decades, and finds only the last, deepest part of
        a denser curve; so every n-th point is looked at.

        Unlike fastai's, it begins where the fall does. A new head's loss stays level over
        several decades of tiny rates, and a level curve has long runs of ever lower values
        too, by chance: they would draw the middle far to the left of what the eye sees.
        """
        begin = self._fall_begins(lowest)
        per_point = math.log(1e8) / 100
        stride = max(1, min(round(per_point / math.log(self._lr_mult)), len(self.lrs) // 20))
        lengths = _decreasing_lengths(self.smoothed[begin : lowest + 1 : stride])
        end = int(lengths.argmax())
        start = max(0, end - int(lengths[end]))
        return begin + (start + (end - start) // 2) * stride

    def _fall_begins(self, lowest: int) -> int:
        """Returns the index from which on the first tenth of the fall is done.

        Not the first such index: on few batches noise is a tenth of a small fall, and a level curve
        dips so far by chance, decades before it falls. From the last one before half of the fall it
        does not come back.
        """
        curve = self.smoothed[: lowest + 1]
        start = curve[: max(1, len(curve) // 10)].mean()
        fall = start - curve[-1]
        half = int((curve <= start - fall / 2).argmax())
        level = np.flatnonzero(curve[:half] > start - LEVEL_PART * fall)
        return int(level[-1]) + 1 if len(level) else 0

    def _steepest_index(self, lowest: int) -> int:
        """Returns the middle of the window before `lowest` whose regression line falls most."""
        half_decade = math.log(10) / 2 / math.log(self._lr_mult)
        width = min(max(3, round(half_decade)), lowest + 1)
        centred = np.arange(width) - (width - 1) / 2
        slopes = np.correlate(self.smoothed[: lowest + 1], centred, mode="valid")
        return int(slopes.argmin()) + (width - 1) // 2


def lag(lr_mult: float) -> float:
    """Returns how many times too high the rates are at which a sweep of few steps shows a fall.

    By the step with rate r, all steps together were of r / (1 - 1 / lr_mult): the faster the rate
    grows, the less far the weights have come when it is reached, and the loss falls later. A dense
    sweep is what suggestions are usually read off.

    Args:
        lr_mult: Factor of the sweep.

    Example:
        >>> lag(1.01), round(lag(1.6), 1)
        (1.0, 4.2)
    """
    return max(1.0, (1 - 1 / lr_mult) / (1 - 1 / DENSE))


class MovingLoss:
    """An exponential moving average that is debiased: not dragged towards 0 at the start."""

    def __init__(self, lr_mult: float) -> None:
        self.beta = 0.98 ** (math.log(lr_mult) / math.log(1.01))
        self._sum = self._weight = 0.0

    def add(self, value: float) -> float:
        self._sum = self.beta * self._sum + (1 - self.beta) * value
        self._weight = self.beta * self._weight + (1 - self.beta)
        return self._sum / self._weight


def _decreasing_lengths(values: np.ndarray) -> np.ndarray:
    """Returns the length of the longest strictly decreasing subsequence that ends at each value.

    In O(n log n), by patience sorting: `tails[k]` is the highest value that ends one of
    length k + 1, negated to be in rising order.
    """
    tails: list[float] = []
    lengths = []
    for value in values:
        k = bisect_left(tails, -value)
        tails[k : k + 1] = [-value]
        lengths.append(k + 1)
    return np.array(lengths)
