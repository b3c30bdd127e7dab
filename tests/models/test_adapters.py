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

TASKS = {
    "token": "token-classification",
    "span": "question-answering",
    "mlm": "masked-lm",
    "choice": "multiple-choice",
    "encoder": None,
    "vit": "image-classification",
    **dict.fromkeys(("gemma3_text", "gpt2", "gpt_neox", "opt"), "text-generation"),
    "umt5": "text2text-generation",
}
FAMILIES = ("albert", "bert", "deberta", "distilbert", "electra", "modernbert", "mpnet", "roberta")
HEADS = ("", "-token", "-span", "-mlm", "-choice")
# Every family with every head: all dense layers adapted, all of the head saved, as ktlite does it.
WHOLE = [
    *(family + head for family in FAMILIES for head in HEADS if family + head != "bert"),
    "bert-relu",
    "distilbert-encoder",
    "mpnet-encoder",
    "vit",
    *("gemma3_text", "gpt2", "gpt_neox", "opt", "umt5"),
]
TEXTS = ["the film was great", "a bad film", "great great", "it was bad"] * 4
LABELS = ["good", "bad", "good", "bad"] * 4


def task_of(name: str) -> str | None:
    return TASKS.get(name.rpartition("-")[2], "text-classification")


def inputs_of(stored: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    names = (
        *("input_ids", "attention_mask", "token_type_ids", "decoder_input_ids"),
        "pixel_values",
    )
    return {name: stored[name] for name in names if name in stored}


def expected_of(folder: Path) -> tuple[dict[str, np.ndarray], np.ndarray, Any]:
    """Returns the inputs of golden adapters, the outputs, and where these are not of padding."""
    stored = load_file(folder / "expected.safetensors")
    inputs = inputs_of(stored)
    outputs = stored["logits" if "logits" in stored else "last_hidden_state"]
    mask = inputs.get("attention_mask", np.zeros(0)) > 0
    return inputs, outputs, mask if outputs.shape[:2] == mask.shape else slice(None)


def outputs_of(model: Any, inputs: dict[str, np.ndarray]) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(model(inputs)))


@pytest.mark.parametrize("name", [*WHOLE, "bert-gelu", "deberta-conv"])
def test_adapters_of_peft_give_the_logits_of_pytorch(golden: Path, name: str) -> None:
    adapters = golden / "adapters" / name
    checkpoint = golden / name.removesuffix("-encoder")
    inputs, expected, inside = expected_of(adapters)
    found = outputs_of(from_pretrained(checkpoint, task_of(name), adapters=adapters), inputs)
    np.testing.assert_allclose(found[inside], expected[inside], atol=5e-5)
    plain = outputs_of(from_pretrained(checkpoint, task_of(name)), inputs)
    assert np.abs(plain - found)[inside].max() > 1e-2


def test_adapters_under_the_names_of_the_checkpoint_are_read_too(
    golden: Path, tmp_path: Path
) -> None:
    """Those of transformers before its version 5, which called modules as tensors are called."""
    shutil.copytree(golden / "adapters" / "vit", tmp_path / "old")
    now = load_file(tmp_path / "old" / WEIGHTS)
    before = (
        ("vit.layers", "vit.encoder.layer"),
        ("q_proj", "attention.query"),
        ("k_proj", "attention.key"),
        ("v_proj", "attention.value"),
        ("o_proj", "output.dense"),
        ("mlp.fc1", "intermediate.dense"),
        ("mlp.fc2", "output.dense"),
    )
    renamed = {}
    for name, tensor in now.items():
        for new, old in before:
            name = name.replace(new, old)
        renamed[name] = tensor
    assert not set(renamed) & {name for name in now if "lora" in name}
    save_file(renamed, tmp_path / "old" / WEIGHTS)
    inputs, expected, _ = expected_of(tmp_path / "old")
    model = from_pretrained(golden / "vit", "image-classification", adapters=tmp_path / "old")
    np.testing.assert_allclose(outputs_of(model, inputs), expected, atol=5e-5)


def with_random_adapters(checkpoint: Path, task: str | None, **options: Any) -> Any:
    """Returns a model whose adapters and head are as if they had been trained."""
    model = from_pretrained(checkpoint, task, **options)
    add_adapters(model, 2)
    random = np.random.default_rng(0)
    for variable in model.trainable_variables:
        step = random.normal(0.0, 0.1, variable.shape)
        variable.assign(keras.ops.convert_to_numpy(variable) + step)
    return model


@pytest.mark.parametrize("name", WHOLE)
def test_adapters_are_saved_under_the_names_that_peft_looks_for(
    golden: Path, tmp_path: Path, name: str
) -> None:
    model = with_random_adapters(golden / name.removesuffix("-encoder"), task_of(name))
    save_adapters(model, tmp_path, "org/base")
    theirs = load_file(golden / "adapters" / name / WEIGHTS)
    ours = load_file(tmp_path / WEIGHTS)
    assert {n: x.shape for n, x in ours.items()} == {n: x.shape for n, x in theirs.items()}
    config = json.loads((tmp_path / CONFIG).read_text())
    their_config = json.loads((golden / "adapters" / name / CONFIG).read_text())
    # PEFT shortens long lists to the ends of names.
    named = [f".{name}" for name in their_config["target_modules"]]
    ends = [[e for e in named if f".{target}".endswith(e)] for target in config["target_modules"]]
    assert all(ends)
    assert set(named) == {end for found in ends for end in found}
    assert config["task_type"] == their_config["task_type"]
    assert config["base_model_name_or_path"] == "org/base"
    # PEFT wraps each module that one of these names ends, and finds nothing inside a wrapped one.
    wrapped = [*(config["modules_to_save"] or ()), "classifier", "score", "qa_outputs"]
    saved = {
        n.removeprefix("base_model.model.").rpartition(".")[0] for n in ours if "lora" not in n
    }
    for module in saved:
        parts = module.split(".")
        parents = [".".join(parts[:i]) for i in range(1, len(parts) + 1)]
        assert len([p for p in parents if any(p.endswith(name) for name in wrapped)]) == 1, module
    assert (config["auto_mapping"] is None) == (config["task_type"] is not None)


def test_adapters_fit_a_checkpoint_of_the_bare_encoder(golden: Path, tmp_path: Path) -> None:
    whole = load_file(golden / "bert-gelu" / "model.safetensors")
    bare = {n.removeprefix("bert."): t for n, t in whole.items() if n.startswith("bert.")}
    save_file(bare, tmp_path / "model.safetensors")
    shutil.copy(golden / "bert-gelu" / "config.json", tmp_path)
    adapters = golden / "adapters" / "bert-gelu"
    inputs, expected, _ = expected_of(adapters)
    # The pooler is in the bare checkpoint, the classifier among the adapters.
    logits = outputs_of(from_pretrained(tmp_path, "text-classification", adapters=adapters), inputs)
    np.testing.assert_allclose(logits, expected, atol=2e-5)


def test_a_head_that_peft_did_not_save_is_named(
    golden: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = load_file(golden / "deberta-conv" / "model.safetensors")
    bare = {n: x for n, x in whole.items() if not n.startswith(("pooler.", "classifier."))}
    save_file(bare, tmp_path / "model.safetensors")
    shutil.copy(golden / "deberta-conv" / "config.json", tmp_path)
    adapters = golden / "adapters" / "deberta-conv"  # which have the classifier alone
    from_pretrained(tmp_path, "text-classification", adapters=adapters)
    said = [
        record.getMessage() for record in caplog.records if str(adapters) in record.getMessage()
    ]
    assert len(said) == 1
    assert "head.dense" in said[0] and "modules_to_save" in said[0]
    assert "head.classifier" not in said[0]


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


def in_pytorch(model: Any, inputs: dict[str, np.ndarray]) -> np.ndarray:
    import torch

    given = {name: torch.tensor(x).long() for name, x in inputs.items()}
    if "pixel_values" in inputs:  # channels first
        given = {"pixel_values": torch.tensor(inputs["pixel_values"]).permute(0, 3, 1, 2)}
    with torch.no_grad():
        # Around it, PeftModelForQuestionAnswering leaves out token_type_ids.
        outputs = model.base_model(**given)
    if "start_logits" in outputs:
        return torch.stack([outputs.start_logits, outputs.end_logits], dim=-1).numpy()
    return (outputs.logits if "logits" in outputs else outputs.last_hidden_state).numpy()


def copied(checkpoint: Path, folder: Path, **fields: Any) -> Path:
    """Copies a checkpoint, with other fields of its config."""
    shutil.copytree(checkpoint, folder)
    config = json.loads((folder / "config.json").read_text()) | fields
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.torch
@pytest.mark.parametrize(
    "name",
    [*WHOLE, "bert-regression", *(m + h for m in ("xlm-roberta", "camembert") for h in HEADS)],
)
def test_adapters_open_in_peft_and_come_back(golden: Path, tmp_path: Path, name: str) -> None:
    peft = pytest.importorskip("peft")
    import transformers

    task, checkpoint, options = task_of(name), golden / name.removesuffix("-encoder"), {}
    if name == "bert-regression":
        options, checkpoint = {"num_labels": 1}, tmp_path / "base"
        from_pretrained(golden / "bert-relu", task, **options).save_pretrained(checkpoint)
    for model_type in ("xlm-roberta", "camembert"):  # RoBERTa's code under other names
        if name.startswith(model_type):
            like = golden / name.replace(model_type, "roberta")
            checkpoint = copied(like, tmp_path / "base", model_type=model_type)
    ours = with_random_adapters(checkpoint, task, **options)
    save_adapters(ours, tmp_path / "adapters", str(checkpoint))
    architecture = ours.family.architectures[task]
    base = getattr(transformers, architecture).from_pretrained(checkpoint)
    theirs = peft.PeftModel.from_pretrained(base, tmp_path / "adapters").eval()
    inputs = inputs_of(load_file(golden / "bert-gelu" / "expected.safetensors"))
    if task in ("image-classification", "text2text-generation"):
        inputs = inputs_of(load_file(checkpoint / "expected.safetensors"))
    if task == "multiple-choice":
        inputs = {n: np.stack([x, x[::-1]], axis=1) for n, x in inputs.items()}
    known = load_file(checkpoint / "expected.safetensors") if name in WHOLE else {}
    inputs = {n: x for n, x in inputs.items() if n in known or n != "token_type_ids"}
    expected = outputs_of(ours, inputs)
    mask = inputs.get("attention_mask", np.zeros(0)) > 0
    inside = mask if expected.shape[:2] == mask.shape else slice(None)
    found = in_pytorch(theirs, inputs)
    np.testing.assert_allclose(found[inside], expected[inside], rtol=1e-4, atol=1e-4)

    theirs.save_pretrained(tmp_path / "again")
    back = from_pretrained(checkpoint, task, adapters=tmp_path / "again", **options)
    np.testing.assert_allclose(
        outputs_of(back, inputs)[inside], expected[inside], rtol=1e-4, atol=1e-4
    )
    if task in ("masked-lm", "multiple-choice"):  # which PEFT has no name for
        auto = peft.AutoPeftModel.from_pretrained(tmp_path / "adapters").eval()
        np.testing.assert_allclose(in_pytorch(auto, inputs), found)


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
        ({"use_rslora": True}, "use_rslora=True"),
        ({"trainable_token_indices": [5]}, r"trainable_token_indices=\[5\]"),
        ({"target_parameters": ["experts"]}, "target_parameters="),
        ({"layer_replication": [[0, 2]]}, "layer_replication="),
        ({"a_field_of_next_year": True}, "a_field_of_next_year=True"),
        ({"r": 0}, "is damaged"),
        ({"r": None}, "is damaged"),
    ],
)
def test_other_kinds_of_adapters_are_refused(
    golden: Path, adapters: Path, change: Any, said: str
) -> None:
    config = json.loads((adapters / CONFIG).read_text()) | change
    (adapters / CONFIG).write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=said) as raised:
        from_pretrained(golden / "bert-gelu", "text-classification", adapters=adapters)
    assert str(raised.value).startswith(str(adapters))


@pytest.mark.parametrize(
    "name",
    [
        "bert.embeddings.word_embeddings.lora_embedding_A",
        "bert.embeddings.word_embeddings.token_adapter.trainable_tokens_delta",
        "bert.encoder.layer.0.attention.self.query.lora_magnitude_vector.weight",
        "extra_head.weight",
    ],
)
def test_tensors_of_other_kinds_are_refused(golden: Path, adapters: Path, name: str) -> None:
    tensors = load_file(adapters / WEIGHTS)
    tensors["base_model.model." + name] = np.zeros((2, 97), "float32")
    save_file(tensors, adapters / WEIGHTS)
    with pytest.raises(CheckpointError, match=f"{name}.*merge_and_unload") as raised:
        from_pretrained(golden / "bert-gelu", "text-classification", adapters=adapters)
    assert str(raised.value).startswith(f"{adapters}: ")


@pytest.mark.parametrize("task", ["masked-lm", "token-classification"])
def test_an_output_layer_that_left_the_table_of_words_is_refused(
    golden: Path, tmp_path: Path, task: str
) -> None:
    base = load_file(golden / "bert-mlm" / "model.safetensors")
    words = base["bert.embeddings.word_embeddings.weight"]
    folder = Path(shutil.copytree(golden / "adapters" / "bert-mlm", tmp_path / "adapters"))
    tensors = load_file(folder / WEIGHTS)

    def load(**more: np.ndarray) -> Any:
        prefixed = {f"base_model.model.{name}": x for name, x in more.items()}
        save_file({**tensors, **prefixed}, folder / WEIGHTS)
        return from_pretrained(golden / "bert-mlm", task, adapters=folder)

    decoder = "cls.predictions.decoder.weight"
    same = load(**{decoder: words, "cls.predictions.decoder.bias": base["cls.predictions.bias"]})
    embedded = keras.ops.convert_to_numpy(same.embeddings.word.embeddings)
    np.testing.assert_array_equal(embedded, words)
    trained = {
        "the decoder": {decoder: words + 1},
        "its bias": {"cls.predictions.decoder.bias": base["cls.predictions.bias"] + 1},
        "the words": {"bert.embeddings.word_embeddings.weight": words + 1},
    }
    for apart in trained.values():
        if task == "masked-lm":
            with pytest.raises(CheckpointError, match="was trained apart from its twin"):
                load(**apart)
        else:  # which has no such layer
            load(**apart)


@pytest.mark.parametrize("name", ["gemma3_text", "gpt2"])
def test_a_last_layer_that_is_the_table_of_words_is_not_trained_apart(
    golden: Path, tmp_path: Path, name: str
) -> None:
    shutil.copytree(golden / "adapters" / name, tmp_path / "adapters")
    tensors = load_file(tmp_path / "adapters" / WEIGHTS)
    whole = load_file(golden / name / "model.safetensors")
    words = next(n for n in whole if n.endswith(("wte.weight", "embed_tokens.weight")))
    for saved, said in (
        ("lm_head.weight", "nor weights of this model: lm_head.weight"),
        (words, "was trained apart from its twin"),
    ):
        more = {f"base_model.model.{saved}": whole[words] + 1}
        save_file({**tensors, **more}, tmp_path / "adapters" / WEIGHTS)
        with pytest.raises(CheckpointError, match=said):
            from_pretrained(golden / name, task_of(name), adapters=tmp_path / "adapters")


def test_names_of_the_base_and_its_revision_are_kept(tiny_checkpoint: Path, tmp_path: Path) -> None:
    t = ktlite.text.Transformer(tiny_checkpoint, maxlen=16, revision="v1")
    data = t.preprocess_train(TEXTS, LABELS, verbose=0)
    trained = ktlite.get_learner(t.get_classifier(lora=2), data)
    trained.save_adapters(tmp_path)
    config = json.loads((tmp_path / CONFIG).read_text())
    found = {name: config[name] for name in ("base_model_name_or_path", "revision", "task_type")}
    assert found == {
        "base_model_name_or_path": str(tiny_checkpoint),
        "revision": "v1",
        "task_type": "SEQ_CLS",
    }


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
