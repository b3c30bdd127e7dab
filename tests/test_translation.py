"""Translation with tokenizers of their own for either language: trained, saved, in PyTorch."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ktlite
from ktlite.models import from_config

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
    ids = json.loads((folder / "vocab.json").read_text("utf-8"))
    config = json.loads((golden / model / "config.json").read_text())
    config |= {key: 0.0 for key in config if "drop" in key}
    config |= {
        "vocab_size": len(ids),
        "decoder_vocab_size": len(ids),
        "pad_token_id": ids["<pad>"],
        "eos_token_id": ids["</s>"],
        "forced_eos_token_id": ids["</s>"],
        "decoder_start_token_id": ids["<pad>"],
    }
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
