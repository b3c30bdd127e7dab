"""Every family goes through the whole workflow: texts in, training, predictor out and back."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import ktlite

TEXTS = ["a b c", "x y z", "a c", "z z y"] * 5
FAMILIES = ["albert", "deberta", "distilbert", "electra", "modernbert", "mpnet", "roberta"]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_trains_and_its_predictor_comes_back(
    family: str, golden: Path, tmp_path: Path
) -> None:
    checkpoint = tmp_path / family
    shutil.copytree(golden / "tiny-tokenizer", checkpoint)
    for name in ("config.json", "model.safetensors"):
        shutil.copy(golden / family / name, checkpoint)
    learner = ktlite.get_learner(
        checkpoint, (TEXTS, ["ham", "spam"] * 10), maxlen=16, batch_size=8, verbose=0
    )
    before = [np.array(weight) for weight in learner.model.get_weights()]
    learner.fit_onecycle(1e-2, 2, verbose=0)
    frozen = [
        weight.path
        for weight, old in zip(learner.model.weights, before, strict=True)
        if np.array_equal(weight.numpy(), old)
    ]
    assert frozen == []  # every variable trains
    predictor = learner.get_predictor()
    predictor.save(tmp_path / "predictor")
    loaded = ktlite.load_predictor(tmp_path / "predictor")
    np.testing.assert_allclose(
        loaded.predict_proba(TEXTS[:4]), predictor.predict_proba(TEXTS[:4]), atol=1e-6
    )
