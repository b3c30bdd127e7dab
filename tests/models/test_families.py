"""The contract of every family: the numbers of PyTorch transformers, in every way of running.

The numbers come from `tests/golden`. A new family is new rows in `FOLDERS`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from safetensors.numpy import load_file

from ktlite.errors import ArgumentError, CheckpointError
from ktlite.models import (
    Family,
    TransformerModel,
    families,
    from_config,
    from_pretrained,
    get_family,
    register_family,
)
from ktlite.models.config import ConfigReader
from ktlite.models.core.spec import ModelSpec
from ktlite.models.mapping import Rule
from ktlite.models.transfer import collect_tensors

TASK = "text-classification"
FOLDERS = ["bert-gelu", "bert-gelu_new", "bert-relu"]
TOLERANCE = 1e-5  # absolute
Tensors = dict[str, np.ndarray]


@dataclass
class Case:
    """One golden folder, loaded with its head and bare."""

    folder: Path
    expected: Tensors
    classifier: TransformerModel
    encoder: TransformerModel

    def inputs(self, prefix: str = "") -> Tensors:
        names = ("input_ids", "attention_mask", "token_type_ids")
        found = {name: self.expected.get(prefix + name) for name in names}
        return {name: value for name, value in found.items() if value is not None}


@pytest.fixture(scope="module", params=FOLDERS)
def case(request: pytest.FixtureRequest, golden: Path) -> Case:
    folder = golden / request.param
    return Case(
        folder,
        load_file(folder / "expected.safetensors"),
        from_pretrained(folder, TASK),
        from_pretrained(folder),
    )


def run(model: Any, inputs: Tensors, **kwargs: Any) -> np.ndarray:
    return np.asarray(model(inputs, **kwargs))


def assert_near(found: Any, expected: np.ndarray, tolerance: float = TOLERANCE) -> None:
    assert np.shape(found) == np.shape(expected)
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)


def test_no_golden_folder_is_forgotten(golden: Path) -> None:
    assert sorted(file.parent.name for file in golden.glob("*/expected.safetensors")) == FOLDERS


# The numbers


@pytest.mark.parametrize("prefix", ["", "unpadded."], ids=["padded", "unpadded"])
def test_logits_are_those_of_pytorch(case: Case, prefix: str) -> None:
    assert_near(run(case.classifier, case.inputs(prefix)), case.expected[prefix + "logits"])


def test_hidden_states_are_those_of_pytorch(case: Case) -> None:
    inputs = case.inputs("unpadded.")
    assert_near(run(case.encoder, inputs), case.expected["unpadded.last_hidden_state"])


def test_hidden_states_of_padded_rows_are_those_of_pytorch(case: Case) -> None:
    inputs = case.inputs()
    tokens = inputs["attention_mask"] == 1
    found, expected = run(case.encoder, inputs), case.expected["last_hidden_state"]
    assert found.shape == expected.shape
    assert_near(found[tokens], expected[tokens])


def test_mask_of_ones_is_the_default(case: Case) -> None:
    inputs = case.inputs("unpadded.")
    ones = np.ones_like(inputs["input_ids"])
    np.testing.assert_array_equal(
        run(case.classifier, {**inputs, "attention_mask": ones}), run(case.classifier, inputs)
    )


def test_padding_does_not_change_a_row(case: Case) -> None:
    inputs = case.inputs()
    together = run(case.classifier, inputs)
    for i, length in enumerate(inputs["attention_mask"].sum(axis=1)):
        alone = {name: value[i : i + 1, :length] for name, value in inputs.items()}
        del alone["attention_mask"]
        assert_near(run(case.classifier, alone)[0], together[i])


def test_what_stands_in_the_padding_does_not_matter(case: Case) -> None:
    inputs = case.inputs()
    noise = np.random.default_rng(0).integers(5, 97, inputs["input_ids"].shape, dtype=np.int32)
    ids = np.where(inputs["attention_mask"] == 1, inputs["input_ids"], noise)
    assert_near(
        run(case.classifier, {**inputs, "input_ids": ids}), run(case.classifier, inputs), 1e-6
    )


@pytest.mark.parametrize(
    ("folder", "field", "wrong", "off_by"),
    [
        ("bert-gelu", "hidden_act", "gelu_new", 20 * TOLERANCE),
        ("bert-gelu", "hidden_act", "relu", 0.1),
        ("bert-gelu_new", "hidden_act", "gelu", 20 * TOLERANCE),
        ("bert-relu", "hidden_act", "gelu", 0.1),
        ("bert-relu", "layer_norm_eps", 1e-12, 20 * TOLERANCE),
        ("bert-gelu", "num_attention_heads", 8, 0.1),
    ],
)
def test_wrong_reading_of_a_field_would_show(
    golden: Path, folder: str, field: str, wrong: Any, off_by: float
) -> None:
    """The golden numbers tell the variants apart, or the tests above prove little."""
    right = from_pretrained(golden / folder, TASK)
    assert right.config[field] != wrong
    model = from_config({**right.config, field: wrong}, TASK)
    model.set_weights(right.get_weights())
    expected = load_file(golden / folder / "expected.safetensors")
    inputs = {name: expected[name] for name in ("input_ids", "attention_mask", "token_type_ids")}
    assert np.abs(run(model, inputs) - expected["logits"]).max() > off_by


# Ways of running


def test_compiled_by_xla_gives_the_same(case: Case) -> None:
    compiled = tf.function(case.classifier, jit_compile=True)
    assert_near(compiled(case.inputs(), training=False), run(case.classifier, case.inputs()))


@pytest.mark.parametrize(("dtype", "off_by"), [("mixed_bfloat16", 0.1), ("mixed_float16", 0.02)])
def test_mixed_precision_gives_float32_logits(case: Case, dtype: str, off_by: float) -> None:
    model = from_pretrained(case.folder, TASK, dtype=dtype)
    assert {w.dtype for w in model.weights} == {"float32"}
    logits = model(case.inputs())
    assert logits.dtype == "float32"
    assert_near(logits, case.expected["logits"], off_by)
    assert from_pretrained(case.folder, dtype=dtype)(case.inputs()).dtype == dtype[6:]


def test_gradient_reaches_every_variable(case: Case) -> None:
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(case.classifier(case.inputs(), training=False) ** 2)
    variables = case.classifier.trainable_variables
    gradients = tape.gradient(loss, [v.value for v in variables])
    assert len(variables) == len(case.classifier.weights)
    assert [v.path for v, g in zip(variables, gradients, strict=True) if g is None] == []
    for variable, gradient in zip(variables, gradients, strict=True):
        assert np.isfinite(tf.convert_to_tensor(gradient)).all(), variable.path


def test_keras_file_holds_the_whole_model(case: Case, tmp_path: Path) -> None:
    for model in (case.classifier, case.encoder):
        model.save(tmp_path / "model.keras")
        again = keras.saving.load_model(tmp_path / "model.keras")
        np.testing.assert_array_equal(run(again, case.inputs()), run(model, case.inputs()))
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


@pytest.mark.torch
def test_transformers_opens_what_was_saved(case: Case, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification

    case.classifier.save_pretrained(tmp_path)
    model, info = AutoModelForSequenceClassification.from_pretrained(
        tmp_path, output_loading_info=True
    )
    assert not any(info.values()), info
    inputs = {name: torch.tensor(value) for name, value in case.inputs().items()}
    with torch.no_grad():
        logits = model.eval()(**inputs).logits.numpy()
    assert_near(logits, run(case.classifier, case.inputs()))


@pytest.mark.torch
@pytest.mark.parametrize("shape", [(1, 1), (4, 2), (3, 40)])
def test_other_inputs_give_the_numbers_of_pytorch(case: Case, shape: tuple[int, int]) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification

    random = np.random.default_rng(shape[1])
    lengths = random.integers(1, shape[1] + 1, shape[0])
    mask = (np.arange(shape[1]) < lengths[:, None]).astype(np.int32)
    inputs = {"input_ids": random.integers(0, 97, shape, dtype=np.int32), "attention_mask": mask}
    if "token_type_ids" in case.inputs():
        inputs["token_type_ids"] = random.integers(0, 2, shape, dtype=np.int32)
    model = AutoModelForSequenceClassification.from_pretrained(case.folder).eval()
    with torch.no_grad():
        arguments = {name: torch.tensor(value) for name, value in inputs.items()}
        logits = model(**arguments).logits.numpy()
        hidden = model.base_model(**arguments).last_hidden_state.numpy()
    assert_near(run(case.classifier, inputs), logits)
    assert_near(run(case.encoder, inputs)[mask == 1], hidden[mask == 1])


# Families from outside the package


def toy_spec(config: ConfigReader) -> ModelSpec:
    """BERT of a fixed size, but for two fields of other names."""
    bert = {
        "hidden_size": config.size("d_model", 16),
        "num_hidden_layers": config.size("depth", 1),
        "num_attention_heads": 4,
        "intermediate_size": 48,
        "vocab_size": 97,
        "max_position_embeddings": 40,
        "type_vocab_size": 2,
    }
    return get_family("bert").spec(ConfigReader(bert))


def toy_name(name: str) -> str:
    """Renames a tensor of BERT's; the names of blocks get another order of words too."""
    return name.replace(".encoder.layer.", ".stack.").replace(".LayerNorm.", ".ln.")


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a test register families that are gone afterwards."""
    monkeypatch.setattr(families, "_REGISTRY", dict(families._REGISTRY))


@pytest.fixture
def toy(registry: None) -> Family:
    def rename(rule: Rule) -> Rule:
        theirs = (rule.theirs,) if isinstance(rule.theirs, str) else rule.theirs
        return Rule(rule.ours, tuple(toy_name(name) for name in theirs), rule.op)

    bert = get_family("bert")
    family = Family(
        model_types=("toy", "toy-v2"),
        spec=toy_spec,
        prefixes=("toy.",),
        names=tuple(rename(rule) for rule in bert.names),
        heads={task: tuple(map(rename, rules)) for task, rules in bert.heads.items()},
        architectures={None: "ToyModel", TASK: "ToyForSequenceClassification"},
        ignore=("toy.counter",),
    )
    assert register_family(family) is family
    return family


def test_registered_family_loads_runs_and_saves(
    toy: Family,
    golden: Path,
    tmp_path: Path,
    tensors: Tensors,
    write_checkpoint: Callable[..., Path],
) -> None:
    theirs = {toy_name(n).replace("bert.", "toy."): t for n, t in tensors.items()}
    config = {"model_type": "toy-v2", "d_model": 32, "depth": 2, "num_labels": 3}
    folder = write_checkpoint(config, {**theirs, "toy.counter": np.zeros(1, np.int64)})

    model = from_pretrained(folder, TASK)
    assert model.family is toy
    expected = load_file(golden / "bert-gelu" / "expected.safetensors")
    inputs = {n: expected[n] for n in ("input_ids", "attention_mask", "token_type_ids")}
    assert_near(run(model, inputs), expected["logits"])

    model.save_pretrained(tmp_path / "saved")
    assert sorted(load_file(tmp_path / "saved" / "model.safetensors")) == sorted(theirs)
    again = from_pretrained(tmp_path / "saved", TASK)
    assert again.hf_config()["architectures"] == ["ToyForSequenceClassification"]
    np.testing.assert_array_equal(run(again, inputs), run(model, inputs))


def test_prefix_that_no_checkpoint_has_names_the_families_own(
    toy: Family, tensors: Tensors, write_checkpoint: Callable[..., Path]
) -> None:
    folder = write_checkpoint({"model_type": "toy", "d_model": 32, "depth": 2}, tensors)
    with pytest.raises(CheckpointError, match=r"none of toy\.embeddings\.word_embeddings\.weight"):
        from_pretrained(folder, TASK)


def test_family_may_be_registered_twice_but_not_two_of_a_type(toy: Family) -> None:
    assert register_family(toy) is toy
    other = Family(
        model_types=("new", "toy-v2", "bert"),
        spec=toy_spec,
        prefixes=("",),
        names=toy.names,
        heads={},
        architectures={},
    )
    with pytest.raises(ArgumentError, match="model_type toy-v2, bert is registered already"):
        register_family(other)
    with pytest.raises(CheckpointError):
        get_family("new")  # all of it or nothing
    assert get_family("bert") is not other


def test_unknown_model_type_names_the_nearest() -> None:
    with pytest.raises(CheckpointError, match="Did you mean 'bert'"):
        get_family("brt")


@pytest.mark.parametrize("name", ["gpt2", None, 7, ["bert"]])
def test_unknown_model_type_lists_those_known(name: Any) -> None:
    with pytest.raises(CheckpointError, match=r"is not supported; ktlite has .*bert") as caught:
        get_family(name)
    assert repr(name) in str(caught.value)


def test_task_that_a_family_has_no_table_for_is_refused(registry: None) -> None:
    bert = get_family("bert")
    register_family(
        Family(
            model_types=("headless",),
            spec=bert.spec,
            prefixes=bert.prefixes,
            names=bert.names,
            heads={},
            architectures={None: "HeadlessModel"},
        )
    )
    with pytest.raises(ArgumentError, match="task='text-classification' is not known"):
        from_config({"model_type": "headless"}, TASK)


def test_collected_tensors_have_no_prefix_without_a_head(case: Case) -> None:
    prefix = case.encoder.family.prefixes[0]
    assert not any(name.startswith(prefix) for name in collect_tensors(case.encoder))
