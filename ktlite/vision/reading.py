"""Pictures and labels from tables that name files, and from the names of files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ktlite._logging import logger
from ktlite.data.examples import Block, Examples, gather
from ktlite.data.files import check_exists, open_table, visible
from ktlite.data.table import as_names, check_columns
from ktlite.errors import DataError, Problems, plural
from ktlite.inputs.images import Images


def read_named(
    data: Any,
    image_column: Any,
    label_columns: Any,
    *,
    directory: str | os.PathLike[str] | None,
    suffix: str,
    missing: str,
    source: str,
    **options: Any,
) -> Examples:
    """Reads a table with a column of pictures.

    Args:
        data: A file or a data frame.
        image_column: Its column of paths, or of what else is a picture.
        label_columns: Name or names of the label columns.
        directory: Where relative paths begin. None: at the file, or at the current folder.
        suffix: Put behind each path, such as `".jpg"`.
        missing: As for `ktlite.data.readers.read_csv`.
        source: What to call data that has no name of its own.
        **options: `sep`, `encoding` and `names`, of a file.

    Raises:
        DataError: With everything that is wrong.
    """
    table = open_table(data, source, **options)
    images, labels = as_names(image_column), as_names(label_columns)
    check_columns(table, images, labels, missing)

    def placed() -> Iterator[Block]:
        for block in table.blocks(images, labels):
            cells = block.texts.map(
                lambda cell: f"{cell}{suffix}" if suffix and isinstance(cell, str) else cell
            )
            base = block.base if directory is None else Path(directory)
            yield replace(block, texts=cells, base=base)

    return gather(
        placed(),
        source=table.source,
        missing=missing,
        label_columns=labels,
        class_names=table.class_names(labels),
        input=Images,
    )


def read_names(
    folder: str | os.PathLike[str], pattern: re.Pattern[str], *, missing: str, verbose: int
) -> Examples:
    """Reads the pictures of a folder, whose names say their labels.

    Args:
        folder: It; the folders in it are not looked at.
        pattern: Its first group is the label; what it is searched in is the path, with slashes.
        missing: "drop" leaves out files whose name does not fit; "error" refuses them.
        verbose: 0 leaves out the log line that counts the files.

    Raises:
        DataError: If there is no such folder, or none of its files can be used.
    """
    import pandas as pd

    top = Path(folder)
    problems = Problems(top.name, DataError)
    check_exists(problems, top, top.is_dir(), "folder")
    problems.raise_if_any()
    files = sorted(path for path in visible(top) if path.is_file() and Images.is_file(path))
    problems.add_unless(bool(files), "it holds no image files; class folders: images_from_folder.")
    problems.raise_if_any()
    found = [pattern.search(file.as_posix()) for file in files]
    labels = [None if match is None else match.group(1) for match in found]
    if verbose:
        logger.info("%s: %s, labels by their names.", top.name, plural(len(files), "image"))
    block = Block(
        pd.DataFrame({"image": pd.Series([os.fspath(file) for file in files], dtype=object)}),
        pd.DataFrame({"label": pd.Series(labels, dtype=object)}),
        refused={
            f"a name that {pattern.pattern!r} does not fit": np.array([m is None for m in found])
        },
        place=lambda row: files[row].name,
        written=True,
    )
    return gather([block], source=top.name, missing=missing, input=Images)
