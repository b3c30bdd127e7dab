"""What the systems of `generation.py` share: what is read, and how writing is measured."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from systems.measuring import Stopwatch

#: Ids below it are special ones.
FIRST = 10


def inputs_of(words: int, rows: int, length: int) -> np.ndarray:
    """Returns random tokens, none of them special: int32 [rows, length]."""
    return np.random.default_rng(0).integers(FIRST, words - FIRST, (rows, length), "int32")


def measured(texts: Callable[[int, int, int, int], list[list[int]]], spec: Any) -> dict[str, Any]:
    """Measures each case after a first call.

    Args:
        texts: Writes texts: of how many, beams, tokens of each, new tokens.
        spec: `cases`, and how often each is repeated.

    Returns:
        The CPU seconds of 1,000 tokens of each case and of the first call of all, and the texts.
    """
    watch, written, figures = Stopwatch(), [], {}
    for number, case in enumerate(spec["cases"]):
        written.append(texts(*case))
        if not number:
            figures["first call, cpu_s"] = watch.read()["cpu_s"]
        watch = Stopwatch()
        for _ in range(spec["repeats"]):
            texts(*case)
        rows, beams, length, new = case
        name = f"{rows} x {length} + {new}, {'greedy' if beams == 1 else f'{beams} beams'}"
        thousands = spec["repeats"] * rows * new / 1000
        figures[f"{name}, cpu_s of 1,000"] = watch.read()["cpu_s"] / thousands
    return {"figures": figures, "texts": written}
