"""What earlier versions saved opens, and answers as it did (golden/make_saved.py)."""

from __future__ import annotations

import json
import runpy
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest

import ktlite

GOLDEN = Path(__file__).parent / "golden"
make_saved: Any = SimpleNamespace(**runpy.run_path(str(GOLDEN / "make_saved.py")))

SAVED = sorted((GOLDEN / "saved").iterdir())
PREDICTORS = [
    pytest.param(folder, id=f"{version.name}-{folder.name}")
    for version in SAVED
    for folder in sorted((version / "predictors").iterdir())
    if folder.is_dir()
]
versions = pytest.mark.parametrize("version", SAVED, ids=lambda version: version.name)


def expected(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def examples(asked: list[Any]) -> list[Any]:
    """JSON has lists for tuples."""
    return [tuple(one) if isinstance(one, list) else one for one in asked]


def assert_same(found: Any, stored: list[Any], atol: float = 1e-4) -> None:
    assert len(found) == len(stored)
    for one, answer in zip(found, stored, strict=True):
        if isinstance(answer, str):
            assert one == answer
        else:
            np.testing.assert_allclose(np.asarray(one), answer, rtol=0, atol=atol)


@pytest.mark.parametrize("folder", PREDICTORS)
def test_predictors(folder: Path) -> None:
    stored = expected(folder.with_suffix(".json"))
    predictor = ktlite.load_predictor(folder)
    assert_same(getattr(predictor, stored["how"])(examples(stored["asked"])), stored["answers"])


@versions
def test_exports(version: Path) -> None:
    stored = expected(version / "predictors" / "classification.json")
    predictor = ktlite.load_predictor(version / "onnx")
    assert_same(predictor.predict_proba(stored["asked"]), stored["answers"])


@pytest.fixture
def start(two_blocks: Path, tmp_path: Path) -> Path:
    folder: Path = shutil.copytree(two_blocks, tmp_path / "bert-gelu")
    return folder


@versions
def test_runs_go_on(version: Path, start: Path, tmp_path: Path) -> None:
    stored = expected(version / "run.json")
    shutil.copytree(version / "run", tmp_path / "run")
    steps: list[int] = []
    seen = keras.callbacks.LambdaCallback(on_train_batch_end=lambda step, logs: steps.append(step))
    learner = make_saved.training(start, tmp_path / "run", seen, resume=True)
    assert steps == [1, 2]  # of the second epoch
    history = learner.history.history
    for name, values in stored["history"].items():
        np.testing.assert_allclose(history[name], values, rtol=0, atol=1e-3, err_msg=name)
    answers = learner.get_predictor().predict_proba(stored["asked"])
    assert_same(answers, stored["answers"], atol=5e-3)


@versions
def test_adapters(version: Path, start: Path) -> None:
    stored = expected(version / "adapters.json")
    task, adapters = "text-classification", version / "adapters"
    model = ktlite.load_model(start, task, num_labels=2, adapters=adapters)
    preproc = ktlite.load_predictor(version / "predictors" / "classification").preproc
    inputs = preproc.tokenizer.encode(stored["asked"]).batch(np.arange(len(stored["asked"])))
    logits = np.asarray(model(inputs))
    found = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    assert_same(found, stored["answers"])
