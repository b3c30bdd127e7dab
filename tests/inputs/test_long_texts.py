"""Of texts that are far too long only the beginning is tokenised, to the same tokens."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ktlite.inputs.long_texts import encode_read
from ktlite.inputs.tokenizer import Tokenizer

WORDS = [
    "good",
    "film",
    "unbelievably",
    "not",
    "房间很好",
    "3.5",
    "!!!",
    "\n",
    "\t ",
    "e\u0301",
    "🎬",
]


@pytest.mark.parametrize("maxlen", [4, 16, 40])
def test_the_tokens_are_those_of_the_whole_text(golden: Path, maxlen: int) -> None:
    tokenizer = Tokenizer(golden / "tiny-tokenizer", maxlen)
    rng = random.Random(maxlen)
    texts = [
        "".join(rng.choices(WORDS, k=count)) if spaced else " ".join(rng.choices(WORDS, k=count))
        for spaced in (True, False)
        for count in (10, 300, 1_000, 5_000)
    ]
    # Few tokens, or none, where only the beginning is looked at.
    texts += [
        "x" * 9_000,
        " " * 9_000 + "good film " * 999,
        "x" * 9_000 + " good film",
        "房" * 9_000,
    ]
    whole = tokenizer._rust.encode_batch(texts)
    encodings = tokenizer.encode(texts)
    assert [len(e.ids) for e in whole] == encodings.lengths.tolist()
    np.testing.assert_array_equal(np.concatenate([e.ids for e in whole]), encodings.ids)


@pytest.mark.parametrize("side", ["right", "left"])
def test_of_a_million_characters_few_are_looked_at(golden: Path, side: str) -> None:
    rust = Tokenizer(golden / "tiny-tokenizer", 40)._rust
    rust.enable_truncation(40, direction=side)
    seen = []

    class Counting:
        def encode_batch_fast(self, texts: list[Any]) -> Any:
            seen.append(sum(map(len, texts)))
            return rust.encode_batch_fast(texts)

    text = "good film 房间 " * 80_000
    (encoded,) = encode_read(Counting(), [text], 40, side)
    assert encoded.ids == rust.encode_batch([text])[0].ids
    assert sum(seen) <= 50 * 40
