"""Predictors to explain: of every family and task, with heads as random as their other weights."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ktlite.predictor import Predictor
from ktlite.tasks import (
    Classification,
    MultiLabel,
    QuestionAnswering,
    Regression,
    Task,
    TokenClassification,
)
from ktlite.text import Transformer

TASKS: dict[str, Callable[[], Task]] = {
    "classification": lambda: Classification(["neg", "pos", "so-so"]),
    "multilabel": lambda: MultiLabel(["toxic", "threat"]),
    "regression": lambda: Regression(["stars", "price"], mean=[3.0, 100.0], scale=[1.0, 50.0]),
    "tagging": lambda: TokenClassification(["B-PER", "I-PER", "O"]),
    "question-answering": lambda: QuestionAnswering(threshold=None, stride=4),
}


@pytest.fixture(scope="session")
def predictor_of(golden: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """Makes the predictor of a task, of a family's tiny model. Kept: do not change."""
    made: dict[Any, Predictor] = {}

    def make(
        task: str = "classification",
        family: str = "bert-gelu",
        precision: str | None = None,
        **options: Any,
    ) -> Predictor:
        known = (task, family, precision, *options.items())
        if known not in made:
            folder = tmp_path_factory.mktemp(family)
            shutil.copytree(golden / "tiny-tokenizer", folder, dirs_exist_ok=True)
            for name in ("config.json", "model.safetensors"):
                shutil.copy(golden / family / name, folder)
            t = Transformer(folder, maxlen=24, task=TASKS[task](), **options)
            model = t.get_classifier(**({"precision": precision} if precision else {}))
            random = np.random.default_rng(5)
            for variable in (model.head.classifier.kernel, model.head.classifier.bias):
                variable.assign(random.normal(0, 0.5, variable.shape))
            made[known] = Predictor(model, t)
        return made[known]

    return make
