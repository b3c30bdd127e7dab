"""Which checkpoint is meant where ktrain's short names, or none, are given."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ktlite._logging import logger

if TYPE_CHECKING:
    from ktlite.text.transformer import Transformer

ENGLISH, CHINESE, OTHER = "en", "zh", "other"
TAGGING = "bert-base-cased"  # what words are tagged with where nothing is named
# In place of a checkpoint of English: those that ktrain takes for other languages.
_OTHERS = {
    "bert-base-uncased": {CHINESE: "bert-base-chinese", OTHER: "bert-base-multilingual-cased"},
    "bert-base-cased": {CHINESE: "bert-base-chinese", OTHER: "bert-base-multilingual-cased"},
    "distilbert-base-uncased": {
        CHINESE: "distilbert-base-multilingual-cased",
        OTHER: "distilbert-base-multilingual-cased",
    },
}
_TEXTS, _LETTERS = 64, 2_000  # looked at: texts, and letters of each
_LATIN = ((0x41, 0x24F), (0x1E00, 0x1EFF))
_HAN = ((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x323AF))


def in_language(checkpoint: str, lang: str | None, texts: Sequence[Any]) -> str:
    """Returns the checkpoint to take in place of one of English.

    Args:
        checkpoint: It.
        lang: The language, such as `"en"`. Default: by the script that the texts are in.
        texts: Some of the texts.
    """
    others = _OTHERS.get(checkpoint, {})
    language = script_of(texts) if lang is None else lang[:2].lower()
    default = checkpoint if language == ENGLISH else others.get(OTHER, checkpoint)
    chosen = others.get(language, default)
    logger.info("texts in %r: %s", language, chosen)
    return chosen


def names_checkpoint(name: str | os.PathLike[str], preproc: Transformer) -> bool:
    """Says whether a name is that of a preprocessor's checkpoint, or of its architecture."""
    from ktlite.models.config import read_config

    if Path(name) == Path(preproc.model_name):
        return True
    return not Path(name).is_dir() and read_config(preproc.folder)["model_type"] == os.fspath(name)


def script_of(texts: Sequence[Any]) -> str:
    """Returns `"zh"` where most letters are Chinese, `"other"` where most are not Latin, or "en".

    Which language it is that is written in Latin letters, letters do not say.

    Args:
        texts: Strings, pairs of strings or texts of words; the first ones are looked at.

    Example:
        >>> script_of(["房间很好"]), script_of(["хороший номер"]), script_of(["a good room"])
        ('zh', 'other', 'en')
    """
    counts = dict.fromkeys((ENGLISH, CHINESE, OTHER), 0)
    for text in itertools.islice(texts, _TEXTS):
        whole = getattr(text, "text", text)  # of words, the text that they are in
        whole = whole if isinstance(whole, str) else " ".join(map(str, whole))
        for letter in whole[:_LETTERS]:
            if letter.isalpha():
                counts[_script(ord(letter))] += 1
    # Kana beside Chinese characters is Japanese.
    if counts[CHINESE] > max(counts[ENGLISH], 4 * counts[OTHER]):
        return CHINESE
    return OTHER if counts[CHINESE] + counts[OTHER] > counts[ENGLISH] else ENGLISH


def _script(code: int) -> str:
    for script, ranges in ((ENGLISH, _LATIN), (CHINESE, _HAN)):
        if any(first <= code <= last for first, last in ranges):
            return script
    return OTHER
