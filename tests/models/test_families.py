"""The contract of every family: the numbers of PyTorch transformers, in every way of running.

The numbers come from `tests/golden`, a folder a head. A new family is new folders there and a
row in `FAMILIES`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from safetensors.numpy import load_file

from ktlite.models import (
    TransformerModel,
    families,
    from_config,
    from_pretrained,
)
from ktlite.models.transfer import collect_tensors
from tests.models.kinds import READERS, kinds_of

TASK = "text-classification"
TASKS = {  # by the last part of a folder's name; the others are text classification
    "token": "token-classification",
    "span": "question-answering",
    "mlm": "masked-lm",
    "choice": "multiple-choice",
    "pretraining": "pretraining",
}
PRETRAINED = ("albert", "bert", "electra")  # the families that have such a head
FAMILIES = {
    "albert": [""],
    "bert": ["-gelu", "-gelu_new", "-relu"],
    "deberta": ["", "-conv", "-p2c"],
    "distilbert": [""],
    "electra": [""],
    "modernbert": ["", "-mean"],
    "mpnet": [""],
    "roberta": [""],
}
TEXTS = sorted(
    family + part
    for family, classifiers in FAMILIES.items()
    for part in (*classifiers, *(f"-{head}" for head in TASKS))
    if part != "-pretraining" or family in PRETRAINED
)
IMAGES = ["deit", "deit-distilled", "vit", "vit-oblong"]
FOLDERS = sorted([*TEXTS, *IMAGES])
of_texts = pytest.mark.parametrize("case", TEXTS, indirect=True)
of_each_kind = pytest.mark.parametrize("case", READERS, indirect=True)
TOLERANCE = 1e-5  # absolute
Tensors = dict[str, np.ndarray]


@dataclass
class Case:
    """One golden folder, loaded with its head and bare."""

    folder: Path
    task: str
    expected: Tensors
    classifier: TransformerModel
    encoder: TransformerModel

    @cached_property
    def torch(self) -> Any:
        """PyTorch's own model, with the head."""
        import transformers

        opener = getattr(transformers, self.classifier.hf_config()["architectures"][0])
        return opener.from_pretrained(self.folder)

    def inputs(self, prefix: str = "") -> Tensors:
        names = ("input_ids", "attention_mask", "token_type_ids", "pixel_values")
        found = {name: self.expected.get(prefix + name) for name in names}
        return {name: value for name, value in found.items() if value is not None}

    def outputs(self, prefix: str = "") -> Tensors:
        """Returns what PyTorch gives with the head, by name."""
        names = [name for name in self.expected if name.endswith("logits")]
        chosen = (name for name in names if name.startswith("unpadded.") == bool(prefix))
        return {name.removeprefix(prefix): self.expected[name] for name in chosen}

    def tokens(self, outputs: Tensors) -> Tensors:
        """Returns what outputs for the padded rows say of tokens; padding may be anything."""
        mask = self.expected.get("attention_mask")
        return outputs if mask is None else without_padding(outputs, mask)


def task_of(folder: str) -> str:
    return (
        "image-classification" if folder in IMAGES else TASKS.get(folder.rpartition("-")[2], TASK)
    )


@pytest.fixture(scope="module", params=FOLDERS)
def case(request: pytest.FixtureRequest, golden: Path) -> Case:
    folder = golden / request.param
    return Case(
        folder,
        task_of(request.param),
        load_file(folder / "expected.safetensors"),
        from_pretrained(folder, task_of(request.param)),
        from_pretrained(folder),
    )


def is_by_token(output: np.ndarray, mask: np.ndarray) -> bool:
    return output.shape[: mask.ndim] == mask.shape


def without_padding(outputs: Tensors, mask: np.ndarray) -> Tensors:
    return {
        name: value[mask == 1] if is_by_token(value, mask) else value
        for name, value in outputs.items()
    }


def rows(inputs: Tensors) -> Tensors:
    """Returns the inputs of the bare encoder: every choice is a text of its own."""
    return {
        name: value if name == "pixel_values" else value.reshape(-1, value.shape[-1])
        for name, value in inputs.items()
    }


def names_of(model: Any) -> list[str]:
    return [field.name for field in model.spec.fields]


def run(model: Any, inputs: Tensors, **kwargs: Any) -> np.ndarray:
    return np.asarray(model(inputs, **kwargs))


def named(outputs: Any) -> Tensors:
    """Returns a head's outputs by PyTorch's names, of which most heads have one."""
    by_name = outputs if isinstance(outputs, dict) else {"logits": outputs}
    return {name: np.asarray(value) for name, value in by_name.items()}


def assert_all_near(found: Tensors, expected: Tensors, tolerance: float = 1e-5) -> None:
    assert sorted(found) == sorted(expected)
    for name, values in expected.items():
        assert_near(found[name], values, tolerance)


def assert_near(found: Any, expected: np.ndarray, tolerance: float = TOLERANCE) -> None:
    assert np.shape(found) == np.shape(expected)
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)


def test_no_golden_folder_is_forgotten(golden: Path) -> None:
    folders = [file.parent for file in golden.glob("*/expected.safetensors")]
    models = [folder for folder in folders if (folder / "config.json").is_file()]
    # Those that write are in test_sequences.py, those that hear in test_sounds.py.
    others = ("generation_config.json", "preprocessor_config.json")
    reads = [f.name for f in models if not any((f / name).is_file() for name in others)]
    assert sorted(reads) == FOLDERS


def test_every_family_and_head_has_a_golden_folder(golden: Path) -> None:
    """XLM-RoBERTa and CamemBERT are RoBERTa by another name (below)."""
    configs = [json.loads((golden / folder / "config.json").read_text()) for folder in FOLDERS]
    shown = {(config["model_type"], config["architectures"][0]) for config in configs}
    shown -= {("deit", "DeiTForImageClassificationWithTeacher")}  # a second one for its task
    known = {
        (model_type, family.architectures[task])
        for model_type, family in families._REGISTRY.items()
        for task in family.heads
        if not task.endswith("-generation") and model_type not in ("xlm-roberta", "camembert")
        if not task.startswith(("audio-", "automatic-speech-"))  # in test_sounds.py
        if model_type not in ("clip", "siglip")  # in test_contrasts.py
        if family.spec.__module__.startswith("ktlite.")  # not one that a test has made up
    }
    assert shown == known


def test_no_kind_of_layer_or_head_is_forgotten(golden: Path) -> None:
    def kinds(folders: Iterable[str]) -> set[str]:
        return {kind for name in folders for kind in kinds_of(golden / name, task_of(name))}

    assert kinds(READERS) == kinds(FOLDERS)


# The numbers


def test_logits_are_those_of_pytorch(case: Case) -> None:
    found, expected = named(case.classifier(case.inputs())), case.outputs()
    assert {name: v.shape for name, v in found.items()} == {
        name: v.shape for name, v in expected.items()
    }
    assert_all_near(case.tokens(found), case.tokens(expected))


@of_texts
def test_logits_without_padding_are_those_of_pytorch(case: Case) -> None:
    found = named(case.classifier(case.inputs("unpadded.")))
    assert_all_near(found, case.outputs("unpadded."))


@of_texts
def test_hidden_states_are_those_of_pytorch(case: Case) -> None:
    inputs = rows(case.inputs("unpadded."))
    assert_near(run(case.encoder, inputs), case.expected["unpadded.last_hidden_state"])


def test_hidden_states_of_padded_rows_are_those_of_pytorch(case: Case) -> None:
    inputs = rows(case.inputs())
    found, expected = run(case.encoder, inputs), case.expected["last_hidden_state"]
    assert found.shape == expected.shape
    tokens = inputs["attention_mask"] == 1 if "attention_mask" in inputs else ...
    assert_near(found[tokens], expected[tokens])


@of_texts
def test_mask_of_ones_is_the_default(case: Case) -> None:
    inputs = case.inputs("unpadded.")
    ones = np.ones_like(inputs["input_ids"])
    found = named(case.classifier({**inputs, "attention_mask": ones}))
    assert_all_near(found, named(case.classifier(inputs)), 0.0)


@of_texts
def test_padding_does_not_change_a_row(case: Case) -> None:
    inputs = case.inputs()
    together = named(case.classifier(inputs))
    for i, mask in enumerate(inputs["attention_mask"]):
        length = mask.sum(axis=-1).max()  # of the longest choice, where there are choices
        alone = {name: value[i : i + 1, ..., :length] for name, value in inputs.items()}
        if alone["attention_mask"].all():
            del alone["attention_mask"]
        for name, found in named(case.classifier(alone)).items():
            by_token = is_by_token(together[name], inputs["attention_mask"])
            assert_near(found[0], together[name][i][:length] if by_token else together[name][i])


@of_texts
def test_what_stands_in_the_padding_does_not_matter(case: Case) -> None:
    inputs = case.inputs()
    noise = np.random.default_rng(0).integers(5, 97, inputs["input_ids"].shape, dtype=np.int32)
    ids = np.where(inputs["attention_mask"] == 1, inputs["input_ids"], noise)
    found = named(case.classifier({**inputs, "input_ids": ids}))
    assert_all_near(case.tokens(found), case.tokens(named(case.classifier(inputs))), 1e-6)


@pytest.mark.parametrize(
    ("folder", "field", "wrong", "off_by"),
    [
        ("bert-gelu", "hidden_act", "gelu_new", 20 * TOLERANCE),
        ("bert-gelu", "hidden_act", "relu", 0.1),
        ("bert-gelu_new", "hidden_act", "gelu", 20 * TOLERANCE),
        ("bert-relu", "hidden_act", "gelu", 0.1),
        ("bert-relu", "layer_norm_eps", 1e-12, 20 * TOLERANCE),
        ("bert-gelu", "num_attention_heads", 8, 0.1),
        ("albert", "num_hidden_layers", 4, 0.1),
        ("roberta", "layer_norm_eps", 1e-3, 20 * TOLERANCE),
        ("modernbert", "local_attention", 16, 0.01),
        ("modernbert", "classifier_pooling", "mean", 0.1),
        ("modernbert", "rope_parameters", {"full_attention": {"rope_theta": 100.0}}, 0.001),
        ("deberta", "max_relative_positions", 48, 20 * TOLERANCE),
        ("deberta", "pooler_hidden_act", "tanh", 0.1),
        ("vit", "num_attention_heads", 8, 0.01),
        ("vit-oblong", "layer_norm_eps", 1e-12, 20 * TOLERANCE),
        ("vit-oblong", "hidden_act", "gelu", 2 * TOLERANCE),
    ],
)
def test_wrong_reading_of_a_field_would_show(
    golden: Path, folder: str, field: str, wrong: Any, off_by: float
) -> None:
    """The golden numbers tell the variants apart, or the tests above prove little."""
    right = from_pretrained(golden / folder, task_of(folder))
    assert right.config[field] != wrong
    model = from_config({**right.config, field: wrong}, task_of(folder))
    model.set_weights(right.get_weights())
    expected = load_file(golden / folder / "expected.safetensors")
    inputs = {name: expected[name] for name in names_of(model)}
    assert np.abs(run(model, inputs) - expected["logits"]).max() > off_by


# Ways of running


@of_each_kind
def test_compiled_by_xla_for_any_length_gives_the_same(case: Case) -> None:
    inputs = case.inputs()
    fields = {field.name: field for field in case.classifier.spec.fields}
    shapes = {
        # The batch is free, and with choices their number.
        name: tf.TensorSpec((None,) * (x.ndim - len(field.shape)) + field.shape, field.dtype)
        for name, (x, field) in {n: (x, fields[n]) for n, x in inputs.items()}.items()
    }
    compiled = tf.function(
        lambda x: case.classifier(x, training=False), input_signature=[shapes], jit_compile=True
    )
    found, eager = named(compiled(inputs)), named(case.classifier(inputs))
    assert_all_near(case.tokens(found), case.tokens(eager))


def test_logits_and_gradients_are_sound(case: Case) -> None:
    assert_sound(case.classifier, case, TOLERANCE)


@of_each_kind
@pytest.mark.parametrize(("dtype", "off_by"), [("mixed_bfloat16", 0.1), ("mixed_float16", 0.02)])
def test_logits_and_gradients_are_sound_in_half_precision(
    case: Case, dtype: str, off_by: float
) -> None:
    assert_sound(from_pretrained(case.folder, case.task, dtype=dtype), case, off_by)


def assert_sound(model: TransformerModel, case: Case, off_by: float) -> None:
    """Checks that logits are near PyTorch's, and that every weight has a gradient."""
    variables = model.trainable_variables
    assert len(variables) == len(model.weights)
    assert {v.dtype for v in variables} == {"float32"}
    with tf.GradientTape() as tape:
        outputs = model(case.inputs(), training=False)
        loss = sum(tf.reduce_mean(logits**2) for logits in tf.nest.flatten(outputs))
    found, expected = case.tokens(named(outputs)), case.tokens(case.outputs())
    assert sorted(found) == sorted(expected)
    for name, logits in found.items():
        assert logits.dtype == "float32"
        error = np.abs(logits - expected[name])
        assert error.mean() < off_by * max(1.0, np.abs(expected[name]).mean()), name

    gradients = tape.gradient(loss, [v.value for v in variables])
    assert [v.path for v, g in zip(variables, gradients, strict=True) if g is None] == []
    for variable, gradient in zip(variables, gradients, strict=True):
        gradient = tf.convert_to_tensor(gradient)
        assert np.isfinite(gradient).all(), variable.path
        assert np.any(gradient), variable.path


@of_each_kind
@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
def test_hidden_states_have_the_precision_of_computing(case: Case, dtype: str) -> None:
    assert from_pretrained(case.folder, dtype=dtype)(rows(case.inputs())).dtype == dtype[6:]


def test_keras_file_holds_the_whole_model(case: Case, tmp_path: Path) -> None:
    model = case.classifier
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert_all_near(named(again(case.inputs())), named(model(case.inputs())), 0.0)
    assert again.hf_config() == model.hf_config()


# The way back


def test_saved_checkpoint_is_the_loaded_one(case: Case, tmp_path: Path) -> None:
    case.classifier.save_pretrained(tmp_path)
    saved, original = (
        load_file(folder / "model.safetensors") for folder in (tmp_path, case.folder)
    )
    assert sorted(saved) == sorted(original)
    for name, tensor in original.items():
        np.testing.assert_array_equal(saved[name], tensor, err_msg=name)
    configs = [json.loads((f / "config.json").read_text()) for f in (tmp_path, case.folder)]
    assert configs[0] == configs[1]


def test_saved_encoder_loads_again_with_the_same_weights(case: Case, tmp_path: Path) -> None:
    case.encoder.save_pretrained(tmp_path)
    again = from_pretrained(tmp_path)
    for ours, theirs in zip(case.encoder.weights, again.weights, strict=True):
        np.testing.assert_array_equal(theirs.numpy(), ours.numpy(), err_msg=ours.path)


def as_torch(inputs: Tensors) -> dict[str, Any]:
    """Returns PyTorch's inputs, in whose images the channels come first."""
    import torch

    return {
        name: torch.tensor(value.transpose(0, 3, 1, 2) if name == "pixel_values" else value)
        for name, value in inputs.items()
    }


def torch_outputs(model: Any, inputs: Tensors) -> tuple[Tensors, np.ndarray]:
    """Returns the logits by name, and the hidden states, of a model of PyTorch's."""
    import torch

    with torch.no_grad():
        outputs = model.eval()(**as_torch(inputs))
        hidden = model.base_model(**as_torch(rows(inputs))).last_hidden_state
    if "start_logits" in outputs:
        outputs = {"logits": torch.stack([outputs.start_logits, outputs.end_logits], dim=-1)}
    logits = {name: v.numpy() for name, v in outputs.items() if name.endswith("logits")}
    return logits, hidden.numpy()


@pytest.mark.torch
def test_transformers_opens_what_was_saved(case: Case, tmp_path: Path) -> None:
    import transformers

    case.classifier.save_pretrained(tmp_path)
    opener = getattr(transformers, case.classifier.hf_config()["architectures"][0])
    model, info = opener.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values()), info
    logits, _ = torch_outputs(model, case.inputs())
    logits = {name: logits[name] for name in case.outputs()}  # DeiT gives its two as well
    assert_all_near(case.tokens(named(case.classifier(case.inputs()))), case.tokens(logits))


@pytest.mark.torch
@of_texts
@pytest.mark.parametrize("shape", [(1, 1), (4, 2), (3, 40)])
def test_other_inputs_give_the_numbers_of_pytorch(case: Case, shape: tuple[int, int]) -> None:
    random = np.random.default_rng(shape[1])
    lengths = random.integers(1, shape[1] + 1, shape[0])
    mask = (np.arange(shape[1]) < lengths[:, None]).astype(np.int32)
    ids = np.where(mask == 1, random.integers(5, 97, shape), case.classifier.config["pad_token_id"])
    inputs = {"input_ids": ids.astype(np.int32), "attention_mask": mask}
    if "token_type_ids" in case.inputs():
        inputs["token_type_ids"] = random.integers(0, 2, shape, dtype=np.int32)
    tokens = mask == 1
    if case.task == "multiple-choice":
        inputs = {name: value[:, None] for name, value in inputs.items()}
    logits, hidden = torch_outputs(case.torch, inputs)
    found = named(case.classifier(inputs))
    shown = inputs["attention_mask"]
    assert_all_near(without_padding(found, shown), without_padding(logits, shown))
    assert_near(run(case.encoder, rows(inputs))[tokens], hidden[tokens])


# Families by other names, and inputs that a family does not have


@pytest.mark.parametrize(
    ("model_type", "name"), [("xlm-roberta", "XLMRoberta"), ("camembert", "Camembert")]
)
@pytest.mark.parametrize("folder", [f for f in FOLDERS if f.startswith("roberta")])
def test_relatives_of_roberta_load_as_roberta(
    golden: Path,
    folder: str,
    model_type: str,
    name: str,
    write_checkpoint: Callable[..., Path],
) -> None:
    config = json.loads((golden / folder / "config.json").read_text(encoding="utf-8"))
    architecture = config["architectures"][0].replace("Roberta", name)
    tensors = load_file(golden / folder / "model.safetensors")
    renamed = write_checkpoint({**config, "model_type": model_type}, tensors)
    model = from_pretrained(renamed, TASKS.get(folder.rpartition("-")[2], TASK))
    expected = load_file(golden / folder / "expected.safetensors")
    found = run(model, {"input_ids": expected["unpadded.input_ids"]})
    assert_near(found, expected["unpadded.logits"])
    assert model.hf_config()["architectures"] == [architecture]


@of_texts
def test_token_types_are_passed_over_by_a_family_without_them(case: Case) -> None:
    """The batcher gives them to every model."""
    if "token_type_ids" in names_of(case.classifier):
        return
    inputs = case.inputs()
    types = {**inputs, "token_type_ids": np.ones_like(inputs["input_ids"])}
    found, expected = named(case.classifier(types)), named(case.classifier(inputs))
    assert_all_near(found, expected, 0.0)


def test_freezing_counts_every_weight_once(case: Case) -> None:
    layers = [layer for _, group in case.classifier.layer_groups() for layer in group]
    grouped = [id(w) for layer in layers for w in layer.weights]
    assert sorted(grouped) == sorted(id(w) for w in case.classifier.weights)


def test_collected_tensors_have_no_prefix_without_a_head(case: Case) -> None:
    prefix = case.encoder.family.prefixes[0]
    assert not any(name.startswith(prefix) for name in collect_tensors(case.encoder))
