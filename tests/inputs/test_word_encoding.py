"""Words to tokens, compared with transformers' `is_split_into_words`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer as RustTokenizer
from tokenizers import models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from ktlite.errors import DataError
from ktlite.inputs.tokenizer import Tokenizer

TEXTS = [
    ["the", "movie", "wasn't", "good", "."],
    ["房间", "很", "好"],
    ["zzz"],
    ["New York", "bad-ly"],
]


@pytest.fixture
def byte_level(tmp_path: Path) -> Path:
    """A byte-level tokenizer whose words have the space before them, as RoBERTa's."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = ["<s>", "<pad>", "</s>", "<unk>", *alphabet, "Ġg", "oo", "Ġgoo"]
    vocab = {piece: i for i, piece in enumerate(pieces)}
    rust = RustTokenizer(models.BPE(vocab, [("Ġ", "g"), ("o", "o"), ("Ġg", "oo")], unk_token=None))
    rust.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    rust.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    rust.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"pad_token": "<pad>"}))
    return tmp_path


@pytest.mark.parametrize("kind", ["wordpiece", "byte_level"])
def test_tokens_and_words_are_those_of_transformers(
    kind: str, tiny_checkpoint: Path, request: pytest.FixtureRequest
) -> None:
    folder = tiny_checkpoint if kind == "wordpiece" else request.getfixturevalue("byte_level")
    reference = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    if kind == "byte_level":
        reference.backend_tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    encodings = Tokenizer(folder, 64).encode_words(TEXTS)
    assert len(encodings) == len(TEXTS)
    for row, words in enumerate(TEXTS):
        expected = reference(words, is_split_into_words=True)
        ids = encodings.ids[encodings.offsets[row] : encodings.offsets[row + 1]]
        assert ids.tolist() == expected["input_ids"]
        assert encodings.words_in(row).tolist() == [
            -1 if word is None else word for word in expected.word_ids()
        ]


def test_words_that_mean_nothing_become_unknown_tokens(tiny_checkpoint: Path) -> None:
    tokenizer = Tokenizer(tiny_checkpoint, 16)
    encodings = tokenizer.encode_words([["good", "\u200b", "", "bad"], []])
    unknown = tokenizer.unknown_id
    good, bad = tokenizer.encode_words([["good", "bad"]]).ids[1:3]
    assert encodings.ids[1:5].tolist() == [good, unknown, unknown, bad]
    assert encodings.words_in(0).tolist() == [-1, 0, 1, 2, 3, -1]
    assert encodings.words_in(1).tolist() == [-1, -1]


@pytest.mark.parametrize("maxlen", [4, 7, 12])
def test_long_texts_are_windows_that_hold_every_word_once(
    tiny_checkpoint: Path, maxlen: int
) -> None:
    texts = [["good", "bad"] * 20, ["ok"], ["xyz" * 9, "the", "xyz"]]
    encodings = Tokenizer(tiny_checkpoint, maxlen).encode_words(texts)
    assert encodings.lengths.max() <= maxlen
    found: dict[int, list[int]] = {0: [], 1: [], 2: []}
    for row in range(len(encodings)):
        words = encodings.words_in(row)
        found[encodings.example(row)] += sorted(set(words[words >= 0].tolist()))
        batch = encodings.batch(np.array([row]))
        inside = batch["input_ids"][batch["attention_mask"] == 1]
        assert (inside[0], inside[-1]) == (2, 3)  # [CLS] and [SEP]
    assert found == {i: list(range(len(words))) for i, words in enumerate(texts)}


def test_half_a_character_is_refused(tiny_checkpoint: Path) -> None:
    with pytest.raises(DataError, match="text 1 is not Unicode"):
        Tokenizer(tiny_checkpoint, 16).encode_words([["a"], ["b", "\ud83d"]])


def test_rows_by_themselves_have_no_words(tiny_checkpoint: Path) -> None:
    encodings = Tokenizer(tiny_checkpoint, 16).encode(["a b"])
    assert encodings.example(0) == 0
    with pytest.raises(ValueError, match="not tokenised by words"):
        encodings.words_in(0)
