"""Packages that only some users need."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ktlite.errors import ArgumentError, KtliteError


@contextmanager
def needs_extra(
    extra: str, what: str = "this", error: type[KtliteError] = ArgumentError
) -> Iterator[None]:
    """Says how to install what the block imports, where it is not installed.

    Args:
        extra: The extra of ktlite that has it.
        what: What needs it.
        error: What is raised where a package is missing.

    Example:
        >>> with needs_extra("search", "searching documents"):
        ...     import bm25s
    """
    try:
        yield
    except ModuleNotFoundError as missing:
        raise error(
            f"{what} needs {missing.name}, which is not installed: pip install 'ktlite[{extra}]'."
        ) from missing
