"""Texts to write from, and texts to be written, as tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from ktlite.encodings.targets import SourceEncodings, TargetEncodings
from ktlite.encodings.tokens import TokenEncodings
from ktlite.errors import ArgumentError
from ktlite.inputs.tokenizer import Tokenizer


def encode_sources(tokenizer: Tokenizer, texts: Sequence[str], verbose: int = 0) -> SourceEncodings:
    """Returns the tokens of texts to write from."""
    made = tokenizer.encode(texts, verbose=verbose)
    return SourceEncodings(**_held(made), decode=tokenizer.for_targets.decode)


def encode_targets(tokenizer: Tokenizer, texts: Sequence[str]) -> TargetEncodings:
    """Returns the tokens of texts to be written.

    Raises:
        ArgumentError: If the model has no decoder beside its encoder.
    """
    if tokenizer.start_id is None:
        raise ArgumentError(
            "this checkpoint has no decoder that could write texts: choose one that reads and "
            "writes, such as T5, BART or Marian."
        )
    return TargetEncodings(
        **_held(tokenizer.for_targets.encode(texts)), start_id=tokenizer.start_id
    )


def _held(made: TokenEncodings) -> dict[str, Any]:
    return {field.name: getattr(made, field.name) for field in fields(TokenEncodings)}
