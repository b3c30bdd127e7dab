"""Numbers: arrays of one shape, and signals of unequal length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ktlite.encodings.encodings import Encodings, Seed
from ktlite.encodings.field import Field
from ktlite.encodings.plan import padded_length
from ktlite.errors import ArgumentError


class ArrayEncodings(Encodings):
    """Arrays of one shape a row.

    Args:
        arrays: By the names of a model's inputs, [rows, ...] each.

    Raises:
        ArgumentError: If they are of different length, or there are none.

    Example:
        >>> ArrayEncodings({"vectors": np.zeros((5, 3), "float32")}).fields
        (Field(name='vectors', dtype='float32', shape=(3,), fill=0, optional=False),)
    """

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        sizes = {len(array) for array in arrays.values()}
        if len(sizes) != 1:
            raise ArgumentError(f"arrays must be of one length; got {sorted(sizes)}.")
        self.arrays = dict(arrays)
        self._size = sizes.pop()

    @property
    def fields(self) -> tuple[Field, ...]:
        return tuple(Field(n, str(a.dtype), a.shape[1:]) for n, a in self.arrays.items())

    @property
    def lengths(self) -> np.ndarray:
        return np.zeros(len(self), "int64")

    def __len__(self) -> int:
        return self._size

    def batch(self, rows: np.ndarray, seed: Seed | None = None) -> dict[str, np.ndarray]:
        return {name: array[rows] for name, array in self.arrays.items()}

    def take(self, examples: np.ndarray) -> ArrayEncodings:
        return ArrayEncodings(self.batch(examples))


class SignalEncodings(Encodings):
    """Signals of unequal length, [length, ...] each: sound, or any row of measurements.

    A batch has them under `name`, padded with zeros to a common length from a short list, and
    under `"attention_mask"` (int32 [batch, length]) where they are.

    Args:
        signals: The arrays, of one type, and of one shape but for the first axis.
        name: Of the model's input.
        max_length: No signal is longer. Default: that of the longest.
    """

    def __init__(
        self, signals: Sequence[np.ndarray], name: str, max_length: int | None = None
    ) -> None:
        self.signals, self.name = list(signals), name
        longest = max((len(signal) for signal in self.signals), default=0)
        self.max_length = longest if max_length is None else max_length

    @property
    def fields(self) -> tuple[Field, ...]:
        shape, dtype = ((), "float32")
        if self.signals:
            shape, dtype = self.signals[0].shape[1:], str(self.signals[0].dtype)
        return (
            Field(self.name, dtype, (None, *shape)),
            Field("attention_mask", "int32", (None,)),
        )

    @property
    def lengths(self) -> np.ndarray:
        return np.array([len(signal) for signal in self.signals], "int64")

    def __len__(self) -> int:
        return len(self.signals)

    def batch(self, rows: np.ndarray, seed: Seed | None = None) -> dict[str, np.ndarray]:
        chosen = [self.signals[row] for row in rows]
        lengths = np.array([len(signal) for signal in chosen], "int64")
        width = padded_length(int(lengths.max(initial=0)), self.max_length)
        padded = np.zeros((len(chosen), width, *chosen[0].shape[1:]), chosen[0].dtype)
        for place, signal in zip(padded, chosen, strict=True):
            place[: len(signal)] = signal
        inside = np.arange(width) < lengths[:, None]
        return {self.name: padded, "attention_mask": inside.astype("int32")}

    def take(self, examples: np.ndarray) -> SignalEncodings:
        return SignalEncodings([self.signals[i] for i in examples], self.name, self.max_length)
