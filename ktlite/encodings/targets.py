"""Tokens of texts to write from, and of texts to be written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ktlite.encodings.encodings import Seed
from ktlite.encodings.field import Field
from ktlite.encodings.tokens import TokenEncodings

IGNORE = -100  # a target that does not count, as Hugging Face has it


@dataclass(frozen=True, eq=False, kw_only=True)
class SourceEncodings(TokenEncodings):
    """Tokens of texts from which others are written.

    Args:
        decode: Turns the tokens of a text into the text.
    """

    decode: Callable[[np.ndarray], str]


@dataclass(frozen=True, eq=False, kw_only=True)
class TargetEncodings(TokenEncodings):
    """Tokens of texts that a decoder learns to write: it is given all but the last of them.

    Args:
        start_id: What a decoder starts with.
    """

    start_id: int

    @property
    def fields(self) -> tuple[Field, ...]:
        """What a batch holds: int32 arrays [batch, length]."""
        ids = super().fields[0]
        return (ids, replace(ids, name="labels", fill=IGNORE))

    def batch(self, rows: np.ndarray, seed: Seed | None = None) -> dict[str, np.ndarray]:
        """Returns `input_ids`, what the decoder is given, and `labels`, what it is to write.

        `labels` are `IGNORE` where a row is padded.
        """
        batch = super().batch(rows, seed)
        ids, there = batch["input_ids"], batch["attention_mask"] == 1
        given = np.full_like(ids, self.pad_id)
        given[:, 0] = self.start_id
        given[:, 1:] = ids[:, :-1]
        return {"input_ids": given, "labels": np.where(there, ids, IGNORE).astype("int32")}
