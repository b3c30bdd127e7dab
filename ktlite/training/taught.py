"""A compiled model that learns what a teacher says as well as what is true."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ktlite.tasks import Task
from ktlite.tasks.losses import is_mean_of_rows
from ktlite.tasks.teaching import taught_loss, taught_metric
from ktlite.training.metrics import as_metric
from ktlite.training.optimizers import strategy_scope
from ktlite.training.pieces import pieces_of, train_in_pieces


def learn_from(
    model: Any, task: Task, alpha: float, temperature: float, options: Mapping[str, Any]
) -> None:
    """Gives a compiled model the loss and metrics of a `ktlite.data.taught.TaughtDataset`.

    Args:
        model: A `TransformerModel`, compiled for the task.
        task: What it learns.
        alpha: The teacher's share of the loss.
        temperature: As `Task.soft_loss` takes it.
        options: Of `get_learner`: what was asked of metrics, loss and pieces.
    """
    asked, hard, pieces = options.get("metrics"), model.loss, pieces_of(model)
    loss = taught_loss(hard, task.soft_loss(temperature), alpha, task.counts_targets)
    with strategy_scope(model):
        found = task.metrics() if asked is None else [as_metric(one, task) for one in asked]
        model.compile(
            optimizer=model.optimizer,
            loss=loss,
            metrics=[taught_metric(metric) for metric in found],
            jit_compile=False,
        )
    own = options.get("loss") is None and not options.get("label_smoothing")
    if pieces is not None:
        train_in_pieces(
            model,
            options.get("micro_tokens", "auto"),
            counted=task.counts_targets,
            known=own if task.counts_targets else is_mean_of_rows(hard),
            objective=pieces.objective,
        )
