"""Heads whose outputs are not those of labels: spans, choices, language models, pretraining."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from safetensors.numpy import load_file

from ktlite.errors import ArgumentError, CheckpointError
from ktlite.models import from_config, from_pretrained

TASK = "text-classification"
TASKS = {  # by the last part of a golden folder's name
    "choice": "multiple-choice",
    "mlm": "masked-lm",
    "pretraining": "pretraining",
}
Tensors = dict[str, np.ndarray]


def run(model: Any, inputs: Tensors) -> np.ndarray:
    return np.asarray(model(inputs))


def test_span_head_has_two_outputs_whatever_the_labels(golden: Path, tmp_path: Path) -> None:
    config = json.loads((golden / "bert-gelu" / "config.json").read_text(encoding="utf-8"))
    model = from_config(config, "question-answering")
    assert model({"input_ids": np.array([[5, 6, 7]])}).shape == (1, 3, 2)
    assert list(model.hf_config()["id2label"]) == ["0", "1"]


@pytest.mark.parametrize(
    ("task", "num_labels"),
    [
        ("question-answering", 3),
        ("masked-lm", 1),
        ("masked-lm", 97),
        ("multiple-choice", 4),
        ("pretraining", 3),
    ],
)
def test_number_of_labels_of_a_head_without_labels_is_refused(
    golden: Path, task: str, num_labels: int
) -> None:
    with pytest.raises(ArgumentError, match=f"num_labels={num_labels} for {task}"):
        from_pretrained(golden / "bert-gelu", task, num_labels=num_labels)


def test_decoder_of_the_masked_lm_is_the_table_of_words(golden: Path, tmp_path: Path) -> None:
    model = from_pretrained(golden / "bert-mlm", "masked-lm")
    inputs = {"input_ids": np.array([[5, 6, 7]])}
    before = run(model, inputs)
    words = model.embeddings.word.embeddings
    changed = words.numpy()
    changed[90] = 0.0
    words.assign(changed)
    after = run(model, inputs)
    np.testing.assert_array_equal(after[..., 90], np.full((1, 3), model.head.decoder.bias[90]))
    np.testing.assert_allclose(after[..., :90], before[..., :90], atol=1e-6)
    model.save_pretrained(tmp_path)
    assert "cls.predictions.decoder.weight" not in load_file(tmp_path / "model.safetensors")


@pytest.mark.parametrize(
    ("folder", "fields", "said"),
    [
        ("bert-mlm", {"tie_word_embeddings": False}, "tie_word_embeddings=False is not supported"),
        (
            "albert-pretraining",
            {"tie_word_embeddings": False},
            "tie_word_embeddings=False is not supported for pretraining",
        ),
        ("deberta-mlm", {"legacy": False}, "no head for masked-lm"),
        ("electra-choice", {"summary_use_proj": False}, "no head for multiple-choice"),
        ("electra-choice", {"summary_type": "last"}, "no head for multiple-choice"),
        ("electra-choice", {"summary_activation": "sine"}, "no head for multiple-choice"),
    ],
)
def test_head_that_the_config_makes_another_is_refused_and_others_are_not(
    golden: Path, folder: str, fields: dict[str, Any], said: str
) -> None:
    config = json.loads((golden / folder / "config.json").read_text(encoding="utf-8"))
    from_config({**config, **fields}, TASK)
    with pytest.raises(CheckpointError, match=said):
        from_config({**config, **fields}, TASKS[folder.rpartition("-")[2]])


# Masked positions

LANGUAGE_MODELS = ("albert-pretraining", "bert-mlm", "bert-pretraining", "modernbert-mlm")
POSITIONS = np.array([[3, 0, 39], [22, 7, 7], [5, 0, 0]], np.int32)


def padded(folder: Path) -> Tensors:
    expected = load_file(folder / "expected.safetensors")
    names = ("input_ids", "attention_mask", "token_type_ids")
    return {name: expected[name] for name in names if name in expected}


def predictions(outputs: Any) -> np.ndarray:
    return np.asarray(outputs["prediction_logits"] if isinstance(outputs, dict) else outputs)


@pytest.mark.parametrize("folder", LANGUAGE_MODELS)
def test_logits_at_masked_positions_are_those_of_all_tokens(golden: Path, folder: str) -> None:
    expected = load_file(golden / folder / "expected.safetensors")
    everywhere = expected.get("prediction_logits", expected.get("logits"))
    model = from_pretrained(golden / folder, TASKS[folder.rpartition("-")[2]])
    inputs = {**padded(golden / folder), "masked_positions": POSITIONS}
    chosen = np.take_along_axis(everywhere, POSITIONS[..., None], axis=1)
    shapes = {name: tf.TensorSpec((None, None), tf.int32) for name in inputs}
    compiled = tf.function(
        lambda x: model(x, training=False), input_signature=[shapes], jit_compile=True
    )
    for found in (model(inputs), compiled(inputs)):
        np.testing.assert_allclose(predictions(found), chosen, rtol=0, atol=1e-5)


def test_masked_positions_leave_the_logits_of_pairs_alone(golden: Path) -> None:
    model = from_pretrained(golden / "albert-pretraining", "pretraining")
    inputs = padded(golden / "albert-pretraining")
    at_some = model({**inputs, "masked_positions": POSITIONS})
    assert list(at_some) == ["prediction_logits", "sop_logits"]
    np.testing.assert_array_equal(at_some["sop_logits"], model(inputs)["sop_logits"])


@pytest.mark.parametrize(
    ("dtype", "off_by"), [("float32", 1e-4), ("mixed_bfloat16", 0.1), ("mixed_float16", 0.02)]
)
def test_gradient_through_masked_positions_is_that_of_choosing_afterwards(
    golden: Path, dtype: str, off_by: float
) -> None:
    folder = golden / "albert-pretraining"
    reference, model = (
        from_pretrained(folder, "pretraining", dtype=policy) for policy in ("float32", dtype)
    )
    inputs = padded(folder)
    with tf.GradientTape() as tape:
        everywhere = reference(inputs)["prediction_logits"]
        loss = tf.reduce_mean(tf.gather(everywhere, POSITIONS, batch_dims=1) ** 2)
    parts = ("embeddings", "encoder")
    expected = tape.gradient(loss, [getattr(reference, part).trainable_weights for part in parts])
    with tf.GradientTape() as tape:
        logits = model({**inputs, "masked_positions": POSITIONS})["prediction_logits"]
        loss = tf.reduce_mean(logits**2)
    assert logits.shape == (3, 3, 97)
    found = tape.gradient(loss, [getattr(model, part).trainable_weights for part in parts])
    for ours, theirs in zip(tf.nest.flatten(found), tf.nest.flatten(expected), strict=True):
        ours, theirs = (tf.convert_to_tensor(x).numpy() for x in (ours, theirs))
        assert np.abs(ours - theirs).mean() <= off_by * np.abs(theirs).mean()


# Multiple choice


def test_choices_are_scored_alone(golden: Path) -> None:
    model = from_pretrained(golden / "bert-choice", "multiple-choice")
    inputs = padded(golden / "bert-choice")
    together = run(model, inputs)
    for i in range(2):
        alone = {name: value[:, i : i + 1] for name, value in inputs.items()}
        np.testing.assert_allclose(run(model, alone)[:, 0], together[:, i], atol=1e-5)


def test_number_of_choices_is_free_and_labels_are_left_alone(golden: Path) -> None:
    model = from_pretrained(golden / "bert-choice", "multiple-choice")
    assert run(model, {"input_ids": np.full((2, 5, 7), 9)}).shape == (2, 5)
    assert list(model.hf_config()["id2label"]) == ["0", "1", "2"]


def test_choices_must_have_a_dimension_of_their_own(golden: Path) -> None:
    model = from_pretrained(golden / "bert-choice", "multiple-choice")
    with pytest.raises(ArgumentError, match=r"\(2, 7\) for multiple-choice; expected \[batch, ch"):
        model({"input_ids": np.full((2, 7), 9)})


# From one head to another


@pytest.mark.parametrize(
    ("folder", "task", "taken"),
    [
        ("albert-pretraining", TASK, {"pooler": "dense"}),
        ("albert-pretraining", "multiple-choice", {"pooler": "dense"}),
        ("albert-pretraining", "masked-lm", {"dense": "dense", "norm": "norm"}),
        ("bert-pretraining", TASK, {"pooler": "dense"}),
        ("bert-pretraining", "masked-lm", {"dense": "dense", "decoder": "decoder"}),
        ("bert-choice", TASK, {"dense": "dense"}),
        ("bert-gelu", "multiple-choice", {"dense": "dense"}),
        ("bert-gelu", "pretraining", {"dense": "pooler"}),
    ],
)
def test_next_task_takes_over_what_it_has_in_common(
    golden: Path, folder: str, task: str, taken: dict[str, str]
) -> None:
    before = from_pretrained(golden / folder, TASKS.get(folder.rpartition("-")[2], TASK))
    after = from_pretrained(golden / folder, task)
    for theirs, ours in taken.items():
        pairs = zip(getattr(before.head, theirs).weights, getattr(after.head, ours).weights,
                    strict=True)  # fmt: skip
        for old, new in pairs:
            np.testing.assert_array_equal(new.numpy(), old.numpy(), err_msg=new.path)


def test_dropout_before_the_logits_of_pairs_is_theirs_alone(golden: Path) -> None:
    config = json.loads((golden / "albert-pretraining" / "config.json").read_text("utf-8"))
    rates = {"classifier_dropout_prob": 0.5, "initializer_range": 0.5}
    model = from_config({**config, **rates}, "pretraining")
    inputs = padded(golden / "albert-pretraining")
    training, not_training = model(inputs, training=True), model(inputs, training=False)
    words, pairs = "prediction_logits", "sop_logits"
    np.testing.assert_array_equal(training[words], not_training[words])
    assert np.abs(training[pairs] - not_training[pairs]).max() > 1e-3


def test_pretraining_fits(golden: Path) -> None:
    """Losses by the names of the outputs, positions among the inputs: as a Learner trains it."""
    folder = golden / "albert-pretraining"
    model = from_pretrained(folder, "pretraining")
    inputs = {**padded(folder), "masked_positions": POSITIONS}
    words = np.take_along_axis(inputs["input_ids"], POSITIONS, axis=1)
    model.compile(
        "adam",
        loss={
            name: keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            for name in ("prediction_logits", "sop_logits")
        },
    )
    targets = {"prediction_logits": words, "sop_logits": np.array([0, 1, 0])}
    losses = model.fit(inputs, targets, batch_size=3, epochs=12, verbose=0).history["loss"]
    assert losses[-1] < 0.7 * losses[0]


def test_both_classifiers_of_a_distilled_image_model_go_by_the_labels_names(
    golden: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(golden / "deit-distilled", tmp_path / "deit")
    config = json.loads((folder / "config.json").read_text())
    config["id2label"] = {"0": "paper", "1": "glass", "2": "metal"}
    (folder / "config.json").write_text(json.dumps(config))
    order = ["metal", "paper", "glass"]
    stored, ordered = (
        from_pretrained(folder, "image-classification", labels=labels) for labels in (None, order)
    )
    pixels = {"pixel_values": load_file(folder / "expected.safetensors")["pixel_values"]}
    np.testing.assert_allclose(ordered(pixels), np.asarray(stored(pixels))[:, [2, 0, 1]], atol=1e-6)
