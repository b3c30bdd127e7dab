"""One training run: `keras.Model.fit` over a feed, with a schedule."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import keras

from ktlite._interrupts import Interrupts
from ktlite.training.accumulation import batches_a_step
from ktlite.training.callbacks import MovingAverage, ScheduleCallback, WholeGroups
from ktlite.training.checkpoints import Checkpoints
from ktlite.training.distribution import spread_seeds, strategy_of
from ktlite.training.faults import not_finite, out_of_memory
from ktlite.training.feed import Feed
from ktlite.training.freezing import recompile
from ktlite.training.memory import is_out_of_memory
from ktlite.training.optimizers import inner, momentum_variable, strategy_scope
from ktlite.training.progress import NotFinite, Progress
from ktlite.training.state import averages
from ktlite.training.stream import Stream
from ktlite.training.workers import (
    is_lost,
    let_workers_fit,
    tell_others,
    worker_lost,
    workers_strategy,
)
from ktlite.training.xla import watch_programs

ENDLESS = 1024  # epochs of a training that ends when it no longer improves


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
    checkpoints: Checkpoints | None = None,
    class_weight: dict[int, float] | None = None,
    verbose: int = 1,
) -> Any:
    """Trains a compiled model; returns Keras' `History`.

    The first Ctrl-C or SIGTERM lets the step end, and takes a checkpoint.

    Args:
        model: A compiled model.
        train: Training data.
        val: Validation data, looked at after every epoch; or None.
        epochs: Number of epochs; `ENDLESS` where nobody knows.
        steps: Batches an epoch. None: one pass through the data.
        first_epoch: Epochs that this data has been trained on before: with the seed, it
            determines the order of the rows.
        schedule: Learning rate and momentum of each step.
        callbacks: Keras callbacks.
        checkpoints: Where to keep checkpoints, and which one to go on from.
        class_weight: By output number.
        verbose: Keras' `verbose`: 0 silent, 1 bar, 2 line an epoch.

    Raises:
        TrainingError: If the loss becomes NaN or infinite, memory runs out, or another worker
            has gone.
        KeyboardInterrupt: After Ctrl-C.
        SystemExit: After SIGTERM.
    """
    build_optimizer(model)
    averaging = [MovingAverage()] if averages(model) else []
    extra: list[Any] = [*averaging]
    extra += [] if schedule is None else [schedule]
    strategy = strategy_of(model)
    spread_seeds(model)
    let_workers_fit(model)
    if isinstance(train, Feed):
        extra += watch_programs(model, train)
    extra += _whole_groups(model, train, steps, first_epoch)
    cycles = schedule is not None and schedule.schedule.at(0)[1] is not None
    with Interrupts() as interrupts:
        progress = Progress(
            model,
            [*extra, *callbacks],
            epochs=epochs,
            endless=epochs == ENDLESS,
            steps=steps,
            verbose=verbose,
            interrupts=interrupts,
            checkpoints=checkpoints,
            exact=isinstance(train, Feed),
        )
        if progress.already_finished():
            return model.history
        start = progress.position
        group = batches_a_step(model.optimizer)
        where = (first_epoch + progress.epoch, start, steps)
        data = _training(train, *where, class_weight, strategy, group)
        if start:
            _build_metrics(model, data["x"])
        try:
            with momentum_variable(model) if cycles else nullcontext():
                model.fit(
                    **data,
                    **_validation(val, strategy),
                    epochs=epochs,
                    initial_epoch=progress.epoch,
                    callbacks=progress,
                    verbose=verbose,
                    shuffle=False,
                )
        except NotFinite as fault:
            progress.roll_back()
            where = (fault.epoch, fault.position, first_epoch + fault.epoch)
            error = not_finite(model, train, *where, class_weight)
            recompile(model)  # the moments are no numbers either
            raise error from None
        except BaseException as error:
            for average in averaging:
                average.show()
            if workers_strategy(model) is not None and isinstance(error, Exception):
                if is_lost(error):
                    raise worker_lost(error) from error
                tell_others(error)
            if is_out_of_memory(error):
                raise out_of_memory(train) from error
            raise
        progress.finish()
    interrupts.raise_if_any()
    return model.history


def _whole_groups(
    model: Any, train: Feed | Stream, steps: int | None, first_epoch: int
) -> list[keras.callbacks.Callback]:
    """Returns what an optimizer that accumulates gradients needs to know of its batches."""
    if batches_a_step(model.optimizer) == 1 or model.steps_per_execution != 1:
        return []  # of several steps at once nobody is asked between two batches
    accumulator = getattr(inner(model.optimizer), "accumulator", None)
    if accumulator is None and steps is None:
        return []
    rows = None
    if isinstance(train, Feed):
        plan = train.plan
        rows = lambda epoch: [len(batch) for batch in plan(first_epoch + epoch)]  # noqa: E731
    return [WholeGroups(steps, rows)]


def build_optimizer(model: Any) -> None:
    """Makes the optimizer's variables.

    Those that are born while the step is traced have all of it traced a second time.
    """
    with strategy_scope(model):
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)


def _build_metrics(model: Any, data: Any) -> None:
    """Makes the variables of the metrics, which else the first step makes."""
    with strategy_scope(model):
        batch = next(iter(data))
        if strategy_of(model) is not None:  # as Keras does: of all devices, one's share
            batch = strategy_of(model).experimental_local_results(batch)[0]
        model._symbolic_build(data_batch=batch)


def _training(
    train: Feed | Stream,
    first_epoch: int,
    start: int,
    steps: int | None,
    class_weight: Any,
    strategy: Any,
    group: int,
) -> dict[str, Any]:
    if isinstance(train, Feed):
        epoch = steps or train.steps
        data = train.training(first_epoch, epoch, class_weight, strategy, start, group)
        return {"x": data, "steps_per_epoch": epoch}
    if steps == train.steps:
        return {"x": train.data, "class_weight": class_weight}
    return {"x": train.repeated(), "steps_per_epoch": steps, "class_weight": class_weight}


def _validation(val: Feed | Stream | None, strategy: Any) -> dict[str, Any]:
    if isinstance(val, Feed):
        steps = val.validation_steps(strategy)
        return {"validation_data": val.validation(strategy), "validation_steps": steps}
    return {} if val is None else {"validation_data": val.data}


def metric_names(model: Any) -> list[str]:
    """Returns the names that a model's metrics have in logs, as far as known before training."""
    config = model._compile_config.config
    given = keras.tree.flatten([config["metrics"] or (), config["weighted_metrics"] or ()])
    own = [metric for metric in model.metrics if metric.name not in ("loss", "compile_metrics")]
    names = [getattr(m, "name", None) or getattr(m, "__name__", m) for m in (*given, *own) if m]
    return list(dict.fromkeys(names))
