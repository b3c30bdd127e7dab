"""The encoder as an XLA program: the same numbers, the same training, few programs."""

from __future__ import annotations

import itertools
import logging
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import ktlite
from ktlite.errors import ArgumentError
from ktlite.models import from_pretrained
from ktlite.training.feed import Feed
from ktlite.training.xla import CompiledStack, compile_encoder, most_widths, wants_xla

ROWS, LENGTH = 3, 8


def inputs() -> dict[str, np.ndarray]:
    ids = np.random.default_rng(0).integers(5, 60, (ROWS, LENGTH)).astype("int32")
    mask = (np.arange(LENGTH) < np.array([[8], [5], [3]])).astype("int32")
    return {"input_ids": ids * mask, "attention_mask": mask}


def load(folder: Path, task: str = "text-classification", *, dropout: bool = False) -> Any:
    rate = 0.3 if dropout else 0.0
    config = {"hidden_dropout_prob": rate, "attention_probs_dropout_prob": rate}
    return from_pretrained(folder, task, config=config)


def step(model: Any) -> Any:
    """Returns a graph that computes loss and gradients."""

    @tf.function(autograph=False)
    def run(batch: Any) -> Any:
        with tf.GradientTape() as tape:
            outputs = keras.tree.flatten(model(batch, training=True))
            loss = sum(tf.reduce_mean(tf.square(output)) for output in outputs)
        return loss, tape.gradient(loss, [w.value for w in model.trainable_weights])

    return run


def dense(gradients: Any) -> list[np.ndarray | None]:
    return [None if g is None else tf.convert_to_tensor(g).numpy() for g in gradients]


def xla_functions(graph: Any) -> list[str]:
    return [
        function.signature.name
        for function in graph.as_graph_def().library.function
        if function.attr["_XlaMustCompile"].b
    ]


@pytest.mark.parametrize(
    ("folder", "task"),
    [
        ("bert-gelu", "text-classification"),
        ("albert-pretraining", "pretraining"),  # layers share weights; two outputs
        ("deberta-conv", "text-classification"),  # relative positions, a convolution
    ],
)
def test_loss_and_gradients_are_those_of_the_plain_encoder(
    golden: Path, folder: str, task: str
) -> None:
    plain, compiled = load(golden / folder, task), load(golden / folder, task)
    compile_encoder(compiled)
    expected_loss, expected = step(plain)(inputs())
    run = step(compiled)
    loss, gradients = run(inputs())
    assert abs(float(loss - expected_loss)) <= 1e-5
    for weight, one, other in zip(
        plain.trainable_weights, dense(expected), dense(gradients), strict=True
    ):
        # A weight of a layer that has no part in the loss has no gradient, or one of zeros.
        one = np.zeros(weight.shape) if one is None else one
        np.testing.assert_allclose(other, one, atol=1e-5, err_msg=weight.path)
    # Forward and backward are programs of XLA's; the whole step is not.
    programs = xla_functions(run.get_concrete_function(inputs()).graph)
    assert len(programs) >= 2
    assert not xla_functions(step(plain).get_concrete_function(inputs()).graph)


def test_frozen_blocks_get_no_gradient_and_the_others_the_same(golden: Path) -> None:
    plain, compiled = load(golden / "bert-gelu"), load(golden / "bert-gelu")
    compile_encoder(compiled)
    for model in (plain, compiled):
        model.embeddings.trainable = False
        model.encoder.blocks[0].trainable = False
    (_, expected), (_, found) = (step(model)(inputs()) for model in (plain, compiled))
    for one, other in zip(dense(expected), dense(found), strict=True):
        np.testing.assert_allclose(other, one, atol=1e-5)
    ((trained, first_only),) = compiled.encoder.compiled.functions
    assert first_only
    # Of what the encoder takes, and of its weights.
    assert trained == (False, *(weight.trainable for weight in compiled.encoder.weights))
    assert 0 < sum(trained) < len(trained)


def test_dropout_differs_from_step_to_step_and_repeats_with_the_seed(golden: Path) -> None:
    def train() -> list[np.ndarray]:
        model = load(golden / "albert", dropout=True)
        compile_encoder(model)
        call = tf.function(lambda batch: model(batch, training=True), autograph=False)
        return [call(inputs()).numpy() for _ in range(3)]

    first, second, third = train()
    assert np.abs(first - second).max() > 1e-3
    assert np.abs(second - third).max() > 1e-3
    np.testing.assert_array_equal(train(), [first, second, third])


def test_random_states_advance_as_those_of_the_plain_encoder(golden: Path) -> None:
    plain, compiled = (load(golden / "albert", dropout=True) for _ in range(2))
    compile_encoder(compiled)
    states = []
    for model in (plain, compiled):
        model(inputs(), training=True)
        weights = {id(weight) for weight in model.weights}
        states.append([v.numpy() for v in model.variables if id(v) not in weights])
    np.testing.assert_array_equal(states[1], states[0])
    assert max(state[1] for state in states[1]) > 1  # a layer that is used several times


def test_a_batch_of_fewer_rows_needs_no_program_of_its_own(golden: Path) -> None:
    model = load(golden / "bert-gelu")
    encoder = CompiledStack(*model.towers)
    encoder.rows = 8
    seen = []
    x = np.random.default_rng(0).normal(size=(8, 6, model.spec.width)).astype("float32")
    mask = np.ones((8, 6), "int32")
    whole = encoder(x, mask, training=True)
    (trained, function), *_ = encoder.functions.items()

    def spy(weights: Any, seeds: Any, given: Any) -> Any:
        seen.append(tuple(given["x"].shape))
        return function(weights, seeds, given)

    encoder.functions[trained] = spy
    part = encoder(x[:3], mask[:3], training=True)
    assert seen == [(8, 6, model.spec.width)]
    np.testing.assert_allclose(part, whole[:3], atol=1e-6)


def test_without_training_the_plain_encoder_runs(golden: Path) -> None:
    plain, compiled = load(golden / "bert-gelu"), load(golden / "bert-gelu")
    compile_encoder(compiled)
    np.testing.assert_array_equal(compiled(inputs()), plain(inputs()))
    assert compiled.encoder.compiled.functions == {}


def test_a_learner_trains_saves_and_predicts_with_it(
    tiny_checkpoint: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    texts = (
        ["a b c", "x y z", "c b a", "z y x", "a c b"] * 3,
        ["abc", "xyz", "abc", "xyz", "abc"] * 3,
    )
    learner = ktlite.get_learner(
        tiny_checkpoint,
        texts,
        texts,
        batch_size=4,
        maxlen=16,
        xla=True,
        precision="bfloat16",
        verbose=0,
    )
    learner.lr_find(start_lr=1e-4, max_lr=1e-1, lr_mult=4.0, verbose=0)
    with caplog.at_level(logging.INFO, "ktlite"):
        history = learner.fit_onecycle(3e-3, 6, verbose=0).history
    assert history["loss"][-1] < history["loss"][0] - 0.1
    assert "XLA has compiled the encoder for 1 length of a batch" in caplog.text
    learner.freeze(1)
    before = [w.numpy() for w in learner.model.embeddings.weights]
    learner.fit(1e-3, 1, verbose=0)
    np.testing.assert_array_equal(before[0], learner.model.embeddings.weights[0].numpy())
    predictor = learner.get_predictor()
    predictor.save(tmp_path / "predictor")
    again = ktlite.load_predictor(tmp_path / "predictor")
    np.testing.assert_allclose(
        again.predict_proba(texts[0]), predictor.predict_proba(texts[0]), atol=1e-2
    )


@pytest.mark.parametrize(("longest", "count"), [(8, 4), (32, 16), (128, 32), (512, 48)])
def test_the_number_of_programs_is_bounded(longest: int, count: int) -> None:
    assert most_widths(longest) == count


def test_the_batches_of_texts_stay_within_that_bound(tiny_checkpoint: Path) -> None:
    texts = ["a " * n for n in range(1, 31)] * 2
    preproc = ktlite.text.Transformer(tiny_checkpoint, maxlen=32)
    data = preproc.preprocess_train(texts, ["x", "y"] * 30)
    feed = Feed(data, 4, seed=0)
    for _ in itertools.islice(feed.training(0, feed.steps), 3 * feed.steps):
        pass
    assert 5 < len(feed.widths) <= most_widths(int(data.lengths.max())) == 16


def test_auto_is_for_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    for gpus in ([], ["GPU:0"]):
        monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind, gpus=gpus: gpus)
        assert wants_xla("auto") == bool(gpus)
        assert wants_xla(True)
        assert not wants_xla(False)


def test_other_values_are_refused(tiny_checkpoint: Path) -> None:
    with pytest.raises(ArgumentError, match=r"xla='on' is not known; expected one of True, False"):
        ktlite.get_learner(tiny_checkpoint, (["a", "b"], ["x", "y"]), xla="on")
