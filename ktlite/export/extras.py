"""Packages that only some users need."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ktlite.errors import ExportError


@contextmanager
def needs_extra(extra: str) -> Iterator[None]:
    """Says how to install what the block imports, where it is not installed.

    Example:
        >>> with needs_extra("onnx"):
        ...     import onnxruntime

    Raises:
        ExportError: If a package is missing.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise ExportError(
            f"this needs {error.name}, which is not installed: pip install 'ktlite[{extra}]'."
        ) from error
