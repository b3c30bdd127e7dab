"""Which task do these labels belong to? Decides where it is clear, asks where it is not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

from ktlite._logging import logger
from ktlite.errors import ArgumentError, DataError, Problems, did_you_mean, listing
from ktlite.tasks.arrays import plain
from ktlite.tasks.classification import Classification
from ktlite.tasks.image_text import ImageText
from ktlite.tasks.multilabel import MultiLabel
from ktlite.tasks.question_answering import QuestionAnswering
from ktlite.tasks.regression import Regression
from ktlite.tasks.sequences import Sequences, Summarization, Translation
from ktlite.tasks.similarity import Similarity
from ktlite.tasks.speech_recognition import SpeechRecognition
from ktlite.tasks.task import Task
from ktlite.tasks.text_generation import TextGeneration
from ktlite.tasks.token_classification import TokenClassification
from ktlite.tasks.transcription import Transcription

TASKS: dict[str, type[Task]] = {
    task.name: task
    for task in (
        Classification,
        ImageText,
        MultiLabel,
        QuestionAnswering,
        Regression,
        Sequences,
        Similarity,
        SpeechRecognition,
        Summarization,
        TextGeneration,
        TokenClassification,
        Transcription,
        Translation,
    )
}
#: Hugging Face's names for what is one task here, whatever the checkpoint reads.
PIPELINES = {
    **{f"{kind}-classification": Classification.name for kind in ("text", "image", "audio")},
    "zero-shot-image-classification": ImageText.name,
}
T = TypeVar("T", bound=type[Task])
# Up to this many distinct integers are taken for class numbers; more could be a quantity.
FEW_INTEGERS = 20


def register(task: T) -> T:
    """Makes a task of your own known by its name: to `task=` arguments and to `load_predictor`.

    Raises:
        ArgumentError: If another task has the name.

    Example:
        >>> @ktlite.tasks.register
        ... class Ordinal(ktlite.tasks.Regression):
        ...     name = "ordinal"
    """
    if TASKS.get(task.name, task) is not task:
        raise ArgumentError(f"there is a task {task.name!r} already: {TASKS[task.name].__name__}.")
    TASKS[task.name] = task
    return task


def find_task(name: Any) -> type[Task]:
    """Returns the task of a name, or of Hugging Face's for it: `"audio-classification"`.

    Raises:
        ArgumentError: If there is none.
    """
    if isinstance(name, str) and name not in TASKS:
        name = PIPELINES.get(name, name)
    problems = Problems("task")
    problems.choice("task", name, list(TASKS))
    problems.raise_if_any()
    return TASKS[name]


def infer_task(
    labels: Any,
    task: str | None = None,
    *,
    class_names: Sequence[Any] = (),
    source: str = "labels",
) -> Task:
    """Returns the task that labels belong to.

    Args:
        labels: [texts] strings, integers or floats, or [texts, columns] of numbers; for a task
            that learns from its labels itself, whatever it takes.
        task: One of `TASKS`; None to infer it: classification, multilabel or regression.
        class_names: Names of the classes (integer labels count from 0 then), or of
            the columns. Default: the sorted distinct labels.
        source: What to call the labels in messages.

    Raises:
        DataError: If the labels fit no task, or more than one and `task` is None: floats
            and many distinct integers may be quantities or classes, and ktlite does not guess.
        ArgumentError: If `task` is not known.

    Example:
        >>> infer_task(["good", "bad", "good"]).classes
        ['bad', 'good']
    """
    if task is None:
        return _inferred(labels, None, class_names, source)
    kind = find_task(task)
    learned = kind.from_labels(labels, class_names, source)
    if learned is not None:
        return learned
    found = _inferred(labels, kind.name, class_names, source)
    if isinstance(found, kind):
        return found
    if issubclass(kind, type(found)):  # one's own, with the same arguments
        return kind.from_config(found.get_config())
    raise ArgumentError(
        f"task={task!r} learns nothing from labels: {kind.__name__} has to define from_labels, or "
        "pass the task itself, task=" + f"{kind.__name__}(...)."
    )


def _inferred(labels: Any, task: str | None, class_names: Sequence[Any], source: str) -> Task:
    values, class_names = np.asarray(labels), plain(list(class_names))
    if values.size == 0:
        raise DataError(f"{source}: there are no labels.")
    if values.ndim == 2:
        return _from_matrix(values, task, class_names, source)
    if values.dtype == object and isinstance(values[0], (list, tuple)):
        return _from_names_of_many(values, task, class_names, source)
    if task == "multilabel":
        raise DataError(
            f"{source}: task='multilabel' needs a matrix of 0 and 1, one column a class, or lists "
            "of names of classes; got one label a text."
        )
    return _from_column(values, task, class_names, source)


def _from_matrix(
    values: np.ndarray, task: str | None, class_names: Sequence[Any], source: str
) -> Task:
    names = list(class_names) or list(range(values.shape[1]))
    if len(names) != values.shape[1]:
        raise DataError(f"{source}: {len(names)} class names for {values.shape[1]} label columns.")
    if values.dtype.kind not in "biuf" or not np.isin(values, (0, 1)).all():
        raise DataError(
            f"{source}: several label columns must hold the numbers 0 and 1 only (one column a "
            f"class); found {listing(map(repr, plain(np.unique(values)[:5].tolist())))}. For "
            "several numbers a text, pass task='regression'."
        )
    one_hot = bool((values.sum(axis=1) == 1).all())
    if task == "classification" or (task is None and one_hot):
        used = int(values.any(axis=0).sum())
        if used < 2:
            raise DataError(f"{source}: only one class occurs; classification needs two or more.")
        return Classification(names, numbered=bool(class_names))
    return MultiLabel(names)


def _from_names_of_many(
    rows: np.ndarray, task: str | None, class_names: list[Any], source: str
) -> Task:
    if task not in (None, "multilabel"):
        raise DataError(
            f"{source}: each label is a list, such as {rows[0]!r:.60}, of the names of several "
            f"classes: that is task='multilabel', not {task!r}."
        )
    return MultiLabel(class_names or sorted({str(name) for row in rows for name in row}))


def _from_column(
    values: np.ndarray, task: str | None, class_names: Sequence[Any], source: str
) -> Task:
    distinct = plain(np.unique(values).tolist())
    if values.dtype.kind == "f":
        if not np.equal(values, np.round(values)).all():
            raise DataError(
                f"{source}: the labels are floats such as {listing(distinct, 4)}. "
                "Pass task='regression' to predict numbers; for classes, give strings or integers."
            )
        distinct = [int(d) for d in distinct]
    if len(distinct) < 2:
        raise DataError(
            f"{source}: all labels are {distinct[0]!r}; classification needs at least two classes. "
            "Check that the label column is the right one and that the data is not cut."
        )
    numeric = values.dtype.kind in "iuf"
    if class_names:
        return _from_names(distinct, list(class_names), numeric, source)
    if numeric and task is None:
        if len(distinct) > FEW_INTEGERS:
            raise DataError(
                f"{source}: {len(distinct)} distinct integers from {distinct[0]} to "
                f"{distinct[-1]} may be classes or quantities. Pass task='classification' or "
                "task='regression'."
            )
        logger.info(
            "%s: %d distinct integers are taken for classes (task='regression' predicts numbers)",
            source,
            len(distinct),
        )
    return Classification(distinct)


def _from_names(distinct: list[Any], names: list[Any], numeric: bool, source: str) -> Task:
    # 1 and "1" are the same label, and so are True and "True", as readers have it.
    known = names if numeric else [*names, *(str(n) for n in names if isinstance(n, bool))]
    unknown = [d for d in distinct if d not in known]
    if not unknown:
        return Classification(names)
    if numeric:
        if distinct[0] < 0 or distinct[-1] >= len(names):
            raise DataError(
                f"{source}: with {len(names)} class names, integer labels must be 0 to "
                f"{len(names) - 1}; found {distinct[0]} to {distinct[-1]}."
            )
        return Classification(names, numbered=True)
    raise DataError(
        f"{source}: labels {listing(unknown)} are not among class_names {listing(names)}."
        f"{did_you_mean(unknown[0], names)}"
    )
