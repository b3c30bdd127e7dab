"""The contract of models that write: the numbers of PyTorch transformers, whole and step by step.

The numbers come from `tests/golden`, where `make_sequences.py` writes them. A new family is new
folders there and a row in `FOLDERS`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from safetensors.numpy import load_file

from ktlite.errors import ArgumentError, CheckpointError
from ktlite.models import TransformerModel, families, from_config, from_pretrained
from ktlite.models.adapters import add_adapters
from ktlite.training.remat import rematerialise
from ktlite.training.xla import compile_encoder
from tests.models.kinds import WRITERS, kinds_of

FOLDERS = [
    *("bart", "bart-scaled", "gemma3_text", "gpt2", "gpt_neox", "gpt_neox-serial", "llama"),
    *("llama-biased", "m2m_100", "marian", "marian-apart", "mbart", "mistral", "mt5", "opt"),
    *("opt-post", "pegasus", "qwen2", "qwen3", "t5", "t5-gated", "umt5", "whisper"),
]
of_each_kind = pytest.mark.parametrize("case", WRITERS, indirect=True)
TOLERANCE = 1e-5  # absolute
READ = ("input_ids", "attention_mask", "input_features", "decoder_input_ids")
Tensors = dict[str, np.ndarray]


@dataclass
class Case:
    """One golden folder, loaded with its head and bare."""

    folder: Path
    expected: Tensors
    model: TransformerModel
    bare: TransformerModel

    def inputs(self, prefix: str = "") -> Tensors:
        found = {name: self.expected.get(prefix + name) for name in READ}
        return {name: value for name, value in found.items() if value is not None}

    @property
    def is_pair(self) -> bool:
        return "decoder_input_ids" in self.expected

    def known(self, values: np.ndarray) -> np.ndarray:
        """Returns what outputs for the padded rows say of tokens; padding may be anything."""
        return values if self.is_pair else values[self.expected["attention_mask"] == 1]


def task_of(folder: Path) -> str:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if "num_mel_bins" in config:
        return "automatic-speech-recognition"
    return "text2text-generation" if config.get("is_encoder_decoder") else "text-generation"


@pytest.fixture(scope="module", params=FOLDERS)
def case(request: pytest.FixtureRequest, golden: Path) -> Case:
    folder = golden / request.param
    expected = load_file(folder / "expected.safetensors")
    return Case(folder, expected, from_pretrained(folder, task_of(folder)), from_pretrained(folder))


def run(model: Any, inputs: Tensors, **options: Any) -> np.ndarray:
    return np.asarray(model(inputs, **options))


def assert_near(found: Any, expected: np.ndarray, tolerance: float = TOLERANCE) -> None:
    assert np.shape(found) == np.shape(expected)
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)


def test_every_family_that_writes_has_a_golden_folder(golden: Path) -> None:
    folders = [file.parent for file in golden.glob("*/generation_config.json")]
    assert sorted(folder.name for folder in folders) == FOLDERS
    configs = [json.loads((folder / "config.json").read_text()) for folder in folders]
    known = {
        (model_type, family.architectures[task])
        for model_type, family in families._REGISTRY.items()
        for task in family.heads
        if task.endswith("-generation")
        or family.architectures[task].endswith("ForConditionalGeneration")
    }
    assert {(config["model_type"], config["architectures"][0]) for config in configs} == known


def test_no_kind_of_layer_or_head_is_forgotten(golden: Path) -> None:
    def kinds(names: Iterable[str]) -> set[str]:
        folders = [golden / name for name in names]
        return {kind for folder in folders for kind in kinds_of(folder, task_of(folder))}

    assert kinds(WRITERS) == kinds(FOLDERS)


# The numbers


def test_logits_are_those_of_pytorch(case: Case) -> None:
    found, expected = run(case.model, case.inputs()), case.expected["logits"]
    assert found.shape == expected.shape
    assert_near(case.known(found), case.known(expected))


def test_logits_without_padding_are_those_of_pytorch(case: Case) -> None:
    found = run(case.model, case.inputs("unpadded."))
    assert_near(found, case.expected["unpadded.logits"])


def test_hidden_states_are_those_of_pytorch(case: Case) -> None:
    found = run(case.bare, case.inputs("unpadded."))
    assert_near(found, case.expected["unpadded.last_hidden_state"])


def test_padding_does_not_change_a_row(case: Case) -> None:
    inputs = case.inputs()
    together = run(case.model, inputs)
    for i in range(3):
        alone = {name: value[i : i + 1] for name, value in inputs.items()}
        if "attention_mask" in alone:
            alone["input_ids"] = alone["input_ids"][:, : alone.pop("attention_mask").sum()]
        found = run(case.model, alone)[0]
        assert_near(found, together[i][: len(found)])


def test_a_token_does_not_see_those_after_it(case: Case) -> None:
    inputs = case.inputs("unpadded.")
    written = "decoder_input_ids" if case.is_pair else "input_ids"
    other = inputs[written].copy()
    other[:, 4:] = 5
    found = run(case.model, {**inputs, written: other})
    expected = run(case.model, inputs)
    np.testing.assert_array_equal(found[:, :4], expected[:, :4])
    assert np.abs(found[:, 4:] - expected[:, 4:]).max() > 0.01


@pytest.mark.parametrize(
    ("folder", "field", "wrong", "off_by"),
    [
        ("t5", "relative_attention_num_buckets", 6, 0.001),
        ("t5", "relative_attention_max_distance", 64, 0.001),
        ("t5", "layer_norm_epsilon", 1e-3, 20 * TOLERANCE),
        ("t5", "scale_decoder_outputs", False, 0.1),
        ("t5-gated", "scale_decoder_outputs", True, 0.1),
        ("t5-gated", "feed_forward_proj", "gated-silu", 0.01),
        ("bart", "scale_embedding", True, 0.1),
        ("bart", "encoder_attention_heads", 8, 0.01),
        ("bart", "decoder_attention_heads", 4, 0.01),
        ("marian", "scale_embedding", False, 0.1),
        ("marian", "activation_function", "gelu", 0.001),
        ("gpt2", "scale_attn_weights", False, 0.001),
        ("gpt2", "n_head", 2, 0.001),
        ("gpt2", "layer_norm_epsilon", 1e-3, 20 * TOLERANCE),
        ("gpt2", "activation_function", "relu", 0.01),
        ("llama", "rope_parameters", {"rope_theta": 100.0}, 0.001),
        ("llama", "rms_norm_eps", 1e-3, 20 * TOLERANCE),
        ("llama-biased", "rope_parameters", {"rope_theta": 500.0}, 0.001),
        ("qwen2", "sliding_window", 6, 0.001),
        ("qwen2", "use_sliding_window", False, 0.001),
        ("qwen2", "layer_types", ["sliding_attention", "full_attention"], 0.001),
        ("mistral", "sliding_window", 6, 0.001),
        ("mistral", "sliding_window", None, 0.001),
        ("qwen3", "layer_types", ["sliding_attention", "full_attention"], 0.001),
        ("qwen3", "rms_norm_eps", 1e-3, 20 * TOLERANCE),
        ("gpt_neox", "use_parallel_residual", False, 0.01),
        ("gpt_neox", "rope_parameters", {"rope_theta": 100, "partial_rotary_factor": 1.0}, 0.01),
        ("gpt_neox", "rope_parameters", {"rope_theta": 50, "partial_rotary_factor": 0.5}, 0.001),
        ("gpt_neox", "layer_norm_eps", 1e-3, 20 * TOLERANCE),
        ("gpt_neox-serial", "use_parallel_residual", True, 0.01),
        ("opt-post", "activation_function", "relu", 0.01),
        ("gemma3_text", "query_pre_attn_scalar", 12, 0.001),
        ("gemma3_text", "sliding_window", 6, 0.001),
        ("gemma3_text", "layer_types", ["sliding_attention"] * 3, 0.001),
        ("gemma3_text", "hidden_activation", "gelu", 5 * TOLERANCE),
        ("umt5", "relative_attention_max_distance", 64, 0.001),
        ("umt5", "scale_decoder_outputs", True, 0.1),
    ],
)
def test_wrong_reading_of_a_field_would_show(
    golden: Path, folder: str, field: str, wrong: Any, off_by: float
) -> None:
    """The golden numbers tell the variants apart, or the tests above prove little."""
    right = from_pretrained(golden / folder, task_of(golden / folder))
    changed = {**right.config, field: wrong}
    if field == "feed_forward_proj":
        del changed["dense_act_fn"]
    weights = right.get_weights()
    model = from_config(changed, right.task_name)
    if field == "relative_attention_num_buckets":
        weights = [w[:wrong] if w.shape == (8, 4) else w for w in weights]
    model.set_weights(weights)
    expected = load_file(golden / folder / "expected.safetensors")
    names = [name for name in ("input_ids", "decoder_input_ids") if name in expected]
    found = run(model, {name: expected[f"unpadded.{name}"] for name in names})
    assert np.abs(found - expected["unpadded.logits"]).max() > off_by


# Step by step


@pytest.mark.parametrize("counts", [(1, 1, 1, 1), (3, 1, 2)])
def test_steps_give_the_logits_of_the_whole(case: Case, counts: tuple[int, ...]) -> None:
    inputs = case.inputs("" if case.is_pair else "unpadded.")
    expected = run(case.model, inputs)
    tokens = inputs["decoder_input_ids" if case.is_pair else "input_ids"]
    state, read = case.model.begin(inputs), 0
    for count in counts:
        scores, state = case.model.step(tokens[:, read : read + count], read, state)
        read += count
        assert_near(scores, expected[:, read - 1], 5e-6)


def test_rows_go_on_from_others_and_share_what_was_read(case: Case) -> None:
    inputs = case.inputs("" if case.is_pair else "unpadded.")
    expected = run(case.model, inputs)
    tokens = inputs["decoder_input_ids" if case.is_pair else "input_ids"]
    state = case.model.begin(inputs)
    _, state = case.model.step(tokens[:, :2], 0, state)
    each_twice = np.repeat(np.arange(3), 2)
    other = tokens.copy()
    other[:, 2] = 7
    both = np.stack([tokens[:, 2], other[:, 2]], axis=1).reshape(-1, 1)
    scores, state = case.model.step(both, 2, state, each_twice)
    assert_near(scores[::2], expected[:, 2], 5e-6)
    # Both rows of an example go on from its second one.
    scores, _ = case.model.step(tokens[each_twice, 3:4], 3, state, np.repeat([1, 3, 5], 2))
    written = "decoder_input_ids" if case.is_pair else "input_ids"
    changed = run(case.model, {**inputs, written: other})
    assert_near(scores[::2], changed[:, 3], 5e-6)
    assert_near(scores[1::2], changed[:, 3], 5e-6)


def test_a_traced_step_takes_any_number_of_rows_and_tokens(case: Case) -> None:
    inputs = case.inputs("" if case.is_pair else "unpadded.")
    expected = run(case.model, inputs)
    tokens = inputs["decoder_input_ids" if case.is_pair else "input_ids"]
    traces = []

    def step(tokens: Any, position: Any, state: Any) -> Any:
        traces.append(1)
        return case.model.step(tokens, position, state)

    begun = case.model.begin(inputs)

    def free(x: Any) -> Any:
        cache = [None, x.shape[1], None, x.shape[-1]]
        return tf.TensorSpec([None, 1, 1, None] if x.dtype == tf.bool else cache, x.dtype)

    ids, number = tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([], tf.int32)
    traced = tf.function(
        step, autograph=False, input_signature=[ids, number, tf.nest.map_structure(free, begun)]
    )
    scores, state = traced(tokens[:, :3], 0, begun)
    assert_near(scores, expected[:, 2], 5e-6)
    scores, _ = traced(tokens[:, 3:4], 3, state)
    assert_near(scores, expected[:, 3], 5e-6)
    assert len(traces) == 1


def test_a_model_that_reads_does_not_begin(golden: Path) -> None:
    bert = from_pretrained(golden / "bert-mlm", "masked-lm")
    with pytest.raises(ArgumentError, match=r"does not write texts.*such as T5, BART"):
        bert.begin({"input_ids": np.ones((1, 3), "int32")})


def test_a_model_that_reads_has_no_head_that_writes(golden: Path) -> None:
    """Said in the words of what the user wants, and not by a task whose name is similar."""
    with pytest.raises(ArgumentError, match="'text-generation': bert models read texts"):
        from_pretrained(golden / "bert-mlm", "text-generation")
    with pytest.raises(ArgumentError, match="such as T5 or BART"):
        from_pretrained(golden / "bert-mlm", "translation")


# Ways of running


@of_each_kind
def test_compiled_by_xla_for_any_length_gives_the_same(case: Case) -> None:
    inputs = case.inputs()
    shapes = {
        name: tf.TensorSpec((None, None, *value.shape[2:]), value.dtype)
        for name, value in inputs.items()
    }
    compiled = tf.function(
        lambda x: case.model(x, training=False), input_signature=[shapes], jit_compile=True
    )
    assert_near(case.known(compiled(inputs).numpy()), case.known(run(case.model, inputs)))


def test_every_weight_has_a_sound_gradient_in_training(case: Case) -> None:
    assert_sound_gradients(case.model, case, training=True)


@of_each_kind
@pytest.mark.parametrize(("dtype", "off_by"), [("mixed_bfloat16", 0.1), ("mixed_float16", 0.02)])
def test_logits_and_gradients_are_sound_in_half_precision(
    case: Case, dtype: str, off_by: float
) -> None:
    model = from_pretrained(case.folder, case.model.task_name, dtype=dtype)
    logits = assert_sound_gradients(model, case, training=False)
    error = case.known(np.abs(logits - case.expected["logits"]))
    assert error.mean() < off_by


def assert_sound_gradients(model: TransformerModel, case: Case, training: bool) -> np.ndarray:
    """Checks that every weight has a gradient, and returns the logits."""
    variables = model.trainable_variables
    with tf.GradientTape() as tape:
        logits = model(case.inputs(), training=training)
        loss = tf.reduce_mean(logits**2)
    assert logits.dtype == "float32"
    gradients = tape.gradient(loss, [v.value for v in variables])
    assert [v.path for v, g in zip(variables, gradients, strict=True) if g is None] == []
    for variable, gradient in zip(variables, gradients, strict=True):
        gradient = tf.convert_to_tensor(gradient)
        assert np.isfinite(gradient).all(), variable.path
        assert np.any(gradient), variable.path
    return np.asarray(logits)


@pytest.mark.parametrize("prepare", [compile_encoder, rematerialise])
@pytest.mark.parametrize("folder", ["t5", "bart", "llama", "umt5"])
def test_gradients_are_the_same_compiled_by_xla_or_computed_a_second_time(
    golden: Path, folder: str, prepare: Callable[[Any], None]
) -> None:
    still = {
        name: 0.0
        for name in ("dropout", "dropout_rate", "attention_dropout", "activation_dropout")
        if name in json.loads((golden / folder / "config.json").read_text())
    }
    expected = load_file(golden / folder / "expected.safetensors")
    names = ("input_ids", "attention_mask", "decoder_input_ids")
    inputs = {name: tf.constant(expected[name]) for name in names if name in expected}
    found = []
    for prepared in (False, True):
        model = from_pretrained(golden / folder, task_of(golden / folder), config=still)
        if prepared:
            prepare(model)
        with tf.GradientTape() as tape:
            logits = model(inputs, training=True)
            loss = tf.reduce_mean(logits * tf.cos(logits))
        gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
        found.append([tf.convert_to_tensor(gradient).numpy() for gradient in gradients])
    for variable, one, other in zip(model.trainable_variables, *found, strict=True):
        np.testing.assert_allclose(other, one, atol=1e-6, err_msg=variable.path)


def test_all_but_the_bias_of_logits_trains(case: Case) -> None:
    """PyTorch keeps that one as a buffer."""
    found = [tuple(variable.shape) for variable in case.model.non_trainable_weights]
    tensors = load_file(case.folder / "model.safetensors")
    # And Pegasus' positions do not train either, nor those of what Whisper hears.
    still = [n for n in tensors if n == "final_logits_bias" or "pegasus" in case.folder.name
             and "embed_positions" in n or n == "model.encoder.embed_positions.weight"
             and "whisper" in case.folder.name]  # fmt: skip
    assert sorted(found) == sorted(tensors[name].squeeze().shape for name in still)


def test_keras_file_holds_the_whole_model(case: Case, tmp_path: Path) -> None:
    case.model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert_near(run(again, case.inputs()), run(case.model, case.inputs()), 0.0)
    assert again.hf_config() == case.model.hf_config()


def test_freezing_counts_every_weight_once(case: Case) -> None:
    layers = [layer for _, group in case.model.layer_groups() for layer in group]
    grouped = [id(w) for layer in layers for w in layer.weights]
    assert sorted(grouped) == sorted(id(w) for w in case.model.weights)


def test_adapters_are_in_every_stack(case: Case) -> None:
    model = from_pretrained(case.folder, case.model.task_name)
    before = run(model, case.inputs())
    add_adapters(model, 2)
    np.testing.assert_array_equal(run(model, case.inputs()), before)
    stacks = {tower.name for tower in model.towers}
    assert stacks == {path.split("/")[1] for path in (w.path for w in model.trainable_weights)} - {
        "head"
    }


# The way back


def test_saved_checkpoint_is_the_loaded_one(case: Case, tmp_path: Path) -> None:
    case.model.save_pretrained(tmp_path)
    saved, original = (
        load_file(folder / "model.safetensors") for folder in (tmp_path, case.folder)
    )
    assert sorted(saved) == sorted(original)
    for name, tensor in original.items():
        np.testing.assert_array_equal(saved[name], tensor, err_msg=name)
    configs = [json.loads((f / "config.json").read_text()) for f in (tmp_path, case.folder)]
    if case.folder.name in ("t5-gated", "mt5", "umt5"):
        # transformers 5 always says that they are one, and looks at the tensors.
        assert configs[0].pop("tie_word_embeddings") is False
        assert configs[1].pop("tie_word_embeddings") is True
    assert configs[0] == configs[1]


def test_saved_bare_model_loads_again_with_the_same_weights(case: Case, tmp_path: Path) -> None:
    case.bare.save_pretrained(tmp_path)
    again = from_pretrained(tmp_path)
    for ours, theirs in zip(case.bare.weights, again.weights, strict=True):
        np.testing.assert_array_equal(theirs.numpy(), ours.numpy(), err_msg=ours.path)


@pytest.mark.torch
def test_transformers_opens_what_was_saved(case: Case, tmp_path: Path) -> None:
    import torch
    import transformers

    case.model.save_pretrained(tmp_path)
    opener = getattr(transformers, case.model.hf_config()["architectures"][0])
    model, info = opener.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values()), info
    inputs = {name: torch.tensor(value) for name, value in case.inputs().items()}
    inputs = {
        name: value.transpose(1, 2) if value.is_floating_point() else value.long()
        for name, value in inputs.items()
    }
    with torch.no_grad():
        logits = model.eval()(**inputs).logits.numpy()
    assert_near(case.known(run(case.model, case.inputs())), case.known(logits))


# Which tables are one


def test_a_last_layer_that_is_a_copy_is_the_table_of_words(
    golden: Path, write_checkpoint: Callable[..., Path]
) -> None:
    for name, words in (("bart", "model.shared.weight"), ("gpt2", "transformer.wte.weight")):
        config = json.loads((golden / name / "config.json").read_text())
        tensors = load_file(golden / name / "model.safetensors")
        tensors["lm_head.weight"] = tensors[words].copy()
        model = from_pretrained(write_checkpoint(config, tensors, name), task_of(golden / name))
        assert model.head.table is None
        assert model.config["tie_word_embeddings"] is True


def test_a_last_layer_that_differs_stays_apart_whatever_the_config_says(
    golden: Path, write_checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    for name, words in (("t5", "shared.weight"), ("llama", "model.embed_tokens.weight")):
        config = json.loads((golden / name / "config.json").read_text())
        assert config["tie_word_embeddings"] is True
        tensors = load_file(golden / name / "model.safetensors")
        tensors["lm_head.weight"] = 2 * tensors[words]
        model = from_pretrained(write_checkpoint(config, tensors, name), task_of(golden / name))
        whole = from_pretrained(golden / name, model.task_name)
        expected = load_file(golden / name / "expected.safetensors")
        inputs = {n: expected[n] for n in ("input_ids", "decoder_input_ids") if n in expected}
        assert_near(run(model, inputs), 2 * run(whole, inputs))
        assert model.hf_config()["tie_word_embeddings"] is False
        model.save_pretrained(tmp_path / f"{name}-again")
        again = from_pretrained(tmp_path / f"{name}-again", model.task_name)
        assert_near(run(again, inputs), run(model, inputs), 0.0)


def test_version_1_1_of_t5_in_files_from_before_transformers_5(
    golden: Path, write_checkpoint: Callable[..., Path]
) -> None:
    """Their one field says that the last layer is apart, and that outputs are not scaled."""
    config = json.loads((golden / "t5-gated" / "config.json").read_text())
    for name in ("scale_decoder_outputs", "dense_act_fn", "is_gated_act"):
        del config[name]
    config["tie_word_embeddings"] = False
    tensors = load_file(golden / "t5-gated" / "model.safetensors")
    model = from_pretrained(write_checkpoint(config, tensors), "translation")
    expected = load_file(golden / "t5-gated" / "expected.safetensors")
    inputs = {name: expected[f"unpadded.{name}"] for name in ("input_ids", "decoder_input_ids")}
    assert_near(run(model, inputs), expected["unpadded.logits"])


def test_positions_of_pegasus_that_are_missing_are_sinusoids(
    golden: Path, write_checkpoint: Callable[..., Path]
) -> None:
    config = json.loads((golden / "pegasus" / "config.json").read_text())
    tensors = load_file(golden / "pegasus" / "model.safetensors")
    without = {name: x for name, x in tensors.items() if "embed_positions" not in name}
    assert len(without) == len(tensors) - 2
    model = from_pretrained(write_checkpoint(config, without), "summarization")
    expected = load_file(golden / "pegasus" / "expected.safetensors")
    inputs = {name: expected[f"unpadded.{name}"] for name in ("input_ids", "decoder_input_ids")}
    assert_near(run(model, inputs), expected["unpadded.logits"])


def test_a_bias_of_logits_that_is_missing_is_zero(
    golden: Path, write_checkpoint: Callable[..., Path]
) -> None:
    config = json.loads((golden / "bart" / "config.json").read_text())
    tensors = load_file(golden / "bart" / "model.safetensors")
    bias = tensors.pop("final_logits_bias")
    model = from_pretrained(write_checkpoint(config, tensors), "summarization", new_head=False)
    expected = load_file(golden / "bart" / "expected.safetensors")
    inputs = {name: expected[f"unpadded.{name}"] for name in ("input_ids", "decoder_input_ids")}
    assert_near(run(model, inputs), expected["unpadded.logits"] - bias)


def test_stretches_that_are_hidden_in_training(golden: Path) -> None:
    hides = {"apply_spec_augment": True, "mask_time_prob": 0.3, "mask_feature_prob": 0.3}
    sizes = {"mask_time_length": 5, "mask_feature_length": 3, "mask_feature_min_masks": 1}
    folder = golden / "whisper"
    model = from_pretrained(folder, config={**hides, **sizes})
    given = tf.ones((4, 100, 10))
    hidden = np.asarray(model.embeddings._with_hidden(given)) == 0
    lines, columns = hidden.all(axis=2), hidden.all(axis=1)
    np.testing.assert_array_equal(hidden, lines[:, :, None] | columns[:, None])
    assert (lines.sum(axis=1) >= 10).all() and (lines.sum(axis=1) <= 35).all()
    assert (columns.sum(axis=1) == 3).all()
    assert from_pretrained(folder).spec.first.front.hidden_frames is None


# What cannot be


def test_inputs_of_the_decoder_are_asked_for(golden: Path) -> None:
    model = from_pretrained(golden / "t5", "text2text-generation")
    with pytest.raises(ArgumentError, match="decoder reads decoder_input_ids"):
        model({"input_ids": np.ones((1, 3), "int32")})


@pytest.mark.parametrize(
    ("folder", "task"),
    [("t5", "text-classification"), ("t5", "sentence-embedding"), ("gpt2", "translation")],
)
def test_tasks_that_a_family_has_no_head_for(golden: Path, folder: str, task: str) -> None:
    with pytest.raises(ArgumentError, match="task="):
        from_pretrained(golden / folder, task)


def test_part_of_two_stacks_is_refused(golden: Path) -> None:
    with pytest.raises(ArgumentError, match=r"layers=1 goes with one stack.*encoder, decoder"):
        from_pretrained(golden / "t5", "translation", layers=1)


@pytest.mark.parametrize("folder", ["gpt2", "llama", "gemma3_text"])
def test_part_of_a_decoder_loads(golden: Path, folder: str) -> None:
    model = from_pretrained(golden / folder, "text-generation", layers=[1], max_positions=20)
    assert len(model.decoder.blocks) == 1
    assert model.spec.max_positions == 20
    whole = load_file(golden / folder / "model.safetensors")
    block = next(v for k, v in whole.items() if ".1." in k and k.endswith("layernorm.weight")
                 or k.endswith("h.1.ln_1.weight"))  # fmt: skip
    np.testing.assert_array_equal(model.decoder.blocks[0].attention_norm.gamma.numpy(), block)


@pytest.mark.parametrize("positions", [20, 80])
def test_table_of_positions_behind_rows_that_no_token_has(golden: Path, positions: int) -> None:
    model = from_pretrained(golden / "opt", "text-generation", max_positions=positions)
    assert model.spec.max_positions == model.config["max_position_embeddings"] == positions
    table = load_file(golden / "opt" / "model.safetensors")["model.decoder.embed_positions.weight"]
    found = model.decoder_embeddings.position.embeddings.numpy()
    expected = [*table, *table[2:]][: positions + 2]  # its own rows again, without the first two
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("folder", "changed", "said"),
    [
        ("t5", {"feed_forward_proj": "gated-none"}, "feed_forward_proj='gated-none' is not known"),
        ("t5", {"is_encoder_decoder": False}, "is_encoder_decoder=False is not supported"),
        ("gpt2", {"scale_attn_by_inverse_layer_idx": True}, "is not supported"),
        ("llama", {"num_key_value_heads": 3}, "is not divisible by num_key_value_heads=3"),
        ("llama", {"rope_scaling": {"type": "yarn"}}, "expected rope_type 'default', 'linear'"),
        ("llama", {"rope_scaling": {"type": "linear"}}, "is not complete"),
        ("qwen2", {"layer_types": ["full_attention"]}, "for each of the 2 layers"),
        ("mistral", {"sliding_window": 0}, "sliding_window=0; expected at least 1"),
        ("mistral", {"layer_types": ["full_attention"] * 2}, "does not know.*layer_types"),
        ("qwen3", {"rope_scaling": {"type": "dynamic"}}, "expected rope_type 'default', 'linear'"),
        (
            "qwen3",
            {"rope_parameters": {"partial_rotary_factor": 0.5}},
            "heads that turn as a whole",
        ),
        ("gpt_neox", {"rope_parameters": {"partial_rotary_factor": 0.4}}, "is 3 numbers"),
        ("gpt_neox", {"rotary_pct": 0.5, "partial_rotary_factor": 0.25}, "is not supported"),
        ("opt", {"word_embed_proj_dim": 16}, "word_embed_proj_dim=16 is not supported"),
        ("opt", {"layer_norm_elementwise_affine": False}, "is not supported"),
        ("gemma3_text", {"use_bidirectional_attention": True}, "is not supported"),
        ("gemma3_text", {"final_logit_softcapping": 30.0}, "is not supported"),
        ("gemma3_text", {"attn_logit_softcapping": 50.0}, "is not supported"),
        ("gemma3_text", {"rope_parameters": {"rope_type": "linear"}}, "not rope_type"),
        ("gemma3_text", {"rope_scaling": {"rope_type": "yarn"}}, "expected rope_type 'default'"),
    ],
)
def test_configs_that_are_not_understood(
    golden: Path, folder: str, changed: dict[str, Any], said: str
) -> None:
    config = json.loads((golden / folder / "config.json").read_text())
    with pytest.raises(CheckpointError, match=said):
        from_config({**config, **changed})
