"""What ktrain's loaders of pictures have in common: checks, and the way to data sets."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ktlite._arguments import without_effect
from ktlite.data.preprocessor import Preprocessor
from ktlite.data.readers import Examples
from ktlite.errors import ArgumentError, Problems
from ktlite.inputs.image_augmentation import ImageAugmentation
from ktlite.inputs.images import Images
from ktlite.inputs.input import input_of
from ktlite.text.loaders import STANDARD, Loaded, load
from ktlite.text.transformer import Transformer
from ktlite.vision.standard import SIZE, StandardImagePreprocessor

PATTERN = r"([^/]+)_\d+.jpg$"  # ktrain's
_COLORS = ("rgb", "grayscale", "rgba")


def finish(
    where: str | Problems,
    read_train: Callable[[], Examples],
    read_val: Callable[[], Examples] | None,
    *,
    target_size: Any,
    color_mode: str,
    data_aug: Any,
    preprocess_mode: str | os.PathLike[str],
    task: str | None,
    val_pct: float,
    random_state: int | None,
    verbose: int,
    class_names: Sequence[Any] = (),
    reading: Mapping[str, Any] | None = None,
) -> Loaded:
    """Checks what all loaders take, reads, splits and encodes; arguments as theirs.

    Args:
        where: What was called, or what is wrong with the call so far.
        read_train: Reads the training data.
        read_val: Reads the validation data. None: a part of the training data.
        target_size: As for `images_from_folder`, and so are the others, if not said here.
        class_names: Names of integer labels 0, 1, 2, ...
        reading: How the data is read, for the preprocessor to remember.
    """
    problems = where if isinstance(where, Problems) else Problems(where)
    problems.add_unless(
        isinstance(preprocess_mode, (str, os.PathLike)),
        f"preprocess_mode={preprocess_mode!r}: name 'standard', or a checkpoint, as a folder or on "
        "the Hugging Face Hub, such as 'google/vit-base-patch16-224-in21k'.",
    )
    problems.choice("color_mode", color_mode, _COLORS)
    problems.add_unless(
        data_aug is None or isinstance(data_aug, ImageAugmentation),
        f"data_aug is of type {type(data_aug).__name__}; expected what "
        "get_data_aug(horizontal_flip=True) returns.",
    )
    standard = None
    if preprocess_mode == STANDARD:
        try:
            size = SIZE if target_size is None else target_size
            standard = StandardImagePreprocessor(size, class_names, task=task)
        except ArgumentError as error:
            problems.add(f"target_{error}")
    if color_mode != "rgb":
        without_effect(problems.where, color_mode=color_mode)

    def make(items: Sequence[Any]) -> Preprocessor:
        return standard or _of_checkpoint(
            problems.where, preprocess_mode, target_size, class_names, task
        )

    train, val, preproc = load(
        problems,
        read_train,
        read_val,
        make,
        val_pct=val_pct,
        random_state=random_state,
        verbose=verbose,
        reading=reading,
    )
    if data_aug is not None:
        train = dataclasses.replace(train, augmentation=data_aug)
    return train, val, preproc


def _of_checkpoint(
    where: str, name: Any, target_size: Any, class_names: Sequence[Any], task: str | None
) -> Preprocessor:
    """Returns the preprocessor of a checkpoint that reads pictures of this size."""
    problems = Problems(where)
    kind = input_of(name).kind
    problems.add_unless(
        kind == Images.kind,
        f"preprocess_mode={os.fspath(name)!r} is a checkpoint that reads {kind}s; expected one of "
        "images, such as 'google/vit-base-patch16-224-in21k'.",
    )
    problems.raise_if_any()
    made = Transformer(name, class_names=class_names, task=task)
    assert isinstance(made.input, Images)
    if target_size is not None:
        sides = target_size if isinstance(target_size, (tuple, list)) else (target_size,) * 2
        problems.add_unless(
            tuple(sides) == made.input.size,
            f"target_size={target_size!r}, and the checkpoint reads {made.input}: leave it out.",
        )
    problems.raise_if_any()
    return made


def task_of(problems: Problems, is_regression: bool, task: str | None) -> str | None:
    """Returns the task that ktrain's `is_regression` and our `task` say."""
    problems.add_unless(
        not is_regression or task in (None, "regression"),
        f"is_regression=True and task={task!r} contradict each other.",
    )
    return "regression" if is_regression else task


def compiled(problems: Problems, pattern: Any) -> re.Pattern[str] | None:
    """Returns a regular expression with a group."""
    try:
        found = re.compile(pattern)
    except (re.error, TypeError) as error:
        problems.add(f"pattern={pattern!r} is no regular expression: {error}.")
        return None
    problems.add_unless(
        found.groups >= 1,
        f"pattern={pattern!r} has no group; expected one around the label, as in {PATTERN!r}.",
    )
    return found


def as_pixels(problems: Problems, name: str, pictures: Any) -> Any:
    """Returns an array of pictures as uint8, where its values are whole numbers from 0 to 255."""
    is_array = isinstance(pictures, np.ndarray) and pictures.dtype.kind in "iuf"
    if not is_array or pictures.dtype == np.uint8 or not pictures.size:
        return pictures
    whole = pictures.dtype.kind in "iu" or bool((pictures == np.floor(pictures)).all())
    low, high = pictures.min(), pictures.max()
    if whole and low >= 0 and high <= 255:
        return pictures.astype("uint8")
    problems.add(
        f"{name} has values from {low:.4g} to {high:.4g} ({pictures.dtype}); expected whole "
        "numbers from 0 to 255, as pictures have them: the model's own scaling follows. If they "
        "run from 0 to 1: (x * 255).round().astype('uint8')."
    )
    return pictures
