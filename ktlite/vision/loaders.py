"""ktrain's loaders of pictures: to (train, validation, preprocessor)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ktlite._arguments import check_paths, checked
from ktlite.data.readers import Examples, read_arrays, read_folder
from ktlite.data.reading import as_given
from ktlite.errors import Problems
from ktlite.inputs.image_augmentation import ImageAugmentation
from ktlite.inputs.images import Images
from ktlite.text.loaders import STANDARD, Loaded
from ktlite.vision.loading import PATTERN, as_pixels, compiled, finish, task_of
from ktlite.vision.reading import read_named, read_names


@checked
def images_from_folder(
    datadir: str | os.PathLike[str],
    target_size: int | tuple[int, int] | None = None,
    classes: Sequence[str] | None = None,
    color_mode: str = "rgb",
    train_test_names: Sequence[str] = ("train", "test"),
    data_aug: ImageAugmentation | None = None,
    verbose: int = 1,
    *,
    preprocess_mode: str | os.PathLike[str] = STANDARD,
    val_pct: float = 0.1,
    random_state: int | None = None,
    missing: str = "drop",
) -> Loaded:
    """Loads pictures from folders named after their class.

    Args:
        datadir: Holds `train/CLASS/*` and `test/CLASS/*`.
        target_size: Height and width that pictures are resized to, or one number for both.
            Default: 224, or what the checkpoint's model reads.
        classes: Which class folders; their order is that of their names. Default: all.
        color_mode: `"rgb"`. Others make no difference: grey pictures have three equal channels,
            and transparency is dropped.
        train_test_names: Names of the folders to train and to validate on. Where there is no second
            one, a stratified part of the first validates.
        data_aug: How training pictures are changed at random, from `get_data_aug`. Default: not.
        verbose: 0 silences all lines but warnings.
        preprocess_mode: A checkpoint folder or Hub name, for that checkpoint; or `"standard"`, for
            models that start from scratch.
        val_pct: Share of the pictures to validate on where there is no folder for it.
        random_state: Seed of the split. Default: 42.
        missing: `"drop"` leaves out files that cannot be read and says how many; `"error"` refuses
            them.

    Returns:
        (train, val, preproc): two `Dataset`s and what made them.

    Raises:
        DataError: If the files cannot be used; the message says why.
        ArgumentError: If arguments cannot work; all of them are told.
        CheckpointError: If the checkpoint cannot be used.

    Example:
        >>> train, val, preproc = vision.images_from_folder(
        ...     "cats-and-dogs", preprocess_mode="google/vit-base-patch16-224-in21k",
        ...     data_aug=vision.get_data_aug(horizontal_flip=True))
    """
    check_paths("images_from_folder", datadir=datadir)
    train_name, *rest = train_test_names
    root = Path(datadir)

    def read(name: str) -> Examples:
        return read_folder(root / name, classes, missing=missing, verbose=verbose, input=Images)

    validates = bool(rest) and (root / rest[0]).is_dir()
    return finish(
        "images_from_folder",
        lambda: read(train_name),
        (lambda: read(rest[0])) if validates else None,
        target_size=target_size,
        color_mode=color_mode,
        data_aug=data_aug,
        preprocess_mode=preprocess_mode,
        task="classification",
        val_pct=val_pct,
        random_state=random_state,
        verbose=verbose,
    )


@checked
def images_from_csv(
    train_filepath: str | os.PathLike[str],
    image_column: Any,
    label_columns: Any = (),
    directory: str | os.PathLike[str] | None = None,
    suffix: str = "",
    val_filepath: str | os.PathLike[str] | None = None,
    is_regression: bool = False,
    target_size: int | tuple[int, int] | None = None,
    color_mode: str = "rgb",
    data_aug: ImageAugmentation | None = None,
    val_pct: float = 0.1,
    random_state: int | None = None,
    *,
    sep: str | None = None,
    encoding: str | None = None,
    task: str | None = None,
    missing: str = "drop",
    preprocess_mode: str | os.PathLike[str] = STANDARD,
    verbose: int = 1,
) -> Loaded:
    """Loads the pictures whose paths stand in a CSV file; other arguments as `images_from_folder`.

    Args:
        train_filepath: The training file, or a file of another kind that `get_learner` reads.
        image_column: The column of paths.
        label_columns: Name of the label column, or of several one-/multi-hot columns.
        directory: Where relative paths begin. Default: at the file.
        suffix: Put behind each path, such as `".jpg"`.
        val_filepath: The validation file. Default: a part of the training file.
        is_regression: The same as `task="regression"`.
        sep: Column separator. Default: a comma, or by the file's name a tab (`.tsv`).
        encoding: Of the files. Default: detected.
        task: `"classification"`, `"multilabel"` or `"regression"`. Default: inferred.

    Example:
        >>> train, val, preproc = vision.images_from_csv(
        ...     "ages.csv", "file", "age", directory="faces", suffix=".jpg", is_regression=True)
    """
    check_paths("images_from_csv", train_filepath=train_filepath, val_filepath=val_filepath)
    return _from_table(
        "images_from_csv",
        (train_filepath, val_filepath),
        image_column,
        label_columns,
        directory=(directory, directory),
        suffix=suffix,
        is_regression=is_regression,
        task=task,
        missing=missing,
        reading={"sep": sep, "encoding": encoding},
        target_size=target_size,
        color_mode=color_mode,
        data_aug=data_aug,
        preprocess_mode=preprocess_mode,
        val_pct=val_pct,
        random_state=random_state,
        verbose=verbose,
    )


@checked
def images_from_df(
    train_df: Any,
    image_column: Any,
    label_columns: Any = (),
    directory: str | os.PathLike[str] | None = None,
    val_directory: str | os.PathLike[str] | None = None,
    suffix: str = "",
    val_df: Any = None,
    is_regression: bool = False,
    target_size: int | tuple[int, int] | None = None,
    color_mode: str = "rgb",
    data_aug: ImageAugmentation | None = None,
    val_pct: float = 0.1,
    random_state: int | None = None,
    *,
    task: str | None = None,
    missing: str = "drop",
    preprocess_mode: str | os.PathLike[str] = STANDARD,
    verbose: int = 1,
) -> Loaded:
    """Loads the pictures of a data frame; arguments as `images_from_csv`.

    Args:
        train_df: The training data.
        image_column: The column of paths, or of bytes, Pillow images or arrays.
        directory: Where relative paths begin. Default: at the current folder.
        val_directory: The same of `val_df`. Default: `directory`.
        val_df: The validation data. Default: a part of the training data.
    """
    return _from_table(
        "images_from_df",
        (train_df, val_df),
        image_column,
        label_columns,
        directory=(directory, directory if val_directory is None else val_directory),
        suffix=suffix,
        is_regression=is_regression,
        task=task,
        missing=missing,
        reading={},
        target_size=target_size,
        color_mode=color_mode,
        data_aug=data_aug,
        preprocess_mode=preprocess_mode,
        val_pct=val_pct,
        random_state=random_state,
        verbose=verbose,
    )


@checked
def images_from_fname(
    train_folder: str | os.PathLike[str],
    pattern: str = PATTERN,
    val_folder: str | os.PathLike[str] | None = None,
    is_regression: bool = False,
    target_size: int | tuple[int, int] | None = None,
    color_mode: str = "rgb",
    data_aug: ImageAugmentation | None = None,
    val_pct: float = 0.1,
    random_state: int | None = None,
    verbose: int = 1,
    *,
    task: str | None = None,
    missing: str = "drop",
    preprocess_mode: str | os.PathLike[str] = STANDARD,
) -> Loaded:
    r"""Loads pictures whose file names say their labels; other arguments as `images_from_folder`.

    Args:
        train_folder: Holds the pictures; folders in it are not looked at.
        pattern: A regular expression, whose first group is the label, or with `is_regression` the
            number; it is searched in the path. Default: what stands before `_7.jpg`.
        val_folder: Holds those to validate on. Default: a part of the training pictures.
        is_regression: The same as `task="regression"`.
        task: `"classification"` or `"regression"`. Default: inferred.

    Example:
        >>> train, val, preproc = vision.images_from_fname(
        ...     "faces", r"/(\d+)_\d+_\d+.jpg$", is_regression=True)
    """
    check_paths("images_from_fname", train_folder=train_folder, val_folder=val_folder)
    problems = Problems("images_from_fname")
    expression = compiled(problems, pattern)

    def read(folder: Any) -> Examples:
        assert expression is not None
        return read_names(folder, expression, missing=missing, verbose=verbose)

    return finish(
        problems,
        lambda: read(train_folder),
        None if val_folder is None else lambda: read(val_folder),
        target_size=target_size,
        color_mode=color_mode,
        data_aug=data_aug,
        preprocess_mode=preprocess_mode,
        task=task_of(problems, is_regression, task),
        val_pct=val_pct,
        random_state=random_state,
        verbose=verbose,
    )


@checked
def images_from_array(
    x_train: Any,
    y_train: Any,
    validation_data: tuple[Any, Any] | None = None,
    val_pct: float = 0.1,
    random_state: int | None = None,
    data_aug: ImageAugmentation | None = None,
    classes: Sequence[Any] | None = None,
    class_names: Sequence[Any] | None = None,
    is_regression: bool = False,
    *,
    target_size: int | tuple[int, int] | None = None,
    task: str | None = None,
    missing: str = "drop",
    preprocess_mode: str | os.PathLike[str] = STANDARD,
    verbose: int = 1,
) -> Loaded:
    """Takes pictures and labels that are in memory; other arguments as `images_from_folder`.

    Args:
        x_train: [n, height, width, 3], or 1 for grey, whole numbers from 0 to 255 of any type; or
            a list of pictures: paths, bytes, Pillow images or uint8 arrays.
        y_train: Labels: [n] names, class numbers or numbers to predict, or [n, k] one-/multi-hot.
        validation_data: (pictures, labels) to validate on. Default: a part of the training data.
        classes: ktrain's older name of `class_names`.
        class_names: Names of integer labels 0, 1, 2, ...
        is_regression: The same as `task="regression"`.
        target_size: As for `images_from_folder`. Default: as the arrays are, where all have one
            size, or as the checkpoint reads.
        task: `"classification"`, `"multilabel"` or `"regression"`. Default: inferred.

    Example:
        >>> train, val, preproc = vision.images_from_array(
        ...     x_train, y_train, class_names=["zero", "one"])
    """
    problems = Problems("images_from_array")
    pairs = isinstance(validation_data, (tuple, list)) and len(validation_data) == 2
    problems.add_unless(
        validation_data is None or pairs, "validation_data: expected a tuple (pictures, labels)."
    )
    x_train = as_pixels(problems, "x_train", x_train)
    x_val, y_val = validation_data if validation_data is not None and pairs else (None, None)
    x_val = as_pixels(problems, "validation_data", x_val)
    shape: tuple[int, ...] = getattr(x_train, "shape", ())
    if target_size is None and preprocess_mode == STANDARD and len(shape) in (3, 4):
        target_size = (int(shape[1]), int(shape[2]))

    def read(x: Any, y: Any, source: str) -> Examples:
        return read_arrays(x, y, missing=missing, source=source, input=Images)

    return finish(
        problems,
        lambda: read(x_train, y_train, "x_train"),
        None if x_val is None else lambda: read(x_val, y_val, "validation_data"),
        target_size=target_size,
        color_mode="rgb",
        data_aug=data_aug,
        preprocess_mode=preprocess_mode,
        task=task_of(problems, is_regression, task),
        class_names=list(class_names or classes or ()),
        val_pct=val_pct,
        random_state=random_state,
        verbose=verbose,
    )


def _from_table(
    where: str,
    data: tuple[Any, Any],
    image_column: Any,
    label_columns: Any,
    *,
    directory: tuple[Any, Any],
    suffix: str,
    is_regression: bool,
    task: str | None,
    missing: str,
    reading: Mapping[str, Any],
    **rest: Any,
) -> Loaded:
    problems = Problems(where)
    problems.add_unless(
        not isinstance(image_column, (list, tuple)),
        f"image_column={image_column!r}; expected the name of one column.",
    )
    problems.add_unless(isinstance(suffix, str), f"suffix={suffix!r}; expected a string.")

    def read(number: int, source: str) -> Examples:
        return read_named(
            data[number],
            image_column,
            label_columns,
            directory=directory[number],
            suffix=suffix,
            missing=missing,
            source=source,
            **reading,
        )

    return finish(
        problems,
        lambda: read(0, "train_df"),
        None if data[1] is None else lambda: read(1, "val_df"),
        task=task_of(problems, is_regression, task),
        reading=as_given(image_column, label_columns, **reading),
        **rest,
    )
