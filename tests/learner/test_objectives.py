"""`mixup=`, `r_drop=` and `adversarial=`: losses worked out by hand, and steps in pieces alike."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import ktlite
from ktlite.errors import ArgumentError
from ktlite.tasks.losses import sigmoid_divergence, softmax_divergence
from ktlite.training.objectives import Objective
from ktlite.training.pieces import pieces_of

pytestmark = pytest.mark.usefixtures("eagerly")

LONG = "in Berlin a man slept well and woke up again"
TEXTS = ["Ann", LONG, "Bob ran", LONG[::-1], "Eve", LONG[:20], "Joe", LONG[5:], "Tom"]
CLASSES = ["ham", "spam", "spam"] * 3
TAGS = [["B-LOC" if word == "Berlin" else "O" for word in text.split()] for text in TEXTS]


def learner(folder: Path, data: Any = None, **options: Any) -> Any:
    options = {"maxlen": 24, "batch_size": 4, "verbose": 0, "check": False, **options}
    data = (TEXTS, CLASSES) if data is None else data
    here = ktlite.get_learner(folder, data, data, **options)
    getattr(here.model.optimizer, "inner_optimizer", here.model.optimizer).epsilon = 1.0
    return here


def weights(here: Any) -> np.ndarray:
    held = here.model.trainable_weights
    return np.concatenate([keras.ops.convert_to_numpy(weight).ravel() for weight in held])


def objective(here: Any) -> Objective:
    pieces = pieces_of(here.model)
    assert pieces is not None and pieces.objective is not None
    return pieces.objective


def batch(here: Any) -> tuple[Any, Any, Any]:
    import tensorflow as tf

    inputs, targets = here.train_data.examples(np.arange(4), (0,))
    made = {name: tf.constant(array) for name, array in inputs.items()}
    return made, tf.constant(targets), tf.constant([1.0, 2.0, 0.5, 1.0])


def through(model: Any, x: Any, mask: Any) -> Any:
    """Returns the logits of what enters the blocks."""
    return model.head(model.towers[0].stack(x, mask, first_only=model.head.first_only), mask)


def cross_entropies(logits: Any, targets: Any) -> np.ndarray:
    logits = np.asarray(logits, "float64")
    chosen = logits[np.arange(len(logits)), np.asarray(targets)]
    return np.log(np.exp(logits).sum(axis=1)) - chosen


OPTIONS: dict[str, dict[str, Any]] = {
    "mixup": {"mixup": 0.4, "sample_weight": np.linspace(0.5, 2, 9)},
    "steps": {"adversarial": {"epsilon": 0.2, "steps": 3}},
    "all": {"mixup": 1.0, "r_drop": 1.0, "adversarial": 0.05, "accumulate": 2},
    "float16": {"mixup": 1.0, "adversarial": True, "precision": "float16"},
}


@pytest.mark.parametrize("kind", OPTIONS)
def test_pieces_take_the_step_of_the_batch(still_checkpoint: Path, kind: str) -> None:
    found = []
    for tokens in (30, None):
        here = learner(still_checkpoint, micro_tokens=tokens, **OPTIONS[kind])
        before = weights(here)
        history = here.fit(0.5, 1, class_weight={"ham": 2.0, "spam": 0.5}, verbose=0).history
        assert np.abs(weights(here) - before).max() > 1e-3
        found.append((weights(here), history["loss"]))
    for pieces, whole in zip(*found, strict=True):
        np.testing.assert_allclose(pieces, whole, atol=3e-3 if kind == "float16" else 2e-5)


def test_tags_learn_from_moved_rows(still_checkpoint: Path) -> None:
    found = []
    for tokens in (30, None):
        data = ([text.split() for text in TEXTS], TAGS)
        options = {"task": "token-classification", "adversarial": True, "micro_tokens": tokens}
        here = learner(still_checkpoint, data, **options)
        here.fit(0.5, 1, verbose=0)
        found.append(weights(here))
    np.testing.assert_allclose(*found, atol=2e-5)


def test_mixed_rows_learn_both_targets(still_checkpoint: Path) -> None:
    here = learner(still_checkpoint, mixup=0.3)
    made, (x, y, w) = objective(here), batch(here)
    partner, share = made.drawn((x, y, w), 4)
    again = made.drawn((x, y, w), 4)
    np.testing.assert_array_equal(partner, again[0])
    assert sorted(np.asarray(partner)) == [0, 1, 2, 3]
    p, s = np.asarray(partner), np.asarray(share)
    other = keras.tree.map_structure(lambda a: keras.ops.take(a, p, axis=0), (x, y, w))
    loss, gradients, outputs = made.piece((x, y, w), other, share, 1.0)

    embedded = np.asarray(here.model.towers[0].front(x, x["attention_mask"]))
    embedded = embedded * np.asarray(x["attention_mask"])[..., None]
    mixed = s[:, None, None] * embedded + (1 - s)[:, None, None] * embedded[p]
    mask = np.maximum(x["attention_mask"], np.asarray(x["attention_mask"])[p])
    logits = through(here.model, mixed, mask)
    np.testing.assert_allclose(outputs, logits, atol=1e-5)
    rows = s * np.asarray(w) * cross_entropies(logits, y)
    rows += (1 - s) * np.asarray(w)[p] * cross_entropies(logits, np.asarray(y)[p])
    np.testing.assert_allclose(loss, rows.mean(), rtol=1e-5)
    assert len(gradients) == len(here.model.trainable_weights)


def test_shares_are_beta_distributed(still_checkpoint: Path) -> None:
    here = learner(still_checkpoint, mixup=0.2)
    _, share = objective(here).drawn((None, None, None), 20_000)
    share = np.asarray(share)
    assert ((share >= 0) & (share <= 1)).all()
    np.testing.assert_allclose([share.mean(), share.var()], [0.5, 0.25 / 1.4], atol=0.01)


def test_rows_are_moved_to_where_the_loss_grows(still_checkpoint: Path) -> None:
    import tensorflow as tf

    here = learner(still_checkpoint, adversarial=0.05)
    made, (x, y, w) = objective(here), batch(here)
    loss, _, _ = made.piece((x, y, w), None, None, 1.0)
    mask = x["attention_mask"]
    entered = here.model.towers[0].front(x, mask)
    with tf.GradientTape() as tape:
        tape.watch(entered)
        logits = through(here.model, entered, mask)
        mean = tf.reduce_mean(w * keras.losses.sparse_categorical_crossentropy(y, logits, True))
    gradient = np.asarray(tape.gradient(mean, entered))
    lengths = [np.sqrt((np.asarray(a) ** 2).sum(axis=(1, 2), keepdims=True)) for a in
               (entered, gradient)]  # fmt: skip
    moved = np.asarray(entered) + 0.05 * lengths[0] * gradient / lengths[1]
    clean, against = (
        (np.asarray(w) * cross_entropies(through(here.model, a, mask), y)).mean()
        for a in (entered, moved)
    )
    assert against > clean + 1e-3
    np.testing.assert_allclose(loss, (clean + against) / 2, rtol=1e-5)


def test_without_dropout_two_runs_are_one(still_checkpoint: Path) -> None:
    found = []
    for options in ({"r_drop": 4.0}, {}):
        here = learner(still_checkpoint, **options)
        here.fit(0.5, 1, verbose=0)
        found.append(weights(here))
    np.testing.assert_allclose(*found, atol=1e-6)


def test_with_dropout_they_are_drawn_together(tiny_checkpoint: Path) -> None:
    here = learner(tiny_checkpoint, r_drop=3.0)
    made, data = objective(here), batch(here)
    seen = []
    apart = made._apart
    made._apart = lambda *a: seen.append((a, apart(*a))) or seen[-1][1]  # type: ignore[method-assign]
    made.piece(data, None, None, 1.0)
    ((one, two, w), mean) = seen[0]
    p, q = (np.exp(np.asarray(a, "float64")) for a in (one, two))
    p, q = p / p.sum(axis=1, keepdims=True), q / q.sum(axis=1, keepdims=True)
    rows = ((p * np.log(p / q)).sum(axis=1) + (q * np.log(q / p)).sum(axis=1)) / 2
    assert rows.min() > 0
    np.testing.assert_allclose(mean, (np.asarray(w) * rows).mean(), rtol=1e-3)


def test_divergences_are_those_of_the_definition() -> None:
    one, two = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")
    p, q = (1 / (1 + np.exp(-a.astype("float64"))) for a in (one, two))

    def kl(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return a * np.log(a / b) + (1 - a) * np.log((1 - a) / (1 - b))

    expected = (kl(p, q) + kl(q, p)).mean(axis=1) / 2
    np.testing.assert_allclose(sigmoid_divergence(one, two), expected, rtol=1e-5)
    np.testing.assert_allclose(softmax_divergence(one, one), 0, atol=1e-7)


class Crash(Exception):
    """What nothing catches."""


class Stop(keras.callbacks.Callback):
    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if self.model.optimizer.iterations.numpy() == 4:  # in the second epoch
            raise Crash


def test_a_run_goes_on_bit_by_bit(tiny_checkpoint: Path, tmp_path: Path) -> None:
    given = {"mixup": 0.5, "r_drop": 1.0}
    alone, stopped, resumed = (learner(tiny_checkpoint, **given) for _ in range(3))
    alone.fit_onecycle(1e-2, 2, verbose=0)
    options = {"checkpoint_folder": tmp_path / "run", "save_every": 1, "verbose": 0}
    with pytest.raises(Crash):
        stopped.fit_onecycle(1e-2, 2, callbacks=[Stop()], **options)
    resumed.fit_onecycle(1e-2, 2, resume=True, **options)
    np.testing.assert_array_equal(weights(resumed), weights(alone))


def test_a_frozen_encoder_still_mixes(still_checkpoint: Path) -> None:
    here = learner(still_checkpoint, mixup=1.0)
    here.freeze()
    plain = learner(still_checkpoint)
    plain.freeze()
    for one in (here, plain):
        one.fit(0.5, 1, verbose=0)
    assert np.abs(weights(here) - weights(plain)).max() > 1e-4


def test_what_cannot_work_is_said_at_once(still_checkpoint: Path) -> None:
    with pytest.raises(ArgumentError) as caught:
        learner(still_checkpoint, mixup=-1, r_drop=True, adversarial={"eps": 3})
    message = str(caught.value)
    assert "mixup=-1" in message and "r_drop=True" in message and "'epsilon'" in message
    data = ([text.split() for text in TEXTS], TAGS)
    with pytest.raises(ArgumentError) as caught:
        learner(still_checkpoint, data, task="token-classification", mixup=0.2, r_drop=1.0)
    assert "mixup=0.2" in str(caught.value) and "r_drop=1.0" in str(caught.value)
    with pytest.raises(ArgumentError, match="adversarial=2"):
        learner(still_checkpoint, adversarial=2)


def test_a_device_counts_its_share_of_the_divergence(
    still_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gradients are summed over devices, and Keras' losses are shares already."""
    import tensorflow as tf

    found = objective(learner(still_checkpoint, r_drop=1.0))
    random = np.random.default_rng(0)
    one, two = (tf.constant(random.normal(size=(4, 2)), "float32") for _ in range(2))
    alone = float(found._apart(one, two, None))
    two_devices = types.SimpleNamespace(num_replicas_in_sync=2)
    monkeypatch.setattr(tf.distribute, "get_strategy", lambda: two_devices)
    assert alone > 0 and float(found._apart(one, two, None)) == pytest.approx(alone / 2)
