"""Texts that a tokenizer hardly knows, and those that it does."""

from __future__ import annotations

from pathlib import Path

import pytest

from ktlite.inputs.familiarity import Familiarity
from ktlite.inputs.tokenizer import Tokenizer


@pytest.mark.checkpoint
@pytest.mark.parametrize(
    ("text", "remark"),
    [
        ("The film was great!", None),
        ("Das Zimmer war sehr schön, aber nicht günstig", None),
        ("Great 😀", None),
        ("BBC 1999, XJ-12", None),
        ("", None),
        ("12 + 30 = 42", None),
        ("房间很好，但是不便宜。", "8 of 11 tokens are unknown"),  # counted by hand
        ("😀", "1 of 1 tokens are unknown"),
        ("Комната была очень хорошая", "script (cyrillic) is foreign"),
        ("영화가 재미있었다", "script (hangul) is foreign"),
        ("الفيلم كان رائعا", "script (arabic) is foreign"),
    ],
)
def test_an_english_tokenizer(minilm: Path, text: str, remark: str | None) -> None:
    (found,) = Familiarity(Tokenizer(minilm, 4)).remarks([text])
    assert (found is None) if remark is None else (remark in str(found))


def test_a_tokenizer_knows_what_it_was_trained_on(tiny_checkpoint: Path) -> None:
    tokenizer = Tokenizer(tiny_checkpoint, 8)
    assert Familiarity(tokenizer).remarks(["a good film", "房间很好", ""]) == [None, None, None]
    (found,) = Familiarity(tokenizer).remarks(["ⴰⵣⵓⵍ ⴼⵍⵍⴰⵡⵏ ⴰⵣⵓⵍ"])
    assert "unknown" in str(found)
