"""Families that read sounds: the numbers of PyTorch transformers, whatever a sound is padded with.

The numbers come from `tests/golden`, which `make_sounds.py` wrote.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from ktlite.encodings.targets import IGNORE
from ktlite.errors import CheckpointError
from ktlite.models import families, from_config, from_pretrained
from ktlite.models.core.span_masks import SpansSpec, hidden_spans
from ktlite.models.transfer import collect_tensors
from ktlite.tasks.ctc import ctc_loss, negative_log_likelihood

TASK = "audio-classification"
WAVES = ("wav2vec2", "wav2vec2-stable", "hubert")
FOLDERS = (*WAVES, "ast")
SPELL, SPEECH = ("hubert-ctc", "wav2vec2-ctc"), "automatic-speech-recognition"
of_waves = pytest.mark.parametrize("folder", WAVES, indirect=True, scope="module")
GOLDEN = Path(__file__).parents[1] / "golden"
Tensors = dict[str, np.ndarray]


@pytest.fixture(scope="module", params=FOLDERS)
def folder(request: pytest.FixtureRequest) -> Path:
    return GOLDEN / str(request.param)


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    return from_pretrained(folder, TASK)


@pytest.fixture(scope="module")
def expected(folder: Path) -> Tensors:
    return load_file(folder / "expected.safetensors")


def together(expected: Tensors, beyond: int = 0) -> Tensors:
    """Returns the golden sounds as one batch, with so many samples of padding more."""
    values = [expected[f"input_values.{i}"] for i in range(3)]
    width = max(map(len, values)) + beyond
    batch = np.zeros((3, width), "float32")
    for row, one in zip(batch, values, strict=True):
        row[: len(one)] = one
    lengths = np.array([len(one) for one in values])
    return {"input_values": batch, "attention_mask": (np.arange(width) < lengths[:, None]) * 1}


def test_no_golden_folder_is_forgotten() -> None:
    files = [
        file
        for file in GOLDEN.glob("*/preprocessor_config.json")
        if "feature_extractor_type" in file.read_text()  # that of others is of pictures
    ]
    writers = {file.parent for file in GOLDEN.glob("*/generation_config.json")}
    found = {file.parent for file in files} - writers  # which are in test_sequences.py
    names = {*FOLDERS, *SPELL}
    assert {folder.name for folder in found if (folder / "config.json").is_file()} == names
    configs = [json.loads((GOLDEN / name / "config.json").read_text()) for name in names]
    shown = {(config["model_type"], config["architectures"][0]) for config in configs}
    known = {
        (model_type, family.architectures[task])
        for model_type, family in families._REGISTRY.items()
        for task in family.heads
        if task in (TASK, SPEECH) and model_type != "whisper"  # which writes
    }
    assert shown == known


def near(found: Any, expected: np.ndarray, atol: float = 1e-5) -> None:
    np.testing.assert_allclose(np.asarray(found), expected, rtol=0, atol=atol)


def test_each_sound_alone(folder: Path, model: Any, expected: Tensors) -> None:
    bare = from_pretrained(folder)
    for number in range(3):
        inputs = {"input_values": expected[f"input_values.{number}"][None]}
        near(model(inputs)[0], expected["logits"][number])
        near(bare(inputs)[0], expected[f"last_hidden_state.{number}"])


@of_waves
@pytest.mark.parametrize("beyond", [0, 83])
def test_padding_changes_nothing(model: Any, expected: Tensors, beyond: int) -> None:
    batch = together(expected, beyond)
    near(model(batch), expected["logits"])
    if "padded.logits" in expected:
        near(model(batch), expected["padded.logits"])
    batch["input_values"] = np.where(batch["attention_mask"], batch["input_values"], 7)
    near(model(batch), expected["logits"])


def test_the_way_back_gives_the_same_tensors(folder: Path, model: Any) -> None:
    stored = load_file(folder / "model.safetensors")
    found = collect_tensors(model)
    assert set(found) == set(stored)
    for name, tensor in stored.items():
        np.testing.assert_array_equal(found[name], tensor)


@pytest.mark.torch
def test_pytorch_opens_what_is_saved(model: Any, expected: Tensors, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    model.save_pretrained(tmp_path)
    name = json.loads((tmp_path / "config.json").read_text())["architectures"][0]
    opened, info = getattr(transformers, name).from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    with torch.no_grad():
        for number in range(3):
            values = torch.from_numpy(expected[f"input_values.{number}"][None])
            near(opened.eval()(values).logits[0], expected["logits"][number])


def test_kernels_in_the_older_spelling(expected: Tensors, tmp_path: Path) -> None:
    source = GOLDEN / "wav2vec2"
    expected = load_file(source / "expected.safetensors")
    shutil.copy(source / "config.json", tmp_path)
    tensors = load_file(source / "model.safetensors")
    for new, old in (("original0", "weight_g"), ("original1", "weight_v")):
        (name,) = (name for name in tensors if name.endswith(new))
        tensors[name.replace(f"parametrizations.weight.{new}", old)] = tensors.pop(name)
    save_file(tensors, tmp_path / "model.safetensors")
    near(from_pretrained(tmp_path, TASK)(together(expected)), expected["logits"])


@of_waves
def test_everything_that_trains_gets_a_gradient(folder: Path, expected: Tensors) -> None:
    import tensorflow as tf

    model = from_pretrained(folder, TASK)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(together(expected), training=True) ** 2)
    gradients = tape.gradient(loss, model.trainable_variables)
    none = [
        variable.path
        for variable, gradient in zip(model.trainable_variables, gradients, strict=True)
        if gradient is None
    ]
    assert none == []


@pytest.mark.parametrize("folder", ["wav2vec2-stable"], indirect=True)
def test_compiled_by_xla(folder: Path, expected: Tensors) -> None:
    from ktlite.training.xla import compile_encoder

    config = json.loads((folder / "config.json").read_text())
    still = {name: 0.0 for name in config if "dropout" in name} | {"apply_spec_augment": False}
    model = from_pretrained(folder, TASK, config=still)
    compile_encoder(model)
    near(model(together(expected), training=True), expected["logits"])


def test_half_precision_is_near(folder: Path, expected: Tensors) -> None:
    model = from_pretrained(folder, TASK, dtype="mixed_float16")
    inputs = {"input_values": expected["input_values.0"][None]}
    near(model(inputs)[0], expected["logits"][0], atol=0.05)


def test_new_kernels_are_their_directions(tmp_path: Path) -> None:
    config = json.loads((GOLDEN / "wav2vec2" / "config.json").read_text())
    position = from_config(config, TASK).embeddings.position
    near(position.kernel, np.asarray(position.direction), atol=1e-6)
    assert np.std(np.asarray(position.direction)) == pytest.approx(2 / np.sqrt(8 * 32), rel=0.1)
    from_config(config, TASK).save_pretrained(tmp_path)
    assert from_pretrained(tmp_path, TASK).config["model_type"] == "wav2vec2"


def test_some_blocks_of_it(folder: Path, expected: Tensors) -> None:
    model = from_pretrained(folder, layers=1)
    assert len(model.encoder.blocks) == 1
    assert model({"input_values": expected["input_values.0"][None]}).shape[0] == 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"add_adapter": True}, "add_adapter=True is not supported"),
        ({"adapter_attn_dim": 16}, "adapters of languages"),
        ({"conv_kernel": [3]}, "have 3, 1 and 3 numbers"),
        ({"conv_dim": "7"}, "expected a list of whole numbers"),
        ({"num_conv_pos_embedding_groups": 5}, "not divisible"),
        ({"feat_extract_norm": "batch"}, "'batch' is not known"),
        ({"model_type": "hubert", "conv_pos_batch_norm": True}, "conv_pos_batch_norm=True"),
        ({"num_mel_bins": 4}, "num_mel_bins=4, max_length=14, patch_size=5: no patch fits"),
    ],
)
def test_what_is_not_supported_is_refused(fields: dict[str, Any], message: str) -> None:
    folder = "ast" if "num_mel_bins" in fields else "wav2vec2"
    config = json.loads((GOLDEN / folder / "config.json").read_text())
    with pytest.raises(CheckpointError, match=message):
        from_config({**config, **fields}, TASK)


def spans(spec: SpansSpec, lengths: list[float], size: int, times: int = 1) -> np.ndarray:
    rows = np.tile(np.float32(lengths), times)
    seed = keras.random.SeedGenerator(0)
    return np.asarray(hidden_spans(spec, len(rows), size, rows, seed))


def runs(row: np.ndarray) -> list[int]:
    """Returns the lengths of the stretches that are True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], row.astype(int), [0]])))
    return list(edges[1::2] - edges[::2])


def test_as_many_spans_are_hidden_as_asked() -> None:
    hidden = spans(SpansSpec(0.05, 10, 2), [49.0, 49.0, 12.0, 6.0], 60, 50)
    for row, length in zip(hidden, [49, 49, 12, 6] * 50, strict=True):
        assert not row[length:].any()
        assert row.sum() <= (20 if length == 49 else 10 if length == 12 else 0)
        assert row.any() == (length >= 10)
        assert all(run >= 10 for run in runs(row))
    assert {row.sum() for row in hidden[::4]} > {20}  # spans may overlap, and mostly do not


def test_the_share_of_what_is_hidden() -> None:
    hidden = spans(SpansSpec(0.1, 2), [1000.0], 1000, 40)
    assert hidden.mean() == pytest.approx(0.095, abs=0.005)
    assert not spans(SpansSpec(0.001, 2), [100.0], 100, 40).all(axis=1).any()
    assert not np.array_equal(hidden[0], hidden[1])


@pytest.fixture(scope="module", params=SPELL)
def spelled(request: pytest.FixtureRequest) -> tuple[Any, Tensors]:
    folder = GOLDEN / str(request.param)
    return from_pretrained(folder, SPEECH), load_file(folder / "expected.safetensors")


def test_frames_are_spelled_as_pytorch_does(spelled: tuple[Any, Tensors]) -> None:
    model, expected = spelled
    stored = load_file(model.source / "model.safetensors")
    assert set(collect_tensors(model)) == set(stored)
    assert model.hf_config()["vocab_size"] == model.num_labels == 12
    whole = np.asarray(model(together(expected, 20)))
    blank = model.config["pad_token_id"]
    for number in range(3):
        logits = expected[f"logits.{number}"]
        near(model({"input_values": expected[f"input_values.{number}"][None]})[0], logits)
        near(whole[number, : len(logits)], logits)
        assert (whole[number, len(logits) :].argmax(axis=-1) == blank).all()


def test_the_likelihood_of_a_text_is_pytorchs(spelled: tuple[Any, Tensors]) -> None:
    model, expected = spelled
    blank = model.config["pad_token_id"]
    labels = [expected[f"labels.{i}"] for i in range(3)]
    targets = np.full((3, 8), IGNORE)
    for row, one in zip(targets, labels, strict=True):
        row[: len(one)] = one
    found = ctc_loss(blank, "sum").call(targets, model(together(expected, 20)))
    for number, one in enumerate(labels):
        loss = float(expected[f"loss.{number}"])
        logits = expected[f"logits.{number}"]
        assert negative_log_likelihood(logits, one, blank) == pytest.approx(loss, rel=1e-5)
        assert float(found[number]) == pytest.approx(loss, rel=1e-5)
