"""The labels of a data set as a task has them: by name, where both have names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ktlite._labels import Matched, matched, shared
from ktlite._logging import logger
from ktlite.data.examples import Examples
from ktlite.errors import DataError, did_you_mean, listing
from ktlite.tasks import Task


def encode_labels(task: Task, raw: Examples) -> np.ndarray:
    """Returns the targets of texts that a reader has read.

    Columns of labels go by their names, and so do numbers whose names the source knows (a
    `ClassLabel` of `datasets`): the order that another data set had does not count.

    Args:
        task: What the labels mean.
        raw: Texts with labels.

    Raises:
        DataError: If a label is not of this task.
    """
    return task.encode(in_order(raw, task.output_names), raw.source)


def in_order(raw: Examples, names: Sequence[Any]) -> np.ndarray:
    """Returns labels with their columns, or their numbers, as these names of the outputs have them.

    Where none of the names is the source's, or there are none, they are taken as they stand: they
    are then other names for the same.

    Raises:
        DataError: If some of the columns are named as outputs are, and others not.
    """
    labels = raw.labels
    assert labels is not None
    if not len(names):
        return labels
    if labels.ndim == 2 and len(raw.label_columns) == labels.shape[1]:
        return labels[:, _columns(raw, names)]
    if labels.ndim == 1 and labels.dtype.kind in "iu" and raw.class_names:
        return _by_name(raw, labels, names)
    return labels


def _columns(raw: Examples, names: Sequence[Any]) -> Sequence[int]:
    """Returns the column of each output."""
    found = matched(names, raw.label_columns)
    if found.order is not None:
        return found.order
    known = shared(raw.label_columns, names) if found.named else []
    if known:
        others = [name for name in raw.label_columns if str(name) not in known]
        wrong = others or [name for name in names if str(name) not in known]
        raise DataError(
            f"{raw.source}: the label columns are {listing(raw.label_columns)}, the labels known "
            f"{listing(names)}: they differ in {listing(wrong)}."
            f"{did_you_mean(str(wrong[0]), [str(name) for name in names])} Name the same columns, "
            "in any order."
        )
    _say_in_order(raw, found, raw.label_columns, names)
    return range(len(raw.label_columns))


def _say_in_order(
    raw: Examples, found: Matched, theirs: Sequence[Any], names: Sequence[Any]
) -> None:
    if found.differ and len(theirs) == len(names):
        logger.info(
            "%s: its labels are %s; taken for %s, in this order",
            raw.source,
            listing(theirs),
            listing(names),
        )


def _by_name(raw: Examples, labels: np.ndarray, names: Sequence[Any]) -> np.ndarray:
    """Returns the names of labels that number those of the source, if the task knows them."""
    source = raw.class_names
    outside = labels[(labels < 0) | (labels >= len(source))]
    if len(outside):
        raise DataError(
            f"{raw.source}: label {outside[0]} is none of the {len(source)} classes that the data "
            "names."
        )
    found = matched(source, names)
    if not shared(source, names):
        _say_in_order(raw, found, source, names)
        return labels
    theirs = [str(names[i]) for i in found.order] if found.order is not None else list(source)
    return np.array(theirs, object)[labels]
