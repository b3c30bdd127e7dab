"""A head that looks at the first token alone needs no more of the last block: same numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from ktlite.models import TransformerModel, from_pretrained
from ktlite.models.core.relative import by_pair
from ktlite.models.heads import Head

# Every kind of attention, shared layers, a convolution, pre- and post-norm.
MODELS = ["bert-gelu", "albert", "mpnet", "modernbert", "deberta", "deberta-conv", "deberta-p2c"]


def inputs(model: TransformerModel) -> dict[str, np.ndarray]:
    length = min(30, model.spec.max_positions)
    random = np.random.default_rng(0)
    ends = np.array([[length], [length - 3], [5], [1]])
    return {
        "input_ids": random.integers(5, model.spec.tokens.vocab_size, (4, length), "int32"),
        "attention_mask": (np.arange(length) < ends).astype("int32"),
    }


def logits_and_gradients(model: TransformerModel) -> tuple[np.ndarray, list[np.ndarray]]:
    with tf.GradientTape() as tape:
        logits = model(inputs(model), training=False)
        loss = tf.reduce_sum(logits * tf.cos(logits))
    variables = [variable.value for variable in model.trainable_variables]
    gradients = tape.gradient(loss, variables, unconnected_gradients="zero")
    return logits.numpy(), [tf.convert_to_tensor(gradient).numpy() for gradient in gradients]


@pytest.mark.parametrize("name", MODELS)
def test_logits_and_gradients_are_those_of_the_whole_block(
    name: str, golden: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = from_pretrained(golden / name, "text-classification")
    assert model.head.first_only
    hidden, _ = model.hidden_states(inputs(model), first_only=True)
    assert hidden.shape[1] == 1
    logits, gradients = logits_and_gradients(model)
    monkeypatch.setattr(Head, "first_only", False)
    whole, expected = logits_and_gradients(model)
    np.testing.assert_allclose(logits, whole, atol=5e-6)
    for variable, found, other in zip(model.trainable_variables, gradients, expected, strict=True):
        tolerance = 1e-5 * max(1.0, float(np.abs(other).max()))
        np.testing.assert_allclose(found, other, atol=tolerance, err_msg=variable.path)


@pytest.mark.parametrize("task", ["token-classification", "question-answering", "masked-lm"])
def test_heads_of_tokens_look_at_all_of_them(task: str, golden: Path) -> None:
    folder = {"token-classification": "bert-token", "question-answering": "bert-span"}
    model = from_pretrained(golden / folder.get(task, "bert-mlm"), task)
    assert not model.head.first_only


def test_a_head_of_the_mean_looks_at_all_tokens(golden: Path) -> None:
    assert not from_pretrained(golden / "modernbert-mean", "text-classification").head.first_only


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_distances_move_to_pairs_for_the_first_rows(rows: int) -> None:
    values = np.random.default_rng(1).normal(size=(3, 5, 9)).astype("float32")
    expected: Any = np.stack([
        [[values[k, i, j - i + 4] for j in range(5)] for i in range(rows)] for k in range(3)
    ])  # fmt: skip
    np.testing.assert_array_equal(by_pair(values[:, :rows]), expected)
