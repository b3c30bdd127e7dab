"""One training run of a `Learner`: its checkpoints, its record, and where it stops."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

from ktlite._arguments import checked, positive
from ktlite._logging import logger
from ktlite.errors import ArgumentError, Problems, did_you_mean, listing
from ktlite.learner.state import State
from ktlite.training import run
from ktlite.training.callbacks import EarlyStopping, ScheduleCallback
from ktlite.training.checkpoints import Checkpoints, find_checkpoint, rate_of_run
from ktlite.training.directions import check_direction, direction
from ktlite.training.identity import identify
from ktlite.training.state import assign, variables
from ktlite.training.workers import check_same, first_writes, workers_strategy


class Running(State):
    """Runs a training with its checkpoints, and goes on with one that was stopped."""

    @checked
    def load_checkpoint(self, folder: str | os.PathLike[str], which: str | int = "best") -> None:
        """Puts the weights of a checkpoint into the model, as validation saw them.

        To go on with a training, call the same fit again with `resume=True`.

        Args:
            folder: The `checkpoint_folder` of a fit.
            which: `"best"`: after the best epoch; `"last"`: the newest; or the number of a
                step, as in `step-000120`.

        Raises:
            ArgumentError: If there is no such checkpoint.
            CheckpointError: If it is damaged, or of another model.

        Example:
            >>> learner.fit_onecycle(5e-5, 3, checkpoint_folder="run")
            >>> learner.load_checkpoint("run", "best")
        """
        found = find_checkpoint(folder, which)
        check_same(self.model, {"the checkpoint": found.folder.name})
        averages = found.state["averages"].items()
        tensors = {**found.tensors, **{name: found.tensors[other] for name, other in averages}}
        self._initial.keep()
        self._weights_change()
        assign(self.model, tensors, ("model",))

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
        class_weight: Any,
        steps_per_epoch: int | None,
        verbose: int,
        checkpoint_folder: str | os.PathLike[str] | None,
        resume: bool,
        save_every: float,
        monitor: str | None,
        mode: str | None = None,
    ) -> Any:
        feed = self._train_feed("fit")
        weights = self._class_weight(class_weight)
        steps = run.steps_per_epoch(feed, steps_per_epoch)
        checkpoints, identity = None, {}
        if checkpoint_folder is not None or workers_strategy(self.model) is not None:
            identity = identify(
                self.model,
                feed,
                self._val,
                schedule=schedule.schedule,
                epochs="until it stops improving" if epochs == run.ENDLESS else epochs,
                steps_per_epoch=steps,
                class_weight=weights,
                stopping=[_settings(one) for one in callbacks if hasattr(one, "set_state")],
            )
        check_same(self.model, {**identity, "checkpoint_folder": checkpoint_folder is not None})
        if checkpoint_folder is not None:
            best = "min" if monitor is None else self._mode(monitor, mode)
            monitor = monitor or ("loss" if self._val is None else "val_loss")
            folder = os.fspath(checkpoint_folder)
            checkpoints = Checkpoints(
                folder, identity, monitor, best, save_every, self._epochs_done
            )
            run.build_optimizer(self.model)
            shapes = [variable.shape for variable in variables(self.model).values()]
            with first_writes(self.model, folder) as first:
                if first:
                    checkpoints.prepare(4 * sum(math.prod(shape) for shape in shapes))
            shared = "what is in checkpoint_folder, which all must share,"
            check_same(self.model, {shared: checkpoints.found(), "resume": resume})
            checkpoints.open(resume)
            self._epochs_done = checkpoints.first_epoch
        self._initial.keep()
        self._weights_change()
        before = getattr(self.model, "history", None)
        train, val = self._feeds(verbose)
        try:
            run.fit(
                self.model,
                train,
                val,
                epochs=epochs,
                steps=steps,
                first_epoch=self._epochs_done,
                schedule=schedule,
                callbacks=callbacks,
                checkpoints=checkpoints,
                class_weight=weights,
                verbose=verbose,
            )
        finally:  # what was trained before Ctrl-C counts, and can be plotted
            history: Any = getattr(self.model, "history", None)
            if history is not before and hasattr(history, "epoch"):  # else no step was begun
                self.history = history
                self._epochs_done += len(history.epoch)
        return self.history

    def checked_mode(self, where: str, monitor: str, mode: str | None = None) -> str:
        """Returns which way a figure is better, "min" or "max".

        Raises:
            ArgumentError: If it is not measured, or not known to be better either way.
        """
        problems = Problems(where)
        self._check_monitor(problems, monitor, mode)
        problems.raise_if_any()
        return self._mode(monitor, mode)

    def _measured_name(self, monitor: str | None) -> str | None:
        """Returns a figure's name as Keras measures it; "acc" was accuracy's before Keras 2.3."""
        if monitor not in ("acc", "val_acc") or not self.model.compiled:
            return monitor
        names = run.metric_names(self.model)
        known = "acc" in names or "accuracy" not in names
        return monitor if known else monitor.replace("acc", "accuracy")

    def _mode(self, monitor: str, mode: str | None = None) -> str:
        """Returns whether the figure is better when lower, "min", or higher, "max"."""
        return mode or direction(monitor, self.model) or "min"

    def _rate(
        self, problems: Problems, lr: float | None, learning_rate: float | None, run: Any = None
    ) -> Any:
        """Returns the rate that is given under either name, or that the last `lr_find` suggests.

        One that goes on with the run in the folder `run` has that run's: another sweep, or none,
        need not make another run of it.
        """
        rate = one_of(problems, "lr", lr, "learning_rate", learning_rate)
        found = self.lr_finder
        earlier = None if rate is not None or run is None else rate_of_run(run)
        if rate is not None:
            positive(problems, lr=rate)
        elif earlier is not None:
            rate = earlier
            logger.info("lr=%.2e, that of the run in %s", rate, os.fspath(run))
        elif found is None:
            problems.add(
                "lr=None, and there was no lr_find to suggest one: call lr_find() first, or "
                "give lr, such as lr=5e-5."
            )
        elif found.valley is None:
            problems.add(
                f"lr=None, and the last lr_find suggests none: {found.problem} Or give lr, "
                "such as lr=5e-5."
            )
        else:
            rate = found.valley
            logger.info("lr=%.2e, the valley of the last lr_find", rate)
        return rate

    def _stopping(self, patience: int | None, monitor: str, mode: str | None = None) -> list[Any]:
        if patience is None:
            return []
        return [
            EarlyStopping(
                monitor=monitor,
                patience=patience,
                mode=self._mode(monitor, mode),
                restore_best_weights=True,
            )
        ]

    def _check_monitor(self, problems: Problems, monitor: str, mode: str | None = None) -> None:
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
        else:
            check_direction(problems, monitor, mode, self.model)

    def _check_checkpoints(
        self,
        problems: Problems,
        folder: Any,
        resume: bool,
        minutes: float,
        monitor: str | None,
        mode: str | None = None,
    ) -> None:
        """Records what is wrong with the arguments that checkpoints have."""
        positive(problems, save_every=minutes)
        problems.add_unless(
            folder is not None or not resume, "resume=True needs the checkpoint_folder of the run."
        )
        if monitor is not None:
            self._check_monitor(problems, monitor, mode)
        else:
            problems.add_unless(mode is None, f"mode={mode!r} goes with monitor.")


def one_of(problems: Problems, name: str, value: Any, alias: str, other: Any) -> Any:
    """Returns an argument that may be given under one of two names."""
    problems.add_unless(
        value is None or other is None,
        f"{name}={value!r} and {alias}={other!r} are the same argument; give one.",
    )
    return other if value is None else value


def _settings(callback: Any) -> str:
    """Says what a callback goes by: those that only watch make no other run."""
    known = {name: getattr(callback, name, None) for name in ("monitor", "patience", "factor")}
    return f"{type(callback).__name__} {known}"
