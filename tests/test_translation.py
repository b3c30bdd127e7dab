"""Translation with tokenizers of their own for either language: trained, saved, in PyTorch."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ktlite
from ktlite.errors import ArgumentError
from ktlite.inputs.tokenizer import Tokenizer
from ktlite.models import from_config
from ktlite.tasks import Translation

WRITERS = Path(__file__).parent / "golden" / "writers"
ENGLISH = ["film", "price", "room", "tab", "line", "cent", "dollar"]
GERMAN = ["Film", "Euro", "Zimmer", "Straße", "Frühstück", "Über", "schön"]


def pairs(count: int, seed: int) -> tuple[list[str], list[str]]:
    random = np.random.default_rng(seed)
    chosen = [random.integers(0, len(ENGLISH), random.integers(1, 4)) for _ in range(count)]
    return tuple([" ".join(words[i] for i in row) for row in chosen] for words in (ENGLISH, GERMAN))


def checkpoint(golden: Path, folder: Path, tokenizer: str, model: str) -> Path:
    """Writes a tiny model of a family, with its tokenizer."""
    shutil.copytree(WRITERS / tokenizer, folder)
    spoken = not (folder / "vocab.json").is_file()
    ids = {"<pad>": 1, "</s>": 2} if spoken else json.loads((folder / "vocab.json").read_bytes())
    size = 1000 if spoken else len(ids)
    config = json.loads((golden / model / "config.json").read_text())
    config |= {key: 0.0 for key in config if "drop" in key}
    config |= {
        "vocab_size": size,
        "pad_token_id": ids["<pad>"],
        "eos_token_id": ids["</s>"],
        "forced_eos_token_id": ids["</s>"],
        "decoder_start_token_id": ids["</s>"] if spoken else ids["<pad>"],
    }
    if spoken:
        config["init_std"] = 0.3  # so that no two texts are almost equally likely
    else:
        config["decoder_vocab_size"] = size
    if (folder / "target_vocab.json").is_file():
        others = json.loads((folder / "target_vocab.json").read_text("utf-8"))
        config["decoder_vocab_size"] = len(others)
    from_config(config, "translation", seed=1).save_pretrained(folder, tokenizer=False)
    return folder


@pytest.fixture(scope="module", params=["marian", "marian-apart"])
def marian(
    request: pytest.FixtureRequest, golden: Path, tmp_path_factory: pytest.TempPathFactory
) -> Any:
    """Returns a predictor, and its folder."""
    folder = tmp_path_factory.mktemp("marian")
    learner = ktlite.get_learner(
        checkpoint(golden, folder / "checkpoint", request.param, request.param),
        pairs(64, 0),
        pairs(16, 1),
        task="translation",
        maxlen=30,
        batch_size=16,
        check=False,
        verbose=0,
    )
    learner.fit_onecycle(1e-2, 5, verbose=0)
    predictor = learner.get_predictor()
    predictor.save(folder / "saved")
    return predictor, folder


def test_texts_to_write_are_learned_in_their_own_pieces(marian: Any) -> None:
    predictor, folder = marian
    learned = predictor.preproc.dataset(predictor.preproc.source.arrays(*pairs(2, 3)))
    labels = learned.encodings.parts["decoder_"].batch(np.arange(2))["labels"]
    decode = predictor.preproc.input.for_targets.decode
    written = [decode(row[row >= 0]) for row in labels]
    assert all(set(text) <= set(true) for text, true in zip(written, pairs(2, 3)[1], strict=True))
    assert min(map(len, written)) > 2
    texts = predictor.predict(pairs(8, 3)[0], max_new_tokens=20)
    letters = set("".join(GERMAN)) | {" "}
    assert sum(set(text) <= letters for text in texts) > 4  # it has learned what to write with
    loaded = ktlite.load_predictor(folder / "saved")
    assert loaded.predict(pairs(8, 3)[0], max_new_tokens=20) == texts


def test_saved_folder_is_one_to_learn_from(marian: Any) -> None:
    predictor, folder = marian
    files = sorted(path.name for path in (folder / "checkpoint").iterdir())
    assert {*files} <= {path.name for path in (folder / "saved").iterdir()}
    assert not (folder / "saved" / "tokenizer.json").exists()  # one would hide the other half
    again = ktlite.get_learner(
        folder / "saved", pairs(20, 4), task="translation", maxlen=30, verbose=0
    )
    texts = pairs(8, 3)[0]
    ours, theirs = (one.preproc.input.encode(texts).ids for one in (predictor, again))
    assert ours.tolist() == theirs.tolist()


@pytest.mark.torch
def test_transformers_writes_the_same(marian: Any) -> None:
    pytest.importorskip("sentencepiece")
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    predictor, folder = marian
    tokenizer = AutoTokenizer.from_pretrained(folder / "saved")
    assert type(tokenizer).__name__ == "MarianTokenizer"
    model = AutoModelForSeq2SeqLM.from_pretrained(folder / "saved").eval()
    for text in pairs(3, 5)[0]:
        for beams in (1, 3):
            options = {"num_beams": beams, "max_new_tokens": 20}
            ids = model.generate(**tokenizer(text, return_tensors="pt"), **options)[0]
            expected = tokenizer.decode(ids, skip_special_tokens=True)
            assert predictor.predict(text, **options) == expected


LANGUAGES = {
    "nllb": ("m2m_100", "eng_Latn", "deu_Latn", "fra_Latn"),
    "mbart": ("mbart", "en_XX", "de_DE", "fr_XX"),
    "mbart50": ("mbart", "en_XX", "de_DE", "fr_XX"),
}


@pytest.fixture(scope="module", params=list(LANGUAGES))
def spoken(
    request: pytest.FixtureRequest, golden: Path, tmp_path_factory: pytest.TempPathFactory
) -> Any:
    """Returns a predictor of a checkpoint of several languages, its codes, and its folder."""
    model, *codes = LANGUAGES[request.param]
    folder = tmp_path_factory.mktemp("spoken")
    made = checkpoint(golden, folder / "checkpoint", request.param, model)
    # Only words are written, so that something is left of texts.
    words = {*Tokenizer(made, 30).ordinary_ids().tolist(), 2}
    for code in codes[1:]:
        words |= {*Tokenizer(made, 30).in_languages(codes[0], code).first_options.values()}
    learner = ktlite.get_learner(
        made,
        pairs(16, 0),
        pairs(8, 1),
        task=Translation(
            src_lang=codes[0],
            tgt_lang=codes[1],
            suppress_tokens=[number for number in range(1000) if number not in words],
        ),
        maxlen=30,
        check=False,
        verbose=0,
    )
    predictor = learner.get_predictor()
    predictor.save(folder / "saved")
    return predictor, codes, folder


def test_language_of_what_is_written_is_chosen(spoken: Any) -> None:
    predictor, (_, target, other), folder = spoken
    texts = pairs(3, 3)[0]
    loaded = ktlite.load_predictor(folder / "saved")
    assert loaded.predict(texts) == predictor.predict(texts)
    assert loaded.predict(texts, tgt_lang=other) != loaded.predict(texts, tgt_lang=target)
    assert loaded.predict(texts, tgt_lang=target) == predictor.predict(texts)
    with pytest.raises(ArgumentError, match="tgt_lang='xx' is none of the"):
        loaded.predict(texts, tgt_lang="xx")
    again = ktlite.get_learner(
        folder / "saved", pairs(20, 4), task="translation", maxlen=30, verbose=0
    )
    assert again.get_predictor().predict(texts) == predictor.predict(texts)
    with pytest.raises(ArgumentError, match="tgt_lang is not said, and this checkpoint has"):
        ktlite.get_learner(folder / "checkpoint", pairs(9, 4), task="translation", maxlen=30)


@pytest.mark.torch
def test_transformers_writes_in_that_language(spoken: Any) -> None:
    """And finds the same loss in texts that were to be written."""
    import torch
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    predictor, _, folder = spoken
    tokenizer = AutoTokenizer.from_pretrained(folder / "saved")
    model = AutoModelForSeq2SeqLM.from_pretrained(folder / "saved").eval()
    texts, targets = pairs(3, 5)
    total = count = 0.0
    for text, target in zip(texts, targets, strict=True):
        ids = tokenizer(text, return_tensors="pt")
        for beams in (1, 3):
            options = {"num_beams": beams, "max_new_tokens": 12}
            written = model.generate(**ids, **options)[0]
            expected = tokenizer.decode(written, skip_special_tokens=True).strip()
            assert predictor.predict(text, **options) == expected
        labels = predictor.preproc.input.for_targets.encode([target]).ids
        with torch.no_grad():
            loss = model(**ids, labels=torch.tensor(labels[None]).long()).loss
        total, count = total + float(loss) * len(labels), count + len(labels)
    assert dict(predictor.evaluate((texts, targets)))["loss"] == pytest.approx(total / count, 1e-4)
