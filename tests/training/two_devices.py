"""Trains on one device and on two logical CPUs, and writes what came of it as JSON.

A program of its own, since TensorFlow's devices must be set before anything uses them:
`two_devices.py CHECKPOINT RESULT`.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import ktlite
from ktlite.training.distribution import make_strategy, spread_seeds
from ktlite.training.feed import ArrayData, Feed
from ktlite.training.optimizers import AdamW, LossScaleOptimizer

sys.path.insert(0, str(Path(__file__).parents[1]))
import writers

GOLDEN = Path(__file__).parents[1] / "golden"
DEVICES = ["CPU:0", "cpu:1"]
TRAIN, VAL = 27, 13  # batches of 8: the last ones have 3 and 5 rows
DROPOUTS = ["hidden_dropout", "attention_probs_dropout", "classifier_dropout"]


def texts(count: int, seed: int) -> tuple[list[str], list[str]]:
    rng = random.Random(seed)
    letters = {"ham": "abc", "spam": "mno", "toast": "xyz"}
    labels = [rng.choice(list(letters)) for _ in range(count)]
    return [" ".join(rng.choices(letters[c], k=rng.randint(2, 12))) for c in labels], labels


def learner(checkpoint: str, **options: Any) -> Any:
    return ktlite.get_learner(
        checkpoint,
        texts(TRAIN, 0),
        texts(VAL, 1),
        maxlen=24,
        batch_size=8,
        eval_batch_size=8,
        verbose=0,
        **options,
    )


def weights(model: Any) -> np.ndarray:
    return np.concatenate([np.ravel(w) for w in model.get_weights()])


def train(checkpoint: str, **options: Any) -> dict[str, Any]:
    """Does what a user does, and returns all figures."""
    here = learner(checkpoint, **options)
    before = weights(here.model)
    # A little clipping norm, so that it matters whose gradient is clipped.
    here.model.optimizer.global_clipnorm = 0.1
    found = here.lr_find(start_lr=1e-5, max_lr=1e-1, lr_mult=2.0, verbose=0)
    same = bool((weights(here.model) == before).all())
    history = here.fit_onecycle(1e-3, 2, class_weight="balanced", verbose=0).history
    proba = here.predict()
    stopped = here.autofit(1e-3, 3, early_stopping=1, monitor="val_loss", verbose=0)
    here.reset_weights()
    reset = bool((weights(here.model) == before).all())
    here.freeze(1)
    here.fit(1e-3, 1, verbose=0)
    frozen = here.predict()
    with tempfile.TemporaryDirectory() as folder:
        predictor = here.get_predictor()
        predictor.save(Path(folder) / "predictor")
        loaded = ktlite.load_predictor(Path(folder) / "predictor")
        now = predictor.predict_proba(texts(VAL, 1)[0])
        again = loaded.predict_proba(texts(VAL, 1)[0])
    return {
        "sweep": found.losses.tolist(),
        "restored": same,
        "val_loss": history["val_loss"],
        "val_accuracy": history["val_accuracy"],
        "proba": proba.tolist(),
        "truth": here.ground_truth().tolist(),
        "reset": reset,
        "frozen": frozen.tolist(),
        "epochs": len(stopped.history["loss"]),
        "matrix": here.validate(print_report=False).tolist(),
        "loss": history["loss"],
        "reloaded": float(np.abs(now - again).max()),
    }


def quick(checkpoint: str, **options: Any) -> list[list[float]]:
    """Trains for an epoch on texts of one length; returns the probabilities of three texts.

    Batches are full in training, and one is shared unevenly in validation: few shapes to compile.
    """
    same = ["a b c d", "m n o p", "x y z x"] * 3, ["ham", "spam", "toast"] * 3
    train, val = (tuple(part[:count] for part in same) for count in (8, 7))
    here = ktlite.get_learner(
        checkpoint, train, val, maxlen=24, batch_size=8, eval_batch_size=8, verbose=0, **options
    )
    here.fit_onecycle(1e-3, 1, verbose=0)
    return here.get_predictor().predict_proba(same[0][:3]).tolist()


def batches(strategy: Any) -> dict[str, Any]:
    """Returns what each device gets of 11 rows in batches of 4, and of 9 rows to validate on."""

    def seen(data: Any, steps: int) -> list[Any]:
        """Returns [[column of each device], ...], the columns being x, y and perhaps weights."""
        return [
            [[np.array(part).tolist() for part in column.values] for column in batch]
            for batch in itertools.islice(iter(data), steps)
        ]

    train = Feed(ArrayData(np.arange(11), np.arange(11)), 4, seed=0)
    val = Feed(ArrayData(np.arange(9), np.arange(9)), 4, seed=0)
    steps = val.validation_steps(strategy)
    return {
        "train": seen(train.training(0, train.steps, None, strategy), train.steps),
        "val": seen(val.validation(strategy), steps),
    }


def kept(checkpoint: str, **options: Any) -> list[list[float]]:
    """Trains the head alone, on what the frozen encoder makes of the texts."""
    here = learner(checkpoint, **options)
    here.freeze()
    history = here.fit_onecycle(0.05, 2, class_weight="balanced", verbose=0).history
    return [*here.predict().tolist(), [*history["val_loss"], *history["val_accuracy"]]]


def counted(tokenizer: str, **options: Any) -> dict[str, list[float]]:
    """Trains where targets that count are as many in no two shares of a batch."""
    small = {"hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1}
    still = {f"{part}_prob": 0.0 for part in DROPOUTS}
    config = {"model_type": "albert", "embedding_size": 8, "intermediate_size": 16, **small}
    words, _ = texts(TRAIN, 2)
    pretrainer = ktlite.get_pretrainer(
        {**config, **still, "max_position_embeddings": 32},
        words,
        words,
        batch_size=8,
        eval_batch_size=8,
        tokenizer=tokenizer,
        maxlen=24,
        mask_probability=0.4,
        verbose=0,
        **options,
    )
    tags = [["B-X" if word in "abc" else "O" for word in text.split()] for text in words]
    data = [text.split() for text in words], tags
    tagger = ktlite.get_learner(
        tokenizer,
        data,
        data,
        task="token-classification",
        maxlen=24,
        batch_size=8,
        eval_batch_size=8,
        verbose=0,
        **options,
    )
    with tempfile.TemporaryDirectory() as folder:
        small_llama = writers.checkpoint(GOLDEN, Path(folder) / "writer", "llama")
        writer = ktlite.get_learner(
            small_llama, (words, None), (words, None), task="text-generation", maxlen=24,
            batch_size=8, eval_batch_size=8, verbose=0, **options,
        )  # fmt: skip
    predictor = tagger.get_predictor()
    # From one that has learned nothing yet, which both devices' runs begin with.
    student = ktlite.distil(
        predictor, tokenizer, data, data, maxlen=24, batch_size=8, eval_batch_size=8, verbose=0,
        **options,
    )  # fmt: skip
    found = {}
    for name, here in (
        ("masked words", pretrainer), ("taught", student), ("tags", tagger), ("texts", writer)
    ):  # fmt: skip
        here.model.optimizer.global_clipnorm = 0.1
        losses = here.lr_find(start_lr=1e-5, max_lr=1e-2, lr_mult=2.0, verbose=0).losses
        val_losses = here.fit_onecycle(1e-2, 2, verbose=0).history["val_loss"]
        figures = here.metrics()
        figures = [figures[key] for key in sorted(figures)]
        found[name] = [*losses.tolist(), *val_losses, *figures]
    return found


def accumulated(checkpoint: str, **options: Any) -> dict[str, list[float]]:
    """Trains with all texts in one step, which batches, devices and pieces share."""
    words, _ = texts(TRAIN, 2)
    tags = [["B-X" if word in "abc" else "O" for word in text.split()] for text in words]
    tagged = [text.split() for text in words], tags
    kinds: dict[str, tuple[Any, dict[str, Any]]] = {
        "classes": (texts(TRAIN, 0), {"ema": 0.5}),
        "tags": (tagged, {"task": "token-classification"}),
        "float16": (texts(TRAIN, 0), {"precision": "float16"}),
    }
    found = {}
    for name, (data, own) in kinds.items():
        val = data if name == "classes" else None  # of the average of the weights
        here = ktlite.get_learner(
            checkpoint, data, val, maxlen=24, eval_batch_size=8, verbose=0, **own, **options
        )
        inner = getattr(here.model.optimizer, "inner_optimizer", here.model.optimizer)
        inner.epsilon, inner.global_clipnorm = 1.0, 0.1  # steps in proportion to gradients
        class_weight = None if name == "tags" else {"ham": 2.0, "spam": 0.5, "toast": 1.0}
        history = here.fit_onecycle(1.0, 3, class_weight=class_weight, verbose=0).history
        found[name] = [*history["val_loss" if val else "loss"], *weights(here.model).tolist()]
    return found


def keras_model(strategy: Any) -> dict[str, Any]:
    """Trains a Keras model on arrays, or on a data set with batches of a fixed size."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(12, 4)).astype("float32"), rng.integers(0, 2, 12)
    steps = rng.normal(size=(11, 5, 4)).astype("float32")  # a target for each of five steps
    targets = rng.integers(0, 2, (11, 5, 1))
    found: dict[str, Any] = {}
    for name in ("arrays", "stream", "steps"):
        with contextlib.nullcontext() if strategy is None else strategy.scope():
            dense = keras.layers.Dense(2, kernel_initializer=keras.initializers.GlorotUniform(1))
            shape = (5, 4) if name == "steps" else (4,)
            model = keras.Sequential([keras.Input(shape), dense])
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            model.compile(AdamW(), loss=loss)
        stream = tf.data.Dataset.from_tensor_slices((x, y)).batch(4, drop_remainder=True)
        data = {"arrays": (x, y), "stream": stream, "steps": (steps, targets)}[name]
        here = ktlite.get_learner(model, data, data, batch_size=8, eval_batch_size=8)
        here.fit(1e-2, 2, verbose=0)
        found[name] = weights(model).tolist()
    return found


def dropout(strategy: Any) -> list[Any]:
    """Returns the dropout masks of each device in two steps."""
    with strategy.scope():
        model = keras.Sequential([keras.Input((50,)), keras.layers.Dropout(0.5, seed=1)])
    spread_seeds(model)
    step = tf.function(lambda: model(tf.ones((1, 50)), training=True))
    masks = [strategy.run(step) for _ in range(2)]
    return [[np.array(part).ravel().tolist() for part in mask.values] for mask in masks]


def scaled_step(strategy: Any) -> dict[str, Any]:
    """Takes a step of float16's optimizer where the gradient of the second device is infinite."""
    with strategy.scope():
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
        optimizer = LossScaleOptimizer(AdamW(0.1, weight_decay=0.0), initial_scale=8.0)
        optimizer.build(model.trainable_variables)
    before = weights(model).tolist()

    @tf.function
    def step(gradient: Any) -> None:
        strategy.run(lambda g: optimizer.apply([g], model.trainable_variables), args=(gradient,))

    def gradients(values: list[float]) -> Any:
        return strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant([[values[context.replica_id_in_sync_group]]])
        )

    step(gradients([1.0, float("inf")]))
    skipped = weights(model).tolist()
    scale = float(keras.ops.convert_to_numpy(optimizer.dynamic_scale))
    step(gradients([1.0, 2.0]))
    return {"before": before, "skipped": skipped, "scale": scale, "after": weights(model).tolist()}


def refusals(checkpoint: str, strategy: Any) -> dict[str, str]:
    """Returns what is said of that which cannot work."""
    said = {}
    for name, options in {
        "batch_size": {"batch_size": 7},
    }.items():
        try:
            ktlite.get_learner(checkpoint, texts(8, 0), strategy=strategy, **options)
        except ktlite.errors.ArgumentError as error:
            said[name] = str(error)
    with strategy.scope():
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        optimizer = keras.optimizers.Adam(clipnorm=1.0, gradient_accumulation_steps=2)
        model.compile(optimizer, loss="mse", steps_per_execution=2)
    x, y = np.zeros((6, 4), "float32"), np.zeros((6, 2), "float32")
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(4)
    try:
        ktlite.get_learner(model, data, (x[:1], y[:1])).fit_onecycle(1e-3, 1)
    except ktlite.errors.ArgumentError as error:
        said["keras"] = str(error)
    return said


def main(checkpoint: str, result: str) -> None:
    two = make_strategy(None, DEVICES)
    results: dict[str, Any] = {
        "replicas": two.num_replicas_in_sync,
        "one": train(checkpoint),
        "two": train(checkpoint, devices=DEVICES),
        "quick": quick(checkpoint),
        "xla": quick(checkpoint, devices=DEVICES, xla=True),
        "batches": batches(two),
        "kept": [kept(checkpoint), kept(checkpoint, devices=DEVICES)],
        "counted": [counted(checkpoint), counted(checkpoint, devices=DEVICES)],
        "accumulated": [
            accumulated(checkpoint, batch_size=64),
            accumulated(checkpoint, batch_size=8, accumulate=8, devices=DEVICES, micro_tokens=40),
        ],
        "keras": [keras_model(None), keras_model(two)],
        "dropout": dropout(two),
        "scaled_step": scaled_step(two),
        "refusals": refusals(checkpoint, two),
    }
    Path(result).write_text(json.dumps(results))


if __name__ == "__main__":
    cpus = tf.config.list_physical_devices("CPU")[:1]
    tf.config.set_logical_device_configuration(
        cpus[0], [tf.config.LogicalDeviceConfiguration()] * 2
    )
    main(*sys.argv[1:])
