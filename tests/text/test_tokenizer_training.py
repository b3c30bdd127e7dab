"""Tokenizers learned from texts: their pieces, their files, and what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tokenizers import Tokenizer as RustTokenizer
from transformers import AutoTokenizer

import ktlite
from ktlite.errors import ArgumentError, DataError
from ktlite.inputs.tokenizer import Tokenizer
from ktlite.text import tokenizer_training as module
from ktlite.text import train_tokenizer
from ktlite.text.tokenizer_training import KINDS

ENGLISH = [
    "The film is warm, funny and engaging; the actors are warm too.",
    "A slow film, and the slowest ending of the year (2008).",
    "Funny endings end well. The actors act, the directors direct.",
]
CHINESE = ["房间很好，服务也很好。", "房间不好，服务很差！", "酒店的服务很好，早餐不好。"]
# Unigram looks for pieces that several words share.
SHARED = ["The film, the films, then filmed or filmic.", "2008年，2008, 2009: 2008月"]
TEXTS = (ENGLISH + CHINESE + SHARED) * 3
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
UNSEEN = [
    "Warm actors?",
    "服务很好, the film 不好",
    "",
    "   ",
    " two  spaces\tand\na line",
    "Ünïcödé 🙂 ½ ｆｕｌｌ",
    "a [MASK] film, 很[MASK]好 [SEP]",
    "very " * 60,
]
PAIRS = [("The film", "服务很好"), ("", ""), ("a" * 50, "warm"), ("warm " * 40, "slow " * 40)]
MODEL_TYPES = [
    "albert",
    "bert",
    "camembert",
    "deberta-v2",
    "distilbert",
    "electra",
    "modernbert",
    "mpnet",
    "roberta",
    "xlm-roberta",
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tokenizer of each kind, trained on TEXTS. Do not write here."""
    parent = tmp_path_factory.mktemp("tokenizers")
    return {kind: train_tokenizer(TEXTS, parent / kind, kind, 320, verbose=0) for kind in KINDS}


@pytest.fixture
def train(tmp_path: Path) -> Callable[..., RustTokenizer]:
    def call(texts: Any, kind: str = "wordpiece", vocab_size: int = 400, **more: Any) -> Any:
        folder = train_tokenizer(texts, tmp_path / "out", kind, vocab_size, verbose=0, **more)
        return rust(folder)

    return call


def rust(folder: Path) -> RustTokenizer:
    return RustTokenizer.from_file(str(folder / "tokenizer.json"))


def tokens(tokenizer: RustTokenizer, text: str) -> list[str]:
    return list(tokenizer.encode(text, add_special_tokens=False).tokens)


def by_id(tokenizer: RustTokenizer) -> list[str]:
    vocab = tokenizer.get_vocab()
    return sorted(vocab, key=lambda token: vocab[token])


# What is learned


@pytest.mark.parametrize(
    ("kind", "text", "pieces"),
    [
        ("wordpiece", "The warm film, funny", ["The", "warm", "film", ",", "funny"]),
        ("wordpiece", "很好", ["很", "好"]),
        ("wordpiece", "warmer film☃", ["warm", "##e", "##r", "[UNK]"]),
        ("bpe", "The film, the", ["The", "Ġfilm", ",", "Ġthe"]),
        ("bpe", "☃", ["â", "ĺ", "ĥ"]),
        ("unigram", "the film, a film", ["▁the", "▁film", ",", "▁a", "▁film"]),
        ("unigram", "film ☃", ["▁film", "▁", "☃"]),
        ("unigram", "服务，", ["▁", "服务", ","]),
        ("character", "The 很好☃", ["T", "h", "e", "很", "好", "[UNK]"]),
    ],
)
def test_pieces(folders: dict[str, Path], kind: str, text: str, pieces: list[str]) -> None:
    assert tokens(rust(folders[kind]), text) == pieces


@pytest.mark.parametrize(
    ("kind", "unknown"), [("wordpiece", 1), ("bpe", 0), ("unigram", 1), ("character", 1)]
)
def test_unseen_characters_are_unknown_but_to_bpe(
    folders: dict[str, Path], kind: str, unknown: int
) -> None:
    assert rust(folders[kind]).encode("film ☃").ids.count(1) == unknown


def test_first_merges_of_bpe_are_those_of_the_paper(train: Callable[..., RustTokenizer]) -> None:
    # Sennrich et al. 2016, figure 1, without its end-of-word sign: e s, es t, l o, lo w.
    words = ["low"] * 5 + ["lower"] * 2 + ["newest"] * 6 + ["widest"] * 3
    assert by_id(train(words, "bpe", 265))[261:] == ["es", "est", "lo", "low"]


def test_wordpiece_starts_from_the_characters_of_the_texts(
    train: Callable[..., RustTokenizer],
) -> None:
    found = by_id(train(["low low lower"], min_frequency=99))
    assert sorted(found[5:]) == ["##e", "##o", "##r", "##w", "e", "l", "o", "r", "w"]


def test_unigram_does_not_mix_words_numbers_and_symbols(
    train: Callable[..., RustTokenizer],
) -> None:
    texts = [
        f"{a}，{b}。{a}的{b} {year}年 in{year}"
        for a in ("很好", "很快", "不好")
        for b in ("服务很好", "我们很好", "房间不好")
        for year in (2008, 2009, 1999)
    ]
    pieces = by_id(train(texts, "unigram", 100))[5:]
    kinds = [
        {"9" if c.isdigit() else "a" if c.isalpha() else "." for c in piece.lstrip("▁")}
        for piece in pieces
    ]
    assert {"很好", "▁200", "很快的"} <= set(pieces)
    assert [piece for piece, found in zip(pieces, kinds, strict=True) if len(found) > 1] == []


def test_unigram_has_a_space_only_where_the_text_has_one(folders: dict[str, Path]) -> None:
    tokenizer = rust(folders["unigram"])
    found = tokens(tokenizer, "film[MASK]film [MASK] film")
    assert (found[:2], found[-2:]) == (["▁film", "[MASK]"], [" [MASK]", "▁film"])
    assert "".join(found[2:-2]) == "film"


def test_frequent_words_count_as_often_as_they_occur(
    train: Callable[..., RustTokenizer], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(TEXTS, "bpe", 300).to_str()
    monkeypatch.setattr(module, "_REPEATS", 2)
    assert train(TEXTS, "bpe", 300).to_str() == whole


def test_characters_are_ranked_by_how_often_they_occur(
    train: Callable[..., RustTokenizer],
) -> None:
    counts = Counter("".join("".join(CHINESE).split()))
    ranked = sorted(counts, key=lambda c: (-counts[c], c))
    assert by_id(train(CHINESE, "character", min_frequency=1)) == [*SPECIAL, *ranked]
    assert by_id(train(CHINESE, "character", 9, min_frequency=1)) == [*SPECIAL, *ranked[:4]]
    frequent = [c for c in ranked if counts[c] >= 3]
    assert by_id(train(CHINESE, "character", min_frequency=3)) == [*SPECIAL, *frequent]


@pytest.mark.parametrize("kind", KINDS)
def test_lowercase_strips_accents_too(kind: str, train: Callable[..., RustTokenizer]) -> None:
    tokenizer = train(["Ärger café ÉCOLE"] * 3, kind, lowercase=True)
    assert tokens(tokenizer, "ÄRGER Cafe école") == tokens(tokenizer, "arger cafe ecole")
    assert "[UNK]" not in tokens(tokenizer, "ÄRGER Cafe")
    cased = train(["Ärger café ÉCOLE"] * 3, kind)
    assert tokens(cased, "Ärger") != tokens(cased, "arger")


@pytest.mark.parametrize("kind", KINDS)
def test_result_does_not_exceed_the_vocab_size(
    kind: str, train: Callable[..., RustTokenizer]
) -> None:
    tokenizer = train(TEXTS, kind, 290 if kind == "bpe" else 110)
    assert tokenizer.get_vocab_size() <= (290 if kind == "bpe" else 110)
    assert by_id(tokenizer)[:5] == SPECIAL
    assert sorted(tokenizer.get_vocab().values()) == list(range(tokenizer.get_vocab_size()))


@pytest.mark.parametrize(
    ("kind", "text", "back"),
    [
        ("bpe", " Any  text,\tof ☃ any 文字\n", " Any  text,\tof ☃ any 文字\n"),
        ("unigram", "The  film, (2008)  很好，", "The film, (2008) 很好,"),
        ("wordpiece", "the warm directors", "the warm directors"),
        ("character", "服务 很好。", "服务很好。"),
    ],
)
def test_decoding(folders: dict[str, Path], kind: str, text: str, back: str) -> None:
    tokenizer = rust(folders[kind])
    assert tokenizer.decode(tokenizer.encode(text).ids) == back


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "character"])
def test_places_of_the_tokens_are_those_of_the_words(folders: dict[str, Path], kind: str) -> None:
    text = "the warm film"
    encoding = rust(folders[kind]).encode(text, add_special_tokens=False)
    assert "".join(text[a:b] for a, b in encoding.offsets) == "thewarmfilm"


# The files


@pytest.mark.parametrize("model_type", [None, *MODEL_TYPES])
@pytest.mark.parametrize("kind", KINDS)
def test_transformers_gives_the_same_ids(
    folders: dict[str, Path], kind: str, model_type: str | None, tmp_path: Path
) -> None:
    for file in folders[kind].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    if model_type:
        (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}))
    theirs, ours = AutoTokenizer.from_pretrained(tmp_path), Tokenizer(tmp_path, 40)
    for texts in (UNSEEN, PAIRS):
        encodings, batch = ours.encode(texts), theirs(texts, truncation=True, max_length=40)
        ids = np.concatenate(batch["input_ids"])
        np.testing.assert_array_equal(encodings.ids, ids)
        types = np.zeros_like(ids) if encodings.type_ids is None else encodings.type_ids
        np.testing.assert_array_equal(types, np.concatenate(batch["token_type_ids"]))
    assert [getattr(theirs, f"{t[1:-1].lower()}_token_id") for t in SPECIAL] == [0, 1, 2, 3, 4]
    assert theirs.model_max_length == 512
    assert (ours.pad_id, ours.vocab_size) == (0, len(theirs))


@pytest.mark.parametrize("kind", KINDS)
def test_formats_are_those_of_bert(folders: dict[str, Path], kind: str) -> None:
    tokenizer = rust(folders[kind])
    (a, b) = (tokens(tokenizer, text) for text in ("warm", "film"))
    pair = tokenizer.encode("warm", "film")
    assert tokenizer.encode("warm").tokens == ["[CLS]", *a, "[SEP]"]
    assert pair.tokens == ["[CLS]", *a, "[SEP]", *b, "[SEP]"]
    assert pair.type_ids == [0] * (len(a) + 2) + [1] * (len(b) + 1)


@pytest.mark.parametrize("kind", KINDS)
def test_mask_takes_the_space_before_it(folders: dict[str, Path], kind: str) -> None:
    tokenizer = rust(folders[kind])
    with_space = tokens(tokenizer, "warm [MASK] film")
    assert [token.strip() for token in with_space].count("[MASK]") == 1
    around = [token for token in with_space if token.strip() != "[MASK]"]
    assert around == tokens(tokenizer, "warm film")


def test_maxlen_is_for_transformers(tmp_path: Path) -> None:
    folder = train_tokenizer(ENGLISH, tmp_path / "out", maxlen=64, verbose=0)
    assert AutoTokenizer.from_pretrained(folder).model_max_length == 64


@pytest.mark.parametrize("kind", KINDS)
def test_same_texts_give_the_same_files(
    folders: dict[str, Path], kind: str, tmp_path: Path
) -> None:
    # In another process, as hash maps have a seed for each, and in another order.
    script = "import json, sys, ktlite; ktlite.text.train_tokenizer(*json.loads(sys.argv[1]))"
    arguments = json.dumps([TEXTS[::-1], str(tmp_path / "out"), kind, 320])
    subprocess.run([sys.executable, "-c", script, arguments], check=True, capture_output=True)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (tmp_path / "out" / name).read_bytes() == (folders[kind] / name).read_bytes()


# Where texts come from


def write(path: Path, texts: list[str], encoding: str = "utf-8") -> Path:
    path.write_text("\n".join(texts) + "\n", encoding=encoding)
    return path


def sources(folder: Path) -> dict[str, tuple[Any, dict[str, Any]]]:
    write(folder / "a.txt", CHINESE[:1], "gb18030")
    write(folder / "b.txt", CHINESE[1:])
    write(folder / "[c].text", CHINESE)
    frame = pd.DataFrame({"review": CHINESE, "n": [1, 2, 3]})
    frame.to_csv(folder / "d.csv", sep="|", index=False)
    return {
        "list": (CHINESE, {}),
        "generator": ((text for text in CHINESE), {}),
        "series": (frame["review"], {}),
        "array": (np.array(CHINESE), {}),
        "frame": (frame, {"text_column": "review"}),
        "csv": (folder / "d.csv", {"text_column": "review", "sep": "|"}),
        "pattern": (f"{folder}/*.txt", {}),
        "file": (folder / "[c].text", {}),
        "files": ([folder / "a.txt", folder / "b.txt"], {}),
    }


SOURCES = ["list", "generator", "series", "array", "frame", "csv", "pattern", "file", "files"]


@pytest.mark.parametrize("source", SOURCES)
def test_sources(source: str, tmp_path: Path, train: Callable[..., RustTokenizer]) -> None:
    texts, more = sources(tmp_path)[source]
    expected = train(CHINESE, "character", min_frequency=1).to_str()
    assert train(texts, "character", min_frequency=1, **more).to_str() == expected


def test_generator_is_read_one_text_at_a_time(train: Callable[..., RustTokenizer]) -> None:
    alive = 0

    class Text(str):
        def __init__(self, _: str) -> None:
            nonlocal alive
            alive += 1
            assert alive <= 3

        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    assert train((Text(text) for text in TEXTS), "bpe", 300).get_vocab_size() == 300


# What is refused


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([], "no texts"),
        (["", " \n"], "2 texts, all empty"),
        (["good", None], "text 1 is None of type NoneType; expected a string"),
        (pd.Series(["good", "film", np.nan]), "text 2 is nan of type float"),
        ([("good", "film")], "text 0 is .* of type tuple"),
        (["good", "\ud83d!"], "text 1 is not Unicode"),
        ("A text, not a path.", "there is no file .* If this is a text: pass it in a list"),
        ("A long text. " * 400, r"'A long .* is no path.* pass it in a list"),
        (5, "texts is of type int"),
        (pd.DataFrame({"text": ["good"]}), "name its column of texts"),
    ],
)
def test_wrong_texts(texts: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        train_tokenizer(texts, tmp_path / "out", verbose=0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "vocab_size", "message"),
    [
        # "abc": a, b, c; ##b, ##c; and ▁ for Unigram.
        ("wordpiece", 9, r"at least 10 .*5 special tokens, 3 characters, 2 with ##"),
        ("bpe", 260, r"at least 261 .*256 bytes"),
        ("unigram", 8, r"at least 9 .*4 characters"),
        ("character", 5, r"at least 6 "),
    ],
)
def test_too_small_a_vocabulary(
    kind: str, vocab_size: int, message: str, train: Callable[..., RustTokenizer]
) -> None:
    with pytest.raises(ArgumentError, match=f"vocab_size={vocab_size} is too small: .*{message}"):
        train(["abc", "abc"], kind, vocab_size)
    assert train(["abc", "abc"], kind, vocab_size + 1).get_vocab_size() <= vocab_size + 1


def test_no_character_is_frequent_enough(train: Callable[..., RustTokenizer]) -> None:
    with pytest.raises(ArgumentError, match="min_frequency=3 leaves nothing: .*'b', occurs 2"):
        train(["abb"], "character", min_frequency=3)


def test_wrong_arguments_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError) as caught:
        train_tokenizer(["a"], None, "wordpeice", 0, min_frequency=1.5, maxlen=-1)  # type: ignore[arg-type]
    message = str(caught.value)
    assert "Did you mean 'wordpiece'?" in message
    for part in ("folder=None", "vocab_size=0", "min_frequency=1.5", "maxlen=-1"):
        assert part in message
    with pytest.raises(ArgumentError, match="Did you mean 'vocab_size'"):
        train_tokenizer(["a"], tmp_path / "out", vocabsize=9)  # type: ignore[call-arg]


def test_only_a_tokenizer_is_replaced(tmp_path: Path) -> None:
    out = train_tokenizer(ENGLISH, tmp_path / "out", verbose=0)
    before = (out / "tokenizer.json").read_bytes()
    train_tokenizer(CHINESE, out, verbose=0)
    assert (out / "tokenizer.json").read_bytes() != before
    (out / "model.safetensors").write_bytes(b"weights")
    kept = {file.name: file.read_bytes() for file in out.iterdir()}
    with pytest.raises(ArgumentError, match=r"cannot save to .*model\.safetensors"):
        train_tokenizer(ENGLISH, out, verbose=0)
    assert {file.name: file.read_bytes() for file in out.iterdir()} == kept


def test_tokenizer_survives_a_training_that_fails(tmp_path: Path) -> None:
    out = train_tokenizer(ENGLISH, tmp_path / "out", verbose=0)
    before = (out / "tokenizer.json").read_bytes()
    with pytest.raises(DataError):
        train_tokenizer([*ENGLISH, None], out, verbose=0)
    assert os.listdir(tmp_path) == ["out"]
    assert (out / "tokenizer.json").read_bytes() == before


@pytest.mark.parametrize("kind", KINDS)
def test_verbose_0_is_silent(
    kind: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    ktlite.text.train_tokenizer(TEXTS, tmp_path / "out", kind, 320, verbose=0)
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []
    ktlite.text.train_tokenizer(TEXTS, tmp_path / "out", kind, 320)
    assert f"{kind} tokenizer" in caplog.text
