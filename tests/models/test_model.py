"""`TransformerModel` as a Keras model: variables, randomness, training, saving."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from safetensors.numpy import load_file

from ktlite.errors import ArgumentError, CheckpointError
from ktlite.models import TransformerModel, from_config, from_pretrained
from ktlite.models.checkpoint import CheckpointReader
from ktlite.models.core.activations import ACTIVATIONS, get_activation
from ktlite.models.heads import get_head

TASK = "text-classification"
Config = dict[str, Any]
Tensors = dict[str, np.ndarray]


def run(model: Any, inputs: Tensors, **kwargs: Any) -> np.ndarray:
    return np.asarray(model(inputs, **kwargs))


def values(model: TransformerModel) -> Tensors:
    return {w.path: w.numpy() for w in model.weights}


def same(a: Tensors, b: Tensors) -> list[str]:
    """Returns the names of the weights that are equal in both."""
    assert sorted(a) == sorted(b)
    return [name for name in a if np.array_equal(a[name], b[name])]


# Construction


def test_every_variable_exists_before_the_first_call(config: Config, batch: Tensors) -> None:
    model = from_config(config, TASK)
    assert model.built
    before = [id(v) for v in model.variables]
    weights = {w.path.removeprefix("bert/"): tuple(w.shape) for w in model.weights}
    assert weights["embeddings/word/embeddings"] == (97, 32)
    assert weights["embeddings/position/embeddings"] == (40, 32)
    assert weights["embeddings/token_type/embeddings"] == (2, 32)
    assert weights["encoder/block_1/attention/qkv/kernel"] == (32, 96)
    assert weights["encoder/block_1/feed_forward/down/kernel"] == (48, 32)
    assert weights["head/classifier/kernel"] == (32, 3)
    assert len(weights) == 5 + 2 * 12 + 4
    model(batch, training=True)
    assert [id(v) for v in model.variables] == before


def test_number_of_parameters_is_that_of_bert_tiny() -> None:
    """google/bert_uncased_L-2_H-128_A-2 has 4,385,920, and 2 * 129 for the classifier."""
    small = {
        "model_type": "bert",
        "hidden_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 512,
    }
    assert from_config(small, TASK, num_labels=2).count_params() == 4_385_920 + 258


def test_equal_seeds_give_equal_weights_and_others_do_not(config: Config) -> None:
    first, again, other = (values(from_config(config, TASK, seed=seed)) for seed in (1, 1, 2))
    assert same(first, again) == list(first)
    drawn = [name for name, value in first.items() if value.std() > 0]
    assert len(drawn) == 3 + 2 * 4 + 2  # embeddings, a block's kernels, the head's
    assert not set(same(first, other)) & set(drawn)


def test_new_weights_are_drawn_as_the_config_says(config: Config) -> None:
    model = from_config({**config, "initializer_range": 0.5}, TASK)
    kernel = model.encoder.blocks[0].attention.qkv.kernel.numpy()
    assert kernel.std() == pytest.approx(0.5, rel=0.1)
    drawn = [w for w in values(model).values() if w.std() > 0]
    assert len({w.flat[0] for w in drawn}) == len(drawn)  # no two from the same numbers


def test_config_of_the_caller_is_left_alone(config: Config, tmp_path: Path) -> None:
    before = json.dumps(config)
    model = from_config(config, TASK, num_labels=5)
    model.save_pretrained(tmp_path)
    assert json.dumps(config) == before


@pytest.mark.parametrize(
    ("task", "num_labels", "said"),
    [
        ("text-clasification", None, "Did you mean 'text-classification'?"),
        (TASK, 0, "num_labels=0; expected at least 1"),
        (TASK, -3, "num_labels=-3; expected at least 1"),
        (None, 3, "num_labels=3 without a task"),
    ],
)
def test_head_that_makes_no_sense_is_refused(
    config: Config, task: str | None, num_labels: int | None, said: str
) -> None:
    with pytest.raises(ArgumentError) as caught:
        from_config(config, task, num_labels=num_labels)
    assert said in str(caught.value)


def test_unknown_head_and_activation_name_the_nearest() -> None:
    with pytest.raises(ArgumentError, match="Did you mean 'text-classification'"):
        get_head("text-classificatoin")
    with pytest.raises(CheckpointError, match="Did you mean 'gelu_new'"):
        get_activation("gelu_nwe")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gelu", [-0.15865525, 0.0, 0.84134475]),  # x times the normal distribution function
        ("gelu_new", [-0.15880801, 0.0, 0.84119199]),
        ("gelu_pytorch_tanh", [-0.15880801, 0.0, 0.84119199]),
        ("quick_gelu", [-0.15420423, 0.0, 0.84579577]),  # x * sigmoid(1.702 x)
        ("relu", [0.0, 0.0, 1.0]),
        ("silu", [-0.26894142, 0.0, 0.73105858]),
        ("swish", [-0.26894142, 0.0, 0.73105858]),
        ("tanh", [-0.76159416, 0.0, 0.76159416]),
    ],
)
def test_activation_is_the_function_of_that_name(name: str, expected: list[float]) -> None:
    x = np.array([-1.0, 0.0, 1.0], np.float32)
    np.testing.assert_allclose(get_activation(name)(x), expected, rtol=0, atol=1e-6)


def test_every_activation_is_checked_above() -> None:
    mark = next(m for m in test_activation_is_the_function_of_that_name.pytestmark)
    assert [row[0] for row in mark.args[1]] == list(ACTIVATIONS)


# Inputs


@pytest.mark.parametrize("dtype", ["int32", "int64", "bool"])
def test_mask_may_be_of_any_whole_type(config: Config, batch: Tensors, dtype: str) -> None:
    model = from_config(config, TASK)
    other = {**batch, "attention_mask": batch["attention_mask"].astype(dtype)}
    np.testing.assert_array_equal(run(model, other), run(model, batch))


def test_inputs_without_names_are_refused(config: Config, batch: Tensors) -> None:
    model = from_config(config)
    with pytest.raises(ArgumentError, match=r"takes a dict of arrays, {'input_ids': \.\.\.}; got"):
        model(batch["input_ids"])


def test_token_types_default_to_zero(config: Config, batch: Tensors) -> None:
    model = from_config({**config, "initializer_range": 0.3}, TASK)
    del batch["token_type_ids"]
    zeros = {**batch, "token_type_ids": np.zeros_like(batch["input_ids"])}
    ones = {**batch, "token_type_ids": np.ones_like(batch["input_ids"])}
    np.testing.assert_array_equal(run(model, batch), run(model, zeros))
    assert np.abs(run(model, batch) - run(model, ones)).max() > 1e-3


@pytest.mark.parametrize("dtype", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_row_that_is_masked_as_a_whole_gives_numbers(
    config: Config, batch: Tensors, dtype: str
) -> None:
    model = from_config(config, TASK, dtype=dtype)
    masked = {**batch, "attention_mask": batch["attention_mask"].copy()}
    masked["attention_mask"][1] = 0
    with tf.GradientTape() as tape:
        logits = model(masked)
        loss = tf.reduce_sum(logits**2)
    assert np.isfinite(logits).all()
    assert np.isfinite(
        tape.gradient(loss, model.encoder.blocks[0].attention.qkv.kernel.value)
    ).all()
    others = [0, 2]
    np.testing.assert_allclose(run(model, masked)[others], run(model, batch)[others], atol=1e-6)


# Dropout


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
def test_dropout_differs_from_step_to_step(
    config: Config, batch: Tensors, jit_compile: bool
) -> None:
    model = from_config(config, TASK)
    step = tf.function(lambda x: model(x, training=True), jit_compile=jit_compile)
    first, second = (step(batch).numpy() for _ in range(2))
    assert np.abs(first - second).max() > 1e-3


def test_dropout_repeats_with_the_seed(config: Config, batch: Tensors) -> None:
    def steps(seed: int) -> list[np.ndarray]:
        model = from_config(config, TASK, seed=seed)
        model.set_weights(from_config(config, TASK).get_weights())
        return [run(model, batch, training=True) for _ in range(2)]

    first, again, other = steps(1), steps(1), steps(2)
    np.testing.assert_array_equal(first, again)
    assert all(np.abs(a - b).max() > 1e-3 for a, b in zip(first, other, strict=True))


def test_dropout_of_a_loaded_model_is_that_of_a_new_one(
    config: Config, tensors: Tensors, batch: Tensors, write_checkpoint: Callable[..., Path]
) -> None:
    """Leaving out the drawing of weights must not shift the seeds that come after."""
    loaded = from_pretrained(write_checkpoint(config, tensors), TASK, seed=3)
    new = from_config(config, TASK, seed=3)
    new.set_weights(loaded.get_weights())
    np.testing.assert_array_equal(run(loaded, batch, training=True), run(new, batch, training=True))


def test_inference_drops_nothing(config: Config, batch: Tensors) -> None:
    model = from_config(config, TASK)
    np.testing.assert_array_equal(run(model, batch), run(model, batch, training=False))
    no_dropout = dict.fromkeys(("hidden_dropout_prob", "attention_probs_dropout_prob"), 0)
    without = from_config({**config, **no_dropout}, TASK)
    without.set_weights(model.get_weights())
    np.testing.assert_array_equal(run(without, batch, training=True), run(model, batch))


@pytest.mark.parametrize(
    "field", ["hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout"]
)
def test_each_dropout_field_is_obeyed(config: Config, batch: Tensors, field: str) -> None:
    rates = dict.fromkeys(
        ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout"), 0.0
    )
    model = from_config({**config, "initializer_range": 0.3, **rates, field: 0.5}, TASK)
    assert np.abs(run(model, batch, training=True) - run(model, batch)).max() > 1e-3


def test_every_dropout_layer_drops_in_training(config: Config, batch: Tensors) -> None:
    rates = dict.fromkeys(("hidden_dropout_prob", "attention_probs_dropout_prob"), 0.5)
    model = from_config({**config, "initializer_range": 0.3, **rates}, TASK)
    undisturbed = run(model, batch)
    dropouts = [
        model.embeddings.dropout,
        model.head.dropout,
        *(block.attention.dropout for block in model.encoder.blocks),
        *(block.attention_dropout for block in model.encoder.blocks),
        *(block.feed_forward_dropout for block in model.encoder.blocks),
    ]
    for layer in dropouts:
        layer.rate = 0.0
    np.testing.assert_array_equal(run(model, batch, training=True), undisturbed)  # no others
    for layer in dropouts:
        layer.rate = 0.5
        assert np.abs(run(model, batch, training=True) - undisturbed).max() > 1e-3, layer.name
        layer.rate = 0.0


# Layer groups


def test_layer_groups_are_the_model_from_bottom_to_top(config: Config) -> None:
    model = from_config(config, TASK)
    groups = model.layer_groups()
    assert [name for name, _ in groups] == [
        "embeddings",
        "block 0",
        "block 1",
        "pooler",
        "classifier",
    ]
    paths = [w.path for _, layers in groups for layer in layers for w in layer.weights]
    assert paths == [w.path for w in model.weights]
    assert len(from_config(config).layer_groups()) == 3


# Training


def test_fit_reduces_the_loss(config: Config) -> None:
    """The label is whether token 7 is there: attention must find it."""
    random = np.random.default_rng(0)
    ids = random.integers(8, 97, (64, 12), dtype=np.int32)
    labels = np.arange(64) % 2
    ids[labels == 1, random.integers(0, 12, 64)[labels == 1]] = 7
    options = tf.data.Options()
    options.autotune.enabled = False
    data = tf.data.Dataset.from_tensor_slices(({"input_ids": ids}, labels)).batch(16)

    model = from_config({**config, "initializer_range": 0.1}, TASK, num_labels=2)
    model.compile(
        keras.optimizers.Adam(3e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    before = values(model)
    history = model.fit(data.with_options(options), epochs=15, verbose=0).history["loss"]
    assert history[0] == pytest.approx(np.log(2), abs=0.2)
    assert history[-1] < 0.3 * history[0]
    assert same(before, values(model)) == []


# Saving


def test_harmless_and_unknown_fields_survive(config: Config, tmp_path: Path) -> None:
    extra = {
        "finetuning_task": "sst2",
        "task_specific_params": {"deep": {"list": [1, {"x": None}]}},
        "_private": [1, 2],
        "mine": "好",
    }
    model = from_config({**config, **extra}, TASK, ignore_config_fields=["mine"])
    model.save(tmp_path / "model.keras")
    for saved in (model, keras.saving.load_model(tmp_path / "model.keras")):
        saved.save_pretrained(tmp_path / "saved")
        written = json.loads((tmp_path / "saved" / "config.json").read_text(encoding="utf-8"))
        assert written == {**config, **extra}


def test_labels_are_kept_and_renumbered_only_if_their_count_changes(config: Config) -> None:
    named = {
        **config,
        "id2label": {"0": "bad", "1": "fine", "2": "good"},
        "label2id": {"bad": 0, "fine": 1, "good": 2},
    }
    kept = from_config(named, TASK, num_labels=3).hf_config()
    assert (kept["id2label"], kept["label2id"]) == (named["id2label"], named["label2id"])
    assert from_config(named).hf_config()["id2label"] == named["id2label"]
    other = from_config({**named, "num_labels": 3}, TASK, num_labels=2).hf_config()
    assert other["id2label"] == {"0": "LABEL_0", "1": "LABEL_1"}
    assert other["label2id"] == {"LABEL_0": 0, "LABEL_1": 1}
    assert "num_labels" not in other


@pytest.mark.parametrize(
    ("task", "architecture"), [(None, "BertModel"), (TASK, "BertForSequenceClassification")]
)
def test_architecture_is_that_of_the_task(
    config: Config, task: str | None, architecture: str
) -> None:
    model = from_config({**config, "architectures": ["BertForMaskedLM"]}, task)
    assert model.hf_config()["architectures"] == [architecture]


@pytest.mark.parametrize(
    ("dtype", "stored"),
    [("float32", "float32"), ("mixed_bfloat16", "float32"), ("bfloat16", "bfloat16")],
)
def test_saved_precision_is_that_of_the_variables(
    config: Config, tmp_path: Path, dtype: str, stored: str
) -> None:
    model = from_config({**config, "torch_dtype": "float16"}, TASK, dtype=dtype)
    model.save_pretrained(tmp_path)
    written = json.loads((tmp_path / "config.json").read_text())
    assert written["dtype"] == stored
    assert "torch_dtype" not in written
    with CheckpointReader(tmp_path) as reader:
        assert reader.read("bert.embeddings.word_embeddings.weight").dtype == stored


def test_saving_into_the_folder_loaded_from_replaces_it(
    config: Config, tensors: Tensors, write_checkpoint: Callable[..., Path]
) -> None:
    folder = write_checkpoint(config, tensors)
    model = from_pretrained(folder, TASK)
    model.head.classifier.bias.assign([1.0, 2.0, 3.0])
    model.save_pretrained(folder)
    np.testing.assert_array_equal(
        load_file(folder / "model.safetensors")["classifier.bias"], [1.0, 2.0, 3.0]
    )


def test_precision_and_seed_survive_the_keras_file(
    config: Config, batch: Tensors, tmp_path: Path
) -> None:
    model = from_config(config, TASK, seed=5, dtype="mixed_bfloat16")
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.dtype_policy.name == "mixed_bfloat16"
    assert again.seed == 5
    np.testing.assert_array_equal(run(again, batch), run(model, batch))


@pytest.mark.torch
@pytest.mark.parametrize("num_labels", [1, 5])
def test_transformers_opens_a_model_with_new_labels(
    config: Config, batch: Tensors, tmp_path: Path, num_labels: int
) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification

    model = from_config(config, TASK, num_labels=num_labels)
    model.save_pretrained(tmp_path)
    theirs, info = AutoModelForSequenceClassification.from_pretrained(
        tmp_path, output_loading_info=True
    )
    assert not any(info.values()), info
    with torch.no_grad():
        logits = theirs.eval()(**{n: torch.tensor(v) for n, v in batch.items()}).logits.numpy()
    assert logits.shape == (3, num_labels)
    np.testing.assert_allclose(run(model, batch), logits, rtol=0, atol=1e-5)


@pytest.mark.torch
def test_transformers_opens_a_bare_encoder(config: Config, batch: Tensors, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModel

    model = from_config(config)
    model.save_pretrained(tmp_path)
    theirs, info = AutoModel.from_pretrained(tmp_path, output_loading_info=True)
    # BertModel has a pooler, which ktlite counts to the head.
    assert info.pop("missing_keys") == {"pooler.dense.weight", "pooler.dense.bias"}
    assert not any(info.values()), info
    with torch.no_grad():
        hidden = theirs.eval()(**{n: torch.tensor(v) for n, v in batch.items()}).last_hidden_state
    tokens = batch["attention_mask"] == 1
    np.testing.assert_allclose(run(model, batch)[tokens], hidden.numpy()[tokens], rtol=0, atol=1e-5)
