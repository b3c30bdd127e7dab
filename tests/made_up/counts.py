"""Counts as a kind of input: rows of whole numbers, such as visits a day, of unequal length."""

from __future__ import annotations

import json
import operator
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ktlite.encodings.signals import SignalEncodings
from ktlite.errors import DataError
from ktlite.inputs.input import Input, register


@register
class Counts(Input):
    """Arrays of counts, scaled by their logarithm."""

    kind = "signal"
    unit = "count"
    expected = "an array of whole numbers"
    heads = {"text-classification": "counts-classification"}
    golden = (np.arange(5), np.array([3, 0, 9]), np.full(12, 7))

    def __init__(self, longest: int) -> None:
        self.longest = longest

    @classmethod
    def accepts(cls, item: Any) -> bool:
        return isinstance(item, np.ndarray) and item.ndim == 1 and item.dtype.kind == "i"

    @classmethod
    def problems(cls, items: Sequence[Any]) -> list[str | None]:
        return ["negative counts" if (item < 0).any() else None for item in items]

    @classmethod
    def key(cls, item: Any) -> str:
        return item.tobytes().hex()

    @classmethod
    def to_json(cls, item: Any) -> Any:
        return item.tolist()

    @classmethod
    def from_json(cls, value: Any) -> Any:
        try:
            return np.array([operator.index(count) for count in value], "int64")
        except TypeError as error:
            raise DataError(f"a signal is {value!r:.40}; expected {cls.expected}.") from error

    @classmethod
    def is_one_json(cls, value: Any) -> bool:
        return isinstance(value, list) and not any(isinstance(part, list) for part in value)

    @classmethod
    def schema(cls) -> dict[str, Any]:
        return {"type": "array", "items": {"type": "integer"}}

    @classmethod
    def shown(cls, item: Any) -> str:
        return " ".join(map(str, item))

    @classmethod
    def of_checkpoint(cls, folder: Path, spec: Any, **options: Any) -> Counts:
        return cls(spec.max_positions)

    def encode(self, items: Sequence[Any], *, verbose: int = 0) -> SignalEncodings:
        for number, item in enumerate(items):
            if not self.accepts(item):
                raise DataError(f"number {number} is {item!r:.40}; expected {self.expected}.")
        scaled = [np.log1p(item[: self.longest]).astype("float32")[:, None] for item in items]
        return SignalEncodings(scaled, "counts", self.longest)

    def save(self, folder: Path) -> dict[str, Any]:
        (folder / "counts.json").write_text(json.dumps({"longest": self.longest}))
        return {"longest": self.longest}

    @classmethod
    def load(cls, folder: Path, config: Mapping[str, Any]) -> Counts:
        return cls(config["longest"])
