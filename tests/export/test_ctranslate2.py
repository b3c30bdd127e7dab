"""Models that write, in CTranslate2's format: the texts and the likelihoods of the Keras model."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

import ktlite
from ktlite.errors import ArgumentError, ExportError
from ktlite.export import export_model, open_model
from ktlite.inference.runner import Forward
from ktlite.models import from_config, from_pretrained
from ktlite.predictor import Predictor
from tests.writers import chat_checkpoint, chats, checkpoint, reversals

ct2 = pytest.importorskip("ctranslate2", reason="ktlite[ctranslate2] is not installed")

PAIRS = [
    *("bart", "bart-scaled", "m2m_100", "marian", "marian-apart", "mbart", "mt5", "pegasus"),
    *("t5", "t5-gated", "umt5"),
]
ALONE = ["gpt2", "gpt_neox", "gpt_neox-serial", "llama", "llama-biased", "opt", "opt-post"]
REFUSED = {
    "mistral": "attention to near tokens alone",
    "gemma3_text": "attention to near tokens alone",
    "whisper": "input of sounds",
}
SEARCHES: list[dict[str, Any]] = [
    {},
    {"num_beams": 3, "early_stopping": True},
    {"min_new_tokens": 9, "max_new_tokens": 9},
]


def task_of(name: str) -> str:
    return "translation" if name in PAIRS else "text-generation"


@pytest.mark.parametrize("name", [*PAIRS, *ALONE])
def test_every_family_writes_what_its_keras_model_writes(
    golden: Path, tmp_path: Path, name: str
) -> None:
    model = from_pretrained(golden / name, task_of(name))
    made = export_model(model, tmp_path / "ct2", "ctranslate2")
    assert made.difference < 1e-4
    opened, keras = open_model(tmp_path / "ct2"), Forward(model)
    expected = load_file(golden / name / "expected.safetensors")
    inputs = {key: expected[key] for key in ("input_ids", "attention_mask")}
    for search in SEARCHES:
        options = {"max_new_tokens": 12, **search}
        theirs, ours = opened.generate(inputs, **options), keras.generate(inputs, **options)
        assert [row.tolist() for row in theirs] == [row.tolist() for row in ours], search
    one = {key: value[-1:] for key, value in inputs.items()}
    pieces = list(opened.stream(one, max_new_tokens=12))
    assert pieces == keras.generate(one, max_new_tokens=12)[0].tolist()


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_runtime_lacks_is_refused_by_name(golden: Path, tmp_path: Path, name: str) -> None:
    task = "automatic-speech-recognition" if name == "whisper" else "text-generation"
    model = from_pretrained(golden / name, task)
    with pytest.raises(ExportError, match=f"CTranslate2 .*{REFUSED[name]}"):
        export_model(model, tmp_path / "ct2", "ctranslate2")
    assert not (tmp_path / "ct2").exists()


def test_heads_with_a_norm_of_their_own(golden: Path, tmp_path: Path) -> None:
    config = json.loads((golden / "qwen3" / "config.json").read_text())
    config |= {"use_sliding_window": False, "layer_types": ["full_attention"] * 2}
    model = from_config(config, "text-generation", seed=1)
    assert export_model(model, tmp_path / "ct2", "ctranslate2").difference < 1e-4


def predictor_of(folder: Path, data: Any, task: str) -> Predictor:
    learner = ktlite.get_learner(
        folder, data, task=task, maxlen=48, batch_size=16, lora=2, check=False, verbose=0
    )
    for weight in learner.model.trainable_weights:  # adapters begin at zero
        weight.assign(np.random.default_rng(1).normal(0, 0.1, weight.shape))
    return learner.get_predictor()


@pytest.fixture(scope="module")
def made(golden: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """For both kinds of task a predictor, its export, and texts."""
    top = tmp_path_factory.mktemp("made")
    texts = reversals(4, 1)[0]
    kinds = {
        "translation": (checkpoint(golden, top / "t5", "t5"), reversals(20, 0)),
        "text-generation": (chat_checkpoint(golden, top / "chat"), (chats(20, 0), None)),
    }
    found = {}
    for task, (folder, data) in kinds.items():
        predictor = predictor_of(folder, data, task)
        predictor.export(top / task, "ctranslate2")
        found[task] = predictor, top / task, texts
    yield found


@pytest.mark.parametrize("task", ["translation", "text-generation"])
def test_an_exported_predictor_is_the_same(made: dict[str, Any], task: str) -> None:
    predictor, folder, texts = made[task]
    loaded = ktlite.load_predictor(folder)
    options = {"max_new_tokens": 8, "early_stopping": True}
    assert loaded.predict(texts, **options) == predictor.predict(texts, **options)
    beams = {**options, "num_beams": 2}
    assert loaded.predict(texts, **beams) == predictor.predict(texts, **beams)
    assert "".join(loaded.stream(texts[0], **options)) == predictor.predict(texts[0], **options)
    drawn = [
        loaded.predict(texts, max_new_tokens=8, do_sample=True, top_k=0, seed=seed)
        for seed in (3, 3, 4)
    ]
    assert drawn[0] == drawn[1] != drawn[2]
    pieces = [
        "".join(loaded.stream(texts[0], max_new_tokens=8, do_sample=True, seed=3)) for _ in "12"
    ]
    assert pieces[0] == pieces[1] != ""


@pytest.mark.parametrize("task", ["translation", "text-generation"])
def test_it_says_how_likely_texts_are(made: dict[str, Any], task: str) -> None:
    predictor, folder, texts = made[task]
    data = (texts, reversals(4, 1)[1]) if task == "translation" else (chats(4, 5), None)
    ours, theirs = (p.metrics(data) for p in (predictor, ktlite.load_predictor(folder)))
    assert theirs["perplexity"] == pytest.approx(ours["perplexity"], rel=1e-4)
    assert ours.keys() - theirs.keys() == {"accuracy"}  # which token was likeliest is not said


def test_options_that_the_runtime_lacks(made: dict[str, Any]) -> None:
    for task, options in (
        ("translation", {"min_p": 0.1, "typical_p": 0.5}),
        ("text-generation", {"repetition_penalty": 1.2}),
    ):
        loaded = ktlite.load_predictor(made[task][1])
        with pytest.raises(ArgumentError, match="no counterpart of") as error:
            loaded.predict("a b", **options)
        assert all(name in str(error.value) for name in options)
    with pytest.raises(ArgumentError, match="num_beams=2"):
        loaded.stream("a b", num_beams=2)


def test_8_bits_are_stored_and_opened(made: dict[str, Any], tmp_path: Path) -> None:
    predictor, folder, texts = made["translation"]
    predictor.export(tmp_path / "int8", "ct2", quantize="int8")
    small = (tmp_path / "int8" / "model.bin").stat().st_size
    assert small < 0.5 * (folder / "model.bin").stat().st_size
    assert len(ktlite.load_predictor(tmp_path / "int8").predict(texts, max_new_tokens=4)) == 4


def test_a_service_needs_neither_tensorflow_nor_keras(made: dict[str, Any]) -> None:
    _, folder, texts = made["translation"]
    script = (
        "import sys, ktlite; p = ktlite.load_predictor(sys.argv[1]); "
        "sys.stdout.write(p.predict(sys.argv[2], max_new_tokens=8)); "
        "assert not {'tensorflow', 'keras'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder), texts[0]], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    expected = made["translation"][0].predict(texts[0], max_new_tokens=8)
    assert done.stdout.strip() == expected


def test_formats_for_writing_and_for_reading_are_told_apart(
    made: dict[str, Any], tiny_checkpoint: Path, tmp_path: Path
) -> None:
    with pytest.raises(ExportError, match="'ctranslate2', not as 'onnx'"):
        made["translation"][0].export(tmp_path / "a", "onnx")
    reader = ktlite.get_learner(
        tiny_checkpoint, (["a b", "c d"] * 4, ["x", "y"] * 4), maxlen=24, check=False, verbose=0
    ).get_predictor()
    with pytest.raises(ExportError, match="is for models that write texts"):
        reader.export(tmp_path / "b", "ctranslate2")
    with pytest.raises(ExportError, match="runs models that write texts"):
        export_model(reader.model, tmp_path / "c", "ctranslate2")


def test_beams_that_end_otherwise_are_said(
    golden: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = json.loads((golden / "marian" / "config.json").read_text())
    model = from_config({**config, "num_beams": 4, "early_stopping": False}, "translation")
    with caplog.at_level(logging.WARNING, "ktlite"):
        export_model(model, tmp_path / "ct2", "ctranslate2")
    assert "early_stopping=False" in caplog.text
