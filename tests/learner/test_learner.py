"""A learner as a whole: layer groups, other models, and every kind of Keras model and data."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from sklearn import metrics

import ktlite
from ktlite.errors import ArgumentError, DataError
from ktlite.learner import Learner

Make = Callable[..., Learner]
ROWS = 21  # in batches of 8: the last one has 5
RNG = np.random.default_rng(0)
LEFT, RIGHT = RNG.normal(size=(2, ROWS, 3))
TOTAL = LEFT.sum(axis=1) + 0.3 * RNG.normal(size=ROWS)
CLASSES = np.digitize(TOTAL, [-1, 1])  # 0, 1, 2
BITS = (TOTAL > 0).astype("float32")


# ------------------------------------------------------------------------------ freezing


def test_layer_groups_of_a_text_model_reach_its_blocks(
    two_blocks: Path, texts: Any, caplog: pytest.LogCaptureFixture
) -> None:
    learner = ktlite.get_learner(two_blocks, texts, maxlen=24, val_pct=0.3, verbose=0)
    with caplog.at_level(logging.INFO, "ktlite"):
        learner.print_layers()
    rows = [line.split() for line in caplog.records[-1].getMessage().splitlines()[2:]]
    assert [row[:-2] for row in rows] == [
        ["0", "embeddings"],
        ["1", "block", "0"],
        ["2", "block", "1"],
        ["3", "pooler"],
        ["4", "classifier"],
    ]
    assert sum(int(row[-1].replace(",", "")) for row in rows) == learner.model.count_params()


def test_frozen_blocks_of_a_text_model_do_not_train(two_blocks: Path, texts: Any) -> None:
    learner = ktlite.get_learner(
        two_blocks, texts, maxlen=24, batch_size=16, val_pct=0.3, verbose=0
    )
    learner.freeze(2)
    before = {w.path: w.numpy() for w in learner.model.weights}
    learner.fit_onecycle(0.01, 1, verbose=0)
    moved = {
        w.path.split("/", 1)[1]
        for w in learner.model.weights
        if (w.numpy() != before[w.path]).any()
    }
    assert not [name for name in moved if name.startswith(("embeddings/", "encoder/block_0"))]
    for name in ("encoder/block_1/feed_forward/up/kernel", "head/pooler/kernel"):
        assert name in moved
    assert "head/classifier/bias" in moved


@pytest.mark.parametrize(
    ("act", "trains"),
    [
        (lambda learner: learner.freeze(), [False, True]),
        (lambda learner: learner.freeze(0), [True, True]),
        (lambda learner: learner.freeze(1), [False, True]),
        (lambda learner: learner.unfreeze(1), [False, True]),
        (lambda learner: (learner.freeze(), learner.unfreeze()), [True, True]),
    ],
)
def test_frozen_layers_do_not_train_and_the_others_do(
    small_learner: Make, act: Callable[[Learner], Any], trains: list[bool]
) -> None:
    learner = small_learner()
    learner.fit(0.05, 1, verbose=0)
    learner.set_lr(0.125)
    act(learner)
    assert float(learner.model.optimizer.learning_rate) == 0.125
    layers = [layer for layer in learner.model.layers if layer.weights]
    before = [layer.kernel.numpy() for layer in layers]
    logs = learner.fit_onecycle(0.05, 1, verbose=0).history
    moved = [(layer.kernel.numpy() != was).any() for layer, was in zip(layers, before, strict=True)]
    assert moved == trains
    assert sorted(logs) == sorted(
        ["accuracy", "iterations", "loss", "lr", "momentum", "val_accuracy", "val_loss"]
    )


@pytest.mark.parametrize("count", [2, -1, 1.5, "hidden"])
def test_one_group_at_least_must_train(small_learner: Make, count: Any) -> None:
    learner = small_learner()
    for name in ("freeze", "unfreeze"):
        with pytest.raises(ArgumentError, match=f"{name}: got .*from 0 to 1.*2 layer groups"):
            getattr(learner, name)(count)
    assert all(layer.trainable for layer in learner.model.layers)


def test_training_goes_on_after_freezing_and_unfreezing(small_learner: Make) -> None:
    learner = small_learner()
    losses = learner.fit_onecycle(0.05, 3, verbose=0).history["loss"]
    learner.freeze()
    losses += learner.fit_onecycle(0.05, 3, verbose=0).history["loss"]
    learner.unfreeze()
    losses += learner.fit_onecycle(0.05, 3, verbose=0).history["loss"]
    assert losses[-1] < losses[3] < losses[0]


# --------------------------------------------------------------------------- other models


@pytest.mark.parametrize("by_assignment", [False, True])
def test_another_model_takes_the_place_of_the_first(
    small_learner: Make, arrays: Any, by_assignment: bool
) -> None:
    learner = small_learner()
    learner.fit(0.05, 1, verbose=0)
    first = learner.model
    second = keras.models.clone_model(first)
    second.compile("sgd", loss=first.loss, run_eagerly=True)
    if by_assignment:
        learner.model = second
    else:
        learner.set_model(second)
    assert learner.model is second
    assert learner.history is None
    expected = metrics.confusion_matrix(
        arrays.y_val, second.predict(arrays.x_val, verbose=0).argmax(axis=1), labels=[0, 1, 2]
    )
    np.testing.assert_array_equal(learner.validate(), expected)
    before = [w.copy() for w in second.get_weights()]
    trained = [w.copy() for w in first.get_weights()]
    learner.fit(0.05, 1, verbose=0)
    learner.reset_weights()
    for found, was in zip(second.get_weights(), before, strict=True):
        np.testing.assert_array_equal(found, was)
    for found, was in zip(first.get_weights(), trained, strict=True):
        np.testing.assert_array_equal(found, was)


# ------------------------------------------------------- any Keras model, with any data


class Pieces(keras.utils.PyDataset):
    def __init__(self, *columns: Any, **options: Any) -> None:
        super().__init__(**options)
        self.columns = columns

    def __len__(self) -> int:
        return -(-ROWS // 8)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        rows = slice(8 * index, 8 * index + 8)
        return tuple(keras.tree.map_structure(lambda a: a[rows], c) for c in self.columns)


def tf_data(*columns: Any) -> Any:
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices(columns).batch(8)


# How the two inputs are packed, and how inputs and targets become data.
BOTH = np.concatenate([LEFT, RIGHT], axis=1)
KINDS: dict[str, tuple[Any, Callable[..., Any]]] = {
    "array": (BOTH, lambda x, y: (x, y)),
    "list of arrays": ([LEFT, RIGHT], lambda x, y: (x, y)),
    "tuple of arrays": ((LEFT, RIGHT), lambda x, y: (x, y)),
    "dict of arrays": ({"left": LEFT, "right": RIGHT}, lambda x, y: (x, y)),
    "sample weights": (BOTH, lambda x, y: (x, y, np.linspace(0.5, 2, ROWS))),
    "tf.data": (BOTH, tf_data),
    "tf.data of dicts": ({"left": LEFT, "right": RIGHT}, tf_data),
    "PyDataset": (BOTH, Pieces),
    "PyDataset of dicts": ({"left": LEFT, "right": RIGHT}, Pieces),
    "PyDataset with workers": (BOTH, lambda x, y: Pieces(x, y, workers=2)),
}
LOSSES = keras.losses
# Loss, outputs, last activation, targets: as they may be in the data.
CASES: dict[str, tuple[Any, int, str | None, np.ndarray]] = {
    "classes, logits": (
        LOSSES.SparseCategoricalCrossentropy(from_logits=True), 3, None, CLASSES),
    "classes, probabilities": ("sparse_categorical_crossentropy", 3, "softmax", CLASSES[:, None]),
    "one-hot, logits": (
        LOSSES.CategoricalCrossentropy(from_logits=True), 3, None, np.eye(3)[CLASSES]),
    "one-hot, probabilities": ("categorical_crossentropy", 3, "softmax", np.eye(3)[CLASSES]),
    "binary, logit": (LOSSES.BinaryCrossentropy(from_logits=True), 1, None, BITS),
    "binary, probability": ("binary_crossentropy", 1, "sigmoid", BITS[:, None]),
    "number": ("mse", 1, None, TOTAL),
}  # fmt: skip


def model_of(x: Any, loss: Any, outputs: int, activation: str | None) -> Any:
    if isinstance(x, np.ndarray):
        inputs = joined = keras.Input((6,))
    else:
        inputs = keras.tree.map_structure(lambda _: keras.Input((3,)), x)
        joined = keras.layers.Concatenate()(keras.tree.flatten(inputs))
    initializer = keras.initializers.GlorotUniform(0)
    dense = keras.layers.Dense(outputs, activation=activation, kernel_initializer=initializer)
    model = keras.Model(inputs, dense(joined))
    model.compile(keras.optimizers.SGD(), loss=loss, run_eagerly=True)
    return model


def check(learner: Learner, x: Any, outputs: int, activation: str | None, y: np.ndarray) -> None:
    """Trains, looks for a rate, validates; compares with scikit-learn on `model.predict`."""
    assert len(learner.lr_find(max_epochs=4, verbose=0).lrs) > 1
    history = learner.fit_onecycle(0.05, 3, verbose=0).history
    assert len(history["lr"]) == 3 * -(-ROWS // 8)
    assert history["loss"][-1] < history["loss"][0]
    raw = learner.model.predict(x, verbose=0)
    if learner.model.loss == "mse":
        np.testing.assert_allclose(learner.predict(), raw[:, 0], rtol=1e-5)
        error = metrics.mean_absolute_error(y, raw[:, 0])
        assert dict(learner.validate())["mae"] == pytest.approx(error, rel=1e-5)
        losses = (raw[:, 0] - y) ** 2
    else:
        if outputs == 1:
            p = raw if activation else 1 / (1 + np.exp(-raw))
            p = np.hstack([1 - p, p])
        else:
            p = raw if activation else np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)
        true = y.argmax(axis=1) if y.ndim == 2 and y.shape[1] > 1 else y.reshape(-1).astype(int)
        shown = p[:, 1:] if outputs == 1 else p  # of one output, what Keras gives
        np.testing.assert_allclose(learner.predict(), shown, rtol=1e-4, atol=1e-6)
        expected = metrics.confusion_matrix(true, p.argmax(axis=1))
        np.testing.assert_array_equal(learner.validate(), expected)
        losses = -np.log(p[np.arange(ROWS), true])
    found = learner.top_losses(5)
    order = np.argsort(-losses)[:5]
    assert [row for row, *_ in found] == order.tolist()
    np.testing.assert_allclose([loss for _, loss, *_ in found], losses[order], rtol=1e-3)
    np.testing.assert_array_equal(learner.ground_truth(), y)


@pytest.mark.parametrize("kind", KINDS)
def test_any_data_works_with_any_model(kind: str) -> None:
    x, pack = KINDS[kind]
    loss, outputs, activation, y = CASES["classes, logits"]
    learner = ktlite.get_learner(
        model_of(x, loss, outputs, activation), pack(x, y), pack(x, y), batch_size=8
    )
    check(learner, x, outputs, activation, y)


@pytest.mark.parametrize("case", list(CASES)[1:])
def test_any_loss_works_with_any_model(case: str) -> None:
    loss, outputs, activation, y = CASES[case]
    learner = ktlite.get_learner(
        model_of(BOTH, loss, outputs, activation), (BOTH, y), (BOTH, y), batch_size=8
    )
    check(learner, BOTH, outputs, activation, y)


class Own(keras.Model):
    """A model that gets its weights when it is called."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = keras.layers.Dense(3)

    def call(self, x: Any) -> Any:
        return self.dense(x)


@pytest.mark.parametrize("as_stream", [False, True])
@pytest.mark.parametrize(
    "make", [Own, lambda: keras.Sequential([keras.layers.Dense(3)])], ids=["own", "sequential"]
)
def test_models_without_weights_are_built_from_their_data(
    make: Callable[[], Any], as_stream: bool
) -> None:
    loss, outputs, activation, y = CASES["classes, logits"]
    model = make()
    model.compile("sgd", loss=loss, run_eagerly=True)
    data: Any = tf_data(BOTH, y) if as_stream else (BOTH, y)
    learner = ktlite.get_learner(model, data, (BOTH, y), batch_size=8)
    assert [w.shape for w in model.weights] == [(BOTH.shape[1], 3), (3,)]
    check(learner, BOTH, outputs, activation, y)
    learner.lr_find(max_epochs=1, verbose=0)
    assert learner.fit(0.1, 1, class_weight="balanced", verbose=0)
    # Of any number of rows: not of as many as were looked at.
    assert model(BOTH[:2]).shape == (2, 3)


def test_a_model_that_does_not_take_the_data_says_so() -> None:
    model = keras.Sequential([keras.layers.Conv2D(2, 3)])
    model.compile("sgd", "mse")
    with pytest.raises(ArgumentError, match=r"does not take the data, of shape \[rows, 6\]"):
        ktlite.get_learner(model, (BOTH, np.zeros(len(BOTH))))


def test_a_model_without_weights_and_data_is_refused() -> None:
    model = Own()
    model.compile("sgd", "mse")
    learner = ktlite.get_learner(model)
    with pytest.raises(ArgumentError, match=r"no weights yet.*model\(x\[:1\]\)"):
        learner.fit(0.1, 1)


def test_a_single_sigmoid_predicts_what_keras_does() -> None:
    model = keras.Sequential([keras.layers.Dense(1, activation="sigmoid")])
    model.compile("sgd", "binary_crossentropy")
    y = np.arange(len(BOTH)) % 2
    learner = ktlite.get_learner(model, (BOTH, y), (BOTH, y))
    predicted = learner.predict()
    assert predicted.shape == (len(BOTH), 1)
    np.testing.assert_allclose(predicted, model.predict(BOTH, verbose=0), atol=1e-6)
    np.testing.assert_allclose(learner.predict(BOTH[:2]), predicted[:2], atol=1e-6)
    assert learner.validate(print_report=False).shape == (2, 2)


def test_the_output_of_a_layer() -> None:
    model = keras.Sequential([keras.layers.Dense(4, activation="relu"), keras.layers.Dense(2)])
    model.compile("sgd", "mse")
    y = np.zeros((len(BOTH), 2))
    learner = ktlite.get_learner(model, (BOTH, y), (BOTH[::-1], y), batch_size=4)
    hidden = np.maximum(BOTH @ np.array(model.layers[0].kernel), 0)  # its bias is 0
    np.testing.assert_allclose(learner.layer_output(0), hidden[:1], atol=1e-5)
    np.testing.assert_allclose(learner.layer_output(0, 1, 1), hidden[5:6], atol=1e-5)
    np.testing.assert_allclose(learner.layer_output(-2, use_val=True), hidden[-1:], atol=1e-5)
    streamed = ktlite.get_learner(model, tf_data(BOTH, y), batch_size=4)
    assert streamed.layer_output(1, example_id=2).shape == (1, 2)
    for call, message in (
        (lambda: learner.layer_output(2), "2 layers, 0 to 1: dense"),
        (lambda: learner.layer_output(0, 4000), "there is no example 4000"),
        (lambda: streamed.layer_output(0, batch_id=4000), "there is no batch 4000"),
    ):
        with pytest.raises(ArgumentError, match=message):
            call()


def test_the_output_of_a_layer_of_a_text_model(tiny_checkpoint: Path) -> None:
    learner = ktlite.get_learner(
        tiny_checkpoint, (["a b", "c d"] * 8, ["x", "y"] * 8), maxlen=8, verbose=0
    )
    learner.reset_weights(verbose=0)
    head = learner.layer_output(-1)
    assert head.shape == (1, 2)
    inputs = learner.train_data.inputs(np.array([0]))
    np.testing.assert_allclose(head, np.array(learner.model(inputs)), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "use"),
    [
        ("fit_one_cycle", "learner.fit_onecycle"),
        ("fine_tune", "learner.freeze"),
        ("train", "learner.fit_onecycle"),
        ("save_pretrained", "learner.save_model"),
        ("lr_fnd", "Did you mean 'lr_find'"),
    ],
)
def test_names_of_other_libraries_say_what_to_use(name: str, use: str) -> None:
    learner = ktlite.get_learner(keras.Sequential([keras.layers.Dense(3)]))
    assert not hasattr(learner, name)
    with pytest.raises(AttributeError, match=f"'Learner' object has no attribute '{name}'.*{use}"):
        getattr(learner, name)


@pytest.mark.filterwarnings("ignore:Your input ran out of data")  # Keras, of an unknown length
def test_a_stream_of_unknown_length_needs_steps_for_a_schedule() -> None:
    loss, outputs, activation, y = CASES["classes, logits"]
    data = tf_data(BOTH, y).filter(lambda x, y: True)
    learner = ktlite.get_learner(model_of(BOTH, loss, outputs, activation), data, data)
    for train in (
        lambda: learner.fit_onecycle(0.05, 1),
        lambda: learner.autofit(0.05, 1),
        lambda: learner.fit(0.05, 1, cycle_len=1),
    ):
        with pytest.raises(ArgumentError, match="how many batches.*steps_per_epoch"):
            train()
    history = learner.fit_onecycle(0.05, 3, steps_per_epoch=2, verbose=0).history
    assert len(history["lr"]) == 6
    assert history["lr"][-1] == pytest.approx(0.05 / 1000)
    assert len(learner.fit(0.05, 2, verbose=0).history["lr"]) == 6
    expected = metrics.confusion_matrix(
        y, learner.model.predict(BOTH, verbose=0).argmax(axis=1), labels=[0, 1, 2]
    )
    np.testing.assert_array_equal(learner.validate(), expected)


def test_an_endless_stream_trains_and_cannot_be_validated_on() -> None:
    loss, outputs, activation, y = CASES["classes, logits"]
    data = tf_data(BOTH, y).repeat()
    model = model_of(BOTH, loss, outputs, activation)
    learner = ktlite.get_learner(model, data)
    assert len(learner.fit_onecycle(0.05, 2, steps_per_epoch=4, verbose=0).history["lr"]) == 8
    with pytest.raises(ArgumentError, match="never ends"):
        learner.validate(data)
    with pytest.raises(ArgumentError, match=r"val_data never ends; take\(n\)"):
        ktlite.get_learner(model, (BOTH, y), data).fit(0.05, 1)


def test_class_weights_work_with_streams() -> None:
    loss, outputs, activation, y = CASES["classes, logits"]
    histories = []
    for data in ((BOTH, y), tf_data(BOTH, y), Pieces(BOTH, y)):
        model = model_of(BOTH, loss, outputs, activation)
        learner = ktlite.get_learner(model, data, batch_size=8)
        histories += [
            learner.fit(1e-30, 1, class_weight=weights, verbose=0).history["loss"]
            for weights in ("balanced", {0: 2.0})
        ]
    np.testing.assert_allclose(histories, histories[:2] * 3, rtol=1e-5)


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ((BOTH, CLASSES[:-1]), DataError, "one length, and not empty"),
        ((BOTH[:0], CLASSES[:0]), DataError, "one length, and not empty"),
        ("reviews.csv", ArgumentError, "train_data is of type str; expected what"),
        (BOTH, ArgumentError, r"type ndarray.*a tuple \(x, y\) of arrays"),
    ],
)
def test_data_that_cannot_be_used_is_refused(data: Any, error: type, message: str) -> None:
    loss, outputs, activation, _ = CASES["classes, logits"]
    with pytest.raises(error, match=message):
        ktlite.get_learner(model_of(BOTH, loss, outputs, activation), data)
