"""Questions and windows of contexts as tokens, compared with transformers' own."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer as RustTokenizer
from tokenizers import models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from ktlite.errors import DataError
from ktlite.inputs.contexts import overlapping, trimmed
from ktlite.inputs.tokenizer import Tokenizer

PAIRS = [
    ("good film?", "the film was good, and the movie was bad. " * 4),
    ("bad?", "the movie was bad"),
    ("good film?", "the movie was bad"),
    ("谁?", "房间很好"),
    ("good?", "  \n "),
]


@pytest.fixture
def byte_level(tmp_path: Path) -> Path:
    """A byte-level tokenizer with RoBERTa's four special tokens around a pair."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {piece: i for i, piece in enumerate(["<s>", "<pad>", "</s>", "<unk>", *alphabet])}
    rust = RustTokenizer(models.BPE(vocab, [], unk_token=None))
    rust.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    rust.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=False)
    rust.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"pad_token": "<pad>"}))
    return tmp_path


@pytest.mark.parametrize(("maxlen", "stride"), [(64, 16), (24, 4), (24, 0)])
@pytest.mark.parametrize("kind", ["wordpiece", "byte_level"])
def test_tokens_and_windows_are_those_of_transformers(
    kind: str, maxlen: int, stride: int, tiny_checkpoint: Path, request: pytest.FixtureRequest
) -> None:
    folder = tiny_checkpoint if kind == "wordpiece" else request.getfixturevalue("byte_level")
    reference = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    expected = reference(
        *map(list, zip(*PAIRS, strict=True)),
        truncation="only_second",
        max_length=maxlen,
        stride=stride,
        return_overflowing_tokens=True,
        return_token_type_ids=True,
    )
    encodings = Tokenizer(folder, maxlen).encode_contexts(PAIRS, stride=stride)
    rows = [ids.tolist() for ids in np.split(encodings.ids, encodings.offsets[1:-1])]
    assert rows == expected["input_ids"]
    assert encodings.example_of is not None
    assert encodings.example_of.tolist() == expected["overflow_to_sample_mapping"]
    for row, (first, last, place) in enumerate(encodings.windows.tolist()):
        inside = np.flatnonzero([s == 1 for s in expected.sequence_ids(row)])
        assert last - first == len(inside)
        assert inside.size == 0 or place == inside[0]
    if kind == "wordpiece":
        assert encodings.type_ids is not None
        assert encodings.type_ids.tolist() == sum(expected["token_type_ids"], [])
    else:
        assert encodings.type_ids is None


def test_spans_are_the_characters_of_the_tokens(tiny_checkpoint: Path, byte_level: Path) -> None:
    words = Tokenizer(tiny_checkpoint, 64).encode_contexts([("good?", "the  film, good.")])
    found = ["the  film, good."[start:end] for start, end in words.spans[0]]
    assert found == ["the", "film", ",", "good", "."]
    one = Tokenizer(byte_level, 64).encode_contexts([("good?", "é b")])
    # A letter of two bytes; a space, which is no part of an answer; a letter.
    assert one.spans[0].tolist() == [[0, 1], [0, 1], [2, 2], [2, 3]]


@pytest.mark.parametrize(
    ("text", "spans", "expected"),
    [
        ("a bc", [(0, 1), (1, 4)], [(0, 1), (2, 4)]),
        ("a b", [(0, 1), (1, 2), (2, 3)], [(0, 1), (2, 2), (2, 3)]),
        ("  a\u3000", [(0, 4)], [(2, 3)]),
        ("   ", [(0, 3)], [(3, 3)]),
        ("Zoe\u0308 b", [(0, 3), (5, 6)], [(0, 4), (5, 6)]),  # an accent by itself
        ("in Bern", [(0, 2), (4, 7)], [(0, 2), (3, 7)]),  # it begins late
        ("in Bern", [(0, 2), (5, 7)], [(0, 2), (3, 7)]),
        ("in Bern.", [(0, 2), (3, 5), (7, 8)], [(0, 2), (3, 7), (7, 8)]),  # it ends early
        ("in Bern", [(0, 2), (3, 4), (6, 7)], [(0, 2), (3, 6), (6, 7)]),  # one left out
        ("-Bern", [(1, 5)], [(1, 5)]),  # a mark is no part of the word
        ("ab", [], []),
        ("", [], []),
    ],
)
def test_spans_lose_white_space_and_keep_accents(
    text: str, spans: list[tuple[int, int]], expected: list[tuple[int, int]]
) -> None:
    found = trimmed(text, np.array(spans, "int64").reshape(-1, 2))
    assert [tuple(span) for span in found.tolist()] == expected


P = pre_tokenizers
WORDS = "In that year Anna and Zoë lived in 北京 or Самара"


@pytest.mark.parametrize("trim", [True, False])
@pytest.mark.parametrize(
    "splitter",
    [
        P.ByteLevel(add_prefix_space=True),
        P.ByteLevel(add_prefix_space=False),
        P.Sequence([P.Whitespace(), P.ByteLevel(add_prefix_space=True), P.Punctuation()]),
        P.Sequence([P.WhitespaceSplit(), P.ByteLevel(add_prefix_space=True)]),
        P.Metaspace(),
        P.Sequence([P.WhitespaceSplit(), P.Metaspace()]),
        P.BertPreTokenizer(),
    ],
    ids=["byte", "byte-no-prefix", "robbert", "words-byte", "metaspace", "xlm-r", "bert"],
)
def test_a_token_starts_at_the_start_of_each_word(
    splitter: P.PreTokenizer, trim: bool, tmp_path: Path
) -> None:
    """Also where a space is put before words, which post-processors take off the offsets again."""
    rust = RustTokenizer(models.BPE(unk_token="<unk>"))
    rust.pre_tokenizer = splitter
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    trainer = trainers.BpeTrainer(vocab_size=330, special_tokens=special, show_progress=False)
    rust.train_from_iterator([WORDS] * 20, trainer)
    rust.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim, True)
    rust.save(str(tmp_path / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<pad>"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    found = Tokenizer(tmp_path, 128).encode_contexts([("Who?", WORDS)]).spans[0]
    words = [match.span() for match in re.finditer(r"\S+", WORDS)]
    assert {start for start, _ in words} <= {*found[:, 0].tolist()}
    assert {end for _, end in words} <= {*found[:, 1].tolist()}


@pytest.mark.parametrize("tokens", [0, 1, 5, 6, 7, 40])
@pytest.mark.parametrize(("room", "stride"), [(6, 2), (6, 0), (6, 100), (1, 128)])
def test_windows_hold_every_token_and_overlap(tokens: int, room: int, stride: int) -> None:
    found = list(overlapping(tokens, room, stride))
    assert found[0][0] == 0
    assert found[-1][1] == tokens
    assert all(last - first <= room for first, last in found)
    shared = [end - start for (_, end), (start, _) in zip(found, found[1:], strict=False)]
    assert set(shared) <= {min(stride, room // 2)}


def test_a_context_is_tokenised_once(
    tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = Tokenizer(tiny_checkpoint, 64)
    seen: list[str] = []
    words = tokenizer.words
    monkeypatch.setattr(tokenizer, "words", lambda texts: seen.extend(texts) or words(texts))
    tokenizer.encode_contexts([(f"good {i}?", "the film") for i in range(50)])
    assert seen.count("the film") == 1


def test_a_question_without_room_for_its_context_is_refused(tiny_checkpoint: Path) -> None:
    question = "good " * 21
    with pytest.raises(DataError, match=r"text 1: the question has 21 tokens.*maxlen=24"):
        Tokenizer(tiny_checkpoint, 24).encode_contexts([("good?", "x"), (question, "the film")])
    assert len(Tokenizer(tiny_checkpoint, 25).encode_contexts([(question, "the film")])) == 2


def test_the_tokenizers_own_stride_goes_first(tiny_checkpoint: Path) -> None:
    pairs = [("good?", "the film was good. " * 10)]
    own = Tokenizer(tiny_checkpoint, 24, 3).encode_contexts(pairs, stride=8)
    given = Tokenizer(tiny_checkpoint, 24).encode_contexts(pairs, stride=3)
    assert own.windows.tolist() == given.windows.tolist()


def test_no_questions_give_no_rows(tiny_checkpoint: Path) -> None:
    assert len(Tokenizer(tiny_checkpoint, 24).encode_contexts([])) == 0
