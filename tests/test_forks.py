"""A process that was forked after TensorFlow has computed says so, and does not wait for ever."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ktlite
from ktlite.sklearn import TextClassifier

TEXTS = ["the film was great", "a bad film", "great great", "it was bad"] * 2
LABELS = ["good", "bad", "good", "bad"] * 2
SECONDS = 60

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


def in_fork(run: Callable[[], Any]) -> str:
    """Returns what a function returns in a forked process, or what it raises, as text."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of Python 3.12, for good reasons
        child = os.fork()
    if child == 0:
        try:
            said = str(run())
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    answered, _, _ = select.select([reading], [], [], SECONDS)
    if not answered:
        os.kill(child, signal.SIGKILL)
    said = os.read(reading, 100_000).decode() if answered else f"nothing in {SECONDS} s"
    os.close(reading)
    os.waitpid(child, 0)
    return said


@pytest.fixture(scope="module")
def learner(tiny_checkpoint: Path) -> ktlite.Learner:
    data = (TEXTS, LABELS)
    learner = ktlite.get_learner(tiny_checkpoint, data, data, maxlen=16, batch_size=4, verbose=0)
    learner.fit(1e-3, 1, verbose=0)
    return learner


def test_a_forked_process_says_that_it_cannot_compute(
    learner: ktlite.Learner, tiny_checkpoint: Path, tiny_predictors: Path, tmp_path: Path
) -> None:
    predictor = learner.get_predictor()
    search = ktlite.SemanticSearch(predictor)
    search.add(TEXTS[:2], verbose=0)
    estimator = TextClassifier(tiny_checkpoint, epochs=1, maxlen=12).fit(TEXTS, LABELS)
    saved = tiny_predictors / "classification"
    data = (TEXTS, LABELS)
    for name, run in {
        "predict": lambda: predictor.predict("great"),
        "embed": lambda: predictor.embed("great"),
        "explain": lambda: predictor.explain("great film"),
        "save": lambda: predictor.save(tmp_path / "p"),
        "export": lambda: predictor.export(tmp_path / "x", "onnx"),
        "search": lambda: search.search("great"),
        "estimator": lambda: estimator.predict(["great"]),
        "fit an estimator": lambda: estimator.fit(TEXTS, LABELS),
        "fit": lambda: learner.fit(1e-3, 1, verbose=0),
        "lr_find": lambda: learner.lr_find(verbose=0),
        "validate": lambda: learner.validate(verbose=0),
        "load": lambda: ktlite.load_predictor(saved),
        "load a model": lambda: ktlite.load_model(tiny_checkpoint, num_labels=2),
        "baseline": lambda: ktlite.text.text_classifier("fasttext", *standard(tiny_checkpoint)),
        "learner": lambda: ktlite.get_learner(tiny_checkpoint, data, maxlen=16, verbose=0),
    }.items():
        said = in_fork(run)
        assert said.startswith("ProcessError: "), (name, said)
        for advice in (str(os.getpid()), "in each worker", "spawn", "onnx", "litert"):
            assert advice in said, (name, said)
    assert predictor.predict("great") in ("good", "bad")  # here all is as it was


def standard(checkpoint: Path) -> Any:
    """Returns training data and a preprocessor for a baseline."""
    train, _, preproc = ktlite.text.texts_from_array(
        TEXTS, LABELS, preprocess_mode="standard", verbose=0
    )
    return train, preproc


@pytest.mark.parametrize("runtime", ["onnx", "litert"])
def test_exports_answer_in_a_forked_process(
    learner: ktlite.Learner, tmp_path: Path, runtime: str
) -> None:
    pytest.importorskip({"onnx": "onnxruntime", "litert": "ai_edge_litert"}[runtime])
    learner.get_predictor().export(tmp_path / "x", runtime)
    exported = ktlite.load_predictor(tmp_path / "x")
    long = [" ".join(TEXTS)] * 40
    expected = exported.predict_proba(long)  # so that all threads have been at work
    said = in_fork(lambda: exported.predict_proba(long).tolist())
    np.testing.assert_allclose(np.array(eval(said)), expected, atol=1e-6)


def test_a_process_that_was_forked_before_anything_was_computed_computes(
    tiny_predictors: Path,
) -> None:
    script = f"""
import os, ktlite, keras
child = os.fork()
if child == 0:
    predictor = ktlite.load_predictor({str(tiny_predictors / "classification")!r})
    print("answer", predictor.predict("good"), flush=True)
    os._exit(0)
os.waitpid(child, 0)
predictor = ktlite.load_predictor({str(tiny_predictors / "classification")!r})
print("answer", predictor.predict("good"), flush=True)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=False
    )
    answers = [line for line in done.stdout.splitlines() if line.startswith("answer")]
    assert len(answers) == 2 and len(set(answers)) == 1, done.stderr
