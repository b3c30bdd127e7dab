"""Weights that are put back, saved and loaded."""

from __future__ import annotations

import gc
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import ktlite
from ktlite.errors import ArgumentError, CheckpointError
from ktlite.learner import Learner

Make = Callable[..., Learner]


def weights_of(model: Any) -> list[np.ndarray]:
    return [np.array(weight) for weight in model.get_weights()]


def assert_equal(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


class Counted(keras.layers.Layer):
    """Has a weight without axes, one of whole numbers and one in half precision."""

    def build(self, shape: Any) -> None:
        self.scale = self.add_weight(shape=(), initializer="ones", name="scale")
        self.calls = self.add_weight(
            shape=(2,), dtype="int32", initializer="zeros", trainable=False, name="calls"
        )
        self.half = self.add_weight(
            shape=(3,), dtype="bfloat16", initializer="ones", trainable=False, name="half"
        )

    def call(self, x: Any) -> Any:
        self.calls.assign_add([1, 2])
        self.half.assign_add([1, 2, 3])
        return x * self.scale


# -------------------------------------------------------------------------------- reset


def test_reset_takes_all_training_back(small_learner: Make) -> None:
    """Training after it is the training before it: the weights, the dropout, the order, Adam."""
    learner = small_learner(dropout=0.3)
    initial = weights_of(learner.model)
    first = learner.fit_onecycle(0.05, 2, verbose=0).history
    assert (weights_of(learner.model)[0] != initial[0]).any()
    learner.reset_weights()
    assert_equal(weights_of(learner.model), initial)
    assert int(learner.model.optimizer.iterations) == 0
    assert learner.fit_onecycle(0.05, 2, verbose=0).history == first


def test_reset_goes_back_to_before_the_first_of_many_fits(small_learner: Make) -> None:
    learner = small_learner()
    initial = weights_of(learner.model)
    for _ in range(2):
        learner.fit(0.05, 1, verbose=0)
        learner.freeze()
        learner.fit(0.05, 1, verbose=0)
        learner.reset_weights()
        assert_equal(weights_of(learner.model), initial)


def test_reset_before_any_training_changes_nothing(small_learner: Make) -> None:
    learner = small_learner()
    before, optimizer = weights_of(learner.model), learner.model.optimizer
    learner.reset_weights()
    assert_equal(weights_of(learner.model), before)
    assert learner.model.optimizer is optimizer


def test_reset_puts_weights_of_every_kind_back(arrays: Any) -> None:
    model = keras.Sequential([keras.Input((4,)), Counted(), keras.layers.Dense(1)])
    model.compile("adam", loss="mse", run_eagerly=True)
    before = weights_of(model)
    learner = ktlite.get_learner(model, (arrays.x, arrays.y), batch_size=8)
    learner.fit(0.1, 1, verbose=0)
    assert all((a != b).any() for a, b in zip(weights_of(model), before, strict=True))
    learner.reset_weights()
    assert_equal(weights_of(model), before)


def test_the_kept_weights_go_with_the_learner(
    small_learner: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # other processes write to theirs

    def kept() -> list[Path]:
        return list(tmp_path.glob("ktlite-*/initial.safetensors"))

    learner = small_learner()
    assert not kept()
    learner.fit(0.1, 1, verbose=0)
    assert len(kept()) == 1
    del learner
    gc.collect()
    assert not kept()


# ------------------------------------------------------------------------- save and load


def test_a_keras_models_weights_come_back(small_learner: Make, tmp_path: Path) -> None:
    learner = small_learner()
    learner.fit(0.05, 1, verbose=0)
    model, trained = learner.model, weights_of(learner.model)
    learner.save_model(tmp_path / "saved")
    assert_equal(weights_of(keras.saving.load_model(tmp_path / "saved" / "model.keras")), trained)
    learner.fit(0.05, 1, verbose=0)
    learner.load_model(tmp_path / "saved")
    assert learner.model is model
    assert_equal(weights_of(model), trained)
    learner.reset_weights()
    assert_equal(weights_of(model), weights_of(small_learner().model))


def test_saving_replaces_a_saved_model_and_refuses_anything_else(
    small_learner: Make, tmp_path: Path
) -> None:
    learner = small_learner()
    learner.save_model(tmp_path / "saved")
    learner.fit(0.05, 1, verbose=0)
    learner.save_model(tmp_path / "saved")
    learner.load_model(tmp_path / "saved")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("ten years")
    with pytest.raises(ArgumentError, match="other"):
        learner.save_model(tmp_path / "other")
    assert [p.name for p in (tmp_path / "other").iterdir()] == ["thesis.txt"]


def test_a_text_model_is_saved_as_a_checkpoint_that_opens_again(
    text_learner: Learner, tmp_path: Path
) -> None:
    text_learner.save_model(tmp_path / "saved")
    names = {path.name for path in (tmp_path / "saved").iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= names
    model = ktlite.load_model(tmp_path / "saved")
    assert_equal(weights_of(model), weights_of(text_learner.model))
    assert model.config["id2label"] == {"0": "ham", "1": "spam", "2": "toast"}
    # A saved predictor is a checkpoint too.
    text_learner.get_predictor().save(tmp_path / "predictor")
    model.set_weights([np.zeros_like(w) for w in model.get_weights()])
    model.compile()
    other = ktlite.get_learner(model)
    other.load_model(tmp_path / "predictor")
    assert_equal(weights_of(model), weights_of(text_learner.model))


def test_what_is_no_saved_model_of_this_kind_is_refused(
    small_learner: Make, text_learner: Learner, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    learner = small_learner()
    learner.save_model(tmp_path / "keras")
    for reader, folder, name in (
        (learner, tmp_path / "nowhere", "model.keras"),
        (learner, tiny_checkpoint, "model.keras"),
        (text_learner, tmp_path / "keras", "config.json"),
    ):
        with pytest.raises(ArgumentError, match=f"load_model: there is no .*{name}"):
            reader.load_model(folder)


def test_weights_of_another_shape_are_refused(
    small_learner: Make, text_learner: Learner, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    model = keras.Sequential([keras.Input((9,)), keras.layers.Dense(6), keras.layers.Dense(3)])
    ktlite.get_learner(model).save_model(tmp_path / "wide")
    learner = small_learner()
    with pytest.raises(ArgumentError, match="wide.*do not fit the model"):
        learner.load_model(tmp_path / "wide")
    text_learner.save_model(tmp_path / "cut")
    (tmp_path / "cut" / "model.safetensors").write_bytes(b"no tensors")
    before = weights_of(text_learner.model)
    with pytest.raises(CheckpointError, match="model.safetensors"):
        text_learner.load_model(tmp_path / "cut")
    assert_equal(weights_of(text_learner.model), before)


def test_a_checkpoint_with_other_labels_is_refused_as_a_whole(
    text_learner: Learner, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    """Its head cannot be taken over, and half a model is none."""
    ktlite.load_model(tiny_checkpoint, num_labels=5).save_pretrained(tmp_path)
    before = weights_of(text_learner.model)
    with pytest.raises(CheckpointError, match=r"classifier.weight has shape \[5, 32\]"):
        text_learner.load_model(tmp_path)
    assert_equal(weights_of(text_learner.model), before)


def test_a_checkpoint_that_ktlite_did_not_save_is_not_replaced(
    text_learner: Learner, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    original = tmp_path / "original"
    shutil.copytree(tiny_checkpoint, original)
    (original / "README.md").write_text("The model card.")
    with pytest.raises(ArgumentError, match=r"README\.md"):
        text_learner.save_model(original)
    assert (original / "README.md").is_file()


def test_saved_model_of_pairs_keeps_its_longest_text(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """What sentence-transformers reads is beside it, as beside a saved predictor."""
    pairs = [("a b", "a c"), ("d e", "d f"), ("g h", "h g")] * 4
    learner = ktlite.get_learner(
        tiny_checkpoint, pairs, pairs[:3], task="sentence-similarity", maxlen=12, verbose=0
    )
    learner.save_model(tmp_path / "model")
    learner.get_predictor().save(tmp_path / "predictor")
    lengths = {
        json.loads((tmp_path / name / "sentence_bert_config.json").read_text())["max_seq_length"]
        for name in ("model", "predictor")
    }
    assert lengths == {12}
