"""Labels where data and data, or a model and data, meet in a learner: compared by name."""

from __future__ import annotations

import dataclasses
from typing import Any

from ktlite._labels import matched
from ktlite._logging import logger
from ktlite.errors import ArgumentError, listing
from ktlite.models.head_labels import labels_of
from ktlite.tasks import Task


def with_labels_of(data: Any, task: Task | None, name: str) -> Any:
    """Returns data whose targets number the labels as a learner's task does.

    Args:
        data: What a learner is given; only a `Dataset` says what its targets mean.
        task: The learner's.
        name: What to call the data in messages.

    Raises:
        ArgumentError: If its labels are others.
    """
    theirs, targets = getattr(data, "task", None), getattr(data, "targets", None)
    if task is None or theirs is None or theirs is task or targets is None:
        return data
    found = matched(task.output_names, theirs.output_names)
    if found.differ:
        raise ArgumentError(
            f"{name}: its labels are {listing(theirs.output_names)}, those of the learner "
            f"{listing(task.output_names)}. Make all data with one preprocessor: the training "
            "data's preprocess_train once, preprocess_test for all other."
        )
    if not found.moved:
        return data
    assert found.order is not None
    if targets.ndim == 2:
        moved = targets[:, found.order]
    else:
        moved = task.encode(theirs.decode_targets(targets), name)
    return dataclasses.replace(data, targets=moved, task=task)


def check_labels_of(model: Any, task: Task | None, where: str) -> None:
    """Raises unless the outputs of a model are those of a task, as far as both have names.

    Raises:
        ArgumentError: If they have the same names in another order.
    """
    if task is None:
        return
    outputs, labels = labels_of(model), task.output_names
    found = matched(labels, outputs)
    if found.moved:
        raise ArgumentError(
            f"{where}: the model's outputs are {listing(outputs)}, and the labels "
            f"{listing(labels)}: the same in another order. Make the model with the data's "
            "preprocessor, preproc.get_classifier(folder), or with ktlite.load_model(folder, "
            "labels=preproc.get_classes())."
        )
    if found.differ and len(outputs) == len(labels):
        logger.warning(
            "%s: the model's outputs were %s, and are taken for %s from now on",
            where,
            listing(outputs),
            listing(labels),
        )
