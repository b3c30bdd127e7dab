"""Layer groups, and what stays of a compiled model when some of them are frozen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import ktlite
from ktlite.training import freezing
from ktlite.training.optimizers import AdamW, learning_rate

X, Y = np.ones((4, 2), "float32"), np.zeros((4, 1), "float32")


def small(optimizer: Any = None, **options: Any) -> Any:
    """Three layers with weights and one without."""
    model = keras.Sequential(
        [
            keras.Input((2,)),
            keras.layers.Dense(3, name="one"),
            keras.layers.Activation("tanh"),
            keras.layers.Dense(3, name="two"),
            keras.layers.Dense(1, name="three"),
        ]
    )
    model.compile(optimizer or AdamW(0.25), loss="mse", **{"run_eagerly": True, **options})
    return model


def changed(model: Any) -> list[bool]:
    """Trains a step; says for each group whether its weights changed."""
    groups = [layers for _, layers in freezing.layer_groups(model)]
    before = [[w.numpy() for layer in layers for w in layer.weights] for layers in groups]
    model.train_on_batch(X, Y)
    return [
        any((w.numpy() != old).any() for w, old in zip(weights, was, strict=True))
        for weights, was in zip(
            ([w for layer in layers for w in layer.weights] for layers in groups),
            before,
            strict=True,
        )
    ]


def test_groups_of_any_model_are_its_layers_with_weights() -> None:
    assert [name for name, _ in freezing.layer_groups(small())] == ["one", "two", "three"]


def test_groups_of_a_transformer_reach_its_blocks_and_hold_each_weight_once(
    tiny_checkpoint: Path,
) -> None:
    model = ktlite.load_model(tiny_checkpoint)
    groups = freezing.layer_groups(model)
    names = ["embeddings", "block 0", "block 1", "pooler", "classifier"]
    assert [name for name, _ in groups] == names
    found = [id(w) for _, layers in groups for layer in layers for w in layer.weights]
    assert sorted(found) == sorted(id(w) for w in model.weights)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_frozen_groups_keep_their_weights_and_the_others_train(count: int) -> None:
    model = small()
    freezing.set_frozen(model, count)
    assert changed(model) == [number >= count for number in range(3)]
    freezing.set_frozen(model, 0)
    assert changed(model) == [True] * 3


def test_freezing_what_is_frozen_changes_nothing() -> None:
    model = small()
    freezing.set_frozen(model, 1)
    optimizer = model.optimizer
    freezing.set_frozen(model, 1)
    assert model.optimizer is optimizer


def test_a_model_that_is_not_compiled_can_be_frozen() -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1), keras.layers.Dense(1)])
    freezing.set_frozen(model, 1)
    assert [layer.trainable for layer in model.layers] == [False, True]


def test_recompiling_keeps_all_settings_and_renews_the_optimizer() -> None:
    metric = keras.metrics.MeanAbsoluteError(name="far")
    model = small(
        AdamW(0.25, weight_decay=0.125, beta_1=0.75, global_clipnorm=2.0),
        metrics=[metric],
        weighted_metrics=["mse"],
        loss_weights=[0.5],
        run_eagerly=False,
        steps_per_execution=2,
        jit_compile=False,
    )
    model.optimizer.learning_rate = 0.0625
    model.fit(X, Y, verbose=0)
    old = model.optimizer
    freezing.recompile(model)
    new = model.optimizer
    assert new is not old
    assert new.get_config() == {**old.get_config(), "learning_rate": 0.0625}
    assert int(new.iterations) == 0
    assert (model.loss, model.steps_per_execution, model.run_eagerly) == ("mse", 2, False)
    logs = model.evaluate(X, Y, return_dict=True, verbose=0)
    assert sorted(logs) == ["far", "loss", "mse"]
    assert logs["loss"] == pytest.approx(0.5 * logs["mse"])


def test_recompiling_keeps_what_does_not_decay() -> None:
    optimizer = keras.optimizers.AdamW(0.1, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    model = small(optimizer)
    freezing.recompile(model)
    decays = [model.optimizer._use_weight_decay(w) for w in model.weights]
    assert decays == [True, False] * 3


def test_recompiling_keeps_a_loss_scale_and_a_schedule() -> None:
    schedule = keras.optimizers.schedules.ExponentialDecay(0.5, 1, 0.5)
    scaled = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(schedule), initial_scale=8.0)
    model = small(scaled)
    freezing.recompile(model)
    assert type(model.optimizer) is keras.optimizers.LossScaleOptimizer
    assert model.optimizer.initial_scale == 8.0
    assert learning_rate(model.optimizer) == 0.5
    assert changed(model) == [True] * 3


def test_the_description_numbers_the_groups() -> None:
    model = small()
    freezing.set_frozen(model, 1)
    _, *lines = freezing.describe_layers(model).splitlines()
    assert [line.split() for line in lines] == [
        ["0", "one", "no", "9"],
        ["1", "two", "yes", "12"],
        ["2", "three", "yes", "4"],
    ]
