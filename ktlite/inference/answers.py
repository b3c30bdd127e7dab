"""The one way from data to what a model says of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ktlite.encodings.encodings import Encodings
from ktlite.inference.runner import Runner, in_order
from ktlite.tasks import Task


def answers(
    runner: Runner,
    encodings: Encodings,
    task: Task,
    *,
    batch_size: int,
    what: str = "Predicting",
    verbose: int = 0,
) -> np.ndarray:
    """Returns what a model says of each example, in the order of the examples.

    Batches are of rows of like length; rows of one example are joined by the task.

    Args:
        runner: Runs the model.
        encodings: Of the examples.
        task: What the model's outputs mean.
        batch_size: Rows a batch.
        what: What to call it beside the progress bar.
        verbose: 1 shows the bar for many rows.

    Returns:
        What `task.join` makes of all rows: mostly logits, float32 [examples, outputs].
    """
    return task.join(
        row_answers(runner, encodings, task, batch_size=batch_size, what=what, verbose=verbose),
        encodings,
    )


def row_answers(
    runner: Runner,
    encodings: Encodings,
    task: Task,
    *,
    batch_size: int,
    what: str = "Predicting",
    verbose: int = 0,
) -> np.ndarray:
    """Returns what a model says of each row, in the order of the rows; arguments as `answers`."""
    if not len(encodings):
        return np.zeros((0, task.outputs), "float32")
    found, _ = _answers(
        runner,
        lambda number, rows: (encodings.batch(rows), None),
        encodings.lengths,
        task.bound_to(encodings),
        batch_size=batch_size,
        what=what,
        verbose=verbose,
    )
    return np.asarray(found)


def data_answers(
    runner: Runner, data: Any, task: Task, *, batch_size: int, verbose: int = 0
) -> tuple[np.ndarray, Any]:
    """Returns what a model says of each example of a data set, and what is true of it.

    Args:
        runner: Runs the model.
        data: `IndexedData`; it makes inputs and targets of its own with each batch.
        task: What outputs and targets mean.
        batch_size: Rows a batch.
        verbose: 1 shows the progress bar for many rows.
    """
    outputs, targets = _answers(
        runner,
        lambda number, rows: data.examples(rows, (0, number)),
        data.lengths,
        task if data.encodings is None else task.bound_to(data.encodings),
        batch_size=batch_size,
        what="Validating",
        verbose=verbose,
    )
    if data.encodings is not None:
        return task.join(outputs, data.encodings), data.targets
    return outputs, targets


def _answers(
    runner: Runner,
    batch: Callable[[int, np.ndarray], tuple[Any, Any]],
    lengths: np.ndarray,
    task: Task,
    **options: Any,
) -> list[Any]:
    """Returns what a model says of each row, and targets that are made with the batches.

    Args:
        runner: Runs the model.
        batch: Returns (inputs, targets) of a batch, by its number and its rows.
        lengths: int64 [rows].
        task: What outputs and targets mean.
        **options: `batch_size`, `what` and `verbose`, as for `in_order`.
    """

    def run(number: int, rows: np.ndarray) -> tuple[np.ndarray, Any]:
        return task.answer(runner, *batch(number, rows), rows)

    return in_order(run, lengths, at_once=runner.devices, **options)
