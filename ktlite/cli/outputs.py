"""Where commands write: nothing that is there is replaced without `--overwrite`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ktlite._places import writable_file
from ktlite.errors import ArgumentError, Problems


def add_overwrite(parser: Any) -> None:
    """Adds the option that lets a command replace what an earlier run of it wrote."""
    parser.add_argument(
        "--overwrite", action="store_true", help="replace the output that is there already"
    )


def check_folder(
    problems: Problems, name: str, path: str | os.PathLike[str], overwrite: bool
) -> None:
    """Records before the work begins that a predictor could not be saved at a path after it.

    Args:
        problems: Where to.
        name: What the option is called.
        path: Its value.
        overwrite: Whether a folder that ktlite wrote may be replaced; others never are.
    """
    from ktlite.storage import MANIFEST, check_replaceable

    try:
        check_replaceable(Path(os.path.realpath(path)), lambda old: (old / MANIFEST).is_file())
    except ArgumentError as error:
        problems.add(f"{name} {path}: there is something else. {error}")
        return
    folder = Path(path)
    _check_free(problems, name, path, overwrite or not (folder.is_dir() and any(folder.iterdir())))


def check_file(
    problems: Problems, name: str, path: str | os.PathLike[str], example: str, overwrite: bool
) -> None:
    """Records before the work begins that a file could not be written, or would be replaced.

    Args:
        problems: Where to.
        name: What the option is called.
        path: Its value.
        example: The name of such a file.
        overwrite: Whether a file that is there may be replaced.
    """
    writable_file(problems, name, path, example)
    _check_free(problems, name, path, overwrite or not Path(path).is_file())


def _check_free(problems: Problems, name: str, path: object, free: bool) -> None:
    problems.add_unless(
        free,
        f"{name} {path}: it is there already. Give --overwrite to replace it, or another name.",
    )
