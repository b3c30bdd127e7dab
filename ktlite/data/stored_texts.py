"""Texts that stay in a file until somebody looks at them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np


class StoredTexts(Sequence[Any]):
    """Texts, or tuples of them, read from a file that is mapped into memory.

    Args:
        content: uint8 [bytes], all texts as UTF-8, end to end.
        ends: int64 [texts], where each ends.
        size: Texts an item: 1 gives `str`, more give tuples.
        picked: int64 [items], which items; None: all.

    Example:
        >>> content = np.frombuffer(b"fine filmdull film", "uint8")
        >>> StoredTexts(content, np.array([9, 18]))[1]
        'dull film'
    """

    def __init__(
        self,
        content: np.ndarray,
        ends: np.ndarray,
        size: int = 1,
        picked: np.ndarray | None = None,
    ) -> None:
        self._content = content
        self._ends = ends
        self._size = size
        self._picked = np.arange(len(ends) // size) if picked is None else picked

    def __len__(self) -> int:
        return len(self._picked)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self._item(int(item)) for item in self._picked[index]]
        return self._item(int(self._picked[index]))

    def __iter__(self) -> Iterator[Any]:
        return (self._item(int(item)) for item in self._picked)

    def take(self, index: np.ndarray) -> StoredTexts:
        """Returns the items at `index`, which stay where they are."""
        return StoredTexts(self._content, self._ends, self._size, self._picked[index])

    def _item(self, item: int) -> Any:
        first = item * self._size
        texts = tuple(self._text(first + i) for i in range(self._size))
        return texts[0] if self._size == 1 else texts

    def _text(self, number: int) -> str:
        start = 0 if number == 0 else int(self._ends[number - 1])
        return self._content[start : int(self._ends[number])].tobytes().decode()
