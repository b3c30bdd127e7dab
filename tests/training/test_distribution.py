"""Several devices: what two of them do, and what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import sklearn.metrics
import tensorflow as tf

import ktlite
from ktlite.errors import ArgumentError, Problems
from ktlite.models import from_pretrained
from ktlite.training.distribution import (
    check_strategy,
    make_strategy,
    replicas_of,
    shares,
    strategy_of,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def still(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny checkpoint without dropout."""
    folder = tmp_path_factory.mktemp("still") / "bert"
    folder.mkdir()
    for file in tiny_checkpoint.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    config = json.loads((folder / "config.json").read_text())
    config.update(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def results(still: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `two_devices.py` writes."""
    file = tmp_path_factory.mktemp("results") / "results.json"
    script = Path(__file__).parent / "two_devices.py"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, script, still, file], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(file.read_text())
    assert found["replicas"] == 2
    return found


# Two devices


@pytest.mark.parametrize(
    "name", ["sweep", "val_loss", "val_accuracy", "proba", "matrix", "epochs", "frozen"]
)
def test_two_devices_follow_one(results: dict[str, Any], name: str) -> None:
    # The last batches are shared unevenly; the clipping norm is below that of the gradients.
    np.testing.assert_allclose(results["two"][name], results["one"][name], atol=1e-4)


def test_the_head_of_a_frozen_encoder_trains_alike(results: dict[str, Any]) -> None:
    one, two = results["kept"]
    for row, other in zip(one, two, strict=True):
        np.testing.assert_allclose(other, row, atol=1e-4)


@pytest.mark.parametrize(("name", "atol"), [("classes", 1e-5), ("tags", 1e-5), ("float16", 2e-3)])
def test_batches_of_one_step_on_two_devices_are_one_batch(
    results: dict[str, Any], name: str, atol: float
) -> None:
    whole, parts = (found[name] for found in results["accumulated"])
    np.testing.assert_allclose(parts, whole, atol=atol)


@pytest.mark.parametrize("name", ["masked words", "taught", "tags", "texts"])
def test_targets_that_count_weigh_the_same_on_all_devices(
    results: dict[str, Any], name: str
) -> None:
    one, two = (found[name] for found in results["counted"])
    assert len(one) > 10
    np.testing.assert_allclose(two, one, atol=1e-4)


@pytest.mark.parametrize("devices", ["one", "two"])
def test_figures_are_scikit_learns_on_raw_predictions(
    results: dict[str, Any], devices: str
) -> None:
    """With weighted classes, and a last batch that is not full."""
    found = results[devices]
    proba, truth = np.array(found["proba"]), found["truth"]
    accuracy = sklearn.metrics.accuracy_score(truth, proba.argmax(axis=1))
    assert found["val_accuracy"][-1] == pytest.approx(accuracy, abs=1e-6)
    loss = sklearn.metrics.log_loss(truth, proba / proba.sum(axis=1, keepdims=True))
    assert found["val_loss"][-1] == pytest.approx(loss, abs=1e-5)


@pytest.mark.parametrize("name", ["restored", "reset"])
def test_lr_find_and_reset_weights_put_the_model_back(results: dict[str, Any], name: str) -> None:
    assert results["two"][name] is True


@pytest.mark.parametrize("name", ["arrays", "stream", "steps"])
def test_a_keras_model_that_was_made_in_the_scope_trains_alike(
    results: dict[str, Any], name: str
) -> None:
    one, two = (found[name] for found in results["keras"])
    np.testing.assert_allclose(two, one, atol=1e-4)


def test_the_reported_loss_is_nearly_that_of_one_device(results: dict[str, Any]) -> None:
    # The batch that is filled up counts as a full one in the mean over the epoch.
    np.testing.assert_allclose(results["two"]["loss"], results["one"]["loss"], atol=3e-2)


def test_a_predictor_from_two_devices_loads_on_one(results: dict[str, Any]) -> None:
    assert results["two"]["reloaded"] <= 1e-6


def test_two_devices_run_programs_of_xla(results: dict[str, Any]) -> None:
    np.testing.assert_allclose(results["xla"], results["quick"], atol=1e-4)


def test_each_row_is_trained_on_once(results: dict[str, Any]) -> None:
    """11 rows in batches of 4: the last one has 3, and one more that weighs nothing."""
    counts = np.zeros(11)
    for x, y, weights in results["batches"]["train"]:
        assert x == y
        assert [len(part) for part in x] == [2, 2]
        rows, weights = np.ravel(x), np.ravel(weights)
        assert weights.sum() == pytest.approx(4)  # what Keras divides by
        assert set(np.round(weights, 3)) <= {0, 1, 1.333}
        counts[rows[weights > 0]] += 1
    assert counts.tolist() == [1] * 11


def test_each_row_is_validated_once(results: dict[str, Any]) -> None:
    """9 rows in batches of 4: the last one has nothing for the second device."""
    seen = [x for x, _ in results["batches"]["val"]]
    assert [[len(part) for part in x] for x in seen] == [[2, 2], [2, 2], [1, 0]]
    assert [row for x in seen for part in x for row in part] == list(range(9))


def test_devices_have_different_dropout(results: dict[str, Any]) -> None:
    masks = np.array(results["dropout"]) > 0  # [step, device, unit]
    for one, other in [(masks[0, 0], masks[0, 1]), (masks[0, 0], masks[1, 0])]:
        assert 0.2 < (one != other).mean() < 0.8


def test_float16_leaves_a_step_out_when_any_device_overflows(results: dict[str, Any]) -> None:
    step = results["scaled_step"]
    assert step["skipped"] == step["before"]
    assert step["scale"] == 4.0  # half of what it was
    np.testing.assert_allclose(np.subtract(step["before"], step["after"]), 0.1, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("batch_size", ["batch_size=7; expected a multiple of 2"]),
        (
            "keras",
            [
                "Adam(clipnorm) clips",
                "gradient_accumulation_steps on 2 devices",
                "compile(steps_per_execution=2) on 2 devices",
                "drop_remainder=True",
                "val_data has 1 row for 2",
            ],
        ),
    ],
)
def test_what_devices_cannot_share_is_refused(
    results: dict[str, Any], name: str, parts: list[str]
) -> None:
    for part in parts:
        assert part in results["refusals"][name]


# Which strategy


def test_shares_are_equal_or_longer_by_one_at_the_front() -> None:
    rows = np.arange(7)
    assert [rows[part].tolist() for part in shares(7, 3)] == [[0, 1, 2], [3, 4], [5, 6]]
    assert [rows[part].tolist() for part in shares(1, 2)] == [[0], []]


def test_no_strategy_is_none() -> None:
    assert make_strategy(None, None) is None


@pytest.mark.parametrize("name", ["CPU:0", "cpu:0", "/cpu:0", "/device:CPU:0"])
def test_devices_have_several_spellings(name: str) -> None:
    found = make_strategy(None, [name])
    assert isinstance(found, tf.distribute.MirroredStrategy)
    assert found is make_strategy("mirrored", None)  # one a process
    assert found.num_replicas_in_sync == 1


def test_a_strategy_is_taken_as_it_is() -> None:
    mine = tf.distribute.OneDeviceStrategy("CPU:0")
    assert make_strategy(mine, None) is mine


def test_a_model_knows_its_replicas(still: Path) -> None:
    model = from_pretrained(still)
    assert replicas_of(model) == 1
    assert strategy_of(model) is None


@pytest.mark.parametrize(
    ("strategy", "devices", "part"),
    [
        ("mirorred", None, "strategy='mirorred'; expected 'mirrored', 'multiworker' or a "),
        (2, None, "strategy=2; expected 'mirrored'"),
        ("multiworker", None, "TF_CONFIG does not tell of the workers"),
        (None, ["GPU:7"], "devices: GPU:7 not found; TensorFlow sees CPU:0"),
        (None, "GPU:0", "devices='GPU:0'; expected a list of names"),
        (None, 2, "devices=2; expected a list of names"),
        (None, [], "devices=[]; expected at least one, each once"),
        (None, ["CPU:0", "cpu:0"], "each once"),
        ("mirrored", ["CPU:0"], "devices=[...] is strategy='mirrored' over some devices"),
    ],
)
def test_what_cannot_work_is_refused_at_once(strategy: Any, devices: Any, part: str) -> None:
    problems = Problems("get_learner")
    check_strategy(problems, strategy, devices)
    (found,) = problems.found
    assert part in found


def test_a_strategy_that_keras_cannot_fit_with_is_refused_with_the_reason() -> None:
    # By name: the real one wants several machines.
    name = "ParameterServerStrategyV2"
    strategy = type(name, (tf.distribute.OneDeviceStrategy,), {})("CPU:0")
    problems = Problems("get_learner")
    check_strategy(problems, strategy, None)
    assert problems.found[0].startswith(f"strategy={name}: Keras 3 ")


def test_get_learner_names_all_that_is_wrong(still: Path) -> None:
    with pytest.raises(ArgumentError) as caught:
        ktlite.get_learner(
            still,
            (["a", "b"], ["x", "y"]),
            strategy="multiworker",
            precision="half",
            accumulate=0,
            xla="yes",
        )
    for part in ("strategy='multiworker'", "precision='half'", "accumulate=0", "xla='yes'"):
        assert part in str(caught.value)


def test_a_keras_model_brings_its_own_strategy() -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("adam", loss="mse")
    data = np.zeros((4, 2), "float32"), np.zeros((4, 1), "float32")
    with pytest.raises(ArgumentError, match="strategy goes with the name of a checkpoint"):
        ktlite.get_learner(model, data, strategy="mirrored")
