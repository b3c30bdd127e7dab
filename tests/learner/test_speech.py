"""Speech recognition by characters (CTC), from files and texts to a predictor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import ktlite
from ktlite.errors import ArgumentError, DataError
from ktlite.models import from_config
from tests.learner.test_sounds import CONFIG

soundfile = pytest.importorskip("soundfile")
pytest.importorskip("soxr")
pytest.importorskip("jiwer")

TASK = "automatic-speech-recognition"
PITCH = {"a": 300, "b": 1_200, " ": 0}
RATE = 8_000


def spoken(text: str, seed: int) -> np.ndarray:
    """Returns a tone of 30 to 50 ms for each letter, with silence between words."""
    random = np.random.default_rng(seed)
    parts = []
    for letter in text:
        time = np.arange(random.integers(300, 400)) / RATE
        parts += [0.4 * np.sin(2 * np.pi * PITCH[letter] * time), np.zeros(60)]
    whole = np.concatenate(parts)
    return (whole + 0.01 * random.standard_normal(len(whole))).astype("float32")


def clips(count: int, seed: int) -> tuple[list[Any], list[str]]:
    random = np.random.default_rng(seed)
    texts = [
        " ".join(
            "".join(random.choice(["a", "b"], random.integers(1, 3)))
            for _ in range(random.integers(1, 3))
        )
        for _ in range(count)
    ]
    return [(spoken(text, 1_000 * seed + i), RATE) for i, text in enumerate(texts)], texts


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("speech") / "wav2vec2"
    config = {
        **CONFIG,
        "feat_extract_norm": "layer",
        "do_stable_layer_norm": True,
        "conv_bias": True,
        "apply_spec_augment": False,
        "ctc_loss_reduction": "mean",
        **dict.fromkeys(("final_dropout", "attention_dropout", "activation_dropout"), 0.0),
    }
    from_config(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def learner(checkpoint: Path) -> Any:
    made = ktlite.get_learner(
        checkpoint, clips(160, 1), clips(24, 2), task=TASK, batch_size=16, verbose=0
    )
    made.fit_onecycle(1e-2, 30, verbose=0)
    return made


def test_learns_to_spell(learner: Any) -> None:
    figures = learner.metrics()
    assert set(figures) == {"loss", "wer", "cer"}
    assert figures["cer"] < 0.15
    assert figures["wer"] < 0.5
    losses = learner.get_predictor().preproc.task.example_losses(
        learner.get_predictor().logits(clips(24, 2)[0]), learner.val_data.targets
    )
    assert figures["loss"] == pytest.approx(losses.mean(), rel=1e-4)
    assert isinstance(learner.top_losses(1)[0][1], float)
    learner.view_top_losses(1)


def test_answers_do_not_depend_on_the_batch(learner: Any) -> None:
    predictor, items = learner.get_predictor(), clips(8, 3)[0]
    together = predictor.logits(items)
    for item, found in zip(items, together, strict=True):
        (alone,) = predictor.logits([item])
        np.testing.assert_allclose(alone, found, rtol=0, atol=1e-4)
    assert predictor.predict(items) == [predictor.predict(item) for item in items]


def test_saved_loaded_and_exported(learner: Any, tmp_path: Path) -> None:
    predictor, items = learner.get_predictor(), clips(6, 4)[0]
    expected = predictor.predict(items)
    predictor.save(tmp_path / "saved")
    loaded = ktlite.load_predictor(tmp_path / "saved")
    assert loaded.predict(items) == expected
    assert loaded.preproc.task.vocabulary == predictor.preproc.task.vocabulary
    predictor.export(tmp_path / "onnx", "onnx")
    assert ktlite.load_predictor(tmp_path / "onnx").predict(items) == expected
    again = ktlite.get_learner(
        tmp_path / "saved", clips(16, 5), clips(8, 6), task=TASK, verbose=0, check=False
    )
    assert again.metrics()["cer"] < 0.3  # of the head that was trained


@pytest.mark.torch
def test_pytorch_opens_a_predictor(learner: Any, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    torch = pytest.importorskip("torch")
    predictor = learner.get_predictor()
    predictor.export(tmp_path / "export", "huggingface")
    opened = transformers.AutoModelForCTC.from_pretrained(tmp_path / "export").eval()
    processor = transformers.AutoProcessor.from_pretrained(tmp_path / "export")
    assert opened.config.vocab_size == len(processor.tokenizer) == 7
    assert opened.config.pad_token_id == processor.tokenizer.pad_token_id == 0
    for text in ("ab ba", "b"):
        samples = spoken(text, 5)
        item = (samples, RATE)
        batch = predictor.preproc.encode([item]).batch(np.array([0]))
        values = batch["input_values"][batch["attention_mask"] == 1][None]
        with torch.no_grad():
            logits = opened(torch.from_numpy(values)).logits.numpy()
        (found,) = predictor.logits([item])
        np.testing.assert_allclose(found, logits[0, : len(found)], rtol=0, atol=1e-4)
        (heard,) = processor.batch_decode(logits[:, : len(found)].argmax(-1))
        assert heard == predictor.predict(item)


def test_from_a_table_with_the_vocabulary_of_the_checkpoint(golden: Path, tmp_path: Path) -> None:
    rows = [("1.wav", "bad face"), ("2.wav", "cab fad"), ("3.wav", "dab"), ("4.wav", "fab xi")] * 3
    for name, text in rows:
        soundfile.write(tmp_path / name, spoken("ab" if text else "a", len(text)), RATE)
    pd.DataFrame(rows, columns=["file", "text"]).to_csv(tmp_path / "clips.csv", index=False)
    made = ktlite.get_learner(
        golden / "wav2vec2-ctc", tmp_path / "clips.csv", text_column="file", label_columns="text",
        task=TASK, verbose=0, val_pct=0.5, check=False, batch_size=4,
    )  # fmt: skip
    task = made.preproc.task
    assert len(task.vocabulary) == 12
    np.testing.assert_array_equal(task.encode(["a b"])[0], [2, 1, 4])
    np.testing.assert_array_equal(task.encode(["fab i"])[0], [8, 2, 4, 1, 0])
    assert task.decode_targets(task.encode(["cab fad"])) == ["cab fad"]
    before = made.get_predictor().logits([spoken("ab", 1)])[0]
    made.fit(1e-3, 1, verbose=0)
    assert not np.array_equal(before, made.get_predictor().logits([spoken("ab", 1)])[0])


def test_the_head_alone_on_kept_features(checkpoint: Path) -> None:
    def trained(keep: bool) -> np.ndarray:
        made = ktlite.get_learner(
            checkpoint, clips(16, 8), clips(8, 9), task=TASK, batch_size=8, verbose=0, check=False
        )
        made.freeze(keep_features=keep)
        made.fit(1e-2, 2, verbose=0)
        return made.get_predictor().logits(clips(1, 10)[0])[0]

    np.testing.assert_allclose(trained(True), trained(False), atol=1e-3)


def test_what_is_refused(
    checkpoint: Path, golden: Path, tiny_checkpoint: Path, learner: Any
) -> None:
    sounds = clips(8, 1)[0]
    options: dict[str, Any] = {"task": TASK, "verbose": 0}
    with pytest.raises(DataError, match="expected the text of each sound; got"):
        ktlite.get_learner(checkpoint, (sounds, [["a"]] * 8), **options)
    with pytest.raises(DataError, match=r"16 of 16 characters are not in .*'X'"):
        ktlite.get_learner(golden / "wav2vec2-ctc", (sounds, ["XY"] * 8), **options)
    with pytest.raises(ArgumentError, match="has no vocabulary .*give the characters"):
        task = ktlite.tasks.SpeechRecognition()
        ktlite.get_learner(checkpoint, (sounds, ["a"] * 8), task=task, verbose=0)
    with pytest.raises(
        ArgumentError, match="of models that spell what they hear, .* this model reads texts"
    ):
        ktlite.get_learner(tiny_checkpoint, (["a"] * 8, ["b"] * 8), maxlen=8, **options)
    predictor = learner.get_predictor()
    with pytest.raises(ArgumentError, match="have no probabilities"):
        predictor.predict_proba(sounds[:1])
    with pytest.raises(ArgumentError, match="gives texts"):
        predictor.explain(sounds[0])
    config = json.loads((golden / "wav2vec2-ctc" / "config.json").read_text())
    assert config["architectures"] == ["Wav2Vec2ForCTC"]


def test_one_name_for_models_that_spell_and_that_write(golden: Path) -> None:
    data, options = clips(8, 1), {"task": TASK, "verbose": 0, "check": False}
    made = ktlite.get_learner(golden / "whisper", data, **options)
    assert type(made.preproc.task) is ktlite.tasks.Transcription
    with pytest.raises(ArgumentError, match="of models that spell what they hear"):
        ktlite.get_learner(
            golden / "whisper", data, **{**options, "task": ktlite.tasks.SpeechRecognition("ab ")}
        )


def test_clips_that_are_too_short_and_texts_that_are_empty(
    checkpoint: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sounds, texts = clips(12, 1)
    options: dict[str, Any] = {"verbose": 0, "check": False, "batch_size": 4}
    texts[3] = "ab" * 40
    with pytest.raises(
        DataError, match=r"1 of 12 sounds are .*number 3: 80 frames for 'abab.*=True\)"
    ):
        ktlite.get_learner(checkpoint, (sounds, texts), (sounds, texts), task=TASK, **options)
    texts[5] = ""
    task = ktlite.tasks.SpeechRecognition("ab", ctc_zero_infinity=True)
    made = ktlite.get_learner(checkpoint, (sounds, texts), (sounds, texts), task=task, **options)
    assert "They count nothing" in caplog.text
    assert "left out 1 of 12 rows: 1 with a missing label (row 5)" in caplog.text
    made.fit(1e-3, 1, verbose=0)
    assert np.isfinite(made.metrics()["loss"])
    assert made.model.hf_config()["vocab_size"] == len(task.vocabulary) == 7
    lost = (["no-such.wav", *sounds], ["a", *texts])
    with pytest.raises(DataError, match="no such file, such as 'no-such.wav'"):
        ktlite.get_learner(checkpoint, lost, task=task, missing="error", **options)
    with pytest.raises(DataError, match="expected the text of each sound; got 1 of type int"):
        ktlite.get_learner(checkpoint, (sounds, [1] * 12), task=TASK, **options)


def test_beams(learner: Any) -> None:
    predictor, (items, _) = learner.get_predictor(), clips(6, 4)
    found = predictor.predict(items, num_beams=8)
    task = predictor.preproc.task.asking({"num_beams": 8})
    assert found == task.decode(predictor.logits(items))
    assert predictor.predict(items[0], num_beams=8) == found[0]
    assert all(set(text) <= set("ab ") for text in found)
