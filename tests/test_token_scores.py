"""The loss over a vocabulary, in parts and at once: the same numbers, and the same gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from ktlite import _token_scores as module
from ktlite._token_scores import token_scores


@pytest.fixture
def given() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    labels = random.integers(0, 50, (3, 7)).astype("int32")
    labels[0, :3] = -100
    shapes = {"features": (3, 7, 8), "words": (50, 8), "bias": (50,)}
    arrays = {name: random.normal(size=shape).astype("float32") for name, shape in shapes.items()}
    return {**arrays, "labels": labels}


def found(given: Any, weights: Any, bias: bool, dtype: str = "float32") -> list[np.ndarray]:
    """Returns scores, and the gradients of their weighed mean."""
    learned = [tf.Variable(given[name], name=name) for name in ("features", "words", "bias")]
    learned = learned if bias else learned[:2]

    @tf.function(autograph=False)
    def run() -> Any:
        with tf.GradientTape() as tape:
            features, words, *more = map(tf.convert_to_tensor, learned)
            scores = token_scores(
                tf.cast(features, dtype), words, *more or [None], given["labels"], ignore=-100
            )
            mean = tf.reduce_mean(scores[..., 0] * weights[:, None])
        return scores, *tape.gradient(mean, learned)

    return [np.asarray(array) for array in run()]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("weights", [(1, 1, 1), (1, 2, 0.5)], ids=["alike", "weighed"])
def test_parts_give_what_all_at_once_gives(
    given: Any, monkeypatch: pytest.MonkeyPatch, weights: Any, bias: bool
) -> None:
    weights = np.array(weights, "float32")
    whole = found(given, weights, bias)
    monkeypatch.setattr(module, "LEAST", 4)
    monkeypatch.setattr(module, "PART_BYTES", 4)
    parts = found(given, weights, bias)
    for expected, array in zip(whole, parts, strict=True):
        np.testing.assert_allclose(array, expected, rtol=0, atol=2e-6)


def test_losses_are_cross_entropies(given: Any) -> None:
    scores, *_ = found(given, np.ones(3, "float32"), bias=True)
    logits = given["features"] @ given["words"].T + given["bias"]
    chances = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    counted = given["labels"] != -100
    wanted = np.where(counted, given["labels"], 0)
    losses = -np.take_along_axis(chances, wanted[..., None], axis=-1)[..., 0] * counted
    np.testing.assert_allclose(scores[..., 0], losses, rtol=0, atol=1e-5)
    assert (scores[..., 1] == ((logits.argmax(axis=-1) == wanted) & counted)).all()


def test_half_precision_learns_in_parts(given: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = found(given, np.ones(3, "float32"), bias=True)
    monkeypatch.setattr(module, "LEAST", 4)
    monkeypatch.setattr(module, "PART_BYTES", 4)
    for dtype in ("bfloat16", "float16"):
        parts = found(given, np.ones(3, "float32"), bias=True, dtype=dtype)
        for expected, array in zip(whole[1:], parts[1:], strict=True):
            np.testing.assert_allclose(array, expected, rtol=0, atol=0.01)


def test_no_label_counts(given: Any) -> None:
    given["labels"] = np.full((3, 7), -100, "int32")
    for array in found(given, np.ones(3, "float32"), bias=True):
        assert not array.any()
