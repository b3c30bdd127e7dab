"""Sound classification from files to a predictor, by the public calls."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import ktlite
from ktlite.errors import ArgumentError, DataError
from ktlite.models import from_config

soundfile = pytest.importorskip("soundfile")
pytest.importorskip("soxr")

CONFIG = {
    "model_type": "wav2vec2",
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "conv_dim": [16, 16, 16],
    "conv_kernel": [10, 3, 2],
    "conv_stride": [5, 4, 4],
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 4,
    "classifier_proj_size": 20,
    "hidden_dropout": 0.0,
}
PITCH = {"high": 900, "low": 250}


def sound(name: str, seed: int) -> np.ndarray:
    """Returns 0.1 to 0.25 seconds at 8 kHz, of a high or a low tone in noise."""
    random = np.random.default_rng(seed)
    time = np.arange(random.integers(800, 2_000)) / 8_000
    tone = np.sin(2 * np.pi * PITCH[name] * time + random.uniform(0, 6))
    return (0.3 * tone + 0.05 * random.standard_normal(len(time))).astype("float32")


def arrays(count: int, seed: int) -> tuple[list[Any], list[str]]:
    names = ["high", "low"] * (count // 2)
    return [(sound(name, seed * 1_000 + i), 8_000) for i, name in enumerate(names)], names


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sounds") / "wav2vec2"
    from_config(CONFIG, "audio-classification", num_labels=2).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a folder of class folders."""
    top = tmp_path_factory.mktemp("sounds") / "train"
    for number, (pair, name) in enumerate(zip(*arrays(64, 1), strict=True)):
        (top / name).mkdir(parents=True, exist_ok=True)
        soundfile.write(top / name / f"{number}.{'flac' if number % 3 else 'wav'}", *pair)
    return top


@pytest.fixture(scope="module")
def learner(checkpoint: Path, folder: Path) -> Any:
    made = ktlite.get_learner(
        checkpoint, folder, arrays(16, 2), task="audio-classification", batch_size=8, verbose=0
    )
    made.fit_onecycle(1e-2, 5, verbose=0)
    return made


def test_learns_and_predicts(learner: Any, folder: Path) -> None:
    assert str(learner.train_data).startswith("Dataset: 64 sounds, 1")
    assert learner.metrics()["accuracy"] == 1.0
    predictor = learner.get_predictor()
    file = next((folder / "low").iterdir())
    assert predictor.predict(str(file)) == "low"
    assert predictor.predict([file, (sound("high", 7), 8_000), file.read_bytes()]) == [
        "low", "high", "low",
    ]  # fmt: skip
    assert predictor.predict_folder(str(folder / "high"))[0][1] == "high"
    assert predictor.embed([file]).shape == (1, 32)


def test_answers_do_not_depend_on_the_batch(learner: Any) -> None:
    predictor, items = learner.get_predictor(), arrays(10, 3)[0]
    alone = np.concatenate([predictor.logits([item]) for item in items])
    np.testing.assert_allclose(predictor.logits(items), alone, atol=1e-5)


def test_saved_loaded_and_exported(learner: Any, tmp_path: Path) -> None:
    predictor, items = learner.get_predictor(), arrays(6, 4)[0]
    predictor.save(tmp_path / "saved")
    loaded = ktlite.load_predictor(tmp_path / "saved", cache=4)
    for _ in range(2):
        np.testing.assert_allclose(loaded.logits(items), predictor.logits(items), atol=1e-6)
    card = (tmp_path / "saved" / "README.md").read_text()
    assert "audio-classification" in card
    assert 'pipeline("audio-classification", model="this-folder")' in card
    predictor.export(tmp_path / "onnx", "onnx")
    found = ktlite.load_predictor(tmp_path / "onnx").logits(items)
    np.testing.assert_allclose(found, predictor.logits(items), atol=1e-4)


@pytest.mark.torch
def test_pytorch_opens_a_predictor(learner: Any, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    torch = pytest.importorskip("torch")
    predictor = learner.get_predictor()
    predictor.export(tmp_path / "export", "huggingface")
    opened = transformers.AutoModelForAudioClassification.from_pretrained(tmp_path / "export")
    extractor = transformers.AutoFeatureExtractor.from_pretrained(tmp_path / "export")
    samples = sound("low", 5)
    with torch.no_grad():
        values = extractor(samples, sampling_rate=16_000, return_tensors="pt")
        logits = opened.eval()(values["input_values"]).logits.numpy()
    np.testing.assert_allclose(predictor.logits([samples]), logits, atol=1e-5)
    assert opened.config.id2label == {0: "high", 1: "low"}


def test_from_tables_and_lists(checkpoint: Path, folder: Path, tmp_path: Path) -> None:
    files = sorted(folder.rglob("*.*"))
    rows = {
        "file": [str(f.relative_to(folder)) for f in files],
        "name": [f.parent.name for f in files],
    }
    pd.DataFrame(rows).to_csv(folder / "all.csv", index=False)
    paths = pd.DataFrame({**rows, "file": [str(file) for file in files]})
    named: dict[str, Any] = {"text_column": "file", "label_columns": "name"}
    for data, columns in (
        (folder / "all.csv", named),
        (paths, named),
        (([sound(name, i) for i, name in enumerate(rows["name"])], rows["name"]), {}),
    ):
        made = ktlite.get_learner(checkpoint, data, **columns, seconds=0.1, verbose=0, check=False)
        assert len(made.train_data) + len(made.val_data) == 64
        assert made.train_data.encodings.max_length == 1_600
        assert made.train_data.task.classes == ["high", "low"]
    (folder / "all.csv").unlink()


def test_bad_sounds_are_named_before_training(
    checkpoint: Path, folder: Path, tmp_path: Path
) -> None:
    top = tmp_path / "sounds"
    shutil.copytree(folder, top)
    (top / "low" / "words.wav").write_text("no sound")
    with pytest.raises(DataError, match=r"1 with no sound that libsndfile reads.*words\.wav"):
        ktlite.get_learner(checkpoint, top, missing="error", verbose=0)
    made = ktlite.get_learner(checkpoint, top, verbose=0)
    assert len(made.train_data) + len(made.val_data) == 64
    with pytest.raises(DataError, match="NaN or infinite"):
        nan = np.full(900, np.nan, "float32")
        ktlite.get_learner(checkpoint, ([nan] * 8, ["a", "b"] * 4), missing="error", verbose=0)


def test_looked_at_and_reported(learner: Any, tmp_path: Path) -> None:
    found = {finding.check: finding for finding in learner.check()}
    assert found["lengths in train_data"].found.startswith("0.1 to 0.2 seconds")
    assert not found["cut in train_data"].advice
    learner.report((tmp_path / "report.html").as_posix())
    assert "<audio controls" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_the_head_alone_on_kept_features(checkpoint: Path) -> None:
    def trained(keep: bool) -> np.ndarray:
        made = ktlite.get_learner(checkpoint, arrays(16, 8), arrays(8, 9), batch_size=8, verbose=0)
        made.freeze(keep_features=keep)
        made.fit(1e-2, 2, verbose=0)
        return made.get_predictor().logits(arrays(6, 10)[0])

    np.testing.assert_allclose(trained(True), trained(False), atol=1e-4)


def test_batches_by_length_and_adapters(checkpoint: Path) -> None:
    made = ktlite.get_learner(
        checkpoint, arrays(32, 11), arrays(8, 12), batch_size=16, batch_tokens=9_000, lora=2,
        verbose=0,
    )  # fmt: skip
    made.fit(1e-3, 1, verbose=0)
    lengths = made.train_data.lengths
    assert max(len(rows) * lengths[rows].max() for rows in made._train.plan(0)) <= 9_000


def test_arguments(checkpoint: Path, tiny_checkpoint: Path) -> None:
    with pytest.raises(
        ArgumentError, match="maxlen=64 goes with texts, .*; this checkpoint reads sou"
    ):
        ktlite.get_learner(checkpoint, arrays(8, 0), maxlen=64)
    with pytest.raises(ArgumentError, match="seconds=2 goes with sounds; this checkpoint reads te"):
        ktlite.get_learner(tiny_checkpoint, (["a", "b"] * 8, ["x", "y"] * 8), seconds=2)
    with pytest.raises(ArgumentError, match="max_positions=5 goes with texts; this model reads so"):
        ktlite.load_model(checkpoint, max_positions=5)
    config = json.loads((checkpoint / "config.json").read_text())
    assert config["architectures"] == ["Wav2Vec2ForSequenceClassification"]
