"""The special tokens around texts, compared with what the tokenizer itself puts there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer as Rust
from tokenizers import processors

from ktlite.inputs.frame import Frame

SPECIAL = {"bos": 2, "eos": 3}


def rust(golden: Path, kind: str) -> Any:
    made = Rust.from_file(str(golden / "tiny-tokenizer" / "tokenizer.json"))
    made.no_padding()
    made.no_truncation()
    words = sorted(made.get_vocab(), key=made.get_vocab().get)
    a, b = words[SPECIAL["bos"]], words[SPECIAL["eos"]]
    templates = {
        "bert": (f"{a} $A {b}", f"{a} $A {b} $B:1 {b}:1"),
        "roberta": (f"{a} $A {b}", f"{a} $A {b} {b} $B {b}"),
        "end only": (f"$A {b}", f"$A {b} $B:1 {b}:1"),
        "none": ("$A", "$A $B:1"),
    }
    single, pair = templates[kind]
    made.post_processor = processors.TemplateProcessing(
        single=single, pair=pair, special_tokens=[(a, SPECIAL["bos"]), (b, SPECIAL["eos"])]
    )
    return made


@pytest.mark.parametrize("kind", ["bert", "roberta", "end only", "none"])
@pytest.mark.parametrize("texts", [["a good film"], ["a good film", "not a film"]])
def test_the_frame_is_the_tokenizers(golden: Path, kind: str, texts: list[str]) -> None:
    tokenizer = rust(golden, kind)
    expected = tokenizer.encode(*texts)
    parts = [np.array(tokenizer.encode(t, add_special_tokens=False).ids) for t in texts]
    frame = Frame.of(tokenizer, len(texts))
    ids, types, starts = frame.around(parts)
    assert list(ids) == expected.ids
    assert list(types) == expected.type_ids
    assert starts == [expected.sequence_ids.index(i) for i in range(len(texts))]
    assert frame.size == len(expected.ids) - sum(map(len, parts))


def test_a_text_that_is_unknown_has_the_same_frame(golden: Path) -> None:
    tokenizer = rust(golden, "bert")
    content = json.loads(tokenizer.to_str())
    vocab = content["model"]["vocab"]
    del vocab["a"]  # the probe is a token of many tokenizers, but not of all
    content["model"]["vocab"] = {**vocab, "[gone]": max(vocab.values()) + 1}
    frame = Frame.of(Rust.from_str(json.dumps(content)), 1)
    assert [list(s) for s in frame.specials] == [[2], [3]]
