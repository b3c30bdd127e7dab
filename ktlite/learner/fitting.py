"""The methods of a `Learner` that train."""

from __future__ import annotations

import os
from collections.abc import Sequence
from numbers import Real
from typing import Any

from ktlite._arguments import at_least_one, checked, positive
from ktlite.errors import Problems
from ktlite.learner.running import Running, one_of
from ktlite.training import run
from ktlite.training.callbacks import ReduceOnPlateau, ScheduleCallback
from ktlite.training.schedules import Constant, CosineRestarts, OneCycle, Triangular

PATIENCE_STOP, PATIENCE_REDUCE = 5, 2


class Fitting(Running):
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
        resume: bool = False,
        save_every: float = 10,
        monitor: str | None = None,
        mode: str | None = None,
    ) -> Any:
        """Trains at a constant rate, or with cosine restarts.

        Args:
            lr: Learning rate. Default: the valley of the last `lr_find`; with
                `resume`, that of the run.
            n_cycles: Epochs, or with `cycle_len` the number of cycles.
            cycle_len: Epochs of the first cycle: the rate falls along a cosine and starts
                anew with each cycle (SGDR: Loshchilov and Hutter, 2017, arXiv:1608.03983).
            cycle_mult: How many times longer each cycle is than the one before.
            lr_decay: What each cycle's rate is multiplied by, relative to the one before.
            checkpoint_folder: Keep checkpoints here: the newest two and the best.
            early_stopping: Stop after this many epochs without a better validation
                loss, and go back to the best weights.
            verbose: 0 silent, 1 progress bar, 2 a line an epoch.
            class_weight: `"balanced"`, or a dict from class to weight.
            callbacks: Keras callbacks.
            steps_per_epoch: Batches an epoch, at most. Default: all.
            learning_rate: The same as `lr`.
            epochs: The same as `n_cycles`.
            resume: Go on from the newest sound checkpoint in `checkpoint_folder`, or from the
                beginning where there is none; call it with the same arguments and data.
            save_every: Minutes between two checkpoints; after every epoch there is one too.
            monitor: What the best checkpoint is the best by. Default: `"val_loss"`, or
                without validation data `"loss"`.
            mode: `"min"` or `"max"`: which way `monitor` is better. Default: as is known of
                losses and of the field's metrics; of others, an error asks.

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
        monitor = self._measured_name(monitor)
        rate = self._rate(problems, lr, learning_rate, checkpoint_folder if resume else None)
        cycles = one_of(problems, "n_cycles", n_cycles, "epochs", epochs)
        _check_order(problems, rate, "n_cycles", cycles)
        positive(problems, lr_decay=lr_decay)
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
        self._check_checkpoints(problems, checkpoint_folder, resume, save_every, monitor, mode)
        problems.raise_if_any()
        schedule = ScheduleCallback(Constant(rate))
        total = cycles
        if cycle_len is not None:
            total = sum(cycle_len * cycle_mult**i for i in range(cycles))
            steps = cycle_len * self._updates(steps_per_epoch, "fit")
            schedule = ScheduleCallback(CosineRestarts(rate, steps, cycle_mult, lr_decay))
        return self._fit(
            schedule,
            total,
            callbacks=[*self._stopping(early_stopping, "val_loss"), *(callbacks or ())],
            checkpoint_folder=checkpoint_folder,
            resume=resume,
            save_every=save_every,
            monitor=monitor,
            mode=mode,
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
        resume: bool = False,
        save_every: float = 10,
        monitor: str | None = None,
        mode: str | None = None,
    ) -> Any:
        """Trains with the 1cycle policy (Smith, 2018, arXiv:1803.09820).

        The rate rises linearly from lr/10 to lr over half of the steps, and falls to
        lr/1000; the momentum (Adam's beta_1) goes the other way.

        Args:
            lr: The highest learning rate. Default: the valley of the last `lr_find`; with
                `resume`, that of the run.
            epochs: Epochs.
            checkpoint_folder: Keep checkpoints here: the newest two and the best.
            cycle_momentum: Change the momentum too.
            max_momentum: Momentum at the start and the end.
            min_momentum: Momentum at the highest rate.
            class_weight: `"balanced"`, or a dict from class to weight.
            callbacks: Keras callbacks.
            steps_per_epoch: Batches an epoch, at most. Default: all.
            verbose: 0 silent, 1 progress bar, 2 a line an epoch.
            learning_rate: The same as `lr`.
            resume: Go on from the newest sound checkpoint in `checkpoint_folder`, or from the
                beginning where there is none; call it with the same arguments and data.
            save_every: Minutes between two checkpoints; after every epoch there is one too.
            monitor: What the best checkpoint is the best by. Default: `"val_loss"`, or
                without validation data `"loss"`.
            mode: `"min"` or `"max"`: which way `monitor` is better. Default: as is known of
                losses and of the field's metrics; of others, an error asks.

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
        monitor = self._measured_name(monitor)
        rate = self._rate(problems, lr, learning_rate, checkpoint_folder if resume else None)
        _check_order(problems, rate, "epochs", total)
        at_least_one(problems, epochs=total)
        _optional(problems, steps_per_epoch=steps_per_epoch)
        self._check_checkpoints(problems, checkpoint_folder, resume, save_every, monitor, mode)
        problems.raise_if_any()
        steps = self._updates(steps_per_epoch, "fit_onecycle")
        momentum = (max_momentum, min_momentum) if cycle_momentum else None
        return self._fit(
            ScheduleCallback(OneCycle(rate, total * steps, momentum)),
            total,
            callbacks=callbacks or (),
            checkpoint_folder=checkpoint_folder,
            resume=resume,
            save_every=save_every,
            monitor=monitor,
            mode=mode,
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
        resume: bool = False,
        save_every: float = 10,
        mode: str | None = None,
    ) -> Any:
        """Trains with one triangle of the rate an epoch (Smith, 2017, arXiv:1506.01186).

        Without `epochs` it trains until validation stops improving for
        `early_stopping` (5) epochs, divides the rate by `reduce_factor` after
        `reduce_on_plateau` (2) epochs without improvement, and ends with the best weights.

        Args:
            lr: The highest learning rate. Default: the valley of the last `lr_find`; with
                `resume`, that of the run.
            epochs: Epochs. Default: until early stopping.
            early_stopping: Epochs without improvement to stop after.
            reduce_on_plateau: Epochs without improvement to lower the rate after.
            reduce_factor: What the rate is divided by.
            cycle_momentum: Change the momentum too.
            max_momentum: Momentum at the lowest rate.
            min_momentum: Momentum at the highest rate.
            monitor: What has to improve: `"val_loss"`, `"val_accuracy"`, `"loss"`, ...
            checkpoint_folder: Keep checkpoints here: the newest two and the best.
            class_weight: `"balanced"`, or a dict from class to weight.
            callbacks: Keras callbacks.
            steps_per_epoch: Batches an epoch, at most. Default: all.
            verbose: 0 silent, 1 progress bar, 2 a line an epoch.
            learning_rate: The same as `lr`.
            resume: Go on from the newest sound checkpoint in `checkpoint_folder`, or from the
                beginning where there is none; call it with the same arguments and data.
            save_every: Minutes between two checkpoints; after every epoch there is one too.
            mode: `"min"` or `"max"`: which way `monitor` is better, as for `fit_onecycle`.

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
        total = run.ENDLESS if epochs is None else epochs
        problems = self._ready("autofit")
        monitor = self._measured_name(monitor) or "val_loss"
        rate = self._rate(problems, lr, learning_rate, checkpoint_folder if resume else None)
        _check_order(problems, rate, "epochs", total)
        at_least_one(problems, epochs=total)
        _optional(
            problems,
            early_stopping=early_stopping,
            reduce_on_plateau=reduce_on_plateau,
            steps_per_epoch=steps_per_epoch,
        )
        problems.add_unless(reduce_factor > 1, f"reduce_factor={reduce_factor!r}; expected > 1.")
        best_by = None if monitor.startswith("val_") and self._val is None else monitor
        if early_stopping is not None or reduce_on_plateau is not None:
            self._check_monitor(problems, monitor, mode)
        elif checkpoint_folder is not None and best_by is not None:
            self._check_monitor(problems, best_by, mode)
        self._check_checkpoints(problems, checkpoint_folder, resume, save_every, None)
        problems.raise_if_any()
        steps = self._updates(steps_per_epoch, "autofit")
        momentum = (max_momentum, min_momentum) if cycle_momentum else None
        schedule = ScheduleCallback(Triangular(rate, steps, momentum))
        extra = self._stopping(early_stopping, monitor, mode)
        if reduce_on_plateau is not None:
            way = self._mode(monitor, mode)
            extra.append(ReduceOnPlateau(schedule, monitor, reduce_factor, reduce_on_plateau, way))
        return self._fit(
            schedule,
            total,
            callbacks=[*extra, *(callbacks or ())],
            checkpoint_folder=checkpoint_folder,
            resume=resume,
            save_every=save_every,
            monitor=best_by,
            mode=mode,
            class_weight=class_weight,
            steps_per_epoch=steps_per_epoch,
            verbose=verbose,
        )

    @checked
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

    @checked
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


def _check_order(problems: Problems, lr: Any, name: str, epochs: Any) -> None:
    """Records that rate and epochs stand in each other's place, where they seem to."""
    numbers = isinstance(epochs, Real) and isinstance(lr, Real)
    if numbers and 0 < epochs < 1 <= lr and float(lr).is_integer():
        problems.add(
            f"lr={lr!r} and {name}={epochs!r} are the wrong way round: the rate comes first, "
            f"{problems.where}({epochs!r}, {lr!r})."
        )


def _optional(problems: Problems, **counts: Any) -> None:
    """Records a problem for each argument that is neither None nor a whole number of 1 or more."""
    at_least_one(problems, **{name: v for name, v in counts.items() if v is not None})
