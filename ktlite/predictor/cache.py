"""What a predictor has computed already: the logits of the examples asked for last."""

from __future__ import annotations

import copy
import threading
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Mapping

import numpy as np

from ktlite.errors import ArgumentError


class LogitsCache:
    """Keeps the logits of so many examples; those not asked for longest go first (LRU).

    Threads may share it. What it gives and what it takes are copies, so that nobody changes what
    the next one gets.

    Args:
        size: Examples; 0 keeps none.

    Raises:
        ArgumentError: If `size` is not a whole number of 0 or more.
    """

    def __init__(self, size: int) -> None:
        if isinstance(size, bool) or not isinstance(size, int) or size < 0:
            raise ArgumentError(f"cache={size!r}; expected how many texts to keep, 0 for none.")
        self.size = size
        self._rows: OrderedDict[Hashable, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._rows)

    def find(self, keys: Iterable[Hashable]) -> dict[Hashable, np.ndarray]:
        """Returns what is known, as arrays of one item."""
        found = {}
        with self._lock:
            for key in dict.fromkeys(keys):
                if key in self._rows:
                    self._rows.move_to_end(key)
                    found[key] = self._rows[key]
        return copy.deepcopy(found)

    def add(self, rows: Mapping[Hashable, np.ndarray]) -> None:
        """Keeps arrays of one item."""
        kept = copy.deepcopy(dict(rows))
        with self._lock:
            for key, row in kept.items():
                self._rows[key] = row
                self._rows.move_to_end(key)
            while len(self._rows) > self.size:
                self._rows.popitem(last=False)

    def clear(self) -> None:
        with self._lock:
            self._rows.clear()
