"""One training run: `keras.Model.fit` over a feed, with a schedule."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import keras

from ktlite.errors import ArgumentError
from ktlite.training.callbacks import ScheduleCallback, WholeGroups
from ktlite.training.distribution import spread_seeds, strategy_of
from ktlite.training.feed import Feed
from ktlite.training.optimizers import inner, momentum_variable, strategy_scope
from ktlite.training.stream import Stream
from ktlite.training.xla import watch_programs


def steps_per_epoch(feed: Feed | Stream, wanted: int | None) -> int | None:
    """Returns the batches of an epoch, or None where only running through would tell."""
    if wanted is None:
        return feed.steps
    return wanted if feed.steps is None else min(wanted, feed.steps)


def fit(
    model: Any,
    train: Feed | Stream,
    val: Feed | Stream | None,
    *,
    epochs: int,
    steps: int | None,
    first_epoch: int = 0,
    schedule: ScheduleCallback | None = None,
    callbacks: Sequence[Any] = (),
    class_weight: dict[int, float] | None = None,
    verbose: int = 1,
) -> Any:
    """Trains a compiled model; returns Keras' `History`.

    Args:
        model: A compiled model.
        train: Training data.
        val: Validation data, looked at after every epoch; or None.
        epochs: Number of epochs.
        steps: Batches an epoch. None: one pass through the data.
        first_epoch: Epochs that this data has been trained on before: with the seed, it
            determines the order of the rows.
        schedule: Learning rate and momentum of each step.
        callbacks: Keras callbacks.
        class_weight: By output number.
        verbose: Keras' `verbose`: 0 silent, 1 bar, 2 line an epoch.
    """
    extra: list[Any] = [] if schedule is None else [schedule]
    strategy = strategy_of(model)
    spread_seeds(model)
    if isinstance(train, Feed):
        extra += watch_programs(model, train)
    accumulates = getattr(inner(model.optimizer), "gradient_accumulation_steps", None)
    if accumulates and steps is not None:
        extra.append(WholeGroups(steps))
    cycles = schedule is not None and schedule.schedule.at(0)[1] is not None
    _build_optimizer(model)
    with momentum_variable(model) if cycles else nullcontext():
        return model.fit(
            **_training(train, first_epoch, steps, class_weight, strategy),
            **_validation(val, strategy),
            epochs=epochs,
            callbacks=[*extra, *callbacks],
            verbose=verbose,
            shuffle=False,
        )


def _build_optimizer(model: Any) -> None:
    """Makes the optimizer's variables.

    Those that are born while the step is traced have all of it traced a second time.
    """
    with strategy_scope(model):
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)


def _training(
    train: Feed | Stream, first_epoch: int, steps: int | None, class_weight: Any, strategy: Any
) -> dict[str, Any]:
    if isinstance(train, Feed):
        epoch = steps or train.steps
        data = train.training(first_epoch, epoch, class_weight, strategy)
        return {"x": data, "steps_per_epoch": epoch}
    if steps == train.steps:
        return {"x": train.data, "class_weight": class_weight}
    return {"x": train.repeated(), "steps_per_epoch": steps, "class_weight": class_weight}


def _validation(val: Feed | Stream | None, strategy: Any) -> dict[str, Any]:
    if isinstance(val, Feed):
        steps = val.validation_steps(strategy)
        return {"validation_data": val.validation(strategy), "validation_steps": steps}
    return {} if val is None else {"validation_data": val.data}


class ReduceOnPlateau(keras.callbacks.Callback):
    """Divides the schedule's rates by `factor` when `monitor` has not improved for `patience`.

    Args:
        schedule: The running schedule's callback.
        monitor: A key of the epoch's logs.
        factor: What the rates are divided by.
        patience: Epochs without improvement.
        mode: `"min"` or `"max"`: which way is better.
    """

    def __init__(
        self,
        schedule: ScheduleCallback,
        monitor: str,
        factor: float,
        patience: int,
        mode: str,
    ) -> None:
        super().__init__()
        self.schedule = schedule
        self.monitor = monitor
        self.factor = factor
        self.patience = patience
        self.sign = 1.0 if mode == "min" else -1.0
        self.best = float("inf")
        self.waited = 0

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        value = self.sign * (logs or {})[self.monitor]
        if value < self.best:
            self.best, self.waited = value, 0
            return
        self.waited += 1
        if self.waited >= self.patience:
            self.schedule.scale /= self.factor
            self.waited = 0


def checkpoints(folder: str | os.PathLike[str] | None) -> list[Any]:
    """Returns the callback that saves the weights after every epoch; the folder is tried now.

    Raises:
        ArgumentError: If the folder cannot be written, before an hour of training is lost.
    """
    if folder is None:
        return []
    target = Path(folder)
    try:
        target.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=target):
            pass
    except OSError as error:
        raise ArgumentError(f"checkpoint_folder={target}: cannot write there: {error}") from error
    name = "weights-{epoch:02d}.weights.h5"
    return [keras.callbacks.ModelCheckpoint(target / name, save_weights_only=True)]


def metric_names(model: Any) -> list[str]:
    """Returns the names that a model's metrics have in logs, as far as known before training."""
    config = model._compile_config.config
    given = keras.tree.flatten([config["metrics"] or (), config["weighted_metrics"] or ()])
    own = [metric for metric in model.metrics if metric.name not in ("loss", "compile_metrics")]
    names = [getattr(m, "name", None) or getattr(m, "__name__", m) for m in (*given, *own) if m]
    return list(dict.fromkeys(names))
