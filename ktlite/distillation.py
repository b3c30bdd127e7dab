"""`distil`: a small model that learns from what a large one says."""

from __future__ import annotations

import copy
import inspect
import os
from collections.abc import Sequence
from typing import Any

from ktlite._arguments import checked
from ktlite.cards import described
from ktlite.data.table import is_tabular
from ktlite.data.taught import taught_by
from ktlite.errors import ArgumentError, Problems
from ktlite.predictor import Predictor
from ktlite.tasks import Task
from ktlite.workflow import get_learner

_PARAMETERS = inspect.signature(get_learner).parameters
# What a learner is made with again, on the data that the teacher has spoken of.
_OF_LEARNER = ("batch_size", "eval_batch_size", "batch_tokens", "seed", "check")


@checked
def distil(
    teacher: Any,
    student: str | os.PathLike[str],
    train_data: Any,
    val_data: Any = None,
    *,
    unlabelled: Any = None,
    alpha: float = 0.5,
    temperature: float = 2.0,
    **options: Any,
) -> Any:
    """Brings a student and data together, to learn what a teacher says of it.

    A teacher says more of a text than its label: how likely each class is. A student learns both
    (Hinton et al., 2015, arXiv:1503.02531), and from texts without labels, too: that helps most
    where labels are few and texts are many. What comes back is a learner like any other: `validate`
    and the `val_loss` of training are of true labels alone, `loss` is what is learned.

    Args:
        teacher: A predictor, of whatever runtime; or several of them, of whose probabilities the
            student learns the mean. Their task may be one of classes, of several labels, of
            numbers, or of words (tags); of texts, pairs of them, images or sounds.
        student: Checkpoint folder or Hub name of the student, as `get_learner` takes it. It may
            have another tokenizer than the teacher.
        train_data: Labelled data, as for `get_learner`. The teacher is asked about each training
            example once; augmented ones (`augment=`) learn what it said of the original.
        val_data: To validate on. Default: a part of `train_data`.
        unlabelled: More examples of this kind, without labels: a list; a file or a table with
            `text_column`, whose labels are not looked at. They count with what the teacher says.
        alpha: The teacher's share of the loss, above 0 and at most 1; the rest is the labels'.
        temperature: How soft the teacher's probabilities are made, above 0: at more, the order of
            what is unlikely counts more. Numbers have none.
        **options: Others of `get_learner`: `text_column`, `label_columns`, `maxlen`, `batch_size`,
            `loss` (of the labels), ... Columns that are not given are the teacher's. In
            `cache_folder` what the teacher says, but for that of words, is kept as well: the next
            call with the same examples asks it about a few, to know it again.

    Returns:
        A `Learner` of the student.

    Raises:
        ArgumentError: If arguments cannot work; all of them are named at once.
        DataError: If the data cannot be used, or has labels that the teacher does not know.
        CheckpointError: If the student's checkpoint cannot be used.

    Example:
        >>> student = ktlite.distil(teacher, "small-bert", "reviews.csv", unlabelled=more_texts)
        >>> student.fit_onecycle(1e-4, 3)
        >>> student.get_predictor().save("small-reviews")
    """
    teachers = list(teacher) if isinstance(teacher, (list, tuple)) else [teacher]
    task = _checked_task(teachers, alpha, temperature, unlabelled, options)
    if is_tabular(train_data):
        known = teachers[0].preproc.reading
        columns = {name: known[name] for name in ("text_column", "label_columns") if name in known}
        options = {**columns, **options}
    learner = get_learner(student, train_data, val_data, task=task, **options)
    verbose = options.get("verbose", 1)
    others = _others(learner, unlabelled, options)
    taught = taught_by(teachers, learner.train_data, others, options.get("cache_folder"), verbose)
    from ktlite.learner import Learner
    from ktlite.training.taught import learn_from

    learn_from(learner.model, task, alpha, temperature)
    given = {name: options.get(name, _PARAMETERS[name].default) for name in _OF_LEARNER}
    made = Learner(learner.model, taught, learner.val_data, **given)
    asked = {"alpha": alpha, "temperature": temperature, "teachers": len(teachers)}
    made.arguments = {**learner.arguments, **described(asked)}
    return made


def _checked_task(
    teachers: Sequence[Any], alpha: Any, temperature: Any, unlabelled: Any, options: dict[str, Any]
) -> Task:
    """Returns the task of student and teachers, uncalibrated.

    Raises:
        ArgumentError: With everything that is wrong.
    """
    problems = Problems("distil")
    wrong = [type(one).__name__ for one in teachers if not isinstance(one, Predictor)]
    if wrong or not teachers:
        problems.add(
            f"teacher is of type {wrong[0] if wrong else 'list, and empty'}; expected what "
            "get_predictor or load_predictor returns, or a list of these."
        )
    number = (int, float)
    problems.add_unless(
        isinstance(alpha, number) and 0 < alpha <= 1, f"alpha={alpha!r}; expected above 0, up to 1."
    )
    problems.add_unless(
        isinstance(temperature, number) and 0 < temperature < float("inf"),
        f"temperature={temperature!r}; expected a number above 0.",
    )
    problems.add_unless("task" not in options, "task is the teacher's; leave it out.")
    problems.raise_if_any()
    task = _same_task(teachers)
    try:
        task.soft_loss(1.0)
    except ArgumentError as error:
        problems.add(str(error))
    problems.add_unless(
        unlabelled is None or not task.counts_targets,
        f"unlabelled goes with one answer an example; a {task.name} task has one a word.",
    )
    problems.raise_if_any()
    return task


def _same_task(teachers: Sequence[Predictor]) -> Task:
    tasks = [one.preproc.task for one in teachers]
    first = tasks[0]
    for number, other in enumerate(tasks[1:], 2):
        if (other.name, other.output_names) != (first.name, first.output_names):
            raise ArgumentError(
                f"distil: teacher {number} is of another task than the first: {other!r} and "
                f"{first!r}. Classes must be the same, in the same order."
            )
        if other.get_config().get("scale") != first.get_config().get("scale"):
            raise ArgumentError(
                f"distil: teacher {number} has learned numbers in other units than the first, from "
                "other training data; their outputs have no common mean."
            )
    made = copy.deepcopy(first)
    made.forget_calibration()
    return made


def _others(learner: Any, unlabelled: Any, options: dict[str, Any]) -> list[Any]:
    """Returns the examples without labels."""
    if unlabelled is None:
        return []
    preproc, missing = learner.preproc, options.get("missing", "drop")
    # A list is one of examples here, not of files.
    if isinstance(unlabelled, (list, tuple)) or not is_tabular(unlabelled):
        return list(preproc.preprocess_test(list(unlabelled), verbose=0).items)
    reading = dict(preproc.reading)  # as the training data was read
    texts = reading.pop("text_column", None)
    reading.pop("label_columns", None)
    whole = {"sep": None, "encoding": None, "names": None, "na_values": (), **reading}
    kind = {"kind": lambda: type(preproc.input)} if preproc.source.items else {}
    found = preproc.source.read(
        unlabelled, texts, [], source="unlabelled", missing=missing, **whole, **kind
    )
    return list(found.items)
