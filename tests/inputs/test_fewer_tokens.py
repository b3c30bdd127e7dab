"""Tokenizers with a part of their vocabulary cut the texts they were made for as before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer as RustTokenizer
from tokenizers import models
from transformers import AutoTokenizer

from ktlite.errors import ArgumentError
from ktlite.inputs.fewer_tokens import kept_tokens, with_tokens
from ktlite.inputs.tokenizer import FILE, Tokenizer
from tests.inputs.test_token_files import CASES, folder_of, ids, name

# One of each kind of vocabulary, with added tokens and without.
CHOSEN = {(case["model_type"], case["file"]): case for case in CASES}.values()


def old_ids(rows: list[list[int]], kept: np.ndarray) -> list[list[int]]:
    return [kept[row].tolist() for row in rows]


@pytest.mark.parametrize("case", CHOSEN, ids=name)
def test_texts_have_the_same_tokens_at_the_same_places(
    case: dict[str, Any], tmp_path: Path
) -> None:
    """Here, from the saved folder, and in transformers; and other texts can be read."""
    folder = folder_of(case, tmp_path)
    texts, others = case["texts"][::2], case["texts"][1::2]
    whole = Tokenizer(folder, 256)
    used = np.unique(np.concatenate([whole.encode(texts).ids, [whole.pad_id]]))
    small, kept = whole.narrowed(used)
    assert len(kept) < whole.vocab_size
    assert small.vocab_size == len(kept)
    assert small.token(small.pad_id) == whole.token(whole.pad_id)
    before = ids(whole, texts)
    assert old_ids(ids(small, texts), kept) == before
    places = [[row.offsets for row in tokenizer.located(texts)] for tokenizer in (whole, small)]
    assert places[0] == places[1]

    saved = tmp_path / "saved"
    saved.mkdir()
    facts = small.save(saved)
    assert old_ids(ids(Tokenizer.load(saved, facts), texts), kept) == before
    assert old_ids(ids(Tokenizer(saved, 256), texts), kept) == before
    config = {"model_type": case["model_type"], "vocab_size": len(kept)}
    (saved / "config.json").write_text(json.dumps(config))
    theirs = AutoTokenizer.from_pretrained(saved)
    assert old_ids([theirs(text)["input_ids"] for text in texts], kept) == before

    for text in others:  # in smaller pieces, of which each part is one of the vocabulary
        row = small.encode([text])
        assert len(row.ids) >= len(whole.encode([text]).ids)
        assert (
            not (kept[row.ids] == whole.unknown_id).sum()
            > (whole.encode([text]).ids == whole.unknown_id).sum()
        )


def bpe(merges: list[tuple[str, str]], vocab: str) -> dict[str, Any]:
    entries = {token: number for number, token in enumerate(vocab.split())}
    return json.loads(RustTokenizer(models.BPE(entries, merges)).to_str())


def test_a_bpe_token_keeps_what_it_is_merged_from_and_no_more() -> None:
    """`abcd` needs `ab` and `cd`; `bc` and `abc` were on no way to it."""
    content = bpe(
        [("a", "b"), ("c", "d"), ("b", "c"), ("ab", "c"), ("ab", "cd")],
        "a b c d ab cd bc abc abcd",
    )
    before = json.dumps(content).encode()
    kept = kept_tokens(before, [8])
    assert kept.tolist() == [0, 1, 2, 3, 4, 5, 8]
    after = RustTokenizer.from_buffer(with_tokens({FILE: before}, kept)[FILE])
    assert after.encode("abcd").tokens == ["abcd"]
    assert after.encode("abc").tokens == ["ab", "c"]


def test_a_unigram_keeps_its_least_probable_piece() -> None:
    """What is unknown scores ten below it, and so as before."""
    vocab = [("<unk>", 0.0), ("ab", -2.0), ("a", -3.0), ("b", -3.0), ("rare", -9.0), ("cd", -4.0)]
    content = RustTokenizer(models.Unigram(vocab, 0)).to_str().encode()
    kept = kept_tokens(content, [1])
    assert kept.tolist() == [0, 1, 2, 3, 4]
    made = json.loads(with_tokens({FILE: content}, kept)[FILE])
    assert [piece for piece, _ in made["model"]["vocab"]] == ["<unk>", "ab", "a", "b", "rare"]


def test_ideographs_go_on_with_no_word_in_wordpiece() -> None:
    """Each is a word of its own there: `##中` can be on no text's way."""
    vocab = {token: i for i, token in enumerate(["[UNK]", "中", "##中", "a", "##a", "film"])}
    content = RustTokenizer(models.WordPiece(vocab, unk_token="[UNK]")).to_str().encode()
    assert kept_tokens(content, []).tolist() == [0, 1, 3, 4]


def test_what_has_no_tokenizer_json_is_refused(golden: Path) -> None:
    tokenizer = Tokenizer(golden / "writers" / "marian", 32)
    with pytest.raises(ArgumentError, match="SentencePiece models with ids of their own"):
        tokenizer.narrowed(np.arange(5))
