"""Layer groups, and what stays of a compiled model when some of them are frozen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import ktlite
from ktlite.models import from_pretrained
from ktlite.training import freezing
from ktlite.training.optimizers import AdamW, learning_rate
from ktlite.training.xla import compile_encoder

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
    two_blocks: Path,
) -> None:
    model = ktlite.load_model(two_blocks)
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


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_digest_of_an_encoder_is_that_of_its_weights(two_blocks: Path, dtype: str) -> None:
    model = from_pretrained(two_blocks, dtype=dtype)
    before = freezing.encoder_digest(model)
    weight = model.encoder.weights[-1]
    value = np.array(weight)
    weight.assign(value + 1)
    assert freezing.encoder_digest(model) != before
    weight.assign(value)
    assert freezing.encoder_digest(model) == before


def test_the_description_numbers_the_groups() -> None:
    model = small()
    freezing.set_frozen(model, 1)
    _, *lines = freezing.describe_layers(model).splitlines()
    assert [line.split() for line in lines] == [
        ["0", "one", "no", "9"],
        ["1", "two", "yes", "12"],
        ["2", "three", "yes", "4"],
    ]


def products(graph: Any) -> int:
    """Returns how many matrix products the results of a graph depend on."""
    definition = graph.as_graph_def()
    functions = {function.signature.name: function for function in definition.library.function}

    def count(nodes: Any, results: list[str]) -> int:
        held, seen, found = {node.name: node for node in nodes}, set(), 0
        todo = list(results)
        while todo:
            name = todo.pop().lstrip("^").split(":")[0]
            if name in seen or name not in held:
                continue
            seen.add(name)
            todo += held[name].input
            found += held[name].op in ("MatMul", "BatchMatMulV2", "Einsum")
            if held[name].op in ("PartitionedCall", "StatefulPartitionedCall"):
                function = functions[held[name].attr["f"].func.name]
                found += count(function.node_def, list(function.ret.values()))
        return found

    return count(definition.node, [output.op.name for output in graph.outputs])


@pytest.mark.parametrize("xla", [False, True])
def test_no_backward_pass_runs_below_the_lowest_layer_that_trains(
    two_blocks: Path, xla: bool
) -> None:
    """Each of two blocks has 6 matrix products, the head has 2, and a backward pass 2 for each.

    But the first one that trains needs no gradient of what it takes.
    """
    model = ktlite.load_model(two_blocks)
    if xla:
        compile_encoder(model)
    inputs = {"input_ids": np.array([[2, 5, 6, 3]], "int32")}

    def step() -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model(inputs, training=True))
        return loss, tape.gradient(loss, [w.value for w in model.trainable_weights])

    found = []
    for frozen in range(5):
        freezing.set_frozen(model, frozen)
        found.append(products(tf.function(step, autograph=False).get_concrete_function().graph))
    forward = 6 + 6 + 2
    assert found == [forward + backward for backward in (28, 27, 15, 3, 1)]


def test_frozen_layers_run_without_dropout(two_blocks: Path) -> None:
    dropout = {"hidden_dropout_prob": 0.5, "attention_probs_dropout_prob": 0.5}
    model = ktlite.load_model(two_blocks, config=dropout)
    inputs = {"input_ids": np.array([[2, 5, 6, 3]], "int32")}

    def differs() -> bool:
        one, other = (model.hidden_states(inputs, training=True)[0].numpy() for _ in range(2))
        return bool((one != other).any())

    found = []
    for count in range(4):
        freezing.set_frozen(model, count)
        found.append(differs())
    assert found == [True, True, True, False]
