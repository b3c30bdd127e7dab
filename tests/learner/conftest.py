"""What the tests of the learner share: small data, a small Keras model, a tiny text learner."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest

import ktlite
from ktlite.learner import Learner
from ktlite.training.optimizers import AdamW

CLASSES = ("ham", "spam", "toast")


class Arrays(NamedTuple):
    """Three classes that a small model can tell apart; 22 rows: the last batch of 8 has 6."""

    x: np.ndarray
    y: np.ndarray
    x_val: np.ndarray
    y_val: np.ndarray


@pytest.fixture(scope="session")
def arrays() -> Arrays:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(32, 4)).astype("float32"), rng.integers(0, 3, 32).astype("int32")
    x[np.arange(32), y] += 2
    return Arrays(x[:22], y[:22], x[22:], y[22:])


@pytest.fixture(scope="session")
def small_model() -> Callable[..., Any]:
    """Makes a compiled model, 4 inputs to 3 logits; always with the same weights.

    It runs eagerly. Tests of what must happen in the graph pass `run_eagerly=False`.
    """

    def make(optimizer: Any = None, *, dropout: float = 0.0, **compile_options: Any) -> Any:
        def dense(units: int, seed: int, **options: Any) -> Any:
            initializer = keras.initializers.GlorotUniform(seed)
            return keras.layers.Dense(units, kernel_initializer=initializer, **options)

        model = keras.Sequential(
            [
                keras.Input((4,)),
                dense(6, 1, activation="tanh", name="hidden"),
                *([keras.layers.Dropout(dropout, seed=2)] if dropout else []),
                dense(3, 3, name="logits"),
            ]
        )
        options = {
            "loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            "metrics": ["accuracy"],
            "run_eagerly": True,  # a few steps are over before a graph is traced
            **compile_options,
        }
        model.compile(AdamW() if optimizer is None else optimizer, **options)
        return model

    return make


@pytest.fixture(scope="session")
def small_learner(arrays: Arrays, small_model: Callable[..., Any]) -> Callable[..., Learner]:
    """Makes a learner of the small model and the arrays; batches of 8: three an epoch."""

    def make(
        optimizer: Any = None,
        *,
        val: bool = True,
        batch_size: int = 8,
        seed: int = 42,
        **model: Any,
    ) -> Learner:
        return ktlite.get_learner(
            small_model(optimizer, **model),
            (arrays.x, arrays.y),
            (arrays.x_val, arrays.y_val) if val else None,
            batch_size=batch_size,
            eval_batch_size=4,
            seed=seed,
        )

    return make


@pytest.fixture(scope="session")
def texts() -> tuple[list[str], list[str]]:
    """40 texts, each from the letters of its class."""
    rng = random.Random(0)
    letters = {"ham": "abc", "spam": "mno", "toast": "xyz"}
    labels = [CLASSES[i % 3] for i in range(40)]
    texts = [" ".join(rng.choices(letters[c], k=rng.randint(2, 12))) for c in labels]
    return texts, labels


@pytest.fixture(scope="session")
def still_checkpoint(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny checkpoint without dropout, so that its training loss can be computed."""
    folder = tmp_path_factory.mktemp("still") / "bert"
    shutil.copytree(tiny_checkpoint, folder)
    config = json.loads((folder / "config.json").read_text())
    config.update(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="session")
def text_learner(still_checkpoint: Path, texts: tuple[list[str], list[str]]) -> Learner:
    """A learner of texts, untrained, without dropout. To be read only."""
    return ktlite.get_learner(
        still_checkpoint, texts, maxlen=24, batch_size=8, val_pct=0.3, verbose=0
    )
