"""What applications are made of: a predictor, its folder, or a checkpoint."""

from __future__ import annotations

import os
from pathlib import Path

from ktlite.errors import ArgumentError
from ktlite.predictor import Predictor, load_predictor
from ktlite.storage import MANIFEST
from ktlite.tasks import Task
from ktlite.text.transformer import Transformer

Model = Predictor | str | os.PathLike[str]


def as_predictor(
    model: Model, task: Task, maxlen: int, kind: type[Task] | tuple[type[Task], ...] | None = None
) -> Predictor:
    """Returns a predictor of a task.

    Args:
        model: It, its folder, or a checkpoint's folder or Hub name.
        task: What a checkpoint is to do.
        maxlen: With a checkpoint: longest text in tokens.
        kind: What tasks a predictor may have. Default: those of the kind of `task`.

    Raises:
        ArgumentError: If it does something else.
    """
    if isinstance(model, (str, os.PathLike)):
        if (Path(model) / MANIFEST).is_file():
            model = load_predictor(model)
        else:
            transformer = Transformer(model, maxlen, task=task)
            model = Predictor(transformer.get_classifier(), transformer)
    found = model.preproc.task if isinstance(model, Predictor) else None
    if not isinstance(found, kind or type(task)):
        what = type(model).__name__ if found is None else f"a predictor of {found.name}"
        raise ArgumentError(
            f"expected a predictor of {task.name}, its folder, or a checkpoint; got {what}."
        )
    assert isinstance(model, Predictor)
    return model
