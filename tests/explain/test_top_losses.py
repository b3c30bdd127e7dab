"""The worst examples, with the words that moved their predictions."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

import ktlite
from ktlite.errors import ArgumentError

TEXTS = ["good film", "bad movie", "a great film, very good", "not good"] * 4


def test_the_worst_texts_are_explained(
    tiny_checkpoint: Path, caplog: pytest.LogCaptureFixture
) -> None:
    learner = ktlite.get_learner(
        tiny_checkpoint, (TEXTS, ["pos", "neg"] * 8), maxlen=16, batch_size=8, verbose=0
    )
    assert learner.view_top_losses(2) is None
    worst = learner.top_losses(2)
    with caplog.at_level(logging.INFO, "ktlite"):
        found = learner.view_top_losses(2, explain=True)
    assert [explanation.prediction for explanation in found] == [row[3] for row in worst]
    for explanation in found:
        assert "integrated-gradients" in caplog.text and explanation.words[0] in caplog.text
        assert f"{explanation.scores[0]:+.4f}" in caplog.text


def test_arrays_have_no_words_to_explain() -> None:
    import keras

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    data = (np.zeros((8, 3), "float32"), np.zeros(8, "int32"))
    learner = ktlite.get_learner(model, train_data=data, val_data=data)
    with pytest.raises(ArgumentError, match="explain=True needs texts, images"):
        learner.view_top_losses(1, explain=True)
