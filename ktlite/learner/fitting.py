"""The methods of a `Learner` that train."""

from __future__ import annotations

import os
from collections.abc import Sequence
from numbers import Real
from typing import Any

from ktlite._arguments import at_least_one, checked, positive
from ktlite.errors import ArgumentError, Problems, did_you_mean, listing
from ktlite.learner.state import State
from ktlite.training import run
from ktlite.training.callbacks import ScheduleCallback
from ktlite.training.schedules import Constant, CosineRestarts, OneCycle, Triangular

PATIENCE_STOP, PATIENCE_REDUCE, ENDLESS = 5, 2, 1024


class Fitting(State):
    """Training: at a constant rate, with restarts, with one cycle, or until it stops improving."""

    @checked
    def fit(
        self,
        lr: float | None = None,
        n_cycles: int | None = None,
        cycle_len: int | None = None,
        cycle_mult: int = 1,
        lr_decay: float = 1,
        checkpoint_folder: str | os.PathLike[str] | None = None,
        early_stopping: int | None = None,
        verbose: int = 1,
        class_weight: Any = None,
        callbacks: Sequence[Any] | None = None,
        steps_per_epoch: int | None = None,
        *,
        learning_rate: float | None = None,
        epochs: int | None = None,
    ) -> Any:
        """Trains at a constant rate, or with cosine restarts.

        Args:
            lr: Learning rate.
            n_cycles: Epochs, or with `cycle_len` the number of cycles.
            cycle_len: Epochs of the first cycle: the rate falls along a cosine and starts
                anew with each cycle (SGDR: Loshchilov and Hutter, 2017, arXiv:1608.03983).
            cycle_mult: How many times longer each cycle is than the one before.
            lr_decay: What each cycle's rate is multiplied by, relative to the one before.
            checkpoint_folder: Save the weights here after every epoch.
            early_stopping: Stop after this many epochs without a better validation
                loss, and go back to the best weights.
            verbose: 0 silent, 1 progress bar, 2 a line an epoch.
            class_weight: `"balanced"`, or a dict from class to weight.
            callbacks: Keras callbacks.
            steps_per_epoch: Batches an epoch, at most. Default: all.
            learning_rate: The same as `lr`.
            epochs: The same as `n_cycles`.

        Returns:
            Keras' `History`; `history` also holds `lr`, `momentum` and `iterations` of
            each step.

        Raises:
            ArgumentError: If arguments cannot work; all of them are named at once.

        Example:
            >>> learner.fit(2e-5, 3)
            >>> learner.fit(1e-4, 2, cycle_len=1, cycle_mult=2)   # 1 + 2 epochs
        """
        problems = self._ready("fit")
        rate = _one(problems, "lr", lr, "learning_rate", learning_rate)
        cycles = _one(problems, "n_cycles", n_cycles, "epochs", epochs)
        positive(problems, lr=rate, lr_decay=lr_decay)
        at_least_one(problems, n_cycles=cycles, cycle_mult=cycle_mult)
        _optional(
            problems,
            cycle_len=cycle_len,
            early_stopping=early_stopping,
            steps_per_epoch=steps_per_epoch,
        )
        problems.add_unless(
            cycle_len is not None or (cycle_mult, lr_decay) == (1, 1),
            "cycle_mult and lr_decay go with cycle_len, the epochs of the first cycle.",
        )
        if early_stopping is not None:
            self._check_monitor(problems, "val_loss")
        problems.raise_if_any()
        schedule = ScheduleCallback(Constant(rate))
        total = cycles
        if cycle_len is not None:
            total = sum(cycle_len * cycle_mult**i for i in range(cycles))
            steps = cycle_len * self._steps(steps_per_epoch, "fit")
            schedule = ScheduleCallback(CosineRestarts(rate, steps, cycle_mult, lr_decay))
        return self._fit(
            schedule,
            total,
            callbacks=[*self._stopping(early_stopping, "val_loss"), *(callbacks or ())],
            checkpoint_folder=checkpoint_folder,
            class_weight=class_weight,
            steps_per_epoch=steps_per_epoch,
            verbose=verbose,
        )

    @checked
    def fit_onecycle(
        self,
        lr: float | None = None,
        epochs: int | None = None,
        checkpoint_folder: str | os.PathLike[str] | None = None,
        cycle_momentum: bool = True,
        max_momentum: float = 0.95,
        min_momentum: float = 0.85,
        class_weight: Any = None,
        callbacks: Sequence[Any] | None = None,
        steps_per_epoch: int | None = None,
        verbose: int = 1,
        *,
        learning_rate: float | None = None,
    ) -> Any:
        """Trains with the 1cycle policy (Smith, 2018, arXiv:1803.09820).

        The rate rises linearly from lr/10 to lr over half of the steps, and falls to
        lr/1000; the momentum (Adam's beta_1) goes the other way.

        Args:
            lr: The highest learning rate. `lr_find` helps to choose it.
            epochs: Epochs.
            checkpoint_folder: Save the weights here after every epoch.
            cycle_momentum: Change the momentum too.
            max_momentum: Momentum at the start and the end.
            min_momentum: Momentum at the highest rate.
            class_weight: `"balanced"`, or a dict from class to weight.
            callbacks: Keras callbacks.
            steps_per_epoch: Batches an epoch, at most. Default: all.
            verbose: 0 silent, 1 progress bar, 2 a line an epoch.
            learning_rate: The same as `lr`.

        Returns:
            Keras' `History`; `history` also holds `lr`, `momentum` and `iterations` of
            each step.

        Raises:
            ArgumentError: If arguments cannot work; all of them are named at once.

        Example:
            >>> learner.fit_onecycle(5e-5, 2)
        """
        total: Any = epochs  # a number, once the check is passed
        problems = self._ready("fit_onecycle")
        rate = _one(problems, "lr", lr, "learning_rate", learning_rate)
        positive(problems, lr=rate)
        at_least_one(problems, epochs=total)
        _optional(problems, steps_per_epoch=steps_per_epoch)
        problems.raise_if_any()
        steps = self._steps(steps_per_epoch, "fit_onecycle")
        momentum = (max_momentum, min_momentum) if cycle_momentum else None
        return self._fit(
            ScheduleCallback(OneCycle(rate, total * steps, momentum)),
            total,
            callbacks=callbacks or (),
            checkpoint_folder=checkpoint_folder,
            class_weight=class_weight,
            steps_per_epoch=steps_per_epoch,
            verbose=verbose,
        )

    @checked
    def autofit(
        self,
        lr: float | None = None,
        epochs: int | None = None,
        early_stopping: int | None = None,
        reduce_on_plateau: int | None = None,
        reduce_factor: float = 2,
        cycle_momentum: bool = True,
        max_momentum: float = 0.95,
        min_momentum: float = 0.85,
        monitor: str = "val_loss",
        checkpoint_folder: str | os.PathLike[str] | None = None,
        class_weight: Any = None,
        callbacks: Sequence[Any] | None = None,
        steps_per_epoch: int | None = None,
        verbose: int = 1,
        *,
        learning_rate: float | None = None,
    ) -> Any:
        """Trains with one triangle of the rate an epoch (Smith, 2017, arXiv:1506.01186).

        Without `epochs` it trains until validation stops improving for
        `early_stopping` (5) epochs, divides the rate by `reduce_factor` after
        `reduce_on_plateau` (2) epochs without improvement, and ends with the best weights.

        Args:
            lr: The highest learning rate.
            epochs: Epochs. Default: until early stopping.
            early_stopping: Epochs without improvement to stop after.
            reduce_on_plateau: Epochs without improvement to lower the rate after.
            reduce_factor: What the rate is divided by.
            cycle_momentum: Change the momentum too.
            max_momentum: Momentum at the lowest rate.
            min_momentum: Momentum at the highest rate.
            monitor: What has to improve: `"val_loss"`, `"val_accuracy"`, `"loss"`, ...
            checkpoint_folder: Save the weights here after every epoch.
            class_weight: `"balanced"`, or a dict from class to weight.
            callbacks: Keras callbacks.
            steps_per_epoch: Batches an epoch, at most. Default: all.
            verbose: 0 silent, 1 progress bar, 2 a line an epoch.
            learning_rate: The same as `lr`.

        Returns:
            Keras' `History`, as from `fit_onecycle`.

        Raises:
            ArgumentError: If arguments cannot work, such as a `monitor` that needs
                validation data where there is none.

        Example:
            >>> learner.autofit(5e-5)
        """
        if epochs is None:
            early_stopping = PATIENCE_STOP if early_stopping is None else early_stopping
            reduce_on_plateau = PATIENCE_REDUCE if reduce_on_plateau is None else reduce_on_plateau
        total = ENDLESS if epochs is None else epochs
        problems = self._ready("autofit")
        rate = _one(problems, "lr", lr, "learning_rate", learning_rate)
        positive(problems, lr=rate)
        at_least_one(problems, epochs=total)
        _optional(
            problems,
            early_stopping=early_stopping,
            reduce_on_plateau=reduce_on_plateau,
            steps_per_epoch=steps_per_epoch,
        )
        problems.add_unless(reduce_factor > 1, f"reduce_factor={reduce_factor!r}; expected > 1.")
        if early_stopping is not None or reduce_on_plateau is not None:
            self._check_monitor(problems, monitor)
        problems.raise_if_any()
        steps = self._steps(steps_per_epoch, "autofit")
        momentum = (max_momentum, min_momentum) if cycle_momentum else None
        schedule = ScheduleCallback(Triangular(rate, steps, momentum))
        extra = self._stopping(early_stopping, monitor)
        if reduce_on_plateau is not None:
            mode = _better(monitor)
            extra.append(
                run.ReduceOnPlateau(schedule, monitor, reduce_factor, reduce_on_plateau, mode)
            )
        return self._fit(
            schedule,
            total,
            callbacks=[*extra, *(callbacks or ())],
            checkpoint_folder=checkpoint_folder,
            class_weight=class_weight,
            steps_per_epoch=steps_per_epoch,
            verbose=verbose,
        )

    def set_lr(self, lr: float) -> None:
        """Sets the learning rate of the model's optimizer; each fit sets its own.

        Raises:
            ArgumentError: If `lr` is not positive, or a `LearningRateSchedule` makes the rate.
        """
        from ktlite.training.optimizers import set_learning_rate

        problems = Problems("set_lr")
        positive(problems, lr=lr)
        problems.raise_if_any()
        set_learning_rate(self._optimizer("set_lr"), lr)

    def set_weight_decay(self, wd: float = 0.01) -> None:
        """Sets the decoupled weight decay; ktlite's AdamW spares biases and norms.

        Raises:
            ArgumentError: If `wd` is negative.
        """
        problems = Problems("set_weight_decay")
        problems.add_unless(
            isinstance(wd, Real) and 0 <= wd < float("inf"), f"wd={wd!r}; expected 0 or more."
        )
        problems.raise_if_any()
        self._optimizer("set_weight_decay").weight_decay = float(wd)
        self.model.train_function = None  # the old value is part of the traced step

    def get_weight_decay(self) -> float | None:
        """Returns the optimizer's weight decay; None where there is none."""
        return self._optimizer("get_weight_decay").weight_decay

    def _optimizer(self, where: str) -> Any:
        """Returns the optimizer, unwrapped where it scales the loss."""
        if not self.model.compiled:
            raise ArgumentError(
                f"{where}: the model is not compiled; call model.compile(...) first."
            )
        return getattr(self.model.optimizer, "inner_optimizer", self.model.optimizer)

    def _fit(
        self,
        schedule: ScheduleCallback,
        epochs: int,
        *,
        callbacks: Sequence[Any],
        checkpoint_folder: str | os.PathLike[str] | None,
        class_weight: Any,
        steps_per_epoch: int | None,
        verbose: int,
    ) -> Any:
        feed = self._train_feed("fit")
        saving = run.checkpoints(checkpoint_folder)
        weights = self._class_weight(class_weight)
        self._initial.keep()
        before = getattr(self.model, "history", None)
        try:
            run.fit(
                self.model,
                feed,
                self._val,
                epochs=epochs,
                steps=run.steps_per_epoch(feed, steps_per_epoch),
                first_epoch=self._epochs_done,
                schedule=schedule,
                callbacks=[*saving, *callbacks],
                class_weight=weights,
                verbose=verbose,
            )
        finally:  # what was trained before Ctrl-C counts, and can be plotted
            if getattr(self.model, "history", None) is not before:
                self.history = self.model.history
                self._epochs_done += len(self.history.epoch)
        return self.history

    def _stopping(self, patience: int | None, monitor: str) -> list[Any]:
        import keras

        if patience is None:
            return []
        return [
            keras.callbacks.EarlyStopping(
                monitor=monitor,
                patience=patience,
                mode=_better(monitor),
                restore_best_weights=True,
            )
        ]

    def _check_monitor(self, problems: Problems, monitor: str) -> None:
        if not self.model.compiled:
            return  # which is a problem of its own
        plain = ["loss", *run.metric_names(self.model)]
        known = [*plain, *(f"val_{name}" for name in plain)]
        if monitor not in known:
            problems.add(
                f"monitor={monitor!r} is not measured; measured are {listing(known)}."
                f"{did_you_mean(monitor, known)}"
            )
        elif monitor.startswith("val_") and self._val is None:
            problems.add(
                f"monitor={monitor!r} needs validation data, and the learner has no val_data; pass "
                "it to get_learner, or give epochs and monitor='loss'."
            )


def _one(problems: Problems, name: str, value: Any, alias: str, other: Any) -> Any:
    """Returns an argument that may be given under one of two names."""
    problems.add_unless(
        value is None or other is None,
        f"{name}={value!r} and {alias}={other!r} are the same argument; give one.",
    )
    return other if value is None else value


def _optional(problems: Problems, **counts: Any) -> None:
    """Records a problem for each argument that is neither None nor a whole number of 1 or more."""
    at_least_one(problems, **{name: v for name, v in counts.items() if v is not None})


def _better(monitor: str) -> str:
    """Says whether a metric is better when lower ("min") or higher ("max")."""
    rising = ("acc", "auc", "f1", "precision", "recall", "r2", "mcc", "similarity", "iou")
    falls = monitor.endswith("loss") or not any(part in monitor for part in rising)
    return "min" if falls else "max"
