"""Activations that are computed again: the same losses, gradients and dropout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import ktlite
from ktlite.errors import ArgumentError
from ktlite.training.remat import rematerialise
from ktlite.training.xla import compile_encoder

FAMILIES = ["bert-gelu", "albert", "mpnet", "deberta", "modernbert"]


def step(model: Any, inputs: Any, labels: np.ndarray) -> list[np.ndarray]:
    """Returns the loss of a training step, its gradients, and the states of dropout after it."""
    import tensorflow as tf

    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    @tf.function(autograph=False)
    def run() -> tuple[Any, Any]:
        with tf.GradientTape() as tape:
            loss = loss_of(labels, model(inputs, training=True))
        weights = [weight.value for weight in model.trainable_weights]
        return loss, [tf.convert_to_tensor(g) for g in tape.gradient(loss, weights)]

    loss, gradients = run()
    states = [v for v in model.variables if v.path.endswith("seed_generator_state")]
    return [np.asarray(x) for x in (loss, *gradients, *(state.value for state in states))]


# XLA is slow to compile: one family shows it.
@pytest.mark.parametrize(
    ("family", "compiled"), [*((family, False) for family in FAMILIES), ("bert-gelu", True)]
)
def test_it_changes_nothing_but_memory(golden: Path, family: str, compiled: bool) -> None:
    random = np.random.default_rng(0)
    inputs = {
        "input_ids": random.integers(5, 30, (4, 8)).astype("int32"),
        "attention_mask": (np.arange(8) < np.array([[8], [5], [3], [7]])).astype("int32"),
    }
    labels = np.array([0, 1, 0, 1])
    results = []
    for remat in (False, True):
        model = ktlite.load_model(golden / family, num_labels=3, seed=1)
        if remat:
            rematerialise(model)
        if compiled:
            compile_encoder(model)
        results.append(step(model, inputs, labels))
    for plain, again in zip(*results, strict=True):
        np.testing.assert_allclose(again, plain, rtol=1e-4, atol=1e-6)


def test_learner_trains_with_it_and_predicts_as_ever(tiny_checkpoint: Path) -> None:
    data = (["the film was great", "a bad film"] * 4, ["good", "bad"] * 4)
    losses = []
    for remat in (False, True):
        learner = ktlite.get_learner(
            tiny_checkpoint, data, data, maxlen=16, batch_size=4, remat=remat, verbose=0
        )
        losses.append(learner.fit_onecycle(1e-3, 2, verbose=0).history["val_loss"])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)


def test_what_is_neither_yes_nor_no_is_refused(tiny_checkpoint: Path) -> None:
    with pytest.raises(ArgumentError, match="remat='often'"):
        ktlite.get_learner(tiny_checkpoint, (["a"], ["b"]), remat="often")
