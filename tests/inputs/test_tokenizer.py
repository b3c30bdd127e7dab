"""Token ids are those of `transformers`, from whichever files a checkpoint brings."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers
from tokenizers import Tokenizer as RustTokenizer
from transformers import AutoTokenizer

from ktlite.encodings.encodings import Encodings
from ktlite.errors import CheckpointError, DataError
from ktlite.inputs import tokenizer as module
from ktlite.inputs.token_checks import around
from ktlite.inputs.tokenizer import Tokenizer

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
    batch = theirs(texts, truncation=True, max_length=maxlen, padding=False)
    types = batch.get("token_type_ids", [[0] * len(row) for row in batch["input_ids"]])
    return batch["input_ids"], types


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


# What the other files say: here by `transformers` itself

DRUG = {"content": "[DRUG]", "special": True, "lstrip": False, "rstrip": False}
SPOKEN = ["Take [DRUG] in Paris", "café CRÈME", "我在Paris", "one two three four five six seven"]


@pytest.mark.parametrize(
    "settings",
    [
        None,  # its default is lower case
        {},
        {"do_lower_case": False},
        {"strip_accents": False},
        {"tokenize_chinese_chars": False},
        {"added_tokens_decoder": {"97": {**DRUG, "normalized": False, "single_word": False}}},
        {"additional_special_tokens": ["[DRUG]"]},
        {"extra_special_tokens": {"drug_token": "[DRUG]"}},
        {"drug_token": "[DRUG]"},
        {"truncation_side": "left"},
        {"tokenizer_class": "PreTrainedTokenizerFast", "do_lower_case": False},
        pytest.param(
            {"tokenizer_class": "ElectraTokenizerFast", "do_lower_case": False},
            marks=pytest.mark.skipif(
                tuple(map(int, transformers.__version__.split(".")[:2])) < (5, 6),
                reason="before 5.6 transformers passes over settings of another model's class",
            ),
        ),
    ],
    ids=str,
)
@pytest.mark.parametrize("lowercase", [True, False])
def test_settings_are_followed_as_in_transformers(
    settings: dict[str, Any] | None, lowercase: bool, folder: Path, tmp_path: Path
) -> None:
    rust = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    rust["normalizer"]["lowercase"] = lowercase
    (folder / "tokenizer.json").write_text(json.dumps(rust), encoding="utf-8")
    (folder / "config.json").write_text(json.dumps({"model_type": "bert", "vocab_size": 120}))
    (folder / "tokenizer_config.json").unlink()
    if settings is not None:
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    saved = tmp_path / "saved"
    saved.mkdir()
    tokenizer = Tokenizer(folder, 8)
    tokenizer.save(saved)
    shutil.copy(folder / "config.json", saved)
    side = tokenizer.truncation_side
    for where in (folder, saved):
        assert rows(tokenizer.encode(SPOKEN)) == expected(where, SPOKEN, 8)
    for again in (Tokenizer(saved, 8), Tokenizer.saved(saved, 8, truncation_side=side)):
        assert rows(again.encode(SPOKEN)) == rows(tokenizer.encode(SPOKEN))


@pytest.mark.parametrize("chosen", ["special_tokens_map.json", "added_tokens.json"])
def test_tokens_of_the_other_files_are_added(chosen: str, folder: Path) -> None:
    contents = {
        "special_tokens_map.json": {"additional_special_tokens": ["[DRUG]"]},
        "added_tokens.json": {"[DRUG]": 97},
    }
    (folder / chosen).write_text(json.dumps(contents[chosen]))
    (folder / "config.json").write_text(json.dumps({"model_type": "bert", "vocab_size": 98}))
    assert rows(Tokenizer(folder, 12).encode(SPOKEN)) == expected(folder, SPOKEN, 12)
    assert 97 in Tokenizer(folder, 12).encode(SPOKEN).ids


def test_tokens_that_the_model_has_no_vectors_of_are_left_out(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    edit(folder / "tokenizer_config.json", additional_special_tokens=["[DRUG]", "[MASK]"])
    (folder / "config.json").write_text(json.dumps({"model_type": "bert", "vocab_size": 97}))
    assert Tokenizer(folder, 12).vocab_size == 97
    assert "adds [DRUG] to the vocabulary, of which the model has no vectors" in caplog.text


@pytest.mark.parametrize("side", ["middle", 3])
def test_unknown_truncation_side_is_named(side: Any, folder: Path) -> None:
    edit(folder / "tokenizer_config.json", truncation_side=side)
    with pytest.raises(CheckpointError, match=rf"truncation_side is {side!r}; expected 'right'"):
        Tokenizer(folder, 12)


def test_very_long_text_is_cut_at_its_start_as_it_would_be_whole(folder: Path) -> None:
    edit(folder / "tokenizer_config.json", truncation_side="left")
    text = "good film " * 2000 + "the bad movie"
    tokenizer = Tokenizer(folder, 6)
    assert rows(tokenizer.encode([text])) == expected(folder, [text], 6)
    windows = Tokenizer(folder, 6, 1).encode(["good " * 3 + "film " * 4])
    first = rows(tokenizer.encode(["good good good film"]))[0][0]
    assert windows.ids[:6].tolist() == first  # windows are read from the start all the same


@pytest.mark.parametrize("merges", [[["g", "o"], ["go", "o"]], []])
def test_splitting_at_random_is_off_and_said(
    merges: list[list[str]], folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "g", "o", "d", "go", "goo"]
    rust = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    vocab = {piece: number for number, piece in enumerate(pieces)}
    rust["model"] = {"type": "BPE", "vocab": vocab, "merges": merges, "dropout": 0.5}
    (folder / "tokenizer.json").write_text(json.dumps(rust), encoding="utf-8")
    edit(folder / "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast")
    whole = [2, 9, 7, 3] if merges else [2, 5, 6, 6, 7, 3]
    for tokenizer in (Tokenizer(folder, 12), Tokenizer.saved(folder, 12)):
        found = {tuple(row) for row in rows(tokenizer.encode(["good"] * 40))[0]}
        assert found == {tuple(whole)}
        words = tokenizer.encode_words([["good"]] * 40)
        assert {tuple(row) for row in rows(words)[0]} == {tuple(whole)}
        target = tmp_path / "saved"
        target.mkdir(exist_ok=True)
        tokenizer.save(target)
        alone = RustTokenizer.from_file(str(target / "tokenizer.json"))
        assert {tuple(alone.encode("good").ids) for _ in range(40)} == {tuple(whole)}
    assert caplog.text.count("splits words at random") == 2  # once for each


@pytest.mark.parametrize("empty", [None, {"type": "ByteLevel"}], ids=["none", "byte-level"])
def test_missing_frame_is_that_of_the_class(
    empty: Any, golden: Path, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rust = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    add = {"add_prefix_space": True, "trim_offsets": True, "use_regex": True}
    rust["post_processor"] = empty and {**empty, **add}
    (folder / "tokenizer.json").write_text(json.dumps(rust), encoding="utf-8")
    texts = [*TEXTS, *PAIRS]
    whole = Tokenizer(golden / "tiny-tokenizer", 12)
    tokenizer = Tokenizer(folder, 12)
    assert rows(tokenizer.encode(texts)) == rows(whole.encode(texts))
    assert "[CLS] and [SEP] are put there" in caplog.text
    assert "[CLS] and [SEP] around each text, as in BertTokenizer" in around(tokenizer)[0]
    assert around(whole) == ("[CLS] and [SEP] around each text", "")


def test_tokenizer_without_a_frame_is_taken_with_a_word(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A text without words then is the unknown token: a model reads no empty rows."""
    rust = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    (folder / "tokenizer.json").write_text(json.dumps({**rust, "post_processor": None}))
    edit(folder / "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast")
    tokenizer = Tokenizer(folder, 12)
    assert "puts no special tokens such as [CLS]" in caplog.text
    assert around(tokenizer)[1].startswith("models such as BERT read a text's class off [CLS]")
    ids, types = rows(tokenizer.encode(["good", "", "   "]))
    assert ids[1:] == [[tokenizer.unknown_id]] * 2
    assert types == [[0]] * 3
    assert rows(tokenizer.encode_words([["good"], []]))[0] == [ids[0], [tokenizer.unknown_id]]
    assert len(tokenizer.encode_contexts([("", "")]).ids) == 1


def test_saved_tokenizer_is_not_read_anew(folder: Path) -> None:
    """Predictors of earlier versions passed over the settings, and answer as they did."""
    edit(folder / "tokenizer_config.json", do_lower_case=False, truncation_side="left")
    plain = RustTokenizer.from_file(str(folder / "tokenizer.json"))
    found = rows(Tokenizer.saved(folder, 12).encode(SPOKEN))[0]
    plain.enable_truncation(12)
    assert found == [plain.encode(text).ids for text in SPOKEN]
    assert found != rows(Tokenizer(folder, 12).encode(SPOKEN))[0]


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
