"""The formats of files with rows, and which of them a file has by its name."""

from __future__ import annotations

import os
from pathlib import Path

from ktlite.errors import ArgumentError, Problems, listing

FORMATS = ("csv", "tsv", "jsonl", "parquet", "txt")
OTHER_NAMES = {"ndjson": "jsonl", "json": "jsonl", "pq": "parquet", "tab": "tsv"}


def format_of(name: str | os.PathLike[str], given: str | None = None) -> str:
    """Returns the format of a file, by its name unless it is given.

    Args:
        name: Of the file.
        given: One of `FORMATS`, or another name of one.

    Raises:
        ArgumentError: If the format is not known, or the name does not say it.

    Example:
        >>> format_of("reviews.ndjson")
        'jsonl'
    """
    suffix = Path(name).suffix.lower().lstrip(".")
    known = OTHER_NAMES.get(given or suffix, given or suffix)
    if given is not None:
        problems = Problems(os.fspath(name))
        problems.choice("format", known, FORMATS)
        problems.raise_if_any()
    elif known not in FORMATS:
        raise ArgumentError(
            f"{os.fspath(name)}: its name does not say what format it has; give the format, one "
            f"of {listing(FORMATS)}."
        )
    return known
