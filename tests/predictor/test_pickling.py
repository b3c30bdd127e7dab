"""Predictors, and what holds them, go through pickle, joblib and copy as saved folders."""

from __future__ import annotations

import copy
import dataclasses
import io
import pickle
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest

import ktlite
from ktlite.errors import ArgumentError, PredictorError
from ktlite.inference.runner import Forward

TEXTS = ["the film was great", "a bad film", "great great", "it was bad"] * 2
LABELS = ["good", "bad", "good", "bad"] * 2


def through_joblib(value: Any) -> Any:
    buffer = io.BytesIO()
    joblib.dump(value, buffer)
    buffer.seek(0)
    return joblib.load(buffer)


def through_cloudpickle(value: Any) -> Any:
    cloudpickle = pytest.importorskip("cloudpickle")
    return pickle.loads(cloudpickle.dumps(value))


WAYS: dict[str, Callable[[Any], Any]] = {
    "pickle": lambda it: pickle.loads(pickle.dumps(it)),
    "first protocol": lambda it: pickle.loads(pickle.dumps(it, protocol=2)),
    "joblib": through_joblib,
    "cloudpickle": through_cloudpickle,
    "deepcopy": copy.deepcopy,
}


@pytest.fixture(scope="module")
def learner(tiny_checkpoint: Path) -> ktlite.Learner:
    val = ([f"{text} and not bad" for text in TEXTS], LABELS)
    options = {"maxlen": 16, "batch_size": 4, "verbose": 0}
    learner = ktlite.get_learner(tiny_checkpoint, (TEXTS, LABELS), val, **options)
    learner.fit(1e-3, 1, verbose=0)
    learner.calibrate()
    return learner


@pytest.mark.parametrize("way", WAYS)
def test_a_predictor_comes_back_with_all_that_decides_its_answers(
    learner: ktlite.Learner, way: str
) -> None:
    predictor = learner.get_predictor()
    predictor.batch_size = 3
    again = WAYS[way](predictor)
    assert type(again) is ktlite.Predictor
    assert again.batch_size == 3
    assert again.model is not predictor.model
    np.testing.assert_allclose(again.logits(TEXTS), predictor.logits(TEXTS), atol=1e-5)
    np.testing.assert_allclose(
        again.predict_proba(TEXTS), predictor.predict_proba(TEXTS), atol=1e-5
    )
    assert again.preproc.task.get_config() == predictor.preproc.task.get_config()
    # Calibrated: the sets, and a temperature that is not 1.
    assert again.predict(TEXTS, coverage=0.8) == predictor.predict(TEXTS, coverage=0.8)
    assert again.preproc.task.calibration.temperature != 1.0
    assert again.card == predictor.card


@pytest.mark.parametrize("name", ["multilabel", "regression", "pairs"])
def test_predictors_of_every_task_come_back(tiny_predictors: Path, name: str) -> None:
    predictor = ktlite.load_predictor(tiny_predictors / name, cache=7)
    texts = [("good", "bad")] if name == "pairs" else TEXTS
    predictor.predict(texts)
    again = pickle.loads(pickle.dumps(predictor))
    np.testing.assert_allclose(again.logits(texts), predictor.logits(texts), atol=1e-5)
    assert again._cache.size == 7


def test_what_a_cache_holds_stays(tiny_predictors: Path) -> None:
    predictor = ktlite.load_predictor(tiny_predictors / "classification", cache=7)
    predictor.predict(TEXTS)
    assert len(predictor._cache) == 4
    assert len(copy.deepcopy(predictor)._cache) == 0


def test_thresholds_of_labels_come_back(tiny_predictors: Path) -> None:
    predictor = ktlite.load_predictor(tiny_predictors / "multilabel")
    task = predictor.preproc.task
    task.thresholds = np.full(len(predictor.get_classes()), 0.123)
    again = copy.deepcopy(predictor)
    assert again.preproc.task.get_config() == task.get_config()
    assert "0.123" in str(again.preproc.task.get_config())


def test_half_precision_comes_back(tiny_checkpoint: Path) -> None:
    data = (TEXTS, LABELS)
    trained = ktlite.get_learner(tiny_checkpoint, data, precision="bfloat16", maxlen=16, verbose=0)
    predictor = trained.get_predictor()
    again = copy.deepcopy(predictor)
    assert again.model.dtype_policy.name == "mixed_bfloat16"
    np.testing.assert_allclose(again.logits(TEXTS), predictor.logits(TEXTS), atol=2e-2)


def test_a_shallow_copy_shares_the_model_and_a_deep_one_does_not(tiny_predictors: Path) -> None:
    predictor = ktlite.load_predictor(tiny_predictors / "classification")
    shallow, deep = copy.copy(predictor), copy.deepcopy(predictor)
    before = predictor.logits(TEXTS)
    assert shallow.model is predictor.model
    shallow.batch_size = 1
    assert predictor.batch_size != 1
    for variable in predictor.model.trainable_variables:
        variable.assign(variable + 0.1)
    assert np.abs(predictor.logits(TEXTS) - before).max() > 1e-3
    np.testing.assert_allclose(shallow.logits(TEXTS), predictor.logits(TEXTS), atol=1e-5)
    np.testing.assert_allclose(deep.logits(TEXTS), before, atol=1e-5)


class Own(ktlite.Predictor):
    """A user's own class."""

    def shout(self, text: str) -> str:
        return str(self.predict(text)).upper()


def test_a_class_of_the_users_own_comes_back(learner: ktlite.Learner) -> None:
    own = Own(learner.model, learner.preproc)
    assert copy.deepcopy(own).shout("great") == own.shout("great")


@pytest.mark.parametrize("format", ["onnx", "litert", "saved_model"])
def test_exports_come_back_twice(learner: ktlite.Learner, tmp_path: Path, format: str) -> None:
    if format != "saved_model":
        pytest.importorskip({"onnx": "onnxruntime", "litert": "ai_edge_litert"}[format])
    learner.get_predictor().export(tmp_path / "x", format)
    predictor = ktlite.load_predictor(tmp_path / "x", 5, runtime=format)
    expected = predictor.predict_proba(TEXTS)
    task = predictor.preproc.task  # calibrated anew, since it was written
    task.calibration = dataclasses.replace(task.calibration, temperature=3.0)
    changed = predictor.predict_proba(TEXTS)
    assert np.abs(changed - expected).max() > 1e-4
    data = pickle.dumps(predictor)
    shutil.rmtree(tmp_path / "x")
    once = pickle.loads(data)
    twice = copy.deepcopy(once)
    del once  # with the folder that it was loaded from
    np.testing.assert_allclose(twice.predict_proba(TEXTS), changed, atol=1e-5)
    assert twice.batch_size == 5
    with pytest.raises(PredictorError, match="they are gone, or others"):
        pickle.dumps(predictor)


def test_copies_are_made_while_threads_predict(tiny_predictors: Path) -> None:
    predictor = ktlite.load_predictor(tiny_predictors / "classification", cache=2)
    expected = predictor.predict_proba(TEXTS)
    with ThreadPoolExecutor(3) as pool:
        answers = [pool.submit(predictor.predict_proba, TEXTS) for _ in range(20)]
        copies = list(pool.map(lambda _: copy.deepcopy(predictor), range(3)))
    for answer in answers:
        np.testing.assert_allclose(answer.result(), expected, atol=1e-5)
    for made in copies:
        np.testing.assert_allclose(made.predict_proba(TEXTS), expected, atol=1e-5)


def test_applications_that_hold_predictors_come_back(tiny_checkpoint: Path) -> None:
    few = ktlite.FewShotClassifier(tiny_checkpoint, 12).fit(TEXTS, LABELS, verbose=0)
    again = copy.deepcopy(few)
    np.testing.assert_allclose(again.predict_proba(TEXTS), few.predict_proba(TEXTS), atol=1e-5)
    search = ktlite.SemanticSearch(few.embedder)
    search.add(TEXTS[:4], verbose=0)
    found = pickle.loads(pickle.dumps(search)).search("great", k=2)
    assert [hit.number for hit in found] == [hit.number for hit in search.search("great", k=2)]


def test_what_has_no_folder_is_refused(learner: ktlite.Learner) -> None:
    for copied in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(ArgumentError, match=r"save_model.*get_predictor\(\).save"):
            copied(learner)
        with pytest.raises(ArgumentError, match="pickle or copy the predictor"):
            copied(Forward(learner.model))
