"""Prediction on several devices: the same answers in the same order, from all of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ktlite.errors import ArgumentError
from ktlite.predictor import loading

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def results(
    tiny_predictors: Path, tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """What `two_devices.py` writes."""
    file = tmp_path_factory.mktemp("results") / "results.json"
    script = Path(__file__).parent / "two_devices.py"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, script, tiny_predictors / "classification", tiny_checkpoint, file],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(file.read_text())
    return found


@pytest.mark.parametrize("name", ["predict", "predict_stream"])
def test_two_devices_predict_what_one_does(results: dict[str, Any], name: str) -> None:
    assert results["two"][name] == results["one"][name]


@pytest.mark.parametrize("name", ["predict_proba", "embed", "one text"])
def test_the_numbers_of_two_devices_are_those_of_one(results: dict[str, Any], name: str) -> None:
    np.testing.assert_allclose(results["two"][name], results["one"][name], atol=1e-6)
    np.testing.assert_array_equal(results["two"][name], results["again"][name])


@pytest.mark.parametrize(("name", "numbers"), [("computed", "01"), ("computed on the second", "1")])
def test_each_device_computes_with_its_own_weights(
    results: dict[str, Any], name: str, numbers: str
) -> None:
    places = {f"/job:localhost/replica:0/task:0/device:CPU:{i}" for i in numbers}
    assert results[name] == {place: [place] for place in places}


def test_a_learner_validates_and_encodes_on_its_devices(results: dict[str, Any]) -> None:
    (matrix, numbers), (other_matrix, other_numbers) = results["validated"]
    assert other_matrix == matrix
    np.testing.assert_allclose(other_numbers, numbers, atol=1e-6)


def test_what_fails_on_a_device_is_raised(results: dict[str, Any]) -> None:
    assert "division" in results["failure"]


def test_a_device_that_is_not_there_is_named(results: dict[str, Any]) -> None:
    assert "GPU:7 not found; TensorFlow sees CPU:0, CPU:1" in results["refusal"]


def test_devices_are_for_what_keras_runs() -> None:
    with pytest.raises(ArgumentError, match=r"devices=\['CPU:0'\] are for predictors that Keras"):
        loading._made_for(["CPU:0"], "onnx")
