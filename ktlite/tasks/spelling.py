"""Numbers as people write them into files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

SPELLING = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_COMMA = re.compile(r"[+-]?[0-9.,\u00a0\u202f' ]*[,\u00a0\u202f' ][0-9.,\u00a0\u202f' ]*")


def spelled_numbers(values: Sequence[Any]) -> np.ndarray:
    """Returns numbers, or str that spell some, as float64.

    `1`, `-3.50`, `+3`, `.5`, `1e5` and spaces around them are numbers.

    Args:
        values: [n] str, numbers, and None for NaN.

    Raises:
        ValueError: If one is none; the message says which, and what to do.

    Example:
        >>> spelled_numbers(["1e5", "+3", " .5"])
        array([1.e+05, 3.e+00, 5.e-01])
    """
    numbers = np.empty(len(values))
    for i, value in enumerate(values):
        if isinstance(value, str):
            if not SPELLING.fullmatch(value.strip()):
                raise ValueError(f"{value!r:.40} is no number{_advice(value.strip())}")
            value = value.strip()
        numbers[i] = np.nan if value is None else float(value)
    return numbers


def _advice(text: str) -> str:
    if _COMMA.fullmatch(text):
        return (
            " as it is expected: without a separator of thousands, and with a point before the "
            "decimals, such as 1234.5"
        )
    if text.lower().lstrip("+-") in ("inf", "infinity"):
        return " that can be learned: it is not finite. Leave these rows out"
    return (
        f". If it stands for a missing value, say so: na_values=[{text!r}] (on the command line "
        f"--na-values {text}); else choose the column of the numbers"
    )
