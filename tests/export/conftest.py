"""What the export tests share: one predictor or model of each kind, as small as can be."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ktlite import text
from ktlite.data.preprocessor import Preprocessor
from ktlite.models import from_pretrained
from ktlite.predictor import Predictor
from ktlite.tasks import (
    Classification,
    MultiLabel,
    QuestionAnswering,
    Regression,
    Similarity,
    Task,
    TokenClassification,
)

TASKS: dict[str, Task] = {
    "classification": Classification(["neg", "so-so", "pos"]),
    "several labels": MultiLabel(["toxic", "threat"]),
    "regression": Regression(["stars", "price"], mean=[3, 20], scale=[1.5, 8]),
    "tags of words": TokenClassification(["O", "B-PER", "I-PER"]),
    "answers": QuestionAnswering(threshold=0.5),
    "similarity": Similarity("cosine"),
}


@pytest.fixture(scope="session")
def checkpoint_of(golden: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Returns the folder of a family's tiny checkpoint, with a tokenizer. Do not write there."""
    top = tmp_path_factory.mktemp("families")

    def checkpoint(family: str) -> Path:
        if not (top / family).is_dir():
            shutil.copytree(golden / "tiny-tokenizer", top / family)
            for name in ("config.json", "model.safetensors"):
                shutil.copy(golden / family / name, top / family)
        return top / family

    return checkpoint


def loud(model: Any) -> Any:
    """Gives the last layer large weights: trained ones are larger than new ones."""
    random = np.random.default_rng(5)
    layer = getattr(model.head, "classifier", None)
    for weight in layer.weights if layer is not None else ():
        weight.assign(random.normal(0, 0.5, weight.shape))
    return model


@pytest.fixture(scope="session")
def predictor_of(checkpoint_of: Callable[[str], Path]) -> Callable[..., Predictor]:
    """Makes a predictor for a task, by its name in `TASKS`, of a family."""

    def predictor(task: str, family: str = "bert-gelu", **options: Any) -> Predictor:
        folder, made = checkpoint_of(family), TASKS[task]
        model = from_pretrained(folder, made.head, num_labels=made.outputs or None, **options)
        return Predictor(loud(model), Preprocessor(folder, 24, made))

    return predictor


@pytest.fixture(scope="session")
def baseline_of() -> Callable[..., Predictor]:
    """Makes a predictor that starts from scratch, by its name in `text_classifiers()`."""

    def predictor(name: str, ngram_range: int = 1) -> Predictor:
        texts, labels = ["a good film", "a bad film"] * 4, ["pos", "neg"] * 4
        train, _, preproc = text.texts_from_array(
            texts, labels, texts, labels, maxlen=24, ngram_range=ngram_range, verbose=0
        )
        return Predictor(loud_baseline(text.text_classifier(name, train, verbose=0)), preproc)

    return predictor


def loud_baseline(model: Any) -> Any:
    random = np.random.default_rng(5)
    for weight in model.trainable_weights:
        weight.assign(random.normal(0, 0.5, weight.shape))
    return model
