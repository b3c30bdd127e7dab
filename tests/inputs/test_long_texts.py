"""Of texts that are far too long only the beginning is tokenised, to the same tokens."""

from __future__ import annotations

import random
import time
from pathlib import Path

import numpy as np
import pytest

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


def test_a_million_characters_cost_little(golden: Path) -> None:
    tokenizer = Tokenizer(golden / "tiny-tokenizer", 40)
    text = "good film 房间 " * 80_000
    started = time.process_time()
    whole = tokenizer._rust.encode_batch([text])
    middle = time.process_time()
    encodings = tokenizer.encode([text])
    assert encodings.ids.tolist() == whole[0].ids
    assert time.process_time() - middle < (middle - started) / 5
