"""The learning-rate finder: a short trial run that shows which rates train a model.

Smith (2017, arXiv 1506.01186), section 3.3: train while the rate grows by a factor
after each batch, and look at the loss. Where it falls, the rate is useful.
"""

from __future__ import annotations

import html
import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from tqdm import tqdm

from ktlite._logging import logger
from ktlite._progress import screen
from ktlite.errors import ArgumentError, Problems, listing, plural
from ktlite.training.accumulation import batches_a_step
from ktlite.training.optimizers import set_learning_rate
from ktlite.training.snapshot import Snapshot

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Fewer batches say nothing, and the average over them is not yet one.
MIN_POINTS = 10
# A fall of less than this many times its standard error is no fall but noise. It is high
# because the largest of many falls is looked at: 1 in 100 flat curves has one above 4.8.
CLEAR_FALL = 5.0
# The curve counts as level until this part of the fall is done.
LEVEL_PART = 0.1

# Attributes that `model.fit` sets on the model.
FIT_SETS = ("history", "stop_training")

MEANINGS = {
    "valley": "the middle of the longest fall: the one to start with",
    "min_over_10": "a tenth of the rate of the lowest loss: the cautious one",
    "steepest": "where the loss falls fastest: the bold one",
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

    def __init__(self, lrs: Sequence[float], losses: Sequence[float]) -> None:
        finite = np.isfinite(np.asarray(losses, "float64"))
        end = len(finite) if finite.all() else int(finite.argmin())
        self.lrs = np.asarray(lrs, "float64")[:end]
        self.losses = np.asarray(losses, "float64")[:end]
        average = _MovingAverage(self._lr_mult)
        self.smoothed = np.array([average.add(loss) for loss in self.losses])
        self.valley: float | None = None
        self.min_over_10: float | None = None
        self.steepest: float | None = None
        self.problem = self._find_problem(average.beta)
        if self.problem is None:
            lowest = int(self.smoothed.argmin())
            self.valley = float(self.lrs[self._valley_index(lowest)])
            self.min_over_10 = float(self.lrs[lowest] / 10)
            self.steepest = float(self.lrs[self._steepest_index(lowest)])

    @property
    def suggestions(self) -> dict[str, float | None]:
        """The three suggested learning rates by name."""
        return {name: getattr(self, name) for name in MEANINGS}

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
        lines = [f"LRFinderResult: {self._summary()}"]
        if self.problem:
            return f"{lines[0]}\n  no suggestions: {self.problem}"
        lines += [f"  {n:<12} {r:.1e}  {MEANINGS[n]}" for n, r in self.suggestions.items()]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        head = f"<p><b>Learning-rate finder</b>: {html.escape(self._summary())}</p>"
        if self.problem:
            return f"{head}<p>No suggestions: {html.escape(self.problem)}</p>"
        rows = "".join(
            f"<tr><td><code>{n}</code></td><td><b>{r:.1e}</b></td>"
            f'<td style="text-align: left">{html.escape(MEANINGS[n])}</td></tr>'
            for n, r in self.suggestions.items()
        )
        return f"{head}<table>{rows}</table>"

    def _summary(self) -> str:
        if not len(self.lrs):
            return "no steps"
        steps = plural(len(self.lrs), "step")
        return f"{steps}, learning rates {self.lrs[0]:.1e} to {self.lrs[-1]:.1e}"

    @property
    def _lr_mult(self) -> float:
        return float(self.lrs[1] / self.lrs[0]) if len(self.lrs) > 1 else 1.01

    def _find_problem(self, beta: float) -> str | None:
        if len(self.lrs) < MIN_POINTS:
            return f"only {len(self.lrs)} batches have a finite loss; it takes {MIN_POINTS}."
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
            "the loss never fell by more than its own noise. Look at the plot; then sweep "
            "more batches (a smaller lr_mult), larger ones, or from a lower start_lr."
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
        """Returns the index where the first tenth of the fall is done."""
        curve = self.smoothed[: lowest + 1]
        start = curve[: max(1, len(curve) // 10)].mean()
        return int((curve <= start - LEVEL_PART * (start - curve[-1])).argmax())

    def _steepest_index(self, lowest: int) -> int:
        """Returns the middle of the window before `lowest` whose regression line falls most."""
        half_decade = math.log(10) / 2 / math.log(self._lr_mult)
        width = min(max(3, round(half_decade)), lowest + 1)
        centred = np.arange(width) - (width - 1) / 2
        slopes = np.correlate(self.smoothed[: lowest + 1], centred, mode="valid")
        return int(slopes.argmin()) + (width - 1) // 2


class LRSweep(keras.callbacks.Callback):
    """Multiplies the learning rate after each batch, and records each batch's own loss.

    Ends training when the loss diverges (the smoothed loss exceeds `stop_factor` times its
    lowest value), is not finite, or the next rate would exceed `max_lr`. It leaves
    the model as training left it: `find_lr` puts it back. Where the optimizer takes a step for
    several batches, these have one rate, and one loss: their mean.

    Args:
        start_lr: Learning rate of the first batch.
        lr_mult: Factor from one batch to the next, above 1.
        stop_factor: See above.
        max_lr: See above.
        verbose: Whether to show a progress bar.
        steps: Batches of an epoch, which ends with a step; None: not known.

    Attributes:
        lrs: Learning rates so far.
        losses: Losses so far.
    """

    def __init__(
        self,
        start_lr: float,
        lr_mult: float,
        stop_factor: float,
        max_lr: float,
        verbose: int,
        steps: int | None = None,
    ) -> None:
        super().__init__()
        self.steps = steps
        self.start_lr = start_lr
        self.lr_mult = lr_mult
        self.stop_factor = stop_factor
        self.max_lr = max_lr
        self.lrs: list[float] = []
        self.losses: list[float] = []
        self._average = _MovingAverage(lr_mult)
        self._best = math.inf
        self._bar = tqdm(
            total=sweep_length(start_lr, lr_mult, max_lr),
            desc="lr_find",
            unit="step",
            disable=not verbose,
            file=screen(),
        )

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._group = batches_a_step(self.model.optimizer)

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if batch % self._group:
            return
        self._rate = self.start_lr * self.lr_mult ** len(self.lrs)
        set_learning_rate(self.model.optimizer, self._rate)
        # Keras reports the mean over the epoch so far; of a mean over one step nothing is lost.
        self.model.reset_metrics()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if not logs or "loss" not in logs:
            raise ArgumentError(
                "lr_find reads the loss of each batch, but the model's train_step reports only "
                f"{listing(logs or ['nothing'])}. Return a value named 'loss' from it."
            )
        loss = float(logs["loss"])
        whole = (batch + 1) % self._group == 0 or batch + 1 == self.steps
        if not whole and math.isfinite(loss):
            return
        self.lrs.append(self._rate)
        self.losses.append(loss)
        smoothed = self._average.add(loss)
        self._best = min(self._best, smoothed)
        self._bar.set_postfix_str(f"lr {self._rate:.1e}, loss {smoothed:.3g}", refresh=False)
        self._bar.update()
        # Written so that it also holds for losses below 0, such as log-densities.
        limit = self._best + (self.stop_factor - 1) * abs(self._best)
        diverged = len(self.losses) >= MIN_POINTS and smoothed > limit
        if diverged or not math.isfinite(loss) or self._rate * self.lr_mult > self.max_lr:
            self.model.stop_training = True
            self._bar.total = self._bar.n

    def close(self) -> None:
        """Leaves the progress bar as it is."""
        self._bar.close()


def sweep_length(start_lr: float, lr_mult: float, max_lr: float) -> int:
    """Returns how many batches a sweep from `start_lr` to `max_lr` has."""
    return math.floor(math.log(max_lr / start_lr) / math.log(lr_mult) + 1e-9) + 1


def find_lr(
    model: Any,
    fit: Callable[[list[keras.callbacks.Callback], int, int], Any],
    *,
    steps: int | None,
    start_lr: float = 1e-7,
    lr_mult: float = 1.01,
    stop_factor: float = 4,
    max_lr: float = 10.0,
    verbose: int = 1,
) -> LRFinderResult:
    """Trains with an ever larger learning rate, and puts the model back as it was.

    Weights, optimizer, random states of layers, Python and NumPy, and the model's history
    are exactly the same afterwards, also after an error. Ctrl-C ends the sweep, and what
    it has seen so far is returned. (A `tf.data` pipeline that shuffles counts its own
    passes; what that draws next cannot be put back.)

    Args:
        model: A compiled Keras model with weights.
        fit: `fit(callbacks, epochs, verbose)` runs `model.fit` on the training data with
            those arguments.
        steps: Batches in one epoch, or `None` if not known.
        start_lr: Learning rate of the first batch.
        lr_mult: Factor from one batch to the next. With 1.01 a sweep over all rates takes
            1852 batches, with 1.2 it takes 102.
        stop_factor: Stop when the smoothed loss exceeds its lowest value by this factor.
        max_lr: Stop at this rate.
        verbose: 1 shows a progress bar, 0 nothing.

    Returns:
        The curve and its suggestions.

    Raises:
        ArgumentError: If an argument is out of its range, the model is not compiled or
            has no weights yet, or its learning rate cannot be set.

    Example:
        >>> find_lr(
        ...     model,
        ...     lambda callbacks, epochs, verbose: model.fit(
        ...         x, y, callbacks=callbacks, epochs=epochs, verbose=verbose
        ...     ),
        ...     steps=math.ceil(len(x) / 32),
        ... ).plot()
    """
    problems = Problems("lr_find")
    problems.add_unless(
        getattr(model, "optimizer", None) is not None,
        "the model is not compiled; call model.compile(optimizer=..., loss=...) first.",
    )
    problems.add_unless(
        0 < start_lr < max_lr < math.inf,
        f"start_lr={start_lr!r}, max_lr={max_lr!r}; expected 0 < start_lr < max_lr.",
    )
    problems.add_unless(1 < lr_mult < math.inf, f"lr_mult={lr_mult!r}; expected above 1.")
    problems.add_unless(stop_factor > 1, f"stop_factor={stop_factor!r}; expected above 1.")
    problems.add_unless(steps is None or steps >= 1, f"steps={steps!r}; expected 1 or more.")
    problems.raise_if_any()
    updates = math.ceil((steps or 1) / batches_a_step(model.optimizer))
    epochs = math.ceil(sweep_length(start_lr, lr_mult, max_lr) / updates)
    attributes = {name: vars(model)[name] for name in FIT_SETS if name in vars(model)}
    with Snapshot(model):
        set_learning_rate(model.optimizer, start_lr)
        sweep = LRSweep(start_lr, lr_mult, stop_factor, max_lr, verbose, steps)
        try:
            fit([sweep], epochs, 0)
        except KeyboardInterrupt:
            logger.info(
                "lr_find was interrupted after %s; the curve so far is kept, and the model is "
                "as it was before.",
                plural(len(sweep.lrs), "step"),
            )
        finally:
            sweep.close()
            for name in FIT_SETS:
                if name in attributes:
                    setattr(model, name, attributes[name])
                elif name in vars(model):
                    delattr(model, name)
    return LRFinderResult(sweep.lrs, sweep.losses)


class _MovingAverage:
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
