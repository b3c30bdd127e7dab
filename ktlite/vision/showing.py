"""ktrain's looks at pictures: figures of matplotlib's, which a notebook shows."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ktlite._arguments import at_least_one, check_paths, checked
from ktlite.data.files import visible
from ktlite.errors import DataError, Problems
from ktlite.inputs.image_augmentation import ImageAugmentation
from ktlite.inputs.images import Images
from ktlite.inputs.pictures import read_picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SIDE = 2.6  # inches of a picture


@checked
def show_image(img_path: Any) -> Figure:
    """Returns a figure of a picture, upright, as a model gets it.

    Args:
        img_path: Its path, its bytes, a Pillow image or a uint8 array.

    Raises:
        DataError: If it cannot be read.

    Example:
        >>> vision.show_image("cats/1.jpg").savefig("cat.png")
    """
    return _figure([np.asarray(read_picture(img_path))], rows=1, side=2 * _SIDE)


@checked
def show_random_images(
    img_folder: str | os.PathLike[str], n: int = 4, rows: int = 1, *, seed: int | None = None
) -> Figure:
    """Returns a figure of some pictures of a folder.

    Args:
        img_folder: Holds them, or class folders that do.
        n: How many, at most.
        rows: Rows of the figure.
        seed: Which. Default: others each time.

    Raises:
        DataError: If there are none.
    """
    check_paths("show_random_images", img_folder=img_folder)
    _check_counts("show_random_images", n, rows)
    top = Path(img_folder)
    folders = [top, *(visible(top) if top.is_dir() else [])]
    files = [
        file
        for folder in folders
        if folder.is_dir()
        for file in sorted(visible(folder))
        if file.is_file() and Images.is_file(file)
    ]
    if not files:
        raise DataError(f"{top}: there are no image files, nor in folders in it.")
    chosen = np.random.default_rng(seed).permutation(len(files))[:n]
    shown = [np.asarray(read_picture(files[number])) for number in chosen]
    return _figure(shown, rows, names=[files[number].name for number in chosen])


@checked
def preview_data_aug(
    img_path: Any, data_aug: ImageAugmentation, rows: int = 1, n: int = 4, *, seed: int = 0
) -> Figure:
    """Returns a figure of one picture, changed at random as training would.

    Args:
        img_path: As for `show_image`.
        data_aug: From `get_data_aug`.
        rows: Rows of the figure.
        n: How many copies.
        seed: Of what is drawn.

    Raises:
        DataError: If the picture cannot be read.
        ArgumentError: If `data_aug` is something else, or a number is no number of 1 or more.

    Example:
        >>> data_aug = vision.get_data_aug(horizontal_flip=True)
        >>> vision.preview_data_aug("cat.jpg", data_aug, rows=2, n=8).savefig("cats.png")
    """
    problems = Problems("preview_data_aug")
    problems.add_unless(
        isinstance(data_aug, ImageAugmentation),
        f"data_aug is of type {type(data_aug).__name__}; expected what get_data_aug() returns.",
    )
    at_least_one(problems, n=n, rows=rows)
    problems.raise_if_any()
    pixels, random = np.asarray(read_picture(img_path)), np.random.default_rng(seed)
    return _figure([data_aug(pixels, random) for _ in range(n)], rows)


def _check_counts(where: str, n: Any, rows: Any) -> None:
    problems = Problems(where)
    at_least_one(problems, n=n, rows=rows)
    problems.raise_if_any()


def _figure(
    pictures: Sequence[np.ndarray], rows: int, *, side: float = _SIDE, names: Sequence[str] = ()
) -> Figure:
    """Returns a figure of pictures, uint8 [height, width, 3] each, row by row."""
    from ktlite.training.plots import empty_figure

    columns = -(-len(pictures) // rows)
    figure = empty_figure(side * columns, side * rows)
    for number, pixels in enumerate(pictures):
        axes = figure.add_subplot(rows, columns, number + 1)
        axes.imshow(pixels)
        axes.set_axis_off()
        if names:
            axes.set_title(names[number], fontsize=9)
    return figure
