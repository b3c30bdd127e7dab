"""From tensors to variables: full coverage or an error, all or nothing."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import ml_dtypes
import numpy as np
import pytest

from ktlite.errors import CheckpointError
from ktlite.models import TransformerModel, from_config, from_pretrained
from ktlite.models.checkpoint import CheckpointReader
from ktlite.models.transfer import collect_tensors, load_weights

TASK = "text-classification"
Config = dict[str, Any]
Tensors = dict[str, np.ndarray]
Writer = Callable[..., Path]


def values(layer: keras.Layer) -> Tensors:
    return {w.path: w.numpy() for w in layer.weights}


def assert_equal(found: Tensors, expected: Tensors) -> None:
    assert sorted(found) == sorted(expected)
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def load(folder: Path, model: TransformerModel) -> list[str]:
    with CheckpointReader(folder) as reader:
        return load_weights(model, reader)


def renamed(tensors: Tensors, *pairs: tuple[str, str]) -> Tensors:
    for old, new in pairs:
        tensors = {name.replace(old, new): tensor for name, tensor in tensors.items()}
    return tensors


def without(tensors: Tensors, *parts: str) -> Tensors:
    return {n: t for n, t in tensors.items() if not any(part in n for part in parts)}


# What loads


def test_variables_get_their_tensors(
    config: Config, tensors: Tensors, write_checkpoint: Writer
) -> None:
    model = from_pretrained(write_checkpoint(config, tensors), TASK)
    block = model.encoder.blocks[1]
    attention = "bert.encoder.layer.1.attention.self"
    query, key, value = np.split(block.attention.qkv.kernel.numpy(), 3, axis=1)
    np.testing.assert_array_equal(query, tensors[f"{attention}.query.weight"].T)
    np.testing.assert_array_equal(key, tensors[f"{attention}.key.weight"].T)
    np.testing.assert_array_equal(value, tensors[f"{attention}.value.weight"].T)
    np.testing.assert_array_equal(
        block.feed_forward_norm.beta.numpy(),
        tensors["bert.encoder.layer.1.output.LayerNorm.bias"],
    )


@pytest.mark.parametrize(
    ("layout", "change"),
    [
        ("no prefix", lambda t: renamed(t, ("bert.", ""))),
        ("old norm names", lambda t: renamed(t, ("Norm.weight", "Norm.gamma"),
                                             ("Norm.bias", "Norm.beta"))),
        ("pretraining heads", lambda t: {**t, "cls.predictions.bias": np.ones(97, np.float32),
                                         "cls.seq_relationship.bias": np.ones(2, np.float32)}),
        ("question answering head", lambda t: {**t, "qa_outputs.bias": np.ones(2, np.float32)}),
        ("position ids", lambda t: {**t, "bert.embeddings.position_ids": np.arange(40)[None]}),
        ("another order", lambda t: dict(reversed(t.items()))),
    ],
)  # fmt: skip
def test_other_layouts_of_a_checkpoint_load_alike(
    config: Config,
    tensors: Tensors,
    write_checkpoint: Writer,
    layout: str,
    change: Callable[[Tensors], Tensors],
    caplog: pytest.LogCaptureFixture,
) -> None:
    usual = from_pretrained(write_checkpoint(config, tensors, "usual"), TASK)
    other = from_pretrained(write_checkpoint(config, change(tensors), "other"), TASK)
    assert_equal(values(other), values(usual))
    assert caplog.messages == []


@pytest.mark.parametrize("stored", [np.float16, ml_dtypes.bfloat16, np.float64])
def test_other_precisions_load_as_their_rounded_values(
    config: Config, tensors: Tensors, write_checkpoint: Writer, stored: Any
) -> None:
    rounded = {name: tensor.astype(stored) for name, tensor in tensors.items()}
    model = from_pretrained(write_checkpoint(config, rounded), TASK)
    expected = {name: tensor.astype(np.float32) for name, tensor in rounded.items()}
    assert_equal(collect_tensors(model), expected)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_variables_of_low_precision_are_rounded_once(
    config: Config, tensors: Tensors, write_checkpoint: Writer, dtype: str
) -> None:
    model = from_pretrained(write_checkpoint(config, tensors), TASK, dtype=dtype)
    name = "bert.embeddings.word_embeddings.weight"
    rounding = np.float16 if dtype == "float16" else ml_dtypes.bfloat16
    np.testing.assert_array_equal(collect_tensors(model)[name], tensors[name].astype(rounding))


def test_bare_encoder_loads_from_a_checkpoint_with_a_head(
    config: Config,
    tensors: Tensors,
    write_checkpoint: Writer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    model = from_pretrained(write_checkpoint(config, tensors))
    assert caplog.messages == []
    backbone = without(tensors, "pooler", "classifier")
    assert_equal(collect_tensors(model), renamed(backbone, ("bert.", "")))


def test_collected_tensors_are_those_of_the_checkpoint(
    config: Config, tensors: Tensors, write_checkpoint: Writer
) -> None:
    model = from_pretrained(write_checkpoint(config, tensors), TASK)
    assert_equal(collect_tensors(model), tensors)


def test_weights_go_into_their_variables_without_other_values_before(
    config: Config, tensors: Tensors, write_checkpoint: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def twice(*args: Any, **keywords: Any) -> None:
        raise AssertionError("a variable had a value before")

    folder = write_checkpoint(config, tensors)
    monkeypatch.setattr(keras.Variable, "assign", twice)
    monkeypatch.setattr(keras.initializers.Zeros, "__call__", twice)
    monkeypatch.setattr(keras.initializers.RandomNormal, "__call__", twice)
    assert_equal(collect_tensors(from_pretrained(folder, TASK)), tensors)


# Heads that do not fit


def test_missing_head_is_drawn_from_the_seed_and_said(
    config: Config,
    tensors: Tensors,
    write_checkpoint: Writer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder = write_checkpoint(config, without(tensors, "pooler", "classifier"))
    first = from_pretrained(folder, TASK, seed=7)
    assert [(r.name, r.levelno) for r in caplog.records] == [("ktlite", logging.WARNING)]
    for part in ("dense.kernel", "dense.bias", "classifier.kernel", "classifier.bias"):
        assert f"head.{part}" in caplog.messages[0]
    assert "training" in caplog.messages[0]

    assert_equal(values(from_pretrained(folder, TASK, seed=7)), values(first))
    other = from_pretrained(folder, TASK, seed=8)
    fresh, drawn_again = values(first.head), values(other.head)
    assert not np.array_equal(
        fresh["bert/head/pooler/kernel"], drawn_again["bert/head/pooler/kernel"]
    )
    assert_equal(values(other.encoder), values(first.encoder))


def test_fresh_head_is_like_that_of_a_model_without_checkpoint(
    config: Config, tensors: Tensors, write_checkpoint: Writer
) -> None:
    folder = write_checkpoint(config, without(tensors, "pooler", "classifier"))
    model = from_pretrained(folder, TASK, seed=7)
    assert_equal(values(model.head), values(from_config(config, TASK, seed=7).head))
    kernel = values(model.head)["bert/head/pooler/kernel"]
    assert kernel.std() == pytest.approx(config["initializer_range"], rel=0.1)


def test_other_number_of_labels_keeps_the_pooler(
    config: Config,
    tensors: Tensors,
    write_checkpoint: Writer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    model = from_pretrained(write_checkpoint(config, tensors), TASK, num_labels=5)
    assert len(caplog.messages) == 1
    assert "head.classifier.kernel, head.classifier.bias" in caplog.messages[0]
    assert "dense" not in caplog.messages[0]
    assert model.head.classifier.kernel.shape == (32, 5)
    np.testing.assert_array_equal(
        model.head.dense.kernel.numpy(), tensors["bert.pooler.dense.weight"].T
    )


def test_checkpoint_of_the_backbone_alone_keeps_its_pooler(
    config: Config,
    tensors: Tensors,
    write_checkpoint: Writer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    backbone = renamed(without(tensors, "classifier"), ("bert.", ""))
    model = from_pretrained(write_checkpoint(config, backbone), TASK)
    assert "dense" not in caplog.text
    assert "head.classifier.kernel" in caplog.text
    saved = collect_tensors(model)
    assert_equal(without(saved, "classifier"), without(tensors, "classifier"))


# What does not load

QUERY = "bert.encoder.layer.0.attention.self.query"
KEY = QUERY.replace("query", "key")
VALUE = QUERY.replace("query", "value")
WORD = "bert.embeddings.word_embeddings.weight"


def zeros(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (
            lambda t: without(t, "layer.1.output.dense.bias"),
            ["tensor bert.encoder.layer.1.output.dense.bias is missing. Did you mean"],
        ),
        (lambda t: without(t, f"{KEY}.weight"), [f"tensor {KEY}.weight is missing"]),
        (
            lambda t: {**t, WORD: zeros(96, 32)},
            [f"tensor {WORD} has shape [96, 32]", "config.json asks for [97, 32]"],
        ),
        (lambda t: {**t, WORD: zeros(97, 32, 1)}, [f"tensor {WORD} has shape [97, 32, 1]"]),
        (
            lambda t: {**t, "bert.encoder.layer.0.intermediate.dense.weight": zeros(32, 48)},
            ["intermediate.dense.weight has shape [32, 48]", "asks for [48, 32]"],
        ),
        (
            # Three parts of other sizes that would fill the fused kernel none the less.
            lambda t: {
                **t,
                f"{QUERY}.weight": zeros(64, 32),
                f"{KEY}.weight": zeros(16, 32),
                f"{VALUE}.weight": zeros(16, 32),
            },
            [f"{QUERY}.weight has shape [64, 32]", f"{KEY}.weight has shape [16, 32]"],
        ),
        (
            lambda t: {**t, f"{KEY}.weight": zeros(32, 16)},
            [f"tensor {KEY}.weight has shape [32, 16]"],
        ),
        (
            lambda t: {**t, WORD: np.zeros((97, 32), np.int8)},
            [f"tensor {WORD} is not floating point"],
        ),
        (
            lambda t: {**t, "bert.encoder.layer.0.adapter.weight": zeros(2, 2)},
            ["does not account for: bert.encoder.layer.0.adapter.weight"],
        ),
        (
            lambda t: {**t, "bert.encoder.layer.2.output.dense.bias": zeros(32)},
            ["does not account for: bert.encoder.layer.2.output.dense.bias"],
        ),
        (
            lambda t: {**without(t, f"{KEY}.bias"), WORD: zeros(1, 1), "extra": zeros(1)},
            ["3 problems", f"{KEY}.bias is missing", "has shape [1, 1]", "account for: extra"],
        ),
        (
            lambda t: renamed(t, ("bert.", "roberta.")),
            [f"found none of {WORD}, embeddings.word_embeddings.weight", "model_type"],
        ),
    ],
    ids=[
        "missing",
        "missing part of fused",
        "rows",
        "rank",
        "transposed",
        "unequal parts",
        "part with other input",
        "quantised",
        "extra",
        "more layers than the config",
        "several",
        "other architecture",
    ],
)
def test_damage_is_named_before_anything_is_assigned(
    config: Config,
    tensors: Tensors,
    write_checkpoint: Writer,
    damage: Callable[[Tensors], Tensors],
    said: list[str],
) -> None:
    folder = write_checkpoint(config, damage(tensors))
    model = from_config(config, TASK)
    before = values(model)
    with pytest.raises(CheckpointError) as caught:
        load(folder, model)
    assert str(folder) in str(caught.value)
    for part in said:
        assert part in str(caught.value)
    assert_equal(values(model), before)


def test_long_list_of_problems_is_cut(
    config: Config, tensors: Tensors, write_checkpoint: Writer
) -> None:
    folder = write_checkpoint({**config, "num_hidden_layers": 3}, tensors)
    with pytest.raises(CheckpointError) as caught:
        from_pretrained(folder, TASK)
    lines = str(caught.value).splitlines()
    assert len(lines) == 12
    assert "tensor bert.encoder.layer.2.attention.self.query.weight is missing" in lines[1]
    assert lines[-1] == "  - the like for 6 more tensors."  # a block has 16 tensors


# The table itself


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda names: names[:-1], "without a rule: bert/encoder/block_0/feed_forward_norm/beta"),
        (lambda names: (*names, names[0]), "with two: embeddings.word.embeddings"),
    ],
)
def test_table_must_name_each_variable_once(
    config: Config, tensors: Tensors, write_checkpoint: Writer, change: Any, said: str
) -> None:
    model = from_config(config, TASK)
    model.family = dataclasses.replace(model.family, names=change(model.family.names))
    with pytest.raises(CheckpointError) as caught:
        load(write_checkpoint(config, tensors), model)
    assert "table of family 'bert' is wrong" in str(caught.value)
    assert said in str(caught.value)
