"""Whether files and folders are where they are said to be, asked before any work begins."""

from __future__ import annotations

import glob
import os
from pathlib import Path
from typing import Any

from ktlite.errors import CheckpointError, DataError, Problems, did_you_mean


def no_checkpoint(name: str | os.PathLike[str]) -> str:
    """Says why there is no checkpoint at a path; "" where there is, or it may be a Hub name."""
    folder, text = Path(name).expanduser(), os.fspath(name)
    if folder.is_dir():
        return ""
    if folder.exists():
        return f"{folder} is a file; expected the checkpoint's folder."
    if folder.is_absolute() or text.startswith((".", "~")) or text.count(os.sep) > 1:
        parent = folder.parent
        near = [p.name for p in parent.iterdir() if p.is_dir()] if parent.is_dir() else []
        return f"no checkpoint folder at {folder.absolute()}.{did_you_mean(folder.name, near)}"
    return ""


def no_data(data: Any) -> str:
    """Says that there is nothing at the path of some data; "" where there is, or it is no path."""
    if not isinstance(data, (str, os.PathLike)):
        return ""
    path, text = Path(data), os.fspath(data)
    if path.exists() or glob.has_magic(text) or "://" in text:
        return ""
    if not path.parent.is_dir():
        return f"there is no folder {str(path.parent)!r}."
    near = [p.name for p in path.parent.iterdir() if not p.name.startswith(".")]
    return f"there is no file {text!r}.{did_you_mean(path.name, near)}"


def is_file(text: Any) -> bool:
    """Says whether a text is the name of a file that is there, which may be what was meant."""
    if not isinstance(text, str) or not 0 < len(text) < 256 or not text.isprintable():
        return False
    return os.path.isfile(text)


def check_places(where: str, model: Any, **data: Any) -> None:
    """Raises where there is no checkpoint or no data at the paths that are given.

    Raises:
        DataError: If there is no data.
        CheckpointError: If the checkpoint alone is not there.
    """
    sides = [no_data(side) for side in data.values()]
    problems = Problems(where, DataError if any(sides) else CheckpointError)
    for problem in (*sides, no_checkpoint(model)):
        problems.add_unless(not problem, problem)
    problems.raise_if_any()


def writable_file(problems: Problems, name: str, path: Any, example: str) -> None:
    """Records a problem unless a file can be written at a path.

    Args:
        problems: Where to.
        name: What the argument is called.
        path: Its value.
        example: The name of such a file.
    """
    file = Path(path)
    if file.is_dir():
        problems.add(f"{name}={os.fspath(path)!r} is a folder; name a file in it, such as "
                     f"{example!r}.")  # fmt: skip
    elif not file.parent.is_dir():
        problems.add(f"{name}={os.fspath(path)!r}: there is no folder {str(file.parent)!r}.")
