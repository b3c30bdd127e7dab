"""What figures were measured on, in words: no figure without it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ktlite.errors import listing, plural


def on(count: int, part: str, name: str = "") -> str:
    """Returns what figures were measured on.

    Example:
        >>> on(106, "validation data", "reviews.csv")
        '106 examples of validation data (reviews.csv)'
    """
    return f"{plural(count, 'example')} of {part}{f' ({name})' if name else ''}"


def called(data: Any) -> str:
    """Returns what a user calls a data set: the name of its file, or what kind of thing it is.

    Example:
        >>> called("data/test.csv")
        'test.csv'
    """
    if isinstance(data, (str, os.PathLike)):
        return Path(data).name or os.fspath(data)
    if isinstance(data, (list, tuple)):
        paths = data and all(isinstance(item, (str, os.PathLike)) for item in data)
        return listing((Path(item).name for item in data), 3) if paths else ""
    return "" if hasattr(data, "encodings") else type(data).__name__
