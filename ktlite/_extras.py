"""Packages that only some users need."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ktlite.errors import ArgumentError, KtliteError

#: What the extra `train` installs, by the names under which it is imported.
TRAIN = (
    "PIL", "h5py", "huggingface_hub", "keras", "matplotlib", "ml_dtypes", "pandas", "safetensors",
    "scipy", "sklearn", "tensorflow", "tomli", "transformers", "yaml",
)  # fmt: skip


def is_installed(package: str) -> bool:
    """Says whether a package can be imported, without importing it."""
    try:
        return importlib.util.find_spec(package) is not None
    except (ImportError, ValueError):  # ValueError: a stand-in without a spec
        return sys.modules.get(package) is not None


@contextmanager
def needs_extra(
    extra: str, what: str = "this", error: type[KtliteError] = ArgumentError
) -> Iterator[None]:
    """Says how to install what the block imports, where it is not installed.

    It is a decorator, too, for a function that imports on its way. Of the extra `train`, which
    whole modules lie behind, other packages that are missing are none of its business.

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
        if extra == "train" and (missing.name or "").partition(".")[0] not in TRAIN:
            raise
        raise error(
            f"{what} needs {missing.name}, which is not installed: pip install 'ktlite[{extra}]'."
        ) from missing
