"""Token ids are those of `transformers`, from whichever files a checkpoint brings."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer as RustTokenizer
from transformers import AutoTokenizer

from ktlite.batching import Encodings
from ktlite.errors import CheckpointError, DataError
from ktlite.text import tokenizer as module
from ktlite.text.tokenizer import Tokenizer

TEXTS = [
    "The film was GREAT!",
    "房间很好, the hotel 不好",
    "",
    "   ",
    "Ünïcödé naïve café",
    "an emoji 🙂 and a tab\tand a newline\n",
    "[MASK] and [SEP] as written",
    "very " * 60,
]
PAIRS = [
    ("the film was good", "bad"),
    ("", ""),
    ("a" * 50, "good film"),
    ("not " * 40, "房间 " * 40),
    ("film", "very " * 40),
]


@pytest.fixture
def folder(golden: Path, tmp_path: Path) -> Path:
    """A copy of the tiny tokenizer, to damage."""
    return Path(shutil.copytree(golden / "tiny-tokenizer", tmp_path / "tokenizer"))


def rows(encodings: Encodings) -> tuple[list[list[int]], list[list[int]]]:
    """Returns the ids and the type ids of each text."""
    types = encodings.type_ids
    flat = np.zeros_like(encodings.ids) if types is None else types
    cuts = list(zip(encodings.offsets[:-1], encodings.offsets[1:], strict=True))
    ids = [encodings.ids[a:b].tolist() for a, b in cuts]
    return ids, [flat[a:b].tolist() for a, b in cuts]


def expected(folder: Path, texts: list[Any], maxlen: int) -> tuple[list[Any], list[Any]]:
    theirs = AutoTokenizer.from_pretrained(folder)
    batch = theirs(texts, truncation=True, max_length=maxlen)
    return batch["input_ids"], batch["token_type_ids"]


@pytest.mark.parametrize("maxlen", [4, 5, 12, 40])
@pytest.mark.parametrize("texts", [TEXTS, PAIRS], ids=["texts", "pairs"])
def test_tokens_are_those_of_transformers(golden: Path, texts: list[Any], maxlen: int) -> None:
    folder = golden / "tiny-tokenizer"
    encodings = Tokenizer(folder, maxlen).encode(texts)
    assert rows(encodings) == expected(folder, texts, maxlen)
    assert encodings.lengths.max() == maxlen == encodings.max_length
    assert encodings.ids.dtype == np.int32
    assert (encodings.type_ids is None) == (texts is TEXTS)


def test_texts_and_pairs_mix(golden: Path) -> None:
    tokenizer = Tokenizer(golden / "tiny-tokenizer", 40)
    ids, types = rows(tokenizer.encode(["good", ("bad", "film"), "not"]))
    assert [ids[0], ids[2]] == rows(tokenizer.encode(["good", "not"]))[0]
    assert [ids[1]] == rows(tokenizer.encode([("bad", "film")]))[0]
    assert [sum(t) > 0 for t in types] == [False, True, False]


def test_texts_of_several_chunks_keep_their_order(
    golden: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = Tokenizer(golden / "tiny-tokenizer", 12)
    texts = [*TEXTS, *PAIRS, *TEXTS]
    whole = rows(tokenizer.encode(texts))
    for chunk in (1, 2, 5, 21):
        monkeypatch.setattr(module, "_CHUNK", chunk)
        assert rows(tokenizer.encode(texts)) == whole


def test_no_texts_make_empty_encodings(golden: Path) -> None:
    encodings = Tokenizer(golden / "tiny-tokenizer", 12).encode([])
    assert len(encodings) == 0
    assert encodings.ids.shape == (0,)
    assert encodings.offsets.tolist() == [0]


def test_tokenising_twice_gives_the_same(golden: Path) -> None:
    tokenizer = Tokenizer(golden / "tiny-tokenizer", 12)
    assert rows(tokenizer.encode(TEXTS)) == rows(tokenizer.encode(TEXTS))


@pytest.mark.parametrize(("verbose", "shown"), [(0, False), (1, True)])
def test_progress_bar_is_for_many_texts(
    golden: Path, verbose: int, shown: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    Tokenizer(golden / "tiny-tokenizer", 12).encode(["good"] * 2001, verbose=verbose)
    assert ("Tokenising" in capfd.readouterr().err) == shown


# Texts that are none


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (None, "None of type NoneType"),
        (float("nan"), "nan of type float"),
        (b"good", "b'good' of type bytes"),
        (3, "3 of type int"),
        (["good", "bad"], r"\['good', 'bad'\] of type list"),
        (("good",), r"\('good',\) of type tuple"),
        (("a", "b", "c"), r"\('a', 'b', 'c'\) of type tuple"),
        (("good", None), r"\('good', None\) of type tuple"),
    ],
)
def test_text_that_is_no_string_is_named_by_its_row(golden: Path, text: Any, shown: str) -> None:
    message = f"^text 2 is {shown}; expected a string, or a tuple of two strings"
    with pytest.raises(DataError, match=message):
        Tokenizer(golden / "tiny-tokenizer", 12).encode(["fine", ("a", "b"), text, None])


@pytest.mark.parametrize("text", ["so \ud83d sad", ("fine", "so \ud83d sad")])
def test_half_an_emoji_is_named_by_its_row(golden: Path, text: Any) -> None:
    tokenizer = Tokenizer(golden / "tiny-tokenizer", 12)
    with pytest.raises(DataError, match=r"^text 1 is not Unicode: character 3 is half"):
        tokenizer.encode(["fine", text])
    mended = "so \ud83d sad".encode("utf-8", "replace").decode()  # what the message says
    assert len(tokenizer.encode([mended])) == 1


def test_numpy_strings_are_strings(golden: Path) -> None:
    tokenizer = Tokenizer(golden / "tiny-tokenizer", 12)
    assert rows(tokenizer.encode(list(np.array(TEXTS)))) == rows(tokenizer.encode(TEXTS))


# Files


def keep_only(folder: Path, *names: str) -> None:
    for path in folder.iterdir():
        if path.name not in names:
            path.unlink()


def edit(path: Path, **changes: Any) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(content | changes), encoding="utf-8")


@pytest.mark.parametrize("side", ["left", "right"])
def test_of_padding_and_truncation_in_the_file_only_the_side_matters(
    folder: Path, side: str
) -> None:
    plain = RustTokenizer.from_file(str(folder / "tokenizer.json"))
    plain.enable_padding(length=64, pad_id=9, pad_type_id=1)
    plain.enable_truncation(3, stride=1, direction=side)
    plain.save(str(folder / "tokenizer.json"))
    ours = rows(Tokenizer(folder, 12).encode(TEXTS))
    theirs = AutoTokenizer.from_pretrained(folder)
    batch = theirs(TEXTS, truncation=True, max_length=12, padding=False)
    assert ours == (batch["input_ids"], batch["token_type_ids"])


@pytest.mark.parametrize("others", [("config.json",), ("tokenizer_config.json",)])
def test_older_vocabulary_file_is_converted(
    golden: Path, folder: Path, tmp_path: Path, others: tuple[str, ...]
) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": "bert", "pad_token_id": 0}))
    keep_only(folder, "vocab.txt", *others)
    tokenizer = Tokenizer(folder, 12)
    whole = Tokenizer(golden / "tiny-tokenizer", 12)
    assert rows(tokenizer.encode([*TEXTS, *PAIRS])) == rows(whole.encode([*TEXTS, *PAIRS]))
    assert tokenizer.vocab_size == whole.vocab_size
    tokenizer.save(tmp_path)
    saved = json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))
    assert (saved["truncation"], saved["padding"]) == (None, None)
    assert rows(Tokenizer(tmp_path, 12).encode(TEXTS)) == rows(whole.encode(TEXTS))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "tokenizer.json is damaged"),
        (b"{", "tokenizer.json is damaged"),
        (b'{"version": "1.0"}', "tokenizer.json is damaged"),
        (b"\xff\xfe\x00", "tokenizer.json is damaged"),
    ],
)
def test_damaged_tokenizer_is_named(folder: Path, content: bytes, message: str) -> None:
    (folder / "tokenizer.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=f"{message}.*fetch it again") as caught:
        Tokenizer(folder, 12)
    assert str(folder) in str(caught.value)


def test_folder_without_a_tokenizer_says_what_it_holds(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no tokenizer in .*vocab\.txt.*Found: nothing"):
        Tokenizer(tmp_path, 12)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"expected tokenizer\.json.*Found: config\.json"):
        Tokenizer(tmp_path, 12)


def test_older_files_without_a_config_cannot_be_converted(folder: Path) -> None:
    keep_only(folder, "vocab.txt")
    with pytest.raises(CheckpointError, match="tokenizer files cannot be converted"):
        Tokenizer(folder, 12)


@pytest.mark.parametrize("content", ["{", "[1]", '"text"', ""])
def test_damaged_settings_are_named(folder: Path, content: str) -> None:
    (folder / "tokenizer_config.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"tokenizer_config\.json is not a JSON object"):
        Tokenizer(folder, 12)


@pytest.mark.parametrize(
    ("settings", "config", "pad_id"),
    [
        ({"pad_token": "[MASK]"}, {"pad_token_id": 7}, 4),
        ({"pad_token": {"content": "[MASK]"}}, {}, 4),
        ({"pad_token": None}, {"pad_token_id": 7}, 7),
        ({"pad_token": "[NONE]"}, {"pad_token_id": 7}, 7),
        ({"pad_token": None}, {}, 0),
        ({"pad_token": None}, {"pad_token_id": None}, 0),
    ],
)
def test_padding_id_is_the_tokenizers_or_the_configs(
    folder: Path, settings: dict[str, Any], config: dict[str, Any], pad_id: int
) -> None:
    edit(folder / "tokenizer_config.json", **settings)
    (folder / "config.json").write_text(json.dumps(config))
    assert Tokenizer(folder, 12).encode(["good"]).pad_id == pad_id


def test_vocabulary_size_counts_added_tokens(folder: Path) -> None:
    assert Tokenizer(folder, 12).vocab_size == 97
    rust = RustTokenizer.from_file(str(folder / "tokenizer.json"))
    rust.add_tokens(["ktlite"])
    rust.save(str(folder / "tokenizer.json"))
    assert Tokenizer(folder, 12).vocab_size == 98


# Saving


def test_saved_files_are_those_of_the_checkpoint(folder: Path, tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    target = tmp_path / "saved"
    target.mkdir()
    Tokenizer(folder, 12).save(target)
    assert {path.name: path.read_bytes() for path in target.iterdir()} == before


def test_tokenizer_can_be_saved_after_its_folder_is_gone(folder: Path, tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    tokenizer = Tokenizer(folder, 12)
    shutil.rmtree(folder)
    target = tmp_path / "saved"
    target.mkdir()
    tokenizer.save(target)
    assert {path.name: path.read_bytes() for path in target.iterdir()} == before


def test_transformers_opens_a_tokenizer_saved_from_one_file(folder: Path, tmp_path: Path) -> None:
    keep_only(folder, "tokenizer.json")
    target = tmp_path / "saved"
    target.mkdir()
    Tokenizer(folder, 12).save(target)
    theirs = AutoTokenizer.from_pretrained(target)
    assert theirs.pad_token == "[PAD]"
    assert (
        theirs("The film!")["input_ids"] == rows(Tokenizer(folder, 12).encode(["The film!"]))[0][0]
    )
