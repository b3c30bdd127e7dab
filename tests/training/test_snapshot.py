import random

import keras
import numpy as np
import pytest

from ktlite.errors import ArgumentError
from ktlite.training.optimizers import AdamW, momentum_variable
from ktlite.training.snapshot import Snapshot

X = np.random.default_rng(0).normal(size=(16, 3)).astype("float32")
Y = X.sum(axis=1, keepdims=True)


def compiled(optimizer):
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(4),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.5, seed=1),
            keras.layers.Dense(1),
        ]
    )
    model.compile(optimizer, loss="mse", metrics=["mae"], jit_compile=False)
    return model


def train(model, **kwargs):
    return model.fit(X, Y, batch_size=4, verbose=0, **kwargs).history


def state(model):
    """The bytes of everything, by the variables' paths."""
    variables = [*model.variables, *model.metrics_variables, *model.optimizer.variables]
    return {v.path: np.asarray(v.numpy()).tobytes() for v in variables}


OPTIMIZERS = {
    "ktlite AdamW": lambda: AdamW(0.1),
    "Adam": lambda: keras.optimizers.Adam(0.1),
    "Adam with moving average": lambda: keras.optimizers.Adam(0.1, use_ema=True),
    "Adam with accumulation": lambda: keras.optimizers.Adam(0.1, gradient_accumulation_steps=3),
    "SGD": lambda: keras.optimizers.SGD(0.1, momentum=0.9),
    "loss scale": lambda: keras.optimizers.LossScaleOptimizer(
        keras.optimizers.Adam(0.1), dynamic_growth_steps=2
    ),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_variable_is_restored_bit_by_bit(name):
    model = compiled(OPTIMIZERS[name]())
    train(model)
    before, snapshot = state(model), Snapshot(model)
    train(model)
    after = state(model)
    changed = {path for path in before if before[path] != after[path]}
    for part in ("kernel", "moving_mean", "seed_generator_state", "iteration"):
        assert any(part in path for path in changed), part
    model.optimizer.learning_rate = 0.7
    snapshot.restore()
    assert state(model) == before


def test_an_optimizer_that_was_never_used_is_new_again():
    model, twin = compiled(AdamW(0.1)), compiled(AdamW(0.1))
    twin.set_weights(model.get_weights())
    optimizer = model.optimizer
    with Snapshot(model):
        train(model)
    assert model.optimizer is optimizer
    assert int(optimizer.iterations) == 0
    assert train(model, shuffle=False) == train(twin, shuffle=False)


def test_metrics_that_were_built_since_are_empty():
    model = compiled(AdamW())
    with Snapshot(model):
        train(model)
    values = {v.path: float(v.numpy().sum()) for v in model.metrics_variables}
    assert len(values) > 2
    assert set(values.values()) == {0.0}


def test_special_values_survive():
    model = compiled(AdamW())
    weights = model.get_weights()
    weights[0][0, :4] = [np.nan, np.inf, -0.0, 1e-42]
    model.set_weights(weights)
    before = state(model)
    with Snapshot(model):
        model.set_weights([np.zeros_like(w) for w in weights])
    assert before.items() <= state(model).items()


def test_global_random_states_are_restored():
    model = compiled(AdamW())
    with Snapshot(model):
        expected = [random.random(), np.random.rand()]
    assert [random.random(), np.random.rand()] == expected


def test_it_restores_after_an_error_and_lets_it_pass():
    model = compiled(AdamW())
    before = model.get_weights()
    with pytest.raises(KeyboardInterrupt), Snapshot(model):
        train(model)
        raise KeyboardInterrupt
    for ours, theirs in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_it_can_be_restored_again_and_again():
    model = compiled(AdamW(0.1))
    snapshot = Snapshot(model)
    before = state(model)
    for _ in range(2):
        train(model)
        snapshot.restore()
        assert before.items() <= state(model).items()


def test_a_copy_is_not_a_view():
    model = compiled(AdamW())
    snapshot, before = Snapshot(model), model.get_weights()[0].copy()
    model.layers[0].kernel.assign_add(np.ones((3, 4), "float32"))
    snapshot.restore()
    np.testing.assert_array_equal(model.get_weights()[0], before)


def test_a_model_that_is_not_compiled_has_only_its_weights():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    before = model.get_weights()
    with Snapshot(model):
        model.set_weights([w + 1 for w in before])
    np.testing.assert_array_equal(model.get_weights()[0], before[0])


def test_a_model_without_weights_yet_is_refused():
    model = keras.Sequential([keras.layers.Dense(1)])
    with pytest.raises(ArgumentError, match=r"no weights yet.*keras\.Input"):
        Snapshot(model)


def test_half_precision_weights_are_restored():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, dtype="bfloat16")])
    model.compile(keras.optimizers.AdamW(0.1), loss="mse", jit_compile=False)
    snapshot, before = Snapshot(model), state(model)
    model.fit(X, np.repeat(Y, 4, axis=1), verbose=0)
    assert not before.items() <= state(model).items()
    snapshot.restore()
    assert before.items() <= state(model).items()


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a strategy of TensorFlow")
def test_the_unused_optimizer_of_a_distributed_model_is_built_on_its_devices():
    import tensorflow as tf

    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        model = compiled(keras.optimizers.Adam(0.1))
    snapshot = Snapshot(model)
    before = state(model)
    with momentum_variable(model):
        train(model)
    snapshot.restore()
    assert before.items() <= state(model).items()
