"""Tokens of texts to write from, and of texts to be written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from ktlite.encodings.encodings import Seed
from ktlite.encodings.field import Field
from ktlite.encodings.tokens import TokenEncodings

IGNORE = -100  # a target that does not count, as Hugging Face has it


class Spells(Protocol):
    """What knows what the tokens that a model writes are as text."""

    @property
    def decode(self) -> Callable[[np.ndarray], str]:
        """Turns the tokens of a text into the text, with the white space around it."""

    @property
    def settled(self) -> Callable[[np.ndarray], str]:
        """Turns the first tokens of a text into as much as no token behind them can change."""


@dataclass(frozen=True, eq=False, kw_only=True)
class SourceEncodings(TokenEncodings):
    """Tokens of texts from which others are written.

    Args:
        decode: Turns the tokens of a text into the text, with the white space around it.
        settled: Turns the first tokens of a text into as much of it as no token behind them can
            change any more.
    """

    decode: Callable[[np.ndarray], str]
    settled: Callable[[np.ndarray], str]


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


@dataclass(frozen=True, eq=False, kw_only=True)
class PromptEncodings(SourceEncodings):
    """Tokens of texts that a decoder alone goes on with.

    Args:
        counted: bool [tokens], those that it learns to write, too: earlier replies of a chat.
        end: int32 [tokens], what comes behind a text that it is to write.
    """

    counted: np.ndarray
    end: np.ndarray


@dataclass(frozen=True, eq=False, kw_only=True)
class ContinuedEncodings(PromptEncodings):
    """The same with the texts that are to be written behind them."""

    @property
    def fields(self) -> tuple[Field, ...]:
        """What a batch holds: int32 arrays [batch, length]."""
        ids, *others = super().fields
        return (ids, *others, replace(ids, name="labels", fill=IGNORE))

    def batch(self, rows: np.ndarray, seed: Seed | None = None) -> dict[str, np.ndarray]:
        """Returns the tokens of rows, and as `labels` what follows each; `IGNORE` if not learned.

        Of what a row is given, and behind its end, nothing is.
        """
        batch = super().batch(rows, seed)
        ids, there = batch["input_ids"], batch["attention_mask"] == 1
        starts = (self.offsets if self.starts is None else self.starts)[rows]
        where = np.minimum(starts[:, None] + np.arange(ids.shape[1]), len(self.ids) - 1)
        wanted = np.where(self.counted[where] & there, ids, IGNORE)
        labels = np.full_like(ids, IGNORE)
        labels[:, :-1] = wanted[:, 1:]
        return {**batch, "labels": labels}
