"""`from_pretrained`: from a name to a model, or to an error that says what to mend."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import ktlite
from ktlite.errors import ArgumentError, CheckpointError
from ktlite.models import from_config, from_pretrained

TASK = "text-classification"
TOLERANCE = 1e-5
Config = dict[str, Any]
Tensors = dict[str, np.ndarray]
Writer = Callable[..., Path]


@pytest.fixture
def folder(config: Config, tensors: Tensors, write_checkpoint: Writer) -> Path:
    return write_checkpoint(config, tensors)


def test_name_may_be_a_string_or_a_path(folder: Path, batch: Tensors) -> None:
    first, second = from_pretrained(folder, TASK), from_pretrained(str(folder), TASK)
    np.testing.assert_array_equal(first(batch), second(batch))
    assert not first.compiled


def test_hub_name_is_loaded_at_its_revision(
    folder: Path, batch: Tensors, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def download(name: str, *, revision: str | None, **kwargs: Any) -> str:
        asked.append((name, revision))
        return str(folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    model = from_pretrained("org/tiny-bert", TASK, revision="v2")
    assert asked == [("org/tiny-bert", "v2")]
    np.testing.assert_array_equal(model(batch), from_pretrained(folder, TASK)(batch))


def test_task_and_labels_choose_the_output(folder: Path, batch: Tensors) -> None:
    assert from_pretrained(folder)(batch).shape == (3, 40, 32)
    assert from_pretrained(folder, TASK)(batch).shape == (3, 3)
    assert from_pretrained(folder, TASK, num_labels=1)(batch).shape == (3, 1)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"model_type": None}, "has no field 'model_type'"),
        (
            {"model_type": "brt"},
            "model_type 'brt' is not supported; ktlite has albert, ",
        ),
        ({"hidden_act": "gelu_nwe"}, "hidden_act='gelu_nwe' is not known"),
        ({"hidden_size": "32"}, "hidden_size='32' is of type str, expected int"),
        ({"hidden_size": 0}, "hidden_size=0; expected at least 1"),
        ({"num_attention_heads": 5}, "hidden_size=32 is not divisible by num_attention_heads=5"),
        ({"layer_norm_eps": "1e-12"}, "layer_norm_eps='1e-12' is of type str, expected float"),
        ({"is_decoder": True}, "is_decoder=True is not supported"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type='relative_key'"),
        ({"id2label": 3}, "id2label=3 is of type int"),
        ({"rotary_dim": 8, "alibi": True}, "does not know for model_type 'bert': rotary_dim, ali"),
    ],
)
def test_config_error_names_file_and_field(
    config: Config, tensors: Tensors, write_checkpoint: Writer, fields: Config, said: str
) -> None:
    folder = write_checkpoint({**config, **fields}, tensors)
    with pytest.raises(CheckpointError) as caught:
        from_pretrained(folder, TASK)
    assert str(caught.value).startswith(str(folder / "config.json"))
    assert said in str(caught.value)


def test_unknown_fields_can_be_accepted(
    config: Config, tensors: Tensors, batch: Tensors, write_checkpoint: Writer
) -> None:
    strange = {**config, "my_note": 1, "other_note": 2}
    folder = write_checkpoint(strange, tensors)
    with pytest.raises(CheckpointError, match=r"ignore_config_fields=\['my_note', 'other_note'\]"):
        from_pretrained(folder, TASK)
    with pytest.raises(CheckpointError, match=r"'bert': other_note\."):
        from_pretrained(folder, TASK, ignore_config_fields=["my_note"])
    accepted = ["my_note", "other_note"]
    assert from_config(strange, TASK, ignore_config_fields=accepted).num_labels == 3
    model = from_pretrained(folder, TASK, ignore_config_fields=accepted)
    np.testing.assert_array_equal(
        model(batch), from_pretrained(write_checkpoint(config, tensors, "usual"), TASK)(batch)
    )


def test_config_without_model_type_is_refused() -> None:
    with pytest.raises(CheckpointError, match="model_type None is not supported"):
        from_config({"hidden_size": 32})


@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
def test_missing_file_is_named(folder: Path, file: str) -> None:
    (folder / file).unlink()
    with pytest.raises(CheckpointError) as caught:
        from_pretrained(folder, TASK)
    assert f"no {file} in {folder}" in str(caught.value)


def test_checkpoint_of_another_size_than_its_config_is_refused(
    config: Config, tensors: Tensors, write_checkpoint: Writer
) -> None:
    folder = write_checkpoint({**config, "hidden_size": 64}, tensors)
    with pytest.raises(CheckpointError, match=r"11 problems[\s\S]*for 25 more tensors\."):
        from_pretrained(folder, TASK)


def cut(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


def lose_a_shard(folder: Path) -> None:
    from_pretrained(folder, TASK).save_pretrained(folder, max_shard_size="40KB")
    (folder / "model-00002-of-00003.safetensors").unlink()


def shrink_a_tensor(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["bert.pooler.dense.weight"] = np.zeros((32, 32), np.float32)
    tensors["bert.encoder.layer.1.output.dense.bias"] = np.zeros(31, np.float32)
    save_file(tensors, folder / "model.safetensors")


def change(folder: Path, **fields: Any) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, **fields}), encoding="utf-8")


def enlarge_the_tokenizer(folder: Path) -> None:
    tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    tokenizer["model"]["vocab"]["[NEW]"] = 97
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")


@pytest.mark.parametrize(
    ("damage", "file", "said"),
    [
        (
            lambda folder: cut(folder / "model.safetensors"),
            "model.safetensors",
            "is damaged or was not copied whole",
        ),
        (
            lose_a_shard,
            "model.safetensors.index.json",
            "not there: model-00002-of-00003.safetensors",
        ),
        (
            shrink_a_tensor,
            "",
            "tensor bert.encoder.layer.1.output.dense.bias has shape [31]; config.json asks for",
        ),
        (
            lambda folder: change(folder, model_type=None),
            "config.json",
            "has no field 'model_type'",
        ),
        (
            lambda folder: change(folder, hidden_act="gleu"),
            "config.json",
            "config field hidden_act='gleu' is not known",
        ),
        (
            enlarge_the_tokenizer,
            "config.json",
            "the tokenizer has ids up to 97, but config.json's vocab_size is 97",
        ),
    ],
    ids=["truncated", "missing shard", "shape", "no model_type", "activation", "tokenizer"],
)
def test_damage_is_named_with_its_file_before_any_weight_is_assigned(
    two_blocks: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    damage: Callable[[Path], None],
    file: str,
    said: str,
) -> None:
    folder = Path(shutil.copytree(two_blocks, tmp_path / "damaged"))
    damage(folder)

    def assigned(*args: Any, **keywords: Any) -> None:
        raise AssertionError("a weight was assigned")

    monkeypatch.setattr("ktlite.models.transfer._fill", assigned)
    with pytest.raises(CheckpointError) as caught:
        ktlite.get_learner(folder, (["good", "bad", "fine"] * 8, [0, 1, 2] * 8), maxlen=16)
    assert str(folder) in str(caught.value)
    assert file in str(caught.value)
    assert said in str(caught.value)


# From a config


def test_config_may_be_a_mapping_a_file_a_folder_or_an_object(folder: Path) -> None:
    from transformers import AutoConfig

    file = folder / "config.json"
    mapping = json.loads(file.read_text(encoding="utf-8"))
    wanted = from_config(mapping, TASK, seed=1)
    for config in (file, str(file), folder, AutoConfig.from_pretrained(folder)):
        model = from_config(config, TASK, seed=1)
        assert (model.spec, model.num_labels) == (wanted.spec, 3)
        for ours, theirs in zip(model.weights, wanted.weights, strict=True):
            np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


@pytest.mark.parametrize(
    "name", ["roberta", "distilbert", "electra", "albert", "mpnet", "modernbert", "deberta"]
)
def test_config_object_of_every_family_is_understood(golden: Path, name: str) -> None:
    from transformers import AutoConfig

    model = from_config(AutoConfig.from_pretrained(golden / name))
    assert model.spec == from_config(golden / name).spec


def test_model_of_a_config_object_survives_saving(
    golden: Path, tmp_path: Path, batch: Tensors
) -> None:
    from transformers import AutoConfig

    model = from_config(AutoConfig.from_pretrained(golden / "bert-gelu"), TASK)
    model.save_pretrained(tmp_path)
    np.testing.assert_array_equal(from_pretrained(tmp_path, TASK)(batch), model(batch))


@pytest.mark.parametrize("config", [None, 3, ["bert"]])
def test_config_that_is_none_is_refused(config: Any) -> None:
    with pytest.raises(ArgumentError, match="expected a mapping, the path of a config.json"):
        from_config(config)


def test_missing_config_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=f"no config.json in {re.escape(str(tmp_path))}"):
        from_config(tmp_path / "bert")


def test_load_model_takes_a_part(folder: Path) -> None:
    model = ktlite.load_model(
        folder,
        num_labels=2,
        config={"hidden_dropout_prob": 0.2, "intermediate_size": 16},
        layers=1,
        max_positions=50,
        ignore_mismatched_sizes=True,
    )
    fields = ("hidden_dropout_prob", "num_hidden_layers", "max_position_embeddings")
    assert [model.config[field] for field in fields] == [0.2, 1, 50]
    assert model.num_labels == 2


# A real checkpoint


@pytest.mark.checkpoint
def test_real_checkpoint_survives_saving(
    minilm: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = from_pretrained(minilm)
    assert caplog.messages == []
    first.save_pretrained(tmp_path)
    for ours, theirs in zip(first.weights, from_pretrained(tmp_path).weights, strict=True):
        np.testing.assert_array_equal(theirs.numpy(), ours.numpy(), err_msg=ours.path)


@pytest.mark.checkpoint
@pytest.mark.torch
def test_real_checkpoint_gives_the_hidden_states_of_pytorch(minilm: Path) -> None:
    import torch
    from transformers import AutoModel, AutoTokenizer

    texts = [
        "A warm, funny, engaging film.",
        "The plot is thin and the jokes are thinner still. " * 12,
        "好",
    ]
    tokens = AutoTokenizer.from_pretrained(minilm)(texts, padding=True, return_tensors="np")
    mask = tokens["attention_mask"] == 1
    assert mask.shape[1] > 100
    theirs = AutoModel.from_pretrained(minilm).eval()
    with torch.no_grad():
        inputs = {name: torch.tensor(value) for name, value in tokens.items()}
        expected = theirs(**inputs).last_hidden_state.numpy()
    found = np.asarray(from_pretrained(minilm)(dict(tokens)))
    np.testing.assert_allclose(found[mask], expected[mask], rtol=0, atol=TOLERANCE)
