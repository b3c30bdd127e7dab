"""The registry of families, and families from outside the package."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from ktlite.errors import ArgumentError, CheckpointError
from ktlite.models import (
    Family,
    families,
    from_config,
    from_pretrained,
    get_family,
    register_family,
)
from ktlite.models.config import ConfigReader
from ktlite.models.core.spec import ModelSpec
from ktlite.models.mapping import Rule

TASK = "text-classification"
Tensors = dict[str, np.ndarray]


def run(model: Any, inputs: Tensors) -> np.ndarray:
    return np.asarray(model(inputs))


def assert_near(found: Any, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


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


@pytest.mark.parametrize("name", ["reformer", None, 7, ["bert"]])
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
