"""The methods of a `Learner` that look for a learning rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ktlite._arguments import at_least_one, checked, positive
from ktlite._logging import results
from ktlite.errors import ArgumentError
from ktlite.learner.state import State
from ktlite.training import run
from ktlite.training.accumulation import batches_a_step
from ktlite.training.identity import identify
from ktlite.training.lr_curve import LRFinderResult
from ktlite.training.lr_finder import find_lr, sweep_length
from ktlite.training.plots import show
from ktlite.training.workers import check_same, workers_strategy

# Steps of a sweep: a pass through the data, but enough for a curve that can be read, and no more
# than that takes.
LEAST_STEPS, MOST_STEPS = 40, 200


class RateFinding(State):
    """The learning-rate finder and its plot."""

    @checked
    def lr_find(
        self,
        start_lr: float = 1e-7,
        lr_mult: float | None = None,
        max_epochs: int | None = None,
        class_weight: Any = None,
        stop_factor: float = 4,
        show_plot: bool = False,
        suggest: bool = False,
        restore_weights_only: bool = False,
        verbose: int = 1,
        *,
        max_lr: float = 10.0,
    ) -> LRFinderResult:
        """Tries learning rates from tiny to huge and keeps the loss of each batch (Smith, 2017).

        The rate grows from batch to batch until the loss explodes. (Where `accumulate` batches make
        a step, from step to step.) Afterwards weights, optimizer and random states are exactly
        what they were, also after Ctrl-C, which ends the sweep and keeps the curve so far.

        Args:
            start_lr: The first rate.
            lr_mult: What the rate is multiplied by after each batch. Default: the factor
                that goes to `max_lr` in one epoch, or in `max_epochs` where that is given; but in
                40 batches at least, and without `max_epochs` in 200 at most. (ktrain's 1.01
                takes 1,850 batches.)
            max_epochs: Epochs to spread the sweep over; with `lr_mult`, to end it after.
            class_weight: As in `fit`.
            stop_factor: Stop where the smoothed loss is this many times its best.
            show_plot: Show the plot: in the notebook, in a window where there is a screen to open
                one on, else as a file `lr_find.png`, whose place is in the log.
            suggest: Mark the suggestions in it. They are in the result in any case.
            restore_weights_only: Accepted for ktrain's sake; everything is restored.
            verbose: 0 silences the progress bar and the suggestions.
            max_lr: The last rate.

        Returns:
            The curve with its suggestions `valley`, `steepest` and `min_over_10`, which are also
            printed. A fit without a rate takes the valley.

        Raises:
            ArgumentError: If arguments cannot work; all of them are named at once.

        Example:
            >>> learner.lr_find(show_plot=True)
            lr_find: 40 steps, learning rates 1.0e-07 to 1.0e+01
              valley       1.1e-03  the middle of the longest fall: the one to start with
              ...
            >>> learner.fit_onecycle(epochs=2)
        """
        problems = self._ready("lr_find")
        positive(problems, start_lr=start_lr, max_lr=max_lr)
        problems.add_unless(max_lr > start_lr, f"max_lr={max_lr!r}; expected > {start_lr}.")
        problems.add_unless(stop_factor > 1, f"stop_factor={stop_factor!r}; expected > 1.")
        if lr_mult is not None:
            problems.add_unless(lr_mult > 1, f"lr_mult={lr_mult!r}; expected > 1, such as 1.05.")
        if max_epochs is not None:
            at_least_one(problems, max_epochs=max_epochs)
        problems.raise_if_any()
        steps, group = self._train_feed("lr_find").steps, batches_a_step(self.model.optimizer)
        batches = MOST_STEPS
        if max_epochs is not None:
            batches = max_epochs * self._updates(None, "lr_find")
        elif steps is not None:
            batches = min(max(self._updates(None, "lr_find"), LEAST_STEPS), MOST_STEPS)
        if lr_mult is None:
            lr_mult = (max_lr / start_lr) ** (1 / max(1, batches - 1))
        elif max_epochs is not None:
            max_lr = min(max_lr, start_lr * lr_mult ** max(1, batches - 1))
        weights = self._class_weight(class_weight)
        if workers_strategy(self.model) is not None:
            train, rates = self._train_feed("lr_find"), (start_lr, max_lr, lr_mult, stop_factor)
            described = identify(self.model, train, None, rates=rates, class_weight=weights)
            check_same(self.model, described)
        # A frozen encoder's vectors are worth their time where the sweep sees each text.
        length = group * sweep_length(start_lr, lr_mult, max_lr)
        encode = ["train"] if steps and steps <= length else []

        def sweep(callbacks: Sequence[Any], epochs: int, fit_verbose: int) -> None:
            feed, _ = self._feeds(verbose, encode)
            run.fit(
                self.model,
                feed,
                None,
                epochs=epochs,
                steps=steps,
                first_epoch=self._epochs_done,
                callbacks=callbacks,
                class_weight=weights,
                verbose=fit_verbose,
            )

        self.lr_finder = find_lr(
            self.model,
            sweep,
            steps=steps,
            start_lr=start_lr,
            lr_mult=lr_mult,
            stop_factor=stop_factor,
            max_lr=max_lr * (1 + 1e-9),  # rounding must not end the sweep a batch early
            verbose=verbose,
        )
        if verbose:
            results.info("%s", self.lr_finder)
        if show_plot:
            self.lr_plot(suggest=suggest)
        return self.lr_finder

    @checked
    def lr_plot(
        self,
        n_skip_beginning: int = 10,
        n_skip_end: int = 5,
        suggest: bool = False,
        return_fig: bool = False,
    ) -> Any:
        """Shows the last `lr_find`'s curve, as `lr_find(show_plot=True)` does.

        Args:
            n_skip_beginning: Batches to leave out at the start.
            n_skip_end: Batches to leave out at the end.
            suggest: Mark the suggested rates.
            return_fig: Return the matplotlib `Figure` in place of showing it.

        Raises:
            ArgumentError: If `lr_find` has not run.
        """
        figure = self._finder("lr_plot").plot(n_skip_beginning, n_skip_end, suggest)
        return figure if return_fig else show(figure, "lr_find")

    def lr_estimate(self) -> tuple[float | None, float | None, float | None]:
        """Returns the last `lr_find`'s suggestions as ktrain does: (steepest, min/10, valley).

        Raises:
            ArgumentError: If `lr_find` has not run.
        """
        found = self._finder("lr_estimate")
        return found.steepest, found.min_over_10, found.valley

    def _finder(self, where: str) -> LRFinderResult:
        if self.lr_finder is None:
            raise ArgumentError(f"{where}: there is no curve yet; call lr_find() first.")
        return self.lr_finder
