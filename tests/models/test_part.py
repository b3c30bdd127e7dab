"""Loading a part of a checkpoint: changed fields, chosen blocks, other positions, other sizes."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from ktlite.errors import ArgumentError, CheckpointError, KtliteError
from ktlite.models import from_config, from_pretrained
from ktlite.models.core.embeddings import sinusoids
from ktlite.models.transfer import collect_tensors

TASK = "text-classification"
Config = dict[str, Any]
Tensors = dict[str, np.ndarray]
# A folder of each family whose blocks have weights of their own, and how its blocks are named.
BLOCKS = {
    "bert-gelu": "bert.encoder.layer.{}.",
    "roberta": "roberta.encoder.layer.{}.",
    "distilbert": "distilbert.transformer.layer.{}.",
    "electra": "electra.encoder.layer.{}.",
    "mpnet": "mpnet.encoder.layer.{}.",
    "deberta-conv": "deberta.encoder.layer.{}.",
    "modernbert": "model.layers.{}.",
}
POSITIONS = {
    "bert-gelu": ("bert.embeddings.position_embeddings.weight", 0),
    "distilbert": ("distilbert.embeddings.position_embeddings.weight", 0),
    "roberta": ("roberta.embeddings.position_embeddings.weight", 2),
    "mpnet": ("mpnet.embeddings.position_embeddings.weight", 2),
    "albert": ("albert.embeddings.position_embeddings.weight", 0),
    "electra": ("electra.embeddings.position_embeddings.weight", 0),
}
WORD = "bert.embeddings.word_embeddings.weight"


def stored(folder: Path) -> Tensors:
    return load_file(folder / "model.safetensors")


def assert_equal(found: Tensors, expected: Tensors) -> None:
    assert sorted(found) == sorted(expected)
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def inputs(length: int) -> Tensors:
    ids = np.random.default_rng(0).integers(5, 97, (2, length)).astype(np.int32)
    return {"input_ids": ids, "attention_mask": np.ones_like(ids)}


@pytest.fixture
def folder(config: Config, tensors: Tensors, write_checkpoint: Callable[..., Path]) -> Path:
    return write_checkpoint(config, tensors)


# Fields


def test_changed_fields_are_in_the_model_and_its_config(folder: Path) -> None:
    model = from_pretrained(folder, TASK, config={"hidden_dropout_prob": 0.3})
    assert model.config["hidden_dropout_prob"] == 0.3
    assert model.embeddings.dropout.rate == 0.3
    assert_equal(collect_tensors(model), stored(folder))


def test_unknown_field_names_the_nearest(folder: Path) -> None:
    with pytest.raises(CheckpointError) as caught:
        from_pretrained(folder, config={"hidden_droput_prob": 0.3})
    assert str(caught.value).startswith(str(folder / "config.json"))
    assert "with config={'hidden_droput_prob': 0.3}" in str(caught.value)
    assert "Did you mean 'hidden_dropout_prob'?" in str(caught.value)


def test_changed_field_may_mend_the_config(
    config: Config, tensors: Tensors, write_checkpoint: Callable[..., Path]
) -> None:
    folder = write_checkpoint({**config, "hidden_act": "gleu"}, tensors)
    with pytest.raises(CheckpointError, match="hidden_act='gleu' is not known"):
        from_pretrained(folder)
    assert from_pretrained(folder, config={"hidden_act": "gelu"}).config["hidden_act"] == "gelu"


# Blocks


@pytest.mark.parametrize("name", BLOCKS)
def test_first_blocks_are_kept(golden: Path, tmp_path: Path, name: str) -> None:
    whole = stored(golden / name)
    model = from_pretrained(golden / name, TASK, layers=1)
    others = tuple(BLOCKS[name].format(number) for number in (1, 2))
    expected = {n: tensor for n, tensor in whole.items() if not n.startswith(others)}
    assert_equal(collect_tensors(model), {n: expected[n] for n in collect_tensors(model)})
    assert len(collect_tensors(model)) < len(collect_tensors(from_pretrained(golden / name, TASK)))
    model.save_pretrained(tmp_path)
    again = from_pretrained(tmp_path, TASK)
    np.testing.assert_array_equal(again(inputs(7)), model(inputs(7)))
    assert again.spec == model.spec


@pytest.mark.parametrize("blocks", [[1], [1, 0], (0, 1, 1), range(1, -1, -1), [np.int64(1)]])
def test_blocks_are_kept_in_the_given_order(folder: Path, blocks: Any) -> None:
    whole, prefix = stored(folder), BLOCKS["bert-gelu"]
    model = from_pretrained(folder, TASK, layers=blocks)
    found = collect_tensors(model)
    assert model.config["num_hidden_layers"] == len(blocks) == len(model.encoder.blocks)
    for new, old in enumerate(blocks):
        part = {n: t for n, t in found.items() if n.startswith(prefix.format(new))}
        assert len(part) == 16
        for name, tensor in part.items():
            theirs = name.replace(prefix.format(new), prefix.format(old))
            np.testing.assert_array_equal(tensor, whole[theirs], err_msg=name)
    np.testing.assert_array_equal(found[WORD], whole[WORD])


def test_kinds_of_attention_stay_with_their_blocks(golden: Path, tmp_path: Path) -> None:
    folder = golden / "modernbert"  # global, local, global
    model = from_pretrained(folder, TASK, layers=[0, 2, 1])
    full, local = "full_attention", "sliding_attention"
    assert model.config["layer_types"] == [full, full, local]
    assert model.spec.first.stack.local_layers == (2,)
    np.testing.assert_array_equal(
        collect_tensors(model)["model.layers.2.attn.Wqkv.weight"],
        stored(folder)["model.layers.1.attn.Wqkv.weight"],
    )
    model.save_pretrained(tmp_path)
    np.testing.assert_array_equal(from_pretrained(tmp_path, TASK)(inputs(20)), model(inputs(20)))


@pytest.mark.parametrize("layers", [2, 5])
def test_shared_layers_are_only_counted(golden: Path, layers: int) -> None:
    model = from_pretrained(golden / "albert", TASK, layers=layers)
    assert model.config["num_hidden_layers"] == model.spec.first.stack.layers == layers
    assert_equal(collect_tensors(model), stored(golden / "albert"))


def test_damage_in_a_kept_block_is_named_by_its_new_number(
    config: Config, tensors: Tensors, write_checkpoint: Callable[..., Path]
) -> None:
    name = "bert.encoder.layer.1.output.dense.bias"
    folder = write_checkpoint(config, {n: t for n, t in tensors.items() if n != name})
    with pytest.raises(CheckpointError, match=r"layer\.0\.output\.dense\.bias is missing"):
        from_pretrained(folder, layers=[1])
    from_pretrained(folder, layers=[0])  # what is not kept need not be there


# Positions


@pytest.mark.parametrize("name", POSITIONS)
@pytest.mark.parametrize("change", [-25, 0, 3, 400])
def test_position_table_is_cut_or_repeated(
    golden: Path, tmp_path: Path, name: str, change: int
) -> None:
    tensor, first = POSITIONS[name]
    table = stored(golden / name)[tensor]
    usable = len(table) - first
    model = from_pretrained(golden / name, TASK, max_positions=usable + change)
    found = collect_tensors(model)[tensor]
    assert len(found) == model.config["max_position_embeddings"] == usable + change + first
    assert model.spec.max_positions == usable + change
    np.testing.assert_array_equal(found[:first], table[:first])
    for row in range(usable + change):
        np.testing.assert_array_equal(found[first + row], table[first + row % usable])
    model.save_pretrained(tmp_path)
    again = from_pretrained(tmp_path, TASK)
    length = min(usable + change, 60)
    np.testing.assert_array_equal(again(inputs(length)), model(inputs(length)))


def test_rotary_positions_need_no_table(golden: Path) -> None:
    model = from_pretrained(golden / "modernbert", TASK, max_positions=100)
    assert model.config["max_position_embeddings"] == 100
    assert_equal(collect_tensors(model), stored(golden / "modernbert"))
    assert model(inputs(100)).shape == (2, 3)


def test_sinusoidal_positions_are_continued_as_such(golden: Path, tmp_path: Path) -> None:
    config = json.loads((golden / "distilbert" / "config.json").read_text())
    from_config({**config, "sinusoidal_pos_embds": True}).save_pretrained(tmp_path)
    model = from_pretrained(tmp_path, max_positions=60)
    table = collect_tensors(model)["embeddings.position_embeddings.weight"]
    np.testing.assert_array_equal(table, sinusoids(60, 32))


def test_relative_positions_do_not_change_with_the_absolute_ones(golden: Path) -> None:
    # The reach is stated in this one's config ...
    whole, longer = (from_pretrained(golden / "deberta", max_positions=n) for n in (None, 100))
    np.testing.assert_array_equal(longer(inputs(40)), whole(inputs(40)))
    # ... and left to the number of positions in this one's.
    unstated = {"max_relative_positions": -1}
    with pytest.raises(ArgumentError, match=r"keep it with config=\{'max_relative_positions': 40"):
        from_pretrained(golden / "deberta", config=unstated, max_positions=100)


# Sizes


def test_weights_of_another_size_are_new_and_listed(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    changed = {"vocab_size": 120, "intermediate_size": 64}
    model = from_pretrained(folder, TASK, config=changed, ignore_mismatched_sizes=True, seed=3)
    assert [(r.name, r.levelno) for r in caplog.records] == [("ktlite", logging.WARNING)]
    assert f"{WORD} has shape [97, 32]; config.json asks for [120, 32]" in caplog.messages[0]
    assert "layer.1.output.dense.weight has shape [32, 48]" in caplog.messages[0]
    found, whole = collect_tensors(model), stored(folder)
    drawn = collect_tensors(from_config(model.config, TASK, seed=3))
    for name, tensor in found.items():
        fits = tensor.shape == whole[name].shape
        np.testing.assert_array_equal(tensor, (whole if fits else drawn)[name], err_msg=name)
    assert found[WORD].std() == pytest.approx(0.02, rel=0.1)
    model.embeddings.word.embeddings.assign(drawn[WORD] + 1)


def test_position_table_of_another_size_may_be_new(folder: Path) -> None:
    changed = {"max_position_embeddings": 60}
    model = from_pretrained(folder, config=changed, ignore_mismatched_sizes=True)
    table = collect_tensors(model)["embeddings.position_embeddings.weight"]
    assert table.shape == (60, 32)
    assert (table.std(axis=1) > 0).all()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda t: {n: x for n, x in t.items() if n != WORD}, "found none of"),
        (lambda t: {n: x for n, x in t.items() if "layer.1.output.dense.b" not in n}, "is missing"),
        (lambda t: {**t, WORD: np.zeros((5, 32), np.int8)}, "is not floating point"),
        (lambda t: {**t, "extra": np.zeros(1, np.float32)}, "does not account for: extra"),
    ],
)
def test_other_damage_stays_an_error(
    config: Config,
    tensors: Tensors,
    write_checkpoint: Callable[..., Path],
    damage: Callable[[Tensors], Tensors],
    said: str,
) -> None:
    folder = write_checkpoint(config, damage(tensors))
    with pytest.raises(CheckpointError, match=said):
        from_pretrained(folder, TASK, ignore_mismatched_sizes=True)


def test_other_sizes_are_an_error_unless_asked_for(folder: Path) -> None:
    with pytest.raises(CheckpointError, match=r"shape \[97, 32\]; config\.json asks for \[120"):
        from_pretrained(folder, config={"vocab_size": 120})


# Together, and refused


def test_everything_together_survives_saving(folder: Path, tmp_path: Path) -> None:
    model = from_pretrained(
        folder,
        TASK,
        num_labels=2,
        config={"hidden_dropout_prob": 0.0, "vocab_size": 110},
        layers=[1],
        max_positions=90,
        ignore_mismatched_sizes=True,
    )
    model.save_pretrained(tmp_path / "part")
    again = from_pretrained(tmp_path / "part", TASK)
    np.testing.assert_array_equal(again(inputs(90)), model(inputs(90)))
    assert (again.spec, again.num_labels) == (model.spec, 2)


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("bert-gelu", {"config": 3}, "config=3; expected a mapping"),
        ("bert-gelu", {"layers": 0}, "layers=0; expected how many"),
        ("bert-gelu", {"layers": True}, "layers=True; expected how many"),
        ("bert-gelu", {"layers": []}, "layers=[]; expected"),
        ("bert-gelu", {"layers": "01"}, "layers='01'; expected"),
        ("bert-gelu", {"layers": [0, -1]}, "layers=[0, -1]; expected"),
        ("bert-gelu", {"layers": [0.5]}, "layers=[0.5]; expected"),
        ("bert-gelu", {"layers": 3}, "layers=3; the checkpoint has 2 blocks, 0 to 1"),
        ("bert-gelu", {"layers": [0, 2]}, "layers=[0, 2]; the checkpoint has 2 blocks, 0 to 1"),
        ("bert-gelu", {"max_positions": 0}, "max_positions=0; expected a whole number"),
        ("bert-gelu", {"max_positions": 1.5}, "max_positions=1.5; expected a whole number"),
        ("bert-gelu", {"num_labels": 0}, "num_labels=0; expected a whole number"),
        ("albert", {"layers": [0]}, "share their weights: give a number"),
        ("albert", {"layers": 1}, "num_hidden_groups=2; expected at most num_hidden_layers=1"),
        ("modernbert", {"layers": [1, 2]}, "begin with block 0"),
        ("modernbert", {"layers": [0, 0]}, "have it once"),
        (
            "distilbert",
            {"layers": 1, "config": {"n_layers": 1}},
            "layers=1 sets the config field n_layers; leave it out of config",
        ),
        (
            "bert-gelu",
            {"max_positions": 9, "config": {"max_position_embeddings": 9}, "layers": 7},
            "2 problems",
        ),
        ("bert-gelu", {"layers": -1, "max_positions": "x", "config": []}, "3 problems"),
    ],
)
def test_part_that_there_is_not_is_refused_before_weights_are_read(
    golden: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    arguments: dict[str, Any],
    said: str,
) -> None:
    def assigned(*args: Any, **keywords: Any) -> None:
        raise AssertionError("a weight was assigned")

    monkeypatch.setattr("ktlite.models.transfer._fill", assigned)
    with pytest.raises(KtliteError) as caught:
        from_pretrained(golden / name, TASK, **arguments)
    assert said in str(caught.value)


@pytest.mark.torch
@pytest.mark.parametrize(
    ("name", "arguments", "length"),
    [
        ("bert-gelu", {"layers": [1], "max_positions": 60}, 60),
        ("roberta", {"layers": 1, "max_positions": 60}, 60),
        ("distilbert", {"layers": [1, 0], "max_positions": 60}, 60),
        ("electra", {"layers": [1, 1, 0], "max_positions": 20}, 20),
        ("albert", {"layers": 4, "max_positions": 60}, 60),
        ("mpnet", {"layers": [1], "max_positions": 30}, 30),
        ("modernbert", {"layers": [0, 2, 1], "max_positions": 60}, 60),
        ("deberta", {"layers": [1], "max_positions": 60}, 60),
    ],
)
def test_transformers_opens_a_part(
    golden: Path, tmp_path: Path, name: str, arguments: dict[str, Any], length: int
) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification

    model = from_pretrained(golden / name, TASK, **arguments)
    model.save_pretrained(tmp_path)
    theirs, info = AutoModelForSequenceClassification.from_pretrained(
        tmp_path, output_loading_info=True, attn_implementation="eager"
    )
    assert not any(info.values()), info
    batch = inputs(length)
    with torch.no_grad():
        logits = theirs.eval()(**{n: torch.tensor(v) for n, v in batch.items()}).logits.numpy()
    np.testing.assert_allclose(np.asarray(model(batch)), logits, rtol=0, atol=1e-5)
