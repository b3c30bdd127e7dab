"""Splits rows into a training part and a validation part."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ktlite._logging import logger
from ktlite.errors import DataError, Problems, listing, plural
from ktlite.tasks import Task


def strata(task: Task, labels: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Returns what the parts of a split are to have the same mix of, for `stratified_split`.

    Integers that a regression predicts, and texts to be written, are no classes to keep in
    proportion: of these it is floats.

    Args:
        task: What the labels mean.
        labels: [n, ...], as they were read.
        targets: [n, ...], as the task has them.
    """
    if task.labels_are_texts:
        return np.zeros(len(targets))
    return targets if targets.dtype.kind == "f" else labels


def stratified_split(
    labels: np.ndarray, fraction: float, seed: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """Splits row numbers so that both parts have the same mix of classes.

    Where each class can be in both parts, this is the partition that
    `sklearn.model_selection.train_test_split` makes with `stratify=labels`
    (https://scikit-learn.org/stable/modules/generated/sklearn.model_selection.train_test_split.html).
    A class of one row stays in training; so do the smallest classes where the
    validation part has fewer rows than there are classes. One warning says so.

    Args:
        labels: [n] str or integers: one class a row. [n, k] of 0 and 1: one-hot
            rows are classes; of multi-hot rows each combination is one, and the
            combinations that occur once are one together. Floats, and [n, k] with
            other values, are targets of a regression: the split is plainly random. So it is
            for lists of labels, one for each word.
        fraction: Of the rows that go into validation, between 0 and 1.
        seed: Of the shuffle: the same seed gives the same parts; None: another each time.

    Returns:
        Row numbers of the training and of the validation part, both int64, ascending.

    Raises:
        DataError: `fraction` is not between 0 and 1, or one part would be empty.

    Example:
        >>> train, val = stratified_split(np.array(["a", "b"] * 10), 0.2, seed=42)
        >>> len(train), len(val)
        (16, 4)
    """
    from sklearn.model_selection import train_test_split

    labels = np.asarray(labels)
    n = len(labels)
    problems = Problems("validation split", DataError)
    problems.add_unless(0 < fraction < 1, f"the fraction must be between 0 and 1, got {fraction}.")
    problems.add_unless(n >= 2, f"expected at least 2 rows, got {n}.")
    problems.raise_if_any()

    n_val = math.ceil(fraction * n)
    classes = _classes(labels)
    if classes is None:
        n_val = min(n_val, n - 1)
        pool, stratify = np.arange(n), None
    else:
        pool, n_val = _splittable(labels, classes, n_val)
        stratify = classes[pool]
    if n_val < 1:
        raise DataError(
            "validation split: each class has only one row. Give validation data, or, where the "
            "labels are numbers to predict, floats."
        )
    _, val = train_test_split(pool, test_size=n_val, stratify=stratify, random_state=seed)
    train = np.setdiff1d(np.arange(n), val)
    return train, np.sort(val)


def fold_numbers(labels: np.ndarray, folds: int, seed: int, groups: Any = None) -> np.ndarray:
    """Deals rows out to folds, each with the same mix of classes.

    Classes of fewer rows than folds are dealt out together. Done by scikit-learn's
    `StratifiedKFold` and its relatives.

    Args:
        labels: As for `stratified_split`.
        folds: How many.
        seed: Of the shuffle.
        groups: [n], which rows belong together, and go into the same fold; None: none do.

    Returns:
        int64 [n], the number of each row's fold, from 0.

    Raises:
        DataError: If there are fewer rows, or groups, than folds.

    Example:
        >>> np.bincount(fold_numbers(np.array(["a", "b"] * 10), 4, seed=42))
        array([5, 5, 5, 5])
    """
    from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold

    labels = np.asarray(labels)
    units = len(labels) if groups is None else len(np.unique(groups))
    if units < folds:
        what = "row" if groups is None else "group"
        raise DataError(f"{folds} folds take at least {folds} {what}s; there are {units}.")
    classes = _classes(labels)
    shuffled = {"n_splits": folds, "shuffle": True, "random_state": seed}
    if classes is None:
        splitter = KFold(**shuffled) if groups is None else GroupKFold(folds)
    else:
        classes = _frequent(classes, folds)
        splitter = (StratifiedKFold if groups is None else StratifiedGroupKFold)(**shuffled)
    numbers = np.empty(len(labels), "int64")
    for number, (_, rows) in enumerate(splitter.split(labels, classes, groups)):
        numbers[rows] = number
    return numbers


def _frequent(classes: np.ndarray, least: int) -> np.ndarray:
    """Returns the classes, those of fewer rows as one; if too few still, as the most frequent."""
    values, codes, counts = np.unique(classes, return_inverse=True, return_counts=True)
    rare = counts < least
    alone = counts[rare].sum() >= least
    return np.where(rare, -2 if alone else values[counts.argmax()], values)[codes]


def _classes(labels: np.ndarray) -> np.ndarray | None:
    """Returns the class number [n] of each row, None where a row is of no one class."""
    if labels.ndim == 1:
        if labels.dtype.kind == "f" or isinstance(labels[0], (list, np.ndarray)):
            return None
        return np.unique(labels, return_inverse=True)[1]
    if not np.isin(labels, (0, 1)).all():
        return None
    if (labels.sum(axis=1) == 1).all():
        return labels.argmax(axis=1)
    _, combination, counts = np.unique(labels, axis=0, return_inverse=True, return_counts=True)
    combination = combination.reshape(-1)  # NumPy 2.0 alone gave [n, 1]
    return np.where(counts[combination] == 1, -1, combination)


def _splittable(labels: np.ndarray, classes: np.ndarray, n_val: int) -> tuple[np.ndarray, int]:
    """Returns the rows of the classes that can be in both parts, and how many may leave training.

    All other classes stay in training; a warning names them.
    """
    values, first, codes, counts = np.unique(
        classes, return_index=True, return_inverse=True, return_counts=True
    )
    largest = np.argsort(-counts, kind="stable")[:n_val]
    split = np.zeros(len(values), bool)
    split[largest] = counts[largest] >= 2
    pool = np.flatnonzero(split[codes])
    if not split.all():
        names = [f"{labels[first[i]]} ({plural(counts[i], 'row')})" for i in np.flatnonzero(~split)]
        logger.warning(
            "validation split: %s with too few rows to be in both parts, only in training: %s.",
            plural(len(names), "class") if len(names) == 1 else f"{len(names):,} classes",
            listing(names),
        )
    return pool, min(n_val, len(pool) - int(split.sum()))
