"""Heads whose outputs are not those of labels: spans and the masked language model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from ktlite.errors import ArgumentError, CheckpointError
from ktlite.models import from_config, from_pretrained

TASK = "text-classification"


def run(model: Any, inputs: dict[str, np.ndarray]) -> np.ndarray:
    return np.asarray(model(inputs))


def test_span_head_has_two_outputs_whatever_the_labels(golden: Path, tmp_path: Path) -> None:
    config = json.loads((golden / "bert-gelu" / "config.json").read_text(encoding="utf-8"))
    model = from_config(config, "question-answering")
    assert model({"input_ids": np.array([[5, 6, 7]])}).shape == (1, 3, 2)
    assert list(model.hf_config()["id2label"]) == ["0", "1"]


@pytest.mark.parametrize(
    ("task", "num_labels"), [("question-answering", 3), ("masked-lm", 1), ("masked-lm", 97)]
)
def test_number_of_labels_of_a_head_without_labels_is_refused(
    golden: Path, task: str, num_labels: int
) -> None:
    with pytest.raises(ArgumentError, match=f"num_labels={num_labels} for {task}"):
        from_pretrained(golden / "bert-gelu", task, num_labels=num_labels)


def test_decoder_of_the_masked_lm_is_the_table_of_words(golden: Path, tmp_path: Path) -> None:
    model = from_pretrained(golden / "bert-mlm", "masked-lm")
    inputs = {"input_ids": np.array([[5, 6, 7]])}
    before = run(model, inputs)
    words = model.embeddings.word.embeddings
    changed = words.numpy()
    changed[90] = 0.0
    words.assign(changed)
    after = run(model, inputs)
    np.testing.assert_array_equal(after[..., 90], np.full((1, 3), model.head.decoder.bias[90]))
    np.testing.assert_allclose(after[..., :90], before[..., :90], atol=1e-6)
    model.save_pretrained(tmp_path)
    assert "cls.predictions.decoder.weight" not in load_file(tmp_path / "model.safetensors")


@pytest.mark.parametrize(
    ("folder", "field", "said"),
    [
        ("bert-mlm", "tie_word_embeddings", "tie_word_embeddings=False is not supported"),
        ("deberta-mlm", "legacy", "no head for masked-lm"),
    ],
)
def test_untied_decoder_is_refused_and_other_heads_are_not(
    golden: Path, folder: str, field: str, said: str
) -> None:
    config = json.loads((golden / folder / "config.json").read_text(encoding="utf-8"))
    from_config({**config, field: False}, TASK)
    with pytest.raises(CheckpointError, match=said):
        from_config({**config, field: False}, "masked-lm")
