"""The one way from data to what a model says of it."""

from __future__ import annotations

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

    def run(number: int, rows: np.ndarray) -> tuple[np.ndarray]:
        return (task.answer(runner, encodings.batch(rows))[0],)

    (found,) = in_order(
        run,
        encodings.lengths,
        batch_size,
        what=what,
        verbose=verbose,
        at_once=runner.devices,
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

    def run(number: int, rows: np.ndarray) -> tuple[np.ndarray, Any]:
        inputs, targets = data.examples(rows, (0, number))
        return task.answer(runner, inputs, targets)

    outputs, targets = in_order(
        run,
        data.lengths,
        batch_size,
        what="Validating",
        verbose=verbose,
        at_once=runner.devices,
    )
    if data.encodings is not None:
        return task.join(outputs, data.encodings), data.targets
    return outputs, targets
