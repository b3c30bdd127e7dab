"""Whether a tokenizer knows what a text is written in: a model says something of any text."""

from __future__ import annotations

import functools
import unicodedata
from collections import Counter
from collections.abc import Sequence

import numpy as np

from ktlite.inputs.tokenizer import Tokenizer

UNKNOWN = 0.3  # share of a text's tokens that is worth a remark
FEW = 3  # unknown tokens, where there are as many; an emoji among words is none of a text's matter
RARE = 0.01  # share of the vocabulary's letters: a script that has fewer is a foreign one
# Tokens a letter: words that the vocabulary knows have less than half a token a letter.
SPLIT = 0.6
_LOOKED_AT = 5_000  # entries of the vocabulary
_READ = 1_000  # characters of a text


class Familiarity:
    """Says which texts a tokenizer hardly knows.

    Args:
        tokenizer: The tokenizer.

    Example:
        >>> Familiarity(predictor.preproc.tokenizer).remarks(["Fine!", "房间很好。"])
        [None, "4 of 5 tokens are unknown to this model's tokenizer"]
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer.uncut()
        self._unknown = tokenizer.unknown_id

    def remarks(self, texts: Sequence[str]) -> list[str | None]:
        """Returns a remark for each text that the tokenizer hardly knows, None for the others."""
        read = [text[:_READ] for text in texts]
        encodings = self._tokenizer.encode(read)
        found = []
        for number, text in enumerate(read):
            ids = encodings.ids[slice(*encodings.offsets[number : number + 2])]
            found.append(self._remark(text, ids))
        return found

    def _remark(self, text: str, ids: np.ndarray) -> str | None:
        unknown = int((ids == self._unknown).sum())
        known = int(np.isin(ids, self._ordinary).sum())
        known -= int(unknown and self._unknown in self._ordinary) * unknown
        count = unknown + known
        if unknown >= min(FEW, count or 1) and unknown / count >= UNKNOWN:
            return f"{unknown} of {count} tokens are unknown to this model's tokenizer"
        letters = [character for character in text if character.isalpha()]
        if not letters or count / len(letters) < SPLIT:
            return None
        ((script, _),) = Counter(map(_script, letters)).most_common(1)
        if self._scripts.get(script, 0.0) >= RARE:
            return None
        return f"its script ({script.lower()}) is foreign to this model's tokenizer"

    @functools.cached_property
    def _ordinary(self) -> np.ndarray:
        return self._tokenizer.ordinary_ids()

    @functools.cached_property
    def _scripts(self) -> dict[str, float]:
        """The share of each script in the letters of the vocabulary, from a sample."""
        some = self._ordinary[:: max(1, len(self._ordinary) // _LOOKED_AT)]
        letters: Counter[str] = Counter()
        for number in some.tolist():
            letters.update(_script(c) for c in self._tokenizer.decode([number]) if c.isalpha())
        return {script: count / letters.total() for script, count in letters.items()}


def _script(character: str) -> str:
    """Returns the first word of a letter's name, such as `"LATIN"`; of ideographs `"CJK"`."""
    return unicodedata.name(character, "").partition(" ")[0]
