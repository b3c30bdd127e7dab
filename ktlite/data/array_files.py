"""Arrays that grow in files, and are then mapped into memory."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import numpy as np


class ArrayFiles:
    """One-dimensional arrays, each in a file of its name, written bit by bit.

    Args:
        folder: Where the files go.
        kinds: The type of each array, by its name.

    Example:
        >>> with ArrayFiles(folder, {"ids": "uint16"}) as files:
        ...     files.add("ids", np.array([7, 9]))
        >>> map_arrays(folder, {"ids": "uint16"})["ids"]
        memmap([7, 9], dtype=uint16)
    """

    def __init__(self, folder: Path, kinds: Mapping[str, str]) -> None:
        self._kinds = dict(kinds)
        with ExitStack() as stack:
            self._files = {
                name: stack.enter_context(open(folder / name, "wb")) for name in self._kinds
            }
            self._stack = stack.pop_all()

    def add(self, name: str, values: np.ndarray) -> None:
        """Writes more of an array."""
        self._files[name].write(np.ascontiguousarray(values, self._kinds[name]).data)

    def __enter__(self) -> ArrayFiles:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()


def map_arrays(folder: Path, kinds: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Returns the arrays of `ArrayFiles`; what is not looked at takes no memory."""
    return {
        name: np.memmap(folder / name, kind, "r")
        if (folder / name).stat().st_size
        else np.zeros(0, kind)  # an empty file cannot be mapped
        for name, kind in kinds.items()
    }
