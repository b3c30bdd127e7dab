"""The `tf_model.h5` of transformers' removed TensorFlow classes: names, values, damage.

`tests/golden/h5` was written by those classes; see `tests/golden/make_h5.py`.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from safetensors.numpy import save_file

from ktlite.errors import CheckpointError
from ktlite.models import from_config, from_pretrained
from ktlite.models.checkpoint import TF_INDEX, TF_WEIGHTS, WEIGHTS, CheckpointReader
from ktlite.models.tensor_files import H5File, pytorch_name
from ktlite.models.transfer import collect_tensors, load_weights

TOLERANCE = 1e-5
TASKS = {
    "mlm": "masked-lm",
    "span": "question-answering",
    "token": "token-classification",
}
NAMES = [
    *("albert", "albert-mlm", "bert", "bert-mlm", "bert-sharded", "bert-span", "camembert-token"),
    *("deberta", "deberta-mlm", "distilbert", "distilbert-mlm", "electra", "electra-mlm"),
    *("mpnet", "mpnet-mlm", "roberta", "xlm_roberta-mlm"),
]
QUERY = "bert.encoder.layer.1.attention.self.query"


@pytest.fixture
def folder(golden: Path, tmp_path: Path) -> Path:
    """A copy of the BERT with two blocks and three labels, to damage."""
    return Path(shutil.copytree(golden / "h5" / "bert", tmp_path / "bert"))


def test_every_golden_folder_is_named(golden: Path) -> None:
    assert sorted(NAMES) == sorted(path.name for path in (golden / "h5").iterdir())


@pytest.mark.parametrize("name", NAMES)
def test_logits_are_those_of_the_tensorflow_class(
    golden: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    task = TASKS.get(name.rpartition("-")[2], "text-classification")
    model = from_pretrained(golden / "h5" / name, task)
    assert caplog.messages == []  # every weight of the head was found
    with np.load(golden / "h5" / name / "expected.npz") as file:
        batch = dict(file)
    expected = batch.pop("logits")
    found = np.asarray(model(batch))
    if found.ndim > 2:  # what is computed for padding means nothing
        tokens = batch["attention_mask"] == 1
        found, expected = found[tokens], expected[tokens]
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)


def test_saving_turns_it_into_safetensors(golden: Path, tmp_path: Path) -> None:
    model = from_pretrained(golden / "h5" / "bert", "text-classification")
    model.save_pretrained(tmp_path)
    again = from_pretrained(tmp_path, "text-classification")
    for name, tensor in collect_tensors(model).items():
        np.testing.assert_array_equal(collect_tensors(again)[name], tensor, err_msg=name)


def test_kernels_are_turned_to_pytorchs_layout(golden: Path) -> None:
    stored = (
        "bert/tf_bert_for_sequence_classification/bert/encoder/layer_._1/attention/self/query/"
        "kernel:0"
    )
    with h5py.File(golden / "h5" / "bert" / TF_WEIGHTS) as file:
        kernel = file[stored][()]
    with CheckpointReader(golden / "h5" / "bert") as reader:
        np.testing.assert_array_equal(reader.read(f"{QUERY}.weight"), kernel.T)
        assert reader.shape("bert.encoder.layer.0.intermediate.dense.weight") == (24, 16)
        assert reader.is_float(f"{QUERY}.weight")
        assert f"{QUERY}.kernel" not in reader
    with CheckpointReader(golden / "h5" / "deberta") as reader:
        # A convolution: [size, in, out] there, [out, in, size] here.
        assert reader.shape("deberta.encoder.conv.conv.weight") == (16, 16, 3)


@pytest.mark.parametrize(
    ("stored", "scopes", "name"),
    [
        (
            "bert/tf_bert_model_1/bert/embeddings/word_embeddings/weight:0",
            2,
            "bert.embeddings.word_embeddings.weight",
        ),
        (
            "bert/tf_bert_model/bert/embeddings/LayerNorm/gamma:0",
            2,
            "bert.embeddings.LayerNorm.weight",
        ),
        (
            "bert/tf_bert_model/bert/embeddings/LayerNorm/beta:0",
            2,
            "bert.embeddings.LayerNorm.bias",
        ),
        (
            "nsp___cls/tf_bert_for_pre_training/nsp___cls/seq_relationship/bias:0",
            2,
            "cls.seq_relationship.bias",
        ),
        (
            "albert/tf_albert_model/albert/encoder/albert_layer_groups_._0/albert_layers_._0/ffn/"
            "kernel:0",
            2,
            "albert.encoder.albert_layer_groups.0.albert_layers.0.ffn.weight",
        ),
        (
            "deberta/tf_deberta_v2_model/deberta/encoder/rel_embeddings.weight:0",
            2,
            "deberta.encoder.rel_embeddings.weight",
        ),
        ("classifier/kernel:0", 0, "classifier.weight"),
        ("kernel:0", 2, "weight"),
    ],
)
def test_names_become_pytorchs(stored: str, scopes: int, name: str) -> None:
    assert pytorch_name(stored, scopes) == name


def test_safetensors_come_first(folder: Path) -> None:
    save_file({"only": np.ones(1, np.float32)}, folder / WEIGHTS)
    with CheckpointReader(folder) as reader:
        assert reader.names() == ["only"]


# Damage


@pytest.mark.parametrize("keep", [0.0, 0.1, 0.9, 0.999])
def test_truncated_file_is_named(folder: Path, keep: float) -> None:
    file = folder / TF_WEIGHTS
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(CheckpointError) as caught:
        from_pretrained(folder)
    assert str(caught.value).startswith(f"{file} is damaged or was not copied whole")


def test_missing_shard_is_named(golden: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(golden / "h5" / "bert-sharded", tmp_path / "sharded"))
    shard = sorted(folder.glob("*.h5"))[1]
    shard.unlink()
    with pytest.raises(CheckpointError, match=rf"{re.escape(TF_INDEX)} .*not there: {shard.name}"):
        CheckpointReader(folder)


def test_keras_model_is_no_checkpoint(folder: Path) -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    model.save(folder / "keras.h5")
    (folder / "keras.h5").replace(folder / TF_WEIGHTS)
    with pytest.raises(CheckpointError) as caught:
        from_pretrained(folder)
    assert str(folder / TF_WEIGHTS) in str(caught.value)
    assert "a Keras model file is no checkpoint" in str(caught.value)


def test_weights_of_another_keras_model_are_not_the_backbone(folder: Path) -> None:
    (folder / TF_WEIGHTS).unlink()
    with h5py.File(folder / TF_WEIGHTS, "w") as file:
        file.attrs["layer_names"] = ["dense"]
        file.attrs["keras_version"] = "2.11.0"
        file["dense/dense/kernel:0"] = np.zeros((2, 3), np.float32)
    with pytest.raises(CheckpointError, match=r"found none of bert\.embeddings\.word_embeddings"):
        from_pretrained(folder)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, f"tensor {QUERY}.weight is missing"),
        (np.zeros((16, 8), np.float32), f"tensor {QUERY}.weight has shape [8, 16]"),
        (np.zeros((16, 16), np.int8), f"tensor {QUERY}.weight is not floating point"),
    ],
)
def test_damage_is_named_before_anything_is_assigned(
    folder: Path, value: np.ndarray | None, said: str
) -> None:
    with h5py.File(folder / TF_WEIGHTS, "r+") as file:
        group = file["bert/tf_bert_for_sequence_classification/bert/encoder/layer_._1"]
        del group["attention/self/query/kernel:0"]
        if value is not None:
            group["attention/self/query/kernel:0"] = value
    model = from_config(json.loads((folder / "config.json").read_text()), "text-classification")
    before = collect_tensors(model)
    with CheckpointReader(folder) as reader, pytest.raises(CheckpointError) as caught:
        load_weights(model, reader)
    assert str(folder) in str(caught.value)
    assert said in str(caught.value)
    for name, tensor in collect_tensors(model).items():
        np.testing.assert_array_equal(tensor, before[name], err_msg=name)


def test_file_is_closed_with_the_reader(folder: Path) -> None:
    with CheckpointReader(folder):
        pass
    with h5py.File(folder / TF_WEIGHTS, "r+"):  # refused while it is open for reading
        pass
    H5File(folder / TF_WEIGHTS).close()
