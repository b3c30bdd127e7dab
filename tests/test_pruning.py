"""`prune`: smaller learners and predictors, and what they are made by."""

from __future__ import annotations

import logging
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ktlite
from ktlite.errors import ArgumentError
from ktlite.inputs.tokenizer import Tokenizer
from ktlite.learner import Learner
from ktlite.models.mapping import variable_at
from ktlite.models.pruning import Kept, pruned
from ktlite.predictor import Predictor
from ktlite.training.importance import Importance, most
from ktlite.training.pieces import pieces_of
from ktlite.training.remat import rematerialises
from tests import writers

pytestmark = pytest.mark.usefixtures("eagerly")
FIT = {"lr": 5e-3, "epochs": 2, "verbose": 0}


@pytest.fixture(scope="module")
def data() -> tuple[list[str], list[str]]:
    rng = random.Random(0)
    labels = ["pos", "neg"] * 20
    return [" ".join(rng.choices("abc" if y == "pos" else "xyz", k=4)) for y in labels], labels


@pytest.fixture(scope="module")
def learner(two_blocks: Path, data: Any) -> Learner:
    val = (["a q c", "x y q"], ["pos", "neg"])
    made = ktlite.get_learner(two_blocks, data, val, batch_size=8, maxlen=16, verbose=0)
    made.fit_onecycle(**FIT)
    return made


def logits(model: Any, inputs: dict[str, np.ndarray]) -> np.ndarray:
    return np.asarray(model(inputs, training=False))


def test_the_vocabulary_alone_changes_nothing_for_its_texts(
    learner: Learner, data: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    predictor = learner.get_predictor()
    with caplog.at_level(logging.INFO, "ktlite"):
        small = ktlite.prune(predictor, data, (["a q"], ["pos"]), vocabulary="used", verbose=0)
    assert isinstance(small, Predictor)
    np.testing.assert_allclose(small.logits(data[0]), predictor.logits(data[0]), atol=1e-6)
    size = small.preproc.tokenizer.vocab_size
    assert size == small.model.config["vocab_size"] < predictor.preproc.tokenizer.vocab_size
    assert f"{size:,} of" in caplog.text
    small.save(tmp_path / "small")
    again = ktlite.load_predictor(tmp_path / "small")
    np.testing.assert_allclose(again.logits(data[0]), predictor.logits(data[0]), atol=1e-6)


def test_a_learner_gives_a_learner_that_trains_on(learner: Learner, data: Any) -> None:
    before = learner.get_predictor().logits(data[0])
    small = ktlite.prune(learner, vocabulary="used", layers=[1], feed_forward=0.5, verbose=0)
    assert isinstance(small, Learner)
    config, width = small.model.config, learner.model.config["intermediate_size"]
    half = -(-width // 2 // 8) * 8
    assert (config["num_hidden_layers"], config["intermediate_size"]) == (1, half)
    assert config["vocab_size"] == small.preproc.tokenizer.vocab_size
    assert small.train_data.items == learner.train_data.items
    first = small.train_data.inputs(np.arange(4))["input_ids"]
    again = small.preproc.tokenizer.encode(data[0][:4]).batch(np.arange(4))["input_ids"]
    np.testing.assert_array_equal(first, again)
    assert small.model.optimizer is not learner.model.optimizer
    assert small.card.arguments["pruned_feed_forward"] == 0.5
    loss = small.metrics()["loss"]
    small.fit_onecycle(**FIT)
    assert small.metrics()["loss"] < loss
    np.testing.assert_array_equal(learner.get_predictor().logits(data[0]), before)


def test_it_trains_as_the_whole_does(two_blocks: Path, data: Any) -> None:
    whole = ktlite.get_learner(
        two_blocks, data, data, batch_size=8, maxlen=16, verbose=0, mixup=0.2, remat=True,
        micro_tokens=64,
    )  # fmt: skip
    small = ktlite.prune(whole, layers=1, verbose=0)
    theirs, own = pieces_of(whole.model), pieces_of(small.model)
    assert theirs is not None and own is not None and theirs.objective is not None
    assert own.objective is not None and own.objective.model is small.model
    assert own.objective.options == theirs.objective.options
    assert (own.tokens, own.asked, own.counted) == (theirs.tokens, theirs.asked, theirs.counted)
    assert rematerialises(small.model)
    assert np.isfinite(small.fit(1e-3, 1, verbose=0).history["loss"]).all()


def test_importance_is_the_gradient_of_a_gate(learner: Learner, data: Any) -> None:
    """Against finite differences of a gate on each unit and each head of the first block."""
    model, rows = learner.model, np.arange(8)
    inputs, targets = learner.train_data.examples(rows, (0,))
    found = Importance(model, model.loss)
    found.measure(learner.train_data, rows)
    for path, importance in (
        ("feed_forward.down", found.units[0]),
        ("attention.out", found.heads[0]),
    ):
        kernel = variable_at(model, f"encoder.blocks.0.{path}.kernel")
        value = np.array(kernel)
        width = len(value) // len(importance)
        for gate in (0, len(importance) - 1):
            losses = []
            for change in (1.05, 0.95):
                changed = value.copy()
                changed[gate * width : (gate + 1) * width] *= change
                kernel.assign(changed)
                losses.append(float(model.loss(targets, model(inputs, training=False))))
            kernel.assign(value)
            slope = abs(losses[0] - losses[1]) / 0.1
            assert importance[gate] == pytest.approx(slope, rel=0.05, abs=2e-6)


def test_units_that_matter_stay(learner: Learner, data: Any) -> None:
    small = ktlite.prune(learner, feed_forward=0.9, verbose=0)
    found = Importance(learner.model, learner.model.loss)
    found.measure(learner.train_data, np.arange(len(data[0])))
    kept = [most(one, 8) for one in found.units]
    expected = pruned(learner.model, Kept(units=kept))
    for ours, theirs in zip(small.model.weights, expected.weights, strict=True):
        np.testing.assert_array_equal(np.array(ours), np.array(theirs))


def test_heads_of_a_model_that_writes(golden: Path, tmp_path: Path) -> None:
    folder = writers.checkpoint(golden, tmp_path / "writer", "llama")
    texts = ["a b c d", "b c d e", "e f g h", "a c e g"]
    learner = ktlite.get_learner(
        folder, (texts, None), (texts, None), task="text-generation", maxlen=16, verbose=0
    )
    attention = learner.model.spec.first.stack.attention
    small = ktlite.prune(learner, heads=0.5, verbose=0)
    fewer = small.model.spec.first.stack.attention
    assert (fewer.kv_heads, fewer.heads) == (attention.kv_heads // 2, attention.heads // 2)
    small.fit_onecycle(1e-3, 1, verbose=0)
    with pytest.raises(ArgumentError, match="writes texts, and could not write a word"):
        ktlite.prune(learner, vocabulary="used")


def test_all_that_is_wrong_is_said(learner: Learner, data: Any) -> None:
    with pytest.raises(ArgumentError) as error:
        ktlite.prune(learner, layers=[], feed_forward=50, heads=1.0, vocabulary="all", examples=0)
    said = str(error.value)
    for part in ("layers=[]", "feed_forward=50", "heads=1.0", "vocabulary='all'", "examples=0"):
        assert part in said
    with pytest.raises(ArgumentError, match="nothing to prune is named"):
        ktlite.prune(learner)
    with pytest.raises(ArgumentError, match="prune: layers=.*the checkpoint has 2 blocks"):
        ktlite.prune(learner, layers=[0, 7])
    with pytest.raises(ArgumentError, match="heads: the config of 'bert' ties"):
        ktlite.prune(learner, heads=0.5)
    predictor = learner.get_predictor()
    with pytest.raises(ArgumentError, match="train_data is not given, and decides what feed_for"):
        ktlite.prune(predictor, feed_forward=0.5)
    with pytest.raises(ArgumentError, match="got TransformerModel; expected a learner"):
        ktlite.prune(learner.model, layers=1)
    assert ktlite.prune(predictor, layers=1).model.config["num_hidden_layers"] == 1


def test_images_lose_units_and_no_words(tiny_vit: Path, class_folders: Path) -> None:
    learner = ktlite.get_learner(
        tiny_vit, class_folders / "train", class_folders / "valid", verbose=0
    )
    width = learner.model.config["intermediate_size"]
    small = ktlite.prune(learner, feed_forward=0.5, layers=1, verbose=0)
    assert small.model.config["intermediate_size"] == -(-width // 2 // 8) * 8
    assert not isinstance(small.preproc.input, Tokenizer)
    with pytest.raises(ArgumentError, match="vocabulary: this model reads images, not texts"):
        ktlite.prune(learner, vocabulary="used")
