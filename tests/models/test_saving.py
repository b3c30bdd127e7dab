"""Writing a checkpoint: whole, in shards, in another precision, over an older one."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from ktlite.errors import ArgumentError, CheckpointError
from ktlite.inputs.tokenizer import FILES
from ktlite.models import TransformerModel, from_config, from_pretrained
from ktlite.models.checkpoint import INDEX, WEIGHTS, CheckpointReader
from ktlite.models.saving import (
    TOKENIZER_FILES,
    replaced_checkpoint,
    write_config,
    write_weights,
)
from ktlite.models.transfer import collect_tensors

TASK = "text-classification"
Tensors = dict[str, np.ndarray]


def read_all(folder: Path) -> Tensors:
    with CheckpointReader(folder) as reader:
        return {name: reader.read(name) for name in reader.names()}


def assert_equal(found: Tensors, expected: Tensors) -> None:
    assert sorted(found) == sorted(expected)
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype, name
        np.testing.assert_array_equal(found[name], tensor, err_msg=name)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.fixture
def model(
    config: dict[str, Any], tensors: Tensors, write_checkpoint: Callable[..., Path]
) -> TransformerModel:
    return from_pretrained(write_checkpoint(config, tensors, "original"), TASK)


# Files


def test_written_tensors_are_whole_and_marked_for_pytorch(tmp_path: Path) -> None:
    kernel = np.arange(6, dtype=np.float32).reshape(2, 3)
    write_weights(tmp_path, {"kernel": kernel.T, "part": kernel[:, 1:]})
    with safe_open(tmp_path / WEIGHTS, framework="np") as file:
        assert file.metadata() == {"format": "pt"}
    assert_equal(read_all(tmp_path), {"kernel": kernel.T, "part": kernel[:, 1:]})


def test_written_config_is_read_back_and_legible(tmp_path: Path) -> None:
    config = {"model_type": "bert", "id2label": {"0": "好"}, "layer_norm_eps": 1e-12, "none": None}
    write_config(tmp_path, config)
    text = (tmp_path / "config.json").read_text(encoding="utf-8")
    assert json.loads(text) == config
    assert "好" in text


def test_one_file_is_written_by_default(model: TransformerModel, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "saved")
    assert sorted(contents(tmp_path / "saved")) == ["config.json", WEIGHTS]


# Shards


@pytest.mark.parametrize("size", [20_000, "20KB", "20 kb", "0020KB"])
def test_shards_hold_all_tensors_and_none_is_too_large(
    model: TransformerModel, tmp_path: Path, size: int | str
) -> None:
    model.save_pretrained(tmp_path, max_shard_size=size)
    assert_equal(read_all(tmp_path), collect_tensors(model))
    index = json.loads((tmp_path / INDEX).read_text())
    shards = sorted(tmp_path.glob("*.safetensors"))
    assert [s.name for s in shards] == [
        f"model-{i + 1:05}-of-{len(shards):05}.safetensors" for i in range(len(shards))
    ]
    for shard in shards:
        held = load_file(shard)
        assert sum(tensor.nbytes for tensor in held.values()) <= 20_000
        assert all(index["weight_map"][name] == shard.name for name in held)
    assert index["metadata"] == {
        "total_parameters": model.count_params(),
        "total_size": 4 * model.count_params(),
    }


def test_weights_that_fit_into_one_shard_need_no_index(
    model: TransformerModel, tmp_path: Path
) -> None:
    model.save_pretrained(tmp_path, max_shard_size="5GB")
    assert sorted(contents(tmp_path)) == ["config.json", WEIGHTS]


@pytest.mark.torch
def test_shards_are_those_of_transformers(model: TransformerModel, tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    model.save_pretrained(tmp_path / "ours", max_shard_size="20KB")
    theirs, info = AutoModelForSequenceClassification.from_pretrained(
        tmp_path / "ours", output_loading_info=True
    )
    assert not any(info.values()), info
    theirs.save_pretrained(tmp_path / "theirs", max_shard_size="20KB")
    ours, again = (json.loads((tmp_path / x / INDEX).read_text()) for x in ("ours", "theirs"))
    assert ours["metadata"] == again["metadata"]
    assert sorted(ours["weight_map"]) == sorted(again["weight_map"])
    assert_equal(read_all(tmp_path / "theirs"), read_all(tmp_path / "ours"))


# Precision


@pytest.mark.parametrize(
    ("dtype", "stored"),
    [("float32", np.float32), ("float16", np.float16), ("bfloat16", ml_dtypes.bfloat16)],
)
def test_saving_rounds_to_the_asked_precision(
    model: TransformerModel, tmp_path: Path, dtype: str, stored: Any
) -> None:
    model.save_pretrained(tmp_path, dtype=dtype)
    assert json.loads((tmp_path / "config.json").read_text())["dtype"] == dtype
    expected = {name: tensor.astype(stored) for name, tensor in collect_tensors(model).items()}
    assert_equal(read_all(tmp_path), expected)
    assert model.variable_dtype == "float32"
    again = collect_tensors(from_pretrained(tmp_path, TASK))
    assert_equal(again, {name: tensor.astype(np.float32) for name, tensor in expected.items()})


@pytest.mark.torch
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_transformers_opens_the_asked_precision(
    model: TransformerModel, tmp_path: Path, dtype: str
) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification

    model.save_pretrained(tmp_path, dtype=dtype, max_shard_size="10KB")
    theirs = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    expected = torch.tensor(collect_tensors(model)["classifier.weight"]).to(getattr(torch, dtype))
    assert theirs.classifier.weight.dtype == getattr(torch, dtype)
    assert torch.equal(theirs.classifier.weight, expected)


def test_values_beyond_float16_are_refused_before_writing(
    model: TransformerModel, tmp_path: Path
) -> None:
    model.save_pretrained(tmp_path)
    before = contents(tmp_path)
    model.head.classifier.bias.assign([1e6, 0.0, 0.0])
    with pytest.raises(CheckpointError, match=r"range of float16 in classifier\.bias; save as"):
        model.save_pretrained(tmp_path, dtype="float16")
    assert contents(tmp_path) == before
    model.save_pretrained(tmp_path, dtype="bfloat16")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"dtype": "flaot16"}, "Did you mean 'float16'?"),
        ({"dtype": "float8"}, "dtype='float8' is not known"),
        ({"max_shard_size": 0}, "max_shard_size=0; expected a number of bytes"),
        ({"max_shard_size": True}, "max_shard_size=True"),
        ({"max_shard_size": "5"}, "max_shard_size='5'"),
        ({"max_shard_size": "five GB"}, "units: KB, MB, GB, TB"),
        ({"max_shard_size": "-1GB", "dtype": "int8"}, "2 problems"),
    ],
)
def test_options_that_make_no_sense_are_refused_before_writing(
    model: TransformerModel, tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ArgumentError) as caught:
        model.save_pretrained(tmp_path / "saved", **options)
    assert said in str(caught.value)
    assert not (tmp_path / "saved").exists()


# Over an older checkpoint


@pytest.mark.parametrize("before", [None, "10KB", "20KB"])
@pytest.mark.parametrize("after", [None, "10KB", "20KB"])
def test_files_of_another_layout_do_not_stay(
    model: TransformerModel, tmp_path: Path, before: str | None, after: str | None
) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    save_file({"x": np.zeros(1)}, tmp_path / "model.fp16.safetensors")
    model.save_pretrained(tmp_path, max_shard_size=before)
    model.head.classifier.bias.assign([1.0, 2.0, 3.0])
    model.save_pretrained(tmp_path, max_shard_size=after)
    model.save_pretrained(tmp_path / "fresh", max_shard_size=after)
    expected = {*contents(tmp_path / "fresh"), "tokenizer.json", "model.fp16.safetensors"}
    assert set(contents(tmp_path)) == expected
    assert_equal(read_all(tmp_path), collect_tensors(model))


@pytest.mark.parametrize("place", ["write_weights", "write_config"])
def test_crash_while_writing_leaves_the_old_checkpoint(
    model: TransformerModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    def full_disk(*args: Any, **keywords: Any) -> None:
        raise OSError(28, "No space left on device")

    model.save_pretrained(tmp_path, max_shard_size="20KB")
    before = contents(tmp_path)
    monkeypatch.setattr(f"ktlite.models.model.{place}", full_disk)
    with pytest.raises(OSError, match="No space left"):
        model.save_pretrained(tmp_path)
    assert contents(tmp_path) == before
    assert list(tmp_path.glob(".*")) == []


@pytest.mark.parametrize("moves", [0, 1, 2])
def test_machine_that_stops_between_moves_leaves_nothing_that_loads(
    config: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moves: int
) -> None:
    from_config(config, TASK, seed=1).save_pretrained(tmp_path, max_shard_size="40KB")
    assert len(list(tmp_path.glob("*.safetensors"))) == 3
    replace, left = os.replace, moves

    def stop(*args: Any) -> None:
        nonlocal left
        if not left:
            raise KeyboardInterrupt
        left -= 1
        replace(*args)

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", stop)
        with pytest.raises(KeyboardInterrupt):
            from_config(config, TASK, seed=2).save_pretrained(tmp_path, max_shard_size="40KB")
    with pytest.raises(CheckpointError, match=r"no config\.json"):
        from_pretrained(tmp_path, TASK)


def test_what_a_killed_save_left_is_removed(model: TransformerModel, tmp_path: Path) -> None:
    left = tmp_path / ".ktlite-saving-x1"
    left.mkdir()
    (left / WEIGHTS).write_bytes(b"half")
    model.save_pretrained(tmp_path)
    assert not left.exists()


def test_new_files_are_apart_until_the_end(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("old")
    with replaced_checkpoint(tmp_path) as new:
        (new / "config.json").write_text("new")
        assert (tmp_path / "config.json").read_text() == "old"
    assert contents(tmp_path) == {"config.json": b"new"}


def test_the_tokenizer_that_a_model_came_with_is_written(
    tiny_checkpoint: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "ktlite")
    model = from_pretrained(tiny_checkpoint, TASK)
    model.save_pretrained(tmp_path / "saved")
    for name in TOKENIZER_FILES:
        there = tiny_checkpoint / name
        saved = tmp_path / "saved" / name
        assert saved.is_file() == there.is_file()
        assert not there.is_file() or saved.read_bytes() == there.read_bytes()
    assert (tmp_path / "saved" / "tokenizer.json").is_file()
    assert "without a tokenizer" not in caplog.text
    model.save_pretrained(tmp_path / "bare", tokenizer=False)
    assert sorted(path.name for path in (tmp_path / "bare").iterdir()) == [
        "config.json", "model.safetensors",
    ]  # fmt: skip
    # One that is there stays.
    (tmp_path / "saved" / "tokenizer.json").write_text("{}", encoding="utf-8")
    model.save_pretrained(tmp_path / "saved")
    assert (tmp_path / "saved" / "tokenizer.json").read_text(encoding="utf-8") == "{}"
    from_config(model.config, TASK).save_pretrained(tmp_path / "new")
    assert "without a tokenizer" in caplog.text


def test_all_files_of_a_tokenizer_are_known() -> None:
    assert set(TOKENIZER_FILES) >= set(FILES)
