"""Tokenizers of models that write texts: ids are those of the reference, from published files.

`golden/make_writers.py` says which reference, and writes what it gave.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from ktlite.errors import ArgumentError, CheckpointError
from ktlite.inputs.tokenizer import Tokenizer

GOLDEN = Path(__file__).parents[1] / "golden" / "writers"
CASES = json.loads((GOLDEN / "writers.json").read_text("utf-8"))


def ids(tokenizer: Tokenizer, texts: list[str]) -> list[list[int]]:
    made = tokenizer.encode(texts)
    cuts = zip(made.offsets[:-1], made.offsets[1:], strict=True)
    return [made.ids[start:end].tolist() for start, end in cuts]


def opened(case: dict[str, Any]) -> Tokenizer:
    made = Tokenizer(GOLDEN / case["folder"], 256)
    return made.in_languages(case["said"].get("src_lang"), case["said"].get("tgt_lang"))


def check(tokenizer: Tokenizer, case: dict[str, Any]) -> None:
    assert ids(tokenizer, case["texts"]) == case["ids"]
    targets = tokenizer.for_targets
    assert ids(targets, case["texts"]) == case["target_ids"]
    assert [targets.decode(row) for row in case["target_ids"]] == case["decoded"]


def saved(tokenizer: Tokenizer, folder: Path) -> tuple[Path, dict[str, Any]]:
    folder.mkdir()
    return folder, tokenizer.save(folder)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["folder"])
def test_ids_and_texts_are_those_of_the_reference(case: dict[str, Any], tmp_path: Path) -> None:
    tokenizer = opened(case)
    check(tokenizer, case)
    folder, facts = saved(tokenizer, tmp_path / "saved")
    check(Tokenizer.load(folder, facts), case)
    shutil.copy(GOLDEN / case["folder"] / "config.json", folder)
    check(Tokenizer(folder, 256), case)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["folder"])
def test_transformers_opens_what_is_saved(case: dict[str, Any], tmp_path: Path) -> None:
    if case["folder"] in ("marian", "marian-apart", "m2m_100"):
        pytest.importorskip("sentencepiece")
    from transformers import AutoTokenizer

    folder, _ = saved(opened(case), tmp_path / "saved")
    shutil.copy(GOLDEN / case["folder"] / "config.json", folder)
    theirs = AutoTokenizer.from_pretrained(folder)
    assert [theirs(text)["input_ids"] for text in case["texts"]] == case["ids"]


def test_languages_are_chosen_by_code_and_refused_by_those_near() -> None:
    nllb = Tokenizer(GOLDEN / "nllb", 256)
    with pytest.raises(ArgumentError, match="tgt_lang is not said, and this checkpoint has 202"):
        nllb.in_languages("eng_Latn", None)
    with pytest.raises(ArgumentError, match="src_lang='deutsch' is none of the 202") as e:
        nllb.in_languages("deutsch", "fra")
    assert "checkpoint: deu_Latn, " in str(e.value)
    assert "tgt_lang='fra' is none of the 202 languages of this checkpoint: fra_Latn, " in str(
        e.value
    )
    with pytest.raises(ArgumentError, match="tgt_lang='fr_XX': this checkpoint's tokenizer has no"):
        Tokenizer(GOLDEN / "t5", 256).in_languages(None, "fr_XX")
    marian = Tokenizer(GOLDEN / "marian", 256)
    (expected,) = ids(marian, [">>fra<< A film."])
    assert ids(marian.in_languages(None, "fra"), ["A film."]) == [expected]
    assert ids(marian.in_languages(None, ">>fra<<").for_targets, ["A film."]) == ids(
        marian.for_targets, ["A film."]
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["folder"])
def test_language_is_what_writing_begins_with(case: dict[str, Any]) -> None:
    option = {"mbart": "decoder_start_token_id"}.get(case["folder"], "forced_bos_token_id")
    assert opened(case).first_options == ({option: case["first"]} if case["said"] else {})


@pytest.mark.parametrize(
    "case", [case for case in CASES if case["said"] and case["folder"] != "m2m_100"],
    ids=lambda case: case["folder"],
)  # fmt: skip
def test_languages_of_a_published_tokenizer_json(case: dict[str, Any], tmp_path: Path) -> None:
    """It has the tokens of one source language around texts, and the class does the rest."""
    folder, _ = saved(opened(case), tmp_path / "saved")
    (folder / "sentencepiece.bpe.model").unlink()
    shutil.copy(GOLDEN / case["folder"] / "config.json", folder)
    (folder / "tokenizer_config.json").unlink()
    if (GOLDEN / case["folder"] / "tokenizer_config.json").is_file():
        shutil.copy(GOLDEN / case["folder"] / "tokenizer_config.json", folder)
    check(Tokenizer(folder, 256).in_languages(*case["said"].values()), case)


def test_windows_and_cuts_have_ids_of_the_vocabulary() -> None:
    """Of a long text with pieces that the vocabulary lacks, and characters the model lacks."""
    text = "A cheaper ### room would do. " * 8
    (whole,) = ids(Tokenizer(GOLDEN / "marian", 512), [text])
    (cut,) = ids(Tokenizer(GOLDEN / "marian", 20), [text])
    assert cut == [*whole[:19], whole[-1]]
    rows = ids(Tokenizer(GOLDEN / "marian", 20, stride=4), [text])
    assert rows[0] == cut
    joined = rows[0][:-1]
    for row in rows[1:]:
        assert joined[-4:] == row[:4]
        joined += row[4:-1]
    assert joined == whole[:-1]
    assert max(whole) < Tokenizer(GOLDEN / "marian", 20).vocab_size


def test_damaged_folders_are_refused(tmp_path: Path) -> None:
    folder = shutil.copytree(GOLDEN / "marian", tmp_path / "marian")
    (folder / "target.spm").unlink()
    with pytest.raises(CheckpointError, match=r"target\.spm of Marian's tokenizer missing"):
        Tokenizer(folder, 20)
    (folder / "target.spm").write_bytes(b"none")
    with pytest.raises(CheckpointError, match=r"target\.spm: it is no SentencePiece model"):
        Tokenizer(folder, 20)
    (folder / "vocab.json").write_text('{"</s>": 0, "<unk>": 1}')
    with pytest.raises(CheckpointError, match="no id for <pad>"):
        Tokenizer(folder, 20)
    (folder / "vocab.json").write_text('{"</s>": 0, "<unk>": 0}')
    with pytest.raises(CheckpointError, match="each with an id of its own"):
        Tokenizer(folder, 20)
