"""Signals of unequal length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ktlite.encodings.encodings import Encodings, Seed
from ktlite.encodings.field import Field
from ktlite.encodings.plan import padded_length


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
