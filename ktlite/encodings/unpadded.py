"""Rows of tokens without their padding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ktlite.errors import ArgumentError


def unpadded(inputs: Mapping[str, Any], pad: int | None = None) -> list[np.ndarray]:
    """Returns the rows of `input_ids` without padding, wherever it stands: each int32 [tokens].

    Args:
        inputs: A model's inputs, with or without a mask.
        pad: Without a mask, padding is what has this id. Default: without one there is none.

    Raises:
        ArgumentError: If there are no `input_ids`.
    """
    if "input_ids" not in inputs:
        raise ArgumentError(
            "generate: the inputs have no input_ids; give them, int [batch, length]."
        )
    ids = np.asarray(inputs["input_ids"], "int32")
    mask = inputs.get("attention_mask")
    tokens = np.ones(ids.shape, bool) if mask is None else np.asarray(mask) != 0
    if mask is None and pad is not None:
        tokens = ids != pad
    return [row[seen] for row, seen in zip(ids, tokens, strict=True)]
