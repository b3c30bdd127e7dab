"""Precision and accumulated gradients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import ktlite
from ktlite.errors import ArgumentError
from ktlite.training.callbacks import WholeGroups
from ktlite.training.execution import POLICIES, Execution
from ktlite.training.optimizers import AdamW, LossScaleOptimizer

TEXTS = ["a b c", "x y z", "c b a", "z y x"] * 3, ["abc", "xyz"] * 6


def learner(checkpoint: Path, **options: Any) -> Any:
    return ktlite.get_learner(
        checkpoint, TEXTS, TEXTS, batch_size=4, maxlen=16, verbose=0, **options
    )


# Precision


@pytest.mark.parametrize("precision", ["bfloat16", "float16", "mixed_float16"])
def test_half_precision_computes_in_half_and_keeps_float32_weights(
    tiny_checkpoint: Path, precision: str
) -> None:
    model = learner(tiny_checkpoint, precision=precision).model
    assert model.dtype_policy.name == POLICIES[precision]
    assert model.compute_dtype == precision.removeprefix("mixed_")
    assert {str(weight.dtype) for weight in model.weights} == {"float32"}
    scales = isinstance(model.optimizer, LossScaleOptimizer)
    assert scales == ("float16" in precision and "bfloat16" not in precision)


def test_float16_trains_to_finite_weights(tiny_checkpoint: Path) -> None:
    here = learner(tiny_checkpoint, precision="float16")
    history = here.fit_onecycle(3e-3, 4, verbose=0).history
    assert all(np.isfinite(weight.numpy()).all() for weight in here.model.weights)
    assert history["loss"][-1] < history["loss"][0]
    here.freeze(1)  # makes a new optimizer, of the same kind
    assert isinstance(here.model.optimizer, LossScaleOptimizer)
    assert here.model.optimizer.inner_optimizer.sums_gradients is False


def test_arguments_of_get_classifier_are_checked(tiny_checkpoint: Path) -> None:
    with pytest.raises(ArgumentError, match="unknown argument 'stratgy'. Did you mean 'strategy'"):
        Execution.of("get_classifier", {"stratgy": "mirrored"})
    with pytest.raises(ArgumentError, match="precision='half' is not known"):
        Execution.of("get_classifier", {"precision": "half"})


# Accumulated gradients


def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 6, (24, 3)).astype("int32")  # words that occur several times
    return ids, rng.normal(size=(24, 1)).astype("float32")


def small_model(**options: Any) -> Any:
    def made(seed: int) -> Any:
        return keras.initializers.RandomNormal(seed=seed)

    model = keras.Sequential(
        [
            keras.Input((3,), dtype="int32"),
            keras.layers.Embedding(6, 4, embeddings_initializer=made(1)),
            keras.layers.Flatten(),
            keras.layers.Dense(1, kernel_initializer=made(2)),
        ]
    )
    model.compile(AdamW(0.01, **options), loss="mse", jit_compile=False)
    return model


def train(model: Any, batch_size: int, rows: int = 24, epochs: int = 1, **options: Any) -> Any:
    x, y = (part[:rows] for part in data())
    model.fit(x, y, batch_size=batch_size, shuffle=False, verbose=0, epochs=epochs, **options)
    return model


def assert_same_weights(one: Any, other: Any) -> None:
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_accumulated_batches_are_a_batch_as_large() -> None:
    accumulated = train(small_model(gradient_accumulation_steps=3), 4, epochs=2)
    assert_same_weights(accumulated, train(small_model(), 12, epochs=2))
    assert int(accumulated.optimizer.iterations) == 4


def test_an_epoch_ends_with_a_step() -> None:
    """Five batches of 4 in groups of 3: a step of three batches, and one of two."""
    model = small_model(gradient_accumulation_steps=3, global_clipnorm=None)
    train(model, 4, 20, callbacks=[WholeGroups(5)])
    expected = small_model(global_clipnorm=None)
    x, y = data()
    for group in (slice(0, 12), slice(12, 20)):
        expected.train_on_batch(x[group], y[group])
    assert_same_weights(model, expected)
    assert int(model.optimizer.iterations) == 2


def test_one_of_keras_optimizers_ends_an_epoch_with_a_step_too() -> None:
    model = small_model()
    model.compile(keras.optimizers.SGD(0.1, gradient_accumulation_steps=3), loss="mse")
    train(model, 4, 20, callbacks=[WholeGroups(5)])
    # The second step is of a mean over three batches of which one is 0: 2/3 as large.
    expected = small_model()
    expected.compile(keras.optimizers.SGD(0.1), loss="mse")
    x, y = data()
    expected.train_on_batch(x[:12], y[:12])
    weights = np.full(8, 2 / 3, "float32")
    expected.train_on_batch(x[12:20], y[12:20], sample_weight=weights)
    assert_same_weights(model, expected)


def test_what_an_interrupted_training_left_is_dropped() -> None:
    model = train(small_model(gradient_accumulation_steps=3), 4, 16)  # one batch over
    train(model, 4, 12, callbacks=[WholeGroups(3)])
    expected = small_model()
    x, y = data()
    for _ in range(2):
        expected.train_on_batch(x[:12], y[:12])
    assert_same_weights(model, expected)


def test_get_learner_accumulates(tiny_checkpoint: Path) -> None:
    here = learner(tiny_checkpoint, accumulate=2)
    history = here.fit_onecycle(1e-3, 2, verbose=0).history  # 3 batches an epoch
    assert len(history["lr"]) == 6  # a value a batch; the schedule counts the optimizer's steps
    assert len(set(history["lr"])) == 4
    assert int(here.model.optimizer.iterations) == 4  # two steps an epoch
    assert here.model.optimizer.get_config()["gradient_accumulation_steps"] == 2


# What clipping sees


def test_clipping_sees_the_gradient_of_a_word_not_of_its_tokens() -> None:
    """A word that occurs twice has the sum of both gradients: (3, 0) + (0, 4) has norm 5."""
    layer = keras.layers.Embedding(2, 2, embeddings_initializer="zeros")
    layer.build((None,))
    optimizer = AdamW(1.0, global_clipnorm=1.0, beta_1=0.0)
    optimizer.build(layer.trainable_variables)
    slices = tf.IndexedSlices(
        tf.constant([[3.0, 1.0], [0.0, 3.0]]), tf.constant([1, 1]), tf.constant([2, 2])
    )
    (clipped,) = optimizer._clip_gradients([slices])
    np.testing.assert_allclose(clipped, [[0, 0], [0.6, 0.8]], rtol=1e-6)
