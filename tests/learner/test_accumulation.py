"""`accumulate=`: the steps are those of batches so many times as large."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import ktlite
from ktlite.learner import Learner
from ktlite.tasks.losses import IGNORE
from ktlite.training.feed import ArrayData, Feed
from ktlite.training.optimizers import AdamW

LONG = ["In", "Berlin", "a", "man", "slept", "well", "and", "woke", "up", "again"]
SENTENCES = [["Ann"], LONG, ["Bob", "ran"], LONG, ["Eve"], LONG[:6], ["Joe"], LONG, ["Tom"]]
TAGS = [["B-LOC" if word == "Berlin" else "O" for word in words] for words in SENTENCES]
WORDS = [" ".join(words) for words in SENTENCES]
CLASSES = ["ham", "spam", "spam"] * 3
CONTEXTS = [("who?", f"{name} saw the cat") for name in ("Ann", "Bob", "Eve")] * 3
SPANS = [{"text": [name], "answer_start": [0]} for name in ("Ann", "Bob", "Eve")] * 3

# Nine texts, of tags 12 windows: batches of 2 and a short one, in one step, beside one batch.
FEW, ALL = {"batch_size": 2, "accumulate": 8}, {"batch_size": 16}
KINDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "classes": ((WORDS, CLASSES), {"ema": 0.5, "sample_weight": np.linspace(0.5, 2, 9)}),
    "values": ((WORDS, np.linspace(0, 1, 9)), {"task": "regression", "xla": True}),
    "float16": ((WORDS, CLASSES), {"precision": "float16"}),
    "tags": ((SENTENCES, TAGS), {"task": "token-classification"}),
    "tags, batches by tokens": (
        (SENTENCES, TAGS),
        {"task": "token-classification", "batch_tokens": 60, "batch_size": 4},
    ),
    "answers": ((CONTEXTS, SPANS), {"task": "question-answering"}),
}


def even(learner: Learner) -> Learner:
    """Makes the optimizer's steps in proportion to gradients, which differ by rounding."""
    getattr(learner.model.optimizer, "inner_optimizer", learner.model.optimizer).epsilon = 1.0
    return learner


def weights(learner: Learner) -> np.ndarray:
    held = learner.model.trainable_weights
    return np.concatenate([keras.ops.convert_to_numpy(weight).ravel() for weight in held])


@pytest.mark.parametrize("kind", KINDS)
def test_batches_of_one_step_are_one_batch(
    still_checkpoint: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    data, options = KINDS[kind]
    found = []
    for group in (FEW, ALL):
        given = {**group, **options}
        if group is ALL:
            given = {**options, **group, "batch_tokens": None, "xla": False}
        here = even(ktlite.get_learner(still_checkpoint, data, maxlen=24, verbose=0,
                                       check=False, **given))  # fmt: skip
        before = weights(here)
        class_weight = {"ham": 2.0, "spam": 0.5} if kind == "classes" else None
        history = here.fit_onecycle(0.5, 3, class_weight=class_weight, verbose=0).history
        found.append((weights(here), history["loss"]))
        assert np.abs(found[-1][0] - before).max() > 1e-3
    atol = 2e-3 if kind == "float16" else 2e-5
    for accumulated, whole in zip(*found, strict=True):
        np.testing.assert_allclose(accumulated, whole, atol=atol)


def test_a_frozen_encoders_head_learns_from_them_too(still_checkpoint: Path) -> None:
    found = []
    for group in (FEW, ALL):
        data, options = KINDS["tags"]
        here = even(ktlite.get_learner(still_checkpoint, data, maxlen=24, verbose=0,
                                       check=False, **options, **group))  # fmt: skip
        here.freeze()
        here.model.optimizer.epsilon = 1.0
        here.fit(0.5, 2, verbose=0)
        found.append(weights(here))
    np.testing.assert_allclose(*found, atol=2e-5)


class Fixed:
    """Pretraining data that masks the same tokens of a text whichever batch it is in."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __getattr__(self, name: str) -> Any:
        return getattr(self.data, name)

    def __len__(self) -> int:
        return len(self.data)

    def training_examples(self, rows: np.ndarray, seed: Any) -> Any:
        return self.examples(rows, seed)

    def examples(self, rows: np.ndarray, seed: Any) -> Any:
        made = [self.data.examples(np.array([row]), (int(row),)) for row in rows]

        def joined(parts: Any, filler: int) -> np.ndarray:
            width = max(part.shape[1] for part in parts)
            return np.concatenate(
                [
                    np.pad(p, [(0, 0), (0, width - p.shape[1])], constant_values=filler)
                    for p in parts
                ]
            )

        names = made[0][0]
        inputs = {name: joined([one[name] for one, _ in made], 0) for name in names}
        words = joined([targets["prediction_logits"] for _, targets in made], IGNORE)
        order = np.concatenate([targets["sop_logits"] for _, targets in made])
        return inputs, {"prediction_logits": words, "sop_logits": order}


def test_masked_words_and_the_order_of_segments_each_have_their_share(
    still_checkpoint: Path,
) -> None:
    """ALBERT's two objectives: a mean over masked words, and one over texts."""
    config = {
        "model_type": "albert",
        "embedding_size": 8,
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "max_position_embeddings": 32,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "classifier_dropout_prob": 0.0,
    }
    texts = [f"a b {'c ' * (i % 7)}. x y {'z ' * (i % 5)}" for i in range(9)]
    found = []
    for group in (FEW, ALL):
        here = even(ktlite.get_pretrainer(config, texts, tokenizer=still_checkpoint,
                                          maxlen=24, mask_probability=0.4, verbose=0,
                                          **group))  # fmt: skip
        here._train.data = Fixed(here._train.data)
        history = here.fit_onecycle(0.5, 3, verbose=0).history
        found.append((weights(here), history["loss"]))
    for accumulated, whole in zip(*found, strict=True):
        np.testing.assert_allclose(accumulated, whole, atol=2e-5)


def dense(**options: Any) -> Any:
    layer = keras.layers.Dense(2, kernel_initializer=keras.initializers.GlorotUniform(1))
    model = keras.Sequential([keras.Input((4,)), layer])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(AdamW(0.01, epsilon=1.0, **options), loss=loss, jit_compile=False)
    return model


def rows(count: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(count, 4)).astype("float32")
    return x, rng.integers(0, 2, count), rng.uniform(0.5, 2, count)


@pytest.mark.parametrize("resumed", [False, True])
def test_each_group_of_an_epoch_is_one_batch_to_the_optimizer(
    tmp_path: Path, resumed: bool
) -> None:
    """23 rows in batches of 4, three to a step: steps of 12 and 11 rows, one batch of 3."""
    x, y, sample_weight = rows(23)
    data, average = (x, y, sample_weight), {"use_ema": True, "ema_momentum": 0.5}
    here = ktlite.get_learner(dense(gradient_accumulation_steps=3, **average), data, batch_size=4)
    options: dict[str, Any] = {"verbose": 0, "class_weight": {0: 2.0, 1: 0.5}}
    if resumed:  # after the second batch of a group of three
        options |= {"checkpoint_folder": tmp_path, "save_every": 1e-9}
        with pytest.raises(ZeroDivisionError):
            here.fit_onecycle(0.5, 2, callbacks=[Stop(8)], **options)
        options["resume"] = True
        here = ktlite.get_learner(
            dense(gradient_accumulation_steps=3, **average), data, batch_size=4
        )
    history = here.fit_onecycle(0.5, 2, **options).history

    expected, losses, sizes = dense(**average), [], []
    plan, rates = Feed(ArrayData(x, y), 4, 42).plan, history["lr"]
    for epoch in range(2):
        parts = plan(epoch)
        groups = [np.concatenate(parts[:3]), np.concatenate(parts[3:])]
        for number, group in enumerate(groups):
            expected.optimizer.learning_rate = rates[6 * epoch + 3 * number + 2]
            expected.optimizer.beta_1 = history["momentum"][6 * epoch + 3 * number + 2]
            weight = sample_weight[group] * np.array([2.0, 0.5])[y[group]]
            sizes.append(len(group))
            losses.append(expected.train_on_batch(x[group], y[group], sample_weight=weight))
            expected.reset_metrics()
    averages = expected.optimizer._model_variables_moving_average
    for found, wanted in zip(here.model.weights, averages, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-6)
    assert int(here.model.optimizer.iterations) == 4
    means = np.reshape(np.multiply(losses, sizes), (2, 2)).sum(axis=1) / 23
    np.testing.assert_allclose(history["loss"], means, rtol=1e-5)
    # One cycle of four steps: 1/10, half of the way, the top, half-way down.
    assert [len(set(rates[i : i + 3])) for i in (0, 3, 6, 9)] == [1] * 4


class Stop(keras.callbacks.Callback):
    """Fails before a batch of the fit, counted from 0."""

    def __init__(self, batch: int) -> None:
        super().__init__()
        self.left = batch

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.left -= 1
        if self.left < 0:
            raise ZeroDivisionError


def test_the_sweep_is_that_of_the_large_batch(small_learner: Callable[..., Learner]) -> None:
    """24 rows: with three batches a step there is one an epoch, as with one batch."""
    options = {"start_lr": 1e-4, "max_lr": 1e-1, "lr_mult": 2.0, "verbose": 0}
    few, whole = (
        small_learner(AdamW(gradient_accumulation_steps=3, epsilon=1.0), batch_size=8),
        small_learner(AdamW(epsilon=1.0), batch_size=24),
    )
    one, other = few.lr_find(**options), whole.lr_find(**options)
    np.testing.assert_array_equal(one.lrs, other.lrs)
    np.testing.assert_allclose(one.losses, other.losses, rtol=1e-5)


@pytest.mark.parametrize("group", [1, 2])
def test_data_that_does_not_say_how_long_it_is_ends_with_a_step(group: int) -> None:
    """Five batches, two to a step: the last has its own, before validation sees the weights.

    Keras counts a step more than there are batches.
    """
    import tensorflow as tf

    x, y, _ = rows(20)

    def batches() -> Any:
        yield from ((x[i : i + 4], y[i : i + 4]) for i in range(0, 20, 4))

    spec = (tf.TensorSpec((None, 4)), tf.TensorSpec((None,), tf.int64))
    stream = tf.data.Dataset.from_generator(batches, output_signature=spec)
    options = {} if group == 1 else {"gradient_accumulation_steps": group}
    here = ktlite.get_learner(dense(**options), stream, (x, y))
    history = here.fit(0.5, 2, verbose=0).history
    expected = dense()
    expected.optimizer.learning_rate = 0.5
    for start in [*range(0, 20, 4 * group)] * 2:
        part = slice(start, start + 4 * group)
        expected.train_on_batch(x[part], y[part])
    assert int(here.model.optimizer.iterations) == int(expected.optimizer.iterations)
    for found, wanted in zip(here.model.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-6)
    loss = expected.evaluate(x, y, verbose=0)
    assert history["val_loss"][-1] == pytest.approx(loss, rel=1e-5)
