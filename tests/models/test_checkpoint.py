"""Finding and reading a checkpoint's files."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import traceback
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError
from safetensors.numpy import save_file

from ktlite.errors import CheckpointError
from ktlite.models.checkpoint import INDEX, TF_INDEX, WEIGHTS, CheckpointReader, find_checkpoint
from ktlite.models.saving import write_weights

Tensors = dict[str, np.ndarray]


def read_all(folder: Path) -> Tensors:
    with CheckpointReader(folder) as reader:
        return {name: reader.read(name) for name in reader.names()}


def shard(folder: Path, tensors: Tensors, count: int) -> list[Path]:
    """Writes tensors as the hub does with large models: numbered files and an index."""
    names = list(tensors)
    weight_map: dict[str, str] = {}
    for i in range(count):
        file = f"model-{i + 1:05}-of-{count:05}.safetensors"
        part = {name: tensors[name] for name in names[i::count]}
        save_file(part, folder / file, metadata={"format": "pt"})
        weight_map.update(dict.fromkeys(part, file))
    index = {"metadata": {"total_size": 1}, "weight_map": weight_map}
    (folder / INDEX).write_text(json.dumps(index), encoding="utf-8")
    return [folder / file for file in sorted(set(weight_map.values()))]


def assert_equal(found: Tensors, expected: Tensors) -> None:
    assert sorted(found) == sorted(expected)
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype, name
        np.testing.assert_array_equal(found[name], tensor, err_msg=name)


# Finding


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    def called(*args: Any, **kwargs: Any) -> str:
        raise AssertionError("the Hub was asked for a local path")

    monkeypatch.setattr("huggingface_hub.snapshot_download", called)


def test_folder_is_found_without_the_hub(tmp_path: Path, no_hub: None) -> None:
    assert find_checkpoint(tmp_path) == tmp_path
    assert find_checkpoint(str(tmp_path)) == tmp_path


def test_folder_name_without_slash_is_local_first(
    tmp_path: Path, no_hub: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my-bert").mkdir()
    monkeypatch.chdir(tmp_path)
    assert find_checkpoint("my-bert") == Path("my-bert")


def test_home_is_expanded(tmp_path: Path, no_hub: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "my-bert").mkdir()
    assert find_checkpoint("~/my-bert") == tmp_path / "my-bert"


@pytest.mark.parametrize("name", ["{}/my-bret", "./my-bret", "../{0.name}/my-bret"])
def test_missing_local_folder_names_the_nearest(
    tmp_path: Path, no_hub: None, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "my-bert").mkdir()
    (tmp_path / "my-bret.txt").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match=r"no checkpoint folder at .*Did you mean 'my-bert'"):
        find_checkpoint(name.format(tmp_path))


def test_missing_parent_folder_gives_no_hint(tmp_path: Path, no_hub: None) -> None:
    with pytest.raises(CheckpointError, match=r"no checkpoint folder at .*bert\.$"):
        find_checkpoint(tmp_path / "nowhere" / "bert")


def test_file_is_no_folder(tmp_path: Path, no_hub: None) -> None:
    file = tmp_path / "model.safetensors"
    file.touch()
    with pytest.raises(CheckpointError, match=f"{re.escape(str(file))} is a file"):
        find_checkpoint(file)


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the Hub's client was asked for, call by call; it answers with `tmp_path`."""
    calls: list[dict[str, Any]] = []

    def download(name: str, **kwargs: Any) -> str:
        calls.append({"name": name, **kwargs})
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    return calls


def test_hub_name_is_downloaded(tmp_path: Path, asked: list[dict[str, Any]]) -> None:
    (tmp_path / WEIGHTS).touch()
    assert find_checkpoint("org/model", revision="v1") == tmp_path
    assert [(call["name"], call["revision"]) for call in asked] == [("org/model", "v1")]


OLD = ["tf_model.h5", "tf_model.h5.index.json", "tf_model-00001-of-00002.h5"]


@pytest.mark.parametrize(
    ("file", "wanted"),
    [
        ("config.json", True),
        ("model.safetensors", True),
        ("model-00001-of-00002.safetensors", True),
        ("model.safetensors.index.json", True),
        ("tokenizer.json", True),
        ("special_tokens_map.json", True),
        ("vocab.txt", True),
        ("sentencepiece.bpe.model", True),
        ("pytorch_model.bin", False),
        *((file, False) for file in OLD),
        ("flax_model.msgpack", False),
        ("onnx/model.onnx", False),
        ("training_args.bin", False),
    ],
)
def test_only_needed_files_are_downloaded(
    tmp_path: Path, asked: list[dict[str, Any]], file: str, wanted: bool
) -> None:
    (tmp_path / INDEX).touch()
    find_checkpoint("org/model")
    (call,) = asked
    assert any(fnmatch(file, pattern) for pattern in call["allow_patterns"]) is wanted


@pytest.mark.parametrize("file", OLD)
def test_old_tensorflow_files_are_downloaded_where_there_are_no_others(
    tmp_path: Path, asked: list[dict[str, Any]], file: str
) -> None:
    assert find_checkpoint("org/model", revision="v1") == tmp_path
    first, second = asked
    assert (second["name"], second["revision"]) == ("org/model", "v1")
    assert any(fnmatch(file, pattern) for pattern in second["allow_patterns"])
    assert not any(fnmatch("pytorch_model.bin", p) for p in second["allow_patterns"])


class ProxyError(Exception):
    """As the transport's own: no OSError, no ValueError."""


@pytest.mark.parametrize(
    "error",
    [
        LocalEntryNotFoundError("cannot find the files on the Hub"),
        HFValidationError("repo id must use alphanumeric chars"),
        PermissionError("gated repo"),
        ProxyError("407 Proxy Authentication Required"),
    ],
)
def test_hub_that_does_not_answer_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def download(name: str, **kwargs: Any) -> str:
        raise error

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError) as caught:
        find_checkpoint("bert-bse")
    message = str(caught.value)
    assert message.startswith(f"'bert-bse' is no local folder (looked in {tmp_path})")
    assert f"{type(error).__name__}: {error}" in message
    # One message: what the client says is in it, and a hundred lines of its calls are not shown.
    shown = "".join(traceback.format_exception(caught.value))
    assert shown.count("Error: ") == 2
    assert "direct cause" not in shown
    assert caught.value.__context__ is error


# Reading


def test_single_file_gives_names_shapes_and_values(
    config: dict[str, Any], tensors: Tensors, write_checkpoint: Callable[..., Path]
) -> None:
    folder = write_checkpoint(config, tensors)
    assert_equal(read_all(folder), tensors)
    with CheckpointReader(folder) as reader:
        assert "classifier.weight" in reader
        assert "classifier.kernel" not in reader
        assert reader.shape("classifier.weight") == (3, 32)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_shards_give_the_same_tensors(tmp_path: Path, tensors: Tensors, count: int) -> None:
    assert len(shard(tmp_path, tensors, count)) == count
    assert_equal(read_all(tmp_path), tensors)


def test_stray_safetensors_files_are_not_read(tmp_path: Path, tensors: Tensors) -> None:
    shard(tmp_path, tensors, 2)
    save_file({"stray": np.zeros(1)}, tmp_path / "model.fp16.safetensors")
    assert_equal(read_all(tmp_path), tensors)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
def test_tensors_are_read_in_the_precision_they_are_stored_in(
    tmp_path: Path, tensors: Tensors, dtype: Any
) -> None:
    rounded = {name: tensor.astype(dtype) for name, tensor in tensors.items()}
    write_weights(tmp_path, rounded)
    assert_equal(read_all(tmp_path), rounded)
    with CheckpointReader(tmp_path) as reader:
        assert all(reader.is_float(name) for name in reader.names())


def test_integer_tensor_is_no_float(tmp_path: Path) -> None:
    save_file({"x": np.zeros(3, np.int8)}, tmp_path / WEIGHTS)
    with CheckpointReader(tmp_path) as reader:
        assert not reader.is_float("x")


def test_old_norm_names_are_read_under_the_new_ones(tmp_path: Path) -> None:
    old = {
        "bert.embeddings.LayerNorm.gamma": np.ones(3, np.float32),
        "bert.embeddings.LayerNorm.beta": np.zeros(3, np.float32),
        "bert.gamma.weight": np.full(3, 2, np.float32),
    }
    save_file(old, tmp_path / WEIGHTS)
    found = read_all(tmp_path)
    assert sorted(found) == [
        "bert.embeddings.LayerNorm.bias",
        "bert.embeddings.LayerNorm.weight",
        "bert.gamma.weight",
    ]
    np.testing.assert_array_equal(found["bert.embeddings.LayerNorm.weight"], np.ones(3))
    np.testing.assert_array_equal(found["bert.embeddings.LayerNorm.bias"], np.zeros(3))


# Damage


def cut(file: Path, keep: float) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * keep)])


@pytest.mark.parametrize("keep", [0.0, 0.02, 0.5, 0.9999])
def test_truncated_file_is_named(tmp_path: Path, tensors: Tensors, keep: float) -> None:
    save_file(tensors, tmp_path / WEIGHTS)
    cut(tmp_path / WEIGHTS, keep)
    with pytest.raises(CheckpointError) as caught:
        CheckpointReader(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / WEIGHTS} is damaged or was not copied whole")


def test_pointer_left_by_git_lfs_is_damage(tmp_path: Path) -> None:
    (tmp_path / WEIGHTS).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    with pytest.raises(CheckpointError, match="not copied whole"):
        CheckpointReader(tmp_path)


def test_truncated_shard_is_named(tmp_path: Path, tensors: Tensors) -> None:
    second = shard(tmp_path, tensors, 3)[1]
    cut(second, 0.5)
    with pytest.raises(CheckpointError, match=f"{re.escape(str(second))} is damaged"):
        CheckpointReader(tmp_path)


def test_missing_shards_are_listed(tmp_path: Path, tensors: Tensors) -> None:
    first, _, third = shard(tmp_path, tensors, 3)
    first.unlink()
    third.unlink()
    with pytest.raises(CheckpointError) as caught:
        CheckpointReader(tmp_path)
    assert f"not there: {first.name}, {third.name}." in str(caught.value)


@pytest.mark.parametrize("file", [INDEX, TF_INDEX])
@pytest.mark.parametrize(
    "content",
    ["{", "[]", "{}", '{"weight_map": []}', '{"weight_map": null}', '{"weight_map": {"a": 1}}'],
)
def test_damaged_index_is_named(tmp_path: Path, file: str, content: str) -> None:
    (tmp_path / file).write_text(content)
    with pytest.raises(CheckpointError, match=f"{re.escape(str(tmp_path / file))} is damaged"):
        CheckpointReader(tmp_path)


def test_no_weights_at_all_lists_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "config.json").touch()
    with pytest.raises(CheckpointError, match=r"no model\.safetensors in .*Found: config\.json\."):
        CheckpointReader(tmp_path)


def conversion_command(folder: Path) -> str:
    with pytest.raises(CheckpointError, match=r"no model\.safetensors") as caught:
        CheckpointReader(folder)
    return str(caught.value).partition("Convert it once where PyTorch is installed: ")[2]


def test_pickle_is_not_opened_but_a_conversion_shown(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    command = conversion_command(tmp_path)
    assert command.startswith('python -c "import torch;')
    assert "weights_only=True" in command


@pytest.mark.torch
def test_conversion_that_is_shown_keeps_every_tensor(tmp_path: Path) -> None:
    import torch

    # Tied and transposed tensors are what safetensors refuses; the unknown one must stay too.
    tied = torch.arange(6.0).reshape(2, 3)
    state = {"word": tied, "cls.decoder": tied, "turned": tied.T, "anything.else": torch.ones(2)}
    torch.save(state, tmp_path / "pytorch_model.bin")
    command = conversion_command(tmp_path).replace("python", f'"{sys.executable}"', 1)
    subprocess.run(command, shell=True, check=True)
    assert_equal(read_all(tmp_path), {name: t.numpy() for name, t in state.items()})
