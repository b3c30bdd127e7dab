"""How many of the words and characters that were said are wrong in what was heard."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ktlite._extras import needs_extra


@needs_extra("sound", "counting the words that were heard wrong")
def count_errors(true: Sequence[str], heard: Sequence[str]) -> dict[str, np.ndarray]:
    """Counts errors in texts as they are: case and punctuation count, white space does not.

    Args:
        true: What was said.
        heard: What was heard of each.

    Returns:
        `words` and `characters`, float64 [texts, 2]: how many are wrong, and how many were said.
    """
    import jiwer

    pairs = list(zip(true, heard, strict=True))
    words = [_errors(jiwer.process_words, *pair, str.split) for pair in pairs]
    characters = [_errors(jiwer.process_characters, *pair, list) for pair in pairs]
    return {
        "words": np.array(words, "float64").reshape(-1, 2),
        "characters": np.array(characters, "float64").reshape(-1, 2),
    }


def error_rates(counted: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Returns word and character error rate, `wer` and `cer`, of what `count_errors` returned."""
    return {
        name: float(counted[kind][:, 0].sum() / max(counted[kind][:, 1].sum(), 1))
        for name, kind in (("wer", "words"), ("cer", "characters"))
    }


def _errors(
    process: Any, true: str, heard: str, parts: Callable[[str], list[str]]
) -> tuple[int, int]:
    """Returns how many words, or characters, are wrong, and of how many that were said."""
    true, heard = (" ".join(text.split()) for text in (true, heard))
    said = len(parts(true))
    if not said:  # which jiwer refuses
        return len(parts(heard)), 0
    found = process(true, heard)
    return found.substitutions + found.deletions + found.insertions, said
