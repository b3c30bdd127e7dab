"""What stands for a mask, against Hugging Face's pipeline (golden file)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import ktlite
from ktlite.errors import ArgumentError, CheckpointError, DataError

ONE = ["the [MASK] was great", "[MASK], very bad!"]
TWO = "the [MASK] was very [MASK]"
TARGETS = ["good", "bad", "film"]


@pytest.fixture(scope="module")
def fill(golden: Path, tmp_path_factory: pytest.TempPathFactory) -> ktlite.FillMask:
    folder = tmp_path_factory.mktemp("mlm") / "bert"
    shutil.copytree(golden / "tiny-tokenizer", folder)
    for name in ("config.json", "model.safetensors"):
        shutil.copy(golden / "bert-mlm" / name, folder)
    return ktlite.FillMask(folder, batch_size=2)


@pytest.fixture(scope="module")
def expected(golden: Path) -> Any:
    return json.loads((golden / "pipelines.json").read_text(encoding="utf-8"))


def assert_same(found: list[Any], expected: list[Any]) -> None:
    assert [item["token"] for item in found] == [item["token"] for item in expected]
    for one, other in zip(found, expected, strict=True):
        assert one["score"] == pytest.approx(other["score"], abs=1e-5)
        assert one["token_str"] == other["token_str"]


def test_tokens_are_those_of_hugging_faces_pipeline(fill: Any, expected: Any) -> None:
    for found, theirs in zip(fill.predict(ONE, top_k=4), expected["fill_mask"], strict=True):
        assert_same(found, theirs)
    assert fill.predict(ONE[0], top_k=1)[0]["sequence"] == "the y was great"


def test_targets_are_chosen_among(fill: Any, expected: Any) -> None:
    words = [item["token_str"] for item in expected["targets"][0]]
    for text, theirs in zip(ONE, expected["targets"], strict=True):
        assert_same(fill.predict(text, targets=words), theirs)


def test_each_mask_has_its_own_list(fill: Any, expected: Any) -> None:
    found = fill.predict([TWO, ONE[0]], top_k=3)
    for mask, theirs in zip(found[0], expected["two_masks"], strict=True):
        assert_same(mask, theirs)
    assert_same(found[1], expected["fill_mask"][0][:3])
    first, second = (mask[0] for mask in found[0])
    assert first["sequence"] == f"the {first['token_str']} was very [MASK]"
    assert second["sequence"] == f"the [MASK] was very {second['token_str']}"


def test_a_checkpoint_without_a_language_model_is_refused(tiny_checkpoint: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no head for .masked-lm.*BertForSequence"):
        ktlite.FillMask(tiny_checkpoint)


@pytest.mark.parametrize("text", ["no mask here", "a " * 60 + "[MASK]"])
def test_a_text_without_a_mask_is_refused(fill: Any, text: str) -> None:
    with pytest.raises(DataError, match=r"has no \[MASK\] in its first \d+ tokens"):
        fill.predict([ONE[0], text])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"top_k": 0}, "top_k=0"),
        ({"targets": ["e", "extraordinary"]}, "extraordinary are no single tokens"),
        ({"targets": []}, "none is given"),
        ({"targets": "film"}, r"targets='film'; expected a list: \['film'\]"),
    ],
)
def test_arguments_that_cannot_work(fill: Any, arguments: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        fill.predict(ONE[0], **arguments)
