"""Runs a model over validation data and sets what it says beside what is true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ktlite._logging import results
from ktlite.encodings.indexed import items_of, noun_of, source_rows_of
from ktlite.errors import ArgumentError, plural
from ktlite.inference.answers import data_answers
from ktlite.inference.runner import Forward
from ktlite.tasks import Task
from ktlite.training.distribution import predict_batch
from ktlite.training.feed import ArrayData, Feed
from ktlite.training.generic import read_model
from ktlite.training.stream import Stream


@dataclass(frozen=True, repr=False)
class Outputs:
    """A model's answers to a data set.

    Args:
        task: What the answers mean.
        logits: Of each example, in the order of the data; mostly [examples, outputs].
        targets: What is true, in the task's form; None where the data has no labels.
        data: Where the examples come from.
        on: What that is, in words, for reports.
    """

    task: Task
    logits: np.ndarray
    targets: np.ndarray | None
    data: Any
    on: str = field(default="", kw_only=True)

    def __repr__(self) -> str:
        return f"{type(self).__name__}: {plural(len(self.logits), 'example')}, {self.task!r}"

    @property
    def items(self) -> Sequence[Any] | None:
        """The examples as they were given; None where they are not known."""
        return items_of(self.data)

    @property
    def rows(self) -> np.ndarray | None:
        """int64 [examples], their rows in the source; None: their numbers."""
        return source_rows_of(self.data)

    @property
    def noun(self) -> str:
        """What an example is called, such as `"text"`."""
        return noun_of(self.data)

    def known_targets(self) -> np.ndarray:
        """Returns the targets.

        Raises:
            ArgumentError: If the data has no labels.
        """
        if self.targets is None:
            raise ArgumentError("the validation data has no labels to compare with.")
        return self.targets

    def top_losses(self, n: int) -> list[tuple[int, float, Any, Any]]:
        """Returns (number, loss, true, predicted) of the `n` examples with the highest losses."""
        targets = self.known_targets()
        losses = self.task.example_losses(self.logits, targets)
        worst = np.argsort(-losses, kind="stable")[:n]
        true = self.task.decode_targets(targets[worst])
        predicted = self.task.decode(self.logits[worst])
        return [
            (int(row), float(losses[row]), true[i], predicted[i]) for i, row in enumerate(worst)
        ]


def run_model(
    forward: Forward,
    feed: Feed | Stream,
    task: Task | None,
    *,
    batch_size: int,
    verbose: int = 0,
) -> Outputs:
    """Returns a model's outputs for all of a feed.

    Args:
        forward: The model's forward pass.
        feed: The data.
        task: What the outputs mean. None: read off the model's loss.
        batch_size: Rows a batch; not for data that comes in batches.
        verbose: 1 shows a progress bar for many batches of texts.

    Raises:
        ArgumentError: If the data never ends, or the model's loss or outputs are of no
            known task.
    """
    model, data = forward.model, feed.data
    targets: Any
    if isinstance(feed, Stream):
        batches = [(predict_batch(model, inputs), y) for inputs, y in feed.batches()]
        outputs = _joined([output for output, _ in batches])
        known = [y for _, y in batches if y is not None]
        targets = np.concatenate(known) if known else None
    elif isinstance(data, ArrayData):
        targets = data.targets
        starts = range(0, len(data), batch_size)
        rows = [np.arange(start, min(start + batch_size, len(data))) for start in starts]
        outputs = _joined([predict_batch(model, data.inputs(chunk)) for chunk in rows])
    else:
        if task is None:
            raise ArgumentError("the data does not say what its targets mean; pass task=.")
        outputs, targets = data_answers(forward, data, task, batch_size=batch_size, verbose=verbose)
    if task is not None:
        return Outputs(task, outputs, targets, data)
    reading = read_model(model, outputs.shape[-1])
    return Outputs(
        reading.task,
        reading.logits(outputs),
        None if targets is None else reading.targets(targets),
        data,
    )


def _joined(outputs: Sequence[Any]) -> np.ndarray:
    """Returns the outputs of all batches, [rows, outputs]."""
    if not outputs:
        raise ArgumentError("the data has no batches.")
    if not all(isinstance(output, np.ndarray) and output.ndim == 2 for output in outputs):
        raise ArgumentError("validation reads models with one output, [rows, outputs].")
    return np.concatenate(outputs)


def show_top_losses(
    losses: Sequence[tuple[int, float, Any, Any]],
    outputs: Outputs,
    explanations: Sequence[Any] | None = None,
) -> None:
    """Shows the examples with the highest losses, with their texts where there are any.

    Args:
        losses: Of `outputs.top_losses`.
        outputs: Where they come from.
        explanations: Of their predictions, to be shown below them.
    """
    texts, rows = outputs.items, outputs.rows
    for place, (number, loss, true, predicted) in enumerate(losses):
        example = () if texts is None else outputs.data.preproc.input.shown(texts[number])
        summary, lines = outputs.task.describe(example, true, predicted)
        summary = f"row {number} | loss {loss:.3f} | {summary}"
        if rows is not None:
            summary += f" | row {int(rows[number])} of the source"
        if explanations is not None:
            lines = [*lines, *str(explanations[place]).splitlines()]
        results.info("%s", "\n    ".join([summary, *lines]))
