"""A compiled model that learns what a teacher says as well as what is true."""

from __future__ import annotations

from typing import Any

from ktlite.tasks import Task
from ktlite.tasks.teaching import taught_loss, taught_metric
from ktlite.training.optimizers import strategy_scope
from ktlite.training.pieces import train_like


def learn_from(model: Any, task: Task, alpha: float, temperature: float) -> None:
    """Gives a compiled model the loss and metrics of a `ktlite.data.taught.TaughtDataset`.

    Its own loss becomes that of the labels.

    Args:
        model: A `TransformerModel`, compiled for the task.
        task: What it learns.
        alpha: The teacher's share of the loss.
        temperature: As `Task.soft_loss` takes it.
    """
    compiled = model._compile_config.config
    soft = task.soft_loss(temperature)
    with strategy_scope(model):
        made = {
            "optimizer": model.optimizer,
            "loss": taught_loss(model.loss, soft, alpha, task.counts_targets),
            "metrics": [taught_metric(metric) for metric in compiled["metrics"]],
        }
        model.compile(**{**compiled, **made})
    train_like(model, model)
