"""The learning-rate finder: a short trial run that shows which rates train a model.

Smith (2017, arXiv 1506.01186), section 3.3: train while the rate grows by a factor
after each batch, and look at the loss. Where it falls, the rate is useful.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
from tqdm import tqdm

from ktlite._logging import logger
from ktlite._progress import screen
from ktlite.errors import ArgumentError, Problems, listing, plural
from ktlite.training.accumulation import batches_a_step
from ktlite.training.lr_curve import MIN_POINTS, LRFinderResult, MovingLoss, lag
from ktlite.training.optimizers import set_learning_rate
from ktlite.training.snapshot import Snapshot

# Attributes that `model.fit` sets on the model.
FIT_SETS = ("history", "stop_training")


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

    #: Whether a loss that is no number ends a training well.
    ends_at_nan = True

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
        self._average = MovingLoss(lr_mult)
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
    return LRFinderResult(sweep.lrs, sweep.losses, lag(lr_mult))


__all__ = ["LRFinderResult", "LRSweep", "find_lr", "sweep_length"]
