"""What was read of a checkpoint's tokenizer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ktlite.inputs.languages import Languages
from ktlite.inputs.numbered_pieces import Numbers


@dataclass(frozen=True)
class Reading:
    """A tokenizer as it was read.

    Args:
        rust: It cuts nothing and pads nothing.
        files: What `save` writes, by name; where `tokenizer.json` is among them, it alone gives
            the ids of `rust`.
        side: Where texts that are too long are cut, `"right"` or `"left"`.
        pad_id: What padding is filled with.
        framed_by: The class of `transformers` whose special tokens are put around texts in place
            of none; "" where `tokenizer.json` has its own, or there are none.
        numbers: What the ids of `rust` stand for, where they are not those of the model.
        writer: Turns ids into text where the entries of `rust` have other names.
        targets: Of texts to be written, where these are read in another way.
        languages: What it says of languages, where texts are of one of several.
    """

    rust: Any
    files: Mapping[str, bytes]
    side: str
    pad_id: int
    framed_by: str = ""
    numbers: Numbers | None = None
    writer: Any = None
    targets: Reading | None = None
    languages: Languages | None = None
