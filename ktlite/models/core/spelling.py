"""How a model learns to spell what it hears."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SpellingSpec:
    """How a model learns to spell what it hears: in each frame a character or a blank (CTC)."""

    blank: int = 0  # the number of the blank
    size: int = 32  # of the checkpoint's vocabulary
    reduction: str = "sum"  # "mean": the loss of a text is divided by its length
    zero_infinity: bool = False  # whether a text that its frames cannot say counts nothing
