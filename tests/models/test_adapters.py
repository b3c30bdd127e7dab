"""Low-rank adapters: PEFT's are read with PyTorch's numbers, ours train, save and merge."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import ktlite
from ktlite.errors import ArgumentError, CheckpointError
from ktlite.models import from_pretrained
from ktlite.models.adapters import CONFIG, WEIGHTS, add_adapters, save_adapters
from ktlite.models.core.dense import Dense

CASES = {
    "bert-gelu": "text-classification",
    "albert": "text-classification",
    "distilbert-token": "token-classification",
    "modernbert": "text-classification",
}
TEXTS = ["the film was great", "a bad film", "great great", "it was bad"] * 4
LABELS = ["good", "bad", "good", "bad"] * 4


def inputs_of(folder: Path) -> dict[str, np.ndarray]:
    stored = load_file(folder / "expected.safetensors")
    names = ("input_ids", "attention_mask", "token_type_ids")
    return {name: stored[name] for name in names if name in stored}


@pytest.mark.parametrize("name", CASES)
def test_adapters_of_peft_give_the_logits_of_pytorch(golden: Path, name: str) -> None:
    adapters = golden / "adapters" / name
    inputs = inputs_of(golden / name)
    logits = keras.ops.convert_to_numpy(
        from_pretrained(golden / name, CASES[name], adapters=adapters)(inputs)
    )
    expected = load_file(adapters / "logits.safetensors")["logits"]
    inside = inputs["attention_mask"] > 0 if logits.ndim == 3 else slice(None)
    np.testing.assert_allclose(logits[inside], expected[inside], atol=2e-5)
    plain = keras.ops.convert_to_numpy(from_pretrained(golden / name, CASES[name])(inputs))
    assert np.abs(plain - logits).max() > 1e-2


def test_adapters_fit_a_checkpoint_of_the_bare_encoder(golden: Path, tmp_path: Path) -> None:
    whole = load_file(golden / "bert-gelu" / "model.safetensors")
    bare = {n.removeprefix("bert."): t for n, t in whole.items() if n.startswith("bert.")}
    save_file(bare, tmp_path / "model.safetensors")
    shutil.copy(golden / "bert-gelu" / "config.json", tmp_path)
    adapters = golden / "adapters" / "bert-gelu"
    inputs = inputs_of(golden / "bert-gelu")
    # The pooler is in the bare checkpoint, the classifier among the adapters.
    logits = from_pretrained(tmp_path, "text-classification", adapters=adapters)(inputs)
    expected = load_file(adapters / "logits.safetensors")["logits"]
    np.testing.assert_allclose(keras.ops.convert_to_numpy(logits), expected, atol=2e-5)


def test_adapters_beside_the_kernel_are_the_adapters_in_it() -> None:
    import tensorflow as tf

    layer = Dense(5)
    layer.build((None, 7))
    layer.enable_lora(2, 3)
    random = np.random.default_rng(0)
    layer.lora_kernel_b.assign(random.normal(size=(2, 5)))
    x = random.normal(size=(4, 7)).astype("float32")
    variables = [v.value for v in (layer.lora_kernel_a, layer.lora_kernel_b, layer.bias)]

    def outputs_and_gradients(call: Any) -> list[np.ndarray]:
        with tf.GradientTape() as tape:
            y = call(x)
            loss = tf.reduce_sum(y**2)
        return [np.asarray(y), *map(np.asarray, tape.gradient(loss, variables))]

    ours = outputs_and_gradients(layer)
    keras_own = outputs_and_gradients(lambda x: keras.layers.Dense.call(layer, x))
    for one, other in zip(ours, keras_own, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def learner(folder: Path, **options: Any) -> ktlite.Learner:
    options = {"lora": 4, "maxlen": 16, "batch_size": 4, "verbose": 0, **options}
    return ktlite.get_learner(folder, (TEXTS, LABELS), (TEXTS, LABELS), **options)


@pytest.mark.parametrize("options", [{}, {"precision": "bfloat16"}, {"xla": True}], ids=str)
def test_only_adapters_and_head_train(tiny_checkpoint: Path, options: Any) -> None:
    trained = learner(tiny_checkpoint, **options)
    model = trained.model
    before = {v.path: np.array(v) for v in model.variables}
    trained.fit_onecycle(1e-2, 2, verbose=0)
    changed = {v.path for v in model.weights if not np.array_equal(before[v.path], np.array(v))}
    expected = {v.path for v in model.weights if "lora" in v.path or "head" in v.path}
    assert changed == expected
    share = sum(v.shape.num_elements() for v in model.trainable_weights) / model.count_params()
    assert share < 0.5  # of a tiny model


def test_a_model_with_new_adapters_says_what_it_said_before(tiny_checkpoint: Path) -> None:
    with_, without = (learner(tiny_checkpoint, lora=rank).get_predictor() for rank in (4, None))
    np.testing.assert_allclose(with_.logits(TEXTS), without.logits(TEXTS), atol=1e-6)


def test_trained_adapters_come_back_alone_and_merged(tiny_checkpoint: Path, tmp_path: Path) -> None:
    trained = learner(tiny_checkpoint)
    trained.fit_onecycle(1e-2, 2, verbose=0)
    predictor = trained.get_predictor()
    expected = predictor.logits(TEXTS)

    trained.save_adapters(tmp_path / "adapters")
    trained.save_adapters(tmp_path / "adapters")  # replaced
    model = ktlite.load_model(tiny_checkpoint, num_labels=2, adapters=tmp_path / "adapters")
    again = ktlite.get_predictor(model, predictor.preproc)
    np.testing.assert_allclose(again.logits(TEXTS), expected, atol=1e-5)
    size = (tmp_path / "adapters" / WEIGHTS).stat().st_size
    assert size < (tiny_checkpoint / "model.safetensors").stat().st_size / 2

    predictor.save(tmp_path / "predictor")
    saved = ktlite.load_predictor(tmp_path / "predictor")
    np.testing.assert_allclose(saved.logits(TEXTS), expected, atol=1e-5)


def test_adapters_open_in_peft(tiny_checkpoint: Path, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    torch = pytest.importorskip("torch")
    from transformers import AutoModelForSequenceClassification

    trained = learner(tiny_checkpoint)
    trained.fit_onecycle(1e-2, 2, verbose=0)
    trained.save_adapters(tmp_path)
    base = AutoModelForSequenceClassification.from_pretrained(
        tiny_checkpoint, num_labels=2, ignore_mismatched_sizes=True
    )
    theirs = peft.PeftModel.from_pretrained(base, tmp_path).eval()
    inputs = trained.preproc.encode(TEXTS).pad(np.arange(4))
    with torch.no_grad():
        logits = theirs(**{name: torch.tensor(x) for name, x in inputs.items()}).logits.numpy()
    ours = keras.ops.convert_to_numpy(trained.model(inputs))
    np.testing.assert_allclose(ours, logits, atol=1e-5)


def test_what_adapters_rule_out_is_refused(tiny_checkpoint: Path, tmp_path: Path) -> None:
    trained = learner(tiny_checkpoint)
    for method in (trained.freeze, trained.unfreeze):
        with pytest.raises(ArgumentError, match="trains its adapters"):
            method()
    with pytest.raises(ArgumentError, match="a checkpoint has them in its kernels"):
        trained.load_model(tiny_checkpoint)
    with pytest.raises(ArgumentError, match="has adapters already"):
        add_adapters(trained.model, 4)
    with pytest.raises(ArgumentError, match="the model has none; train it with lora=8"):
        save_adapters(learner(tiny_checkpoint, lora=None).model, tmp_path / "none")
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ArgumentError):
        trained.save_adapters(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"lora": 0}, "lora=0; expected"),
        ({"lora": 4, "lora_alpha": -1}, "lora_alpha=-1"),
        ({"lora": None, "lora_alpha": 8}, "lora_alpha=8 goes with lora"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(
    tiny_checkpoint: Path, options: Any, said: str
) -> None:
    with pytest.raises(ArgumentError, match=said):
        learner(tiny_checkpoint, **options)


@pytest.fixture
def adapters(golden: Path, tmp_path: Path) -> Path:
    """A copy of PEFT's adapters for bert-gelu."""
    return Path(shutil.copytree(golden / "adapters" / "bert-gelu", tmp_path / "adapters"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"use_dora": True}, "use_dora=True are not supported"),
        ({"peft_type": "IA3"}, "peft_type='IA3'"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights='pissa' are not supported"),
        ({"r": 0}, "is damaged"),
        ({"r": None}, "is damaged"),
    ],
)
def test_other_kinds_of_adapters_are_refused(
    golden: Path, adapters: Path, change: Any, said: str
) -> None:
    config = json.loads((adapters / CONFIG).read_text()) | change
    (adapters / CONFIG).write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=said):
        from_pretrained(golden / "bert-gelu", "text-classification", adapters=adapters)


def test_adapters_of_another_checkpoint_are_refused(golden: Path, adapters: Path) -> None:
    with pytest.raises(CheckpointError, match="do not belong to .*roberta"):
        from_pretrained(golden / "roberta", "text-classification", adapters=adapters)
    (adapters / WEIGHTS).unlink()
    with pytest.raises(CheckpointError, match=f"there is no {WEIGHTS}"):
        from_pretrained(golden / "bert-gelu", "text-classification", adapters=adapters)


def test_adapter_of_another_width_is_refused(golden: Path, adapters: Path) -> None:
    tensors = load_file(adapters / WEIGHTS)
    name = next(name for name in tensors if name.endswith("lora_B.weight"))
    save_file({**tensors, name: tensors[name][:-1]}, adapters / WEIGHTS)
    with pytest.raises(CheckpointError, match="layer.0.attention.self.query are of another shape"):
        from_pretrained(golden / "bert-gelu", "text-classification", adapters=adapters)
