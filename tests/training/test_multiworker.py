"""Several machines: what two worker processes do, and how a run outlives one of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from ktlite.errors import ArgumentError, Problems
from ktlite.training.distribution import check_strategy, make_strategy
from ktlite.training.feed import ArrayData, Feed
from ktlite.training.workers import agreed, is_first, warn_if_alone

ROOT = Path(__file__).parents[2]


def launch(what: str, still: Path, checkpoint: Path, folder: Path) -> Any:
    words = [Path(__file__).parent / "two_workers.py", what, still, checkpoint, folder]
    return subprocess.run(
        [sys.executable, "-m", "ktlite.cli", "launch", "--workers", "2", *map(str, words)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=600,
    )


@pytest.fixture(scope="module")
def checkpoints(
    tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """The tiny checkpoint without dropout, and with it."""
    folder = tmp_path_factory.mktemp("checkpoints")
    config = json.loads((tiny_checkpoint / "config.json").read_text())
    for name, rate in (("still", 0.0), ("loose", 0.1)):
        (folder / name).mkdir()
        for file in tiny_checkpoint.iterdir():
            (folder / name / file.name).write_bytes(file.read_bytes())
        config.update(hidden_dropout_prob=rate, attention_probs_dropout_prob=rate)
        (folder / name / "config.json").write_text(json.dumps(config))
    return folder / "still", folder / "loose"


@pytest.fixture(scope="module")
def killed(
    checkpoints: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Any]:
    """The folder of a run whose second worker was killed inside the second epoch, and its end."""
    folder = tmp_path_factory.mktemp("results")
    done = launch("die", *checkpoints, folder)
    assert (folder / "run" / "step-000005").is_dir()
    return folder, done


@pytest.fixture(scope="module")
def results(checkpoints: tuple[Path, Path], killed: tuple[Path, Any]) -> list[dict[str, Any]]:
    """What both workers write after `train`."""
    folder = killed[0]
    done = launch("train", *checkpoints, folder)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads((folder / f"train-{i}.json").read_text()) for i in range(2)]


@pytest.mark.parametrize(
    "name", ["sweep", "val_loss", "val_accuracy", "proba", "epochs", "frozen", "matrix"]
)
def test_two_workers_follow_one_device(results: list[dict[str, Any]], name: str) -> None:
    # The last batches are shared unevenly; the clipping norm is below that of the gradients.
    first, second = (found["workers"][name] for found in results)
    np.testing.assert_allclose(first, results[0]["alone"][name], atol=1e-4)
    assert first == second


def test_the_reported_loss_is_nearly_that_of_one_device(results: list[dict[str, Any]]) -> None:
    # The batch that is filled up counts as a full one in the mean over the epoch.
    np.testing.assert_allclose(
        results[0]["workers"]["loss"], results[0]["alone"]["loss"], atol=3e-2
    )


def test_lr_find_puts_the_model_back(results: list[dict[str, Any]]) -> None:
    assert [found["workers"]["restored"] for found in results] == [True, True]


def test_a_signal_that_one_worker_gets_stops_all_after_the_same_step(
    results: list[dict[str, Any]],
) -> None:
    for found in results:
        assert found["interrupted"]["steps"] == 5
        assert found["interrupted"]["at the end"] == 4
    assert results[0]["interrupted"]["kept"] == [4, 5]


def test_what_the_first_worker_writes_all_can_read_then(results: list[dict[str, Any]]) -> None:
    assert results[0]["shared"]["kept"] == [8, 12]
    assert results[0]["shared"] == results[1]["shared"]


def test_the_first_worker_alone_saves(results: list[dict[str, Any]]) -> None:
    assert [found["saved"] for found in results] == [["model", "predictor"], []]


def test_a_worker_that_fails_tells_the_others_at_once(results: list[dict[str, Any]]) -> None:
    """Also where it goes on after its error."""
    first, second = (found["failed"] for found in results)
    assert second == "the disk of worker 1 is full"
    assert "another worker has gone" in first
    assert second in first


def test_batches_of_one_step_on_two_workers_are_one_batch(results: list[dict[str, Any]]) -> None:
    for found in results:
        np.testing.assert_allclose(found["accumulated"], results[0]["whole"], atol=1e-6)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("folder", "which all must share, is here no"),
        ("data", "train_data is here 8 rows"),
        ("sweep", "train_data is here 8 rows"),
        ("rate", "schedule is here Constant(lr=0.00"),
        ("saved", "two_workers.py"),
        ("batch_size", "batch_size=7; expected a multiple of 2"),
        ("fit_within", "several workers train this model: each has a clock of its own"),
        ("find_batch_size", "several workers train this model: each has a memory of its own"),
        ("stream", "comes in batches of its own, which several workers cannot cut"),
    ],
)
def test_what_workers_cannot_do_is_refused(
    results: list[dict[str, Any]], name: str, part: str
) -> None:
    for found in results:
        assert part in found["refusals"][name]


def test_a_run_whose_worker_was_killed_ends_with_a_word(killed: tuple[Path, Any]) -> None:
    folder, done = killed
    assert done.returncode == 1
    assert "ktlite: worker 1 of 2 was ended by SIGKILL" in done.stderr
    assert "resume=True" in done.stderr.splitlines()[-1]
    assert not (folder / "die-0.json").exists()


def test_a_run_whose_worker_was_killed_goes_on_as_if_it_had_not_been(
    results: list[dict[str, Any]],
) -> None:
    """With dropout, which differs between the workers; in other processes."""
    for found in results:
        expected, resumed = found["dropout"], found["resumed"]
        np.testing.assert_allclose(resumed["proba"], expected["proba"], atol=1e-5)
        assert resumed["history"].keys() == expected["history"].keys()
        for name, values in expected["history"].items():
            np.testing.assert_allclose(resumed["history"][name], values, atol=1e-5)


@pytest.mark.parametrize(
    ("config", "part"),
    [
        ("", "TF_CONFIG does not tell of the workers"),
        ('{"cluster": {"ps": ["a:1"]}}', "TF_CONFIG does not tell of the workers"),
        ('{"cluster": {"worker": ["a:1"]}}', "and which of them this is"),
        ("{", "TF_CONFIG cannot be read"),
        ("[]", "TF_CONFIG cannot be read"),
    ],
)
def test_a_process_without_a_cluster_is_told_how_to_start(
    monkeypatch: pytest.MonkeyPatch, config: str, part: str
) -> None:
    monkeypatch.setenv("TF_CONFIG", config)
    problems = Problems("get_learner")
    check_strategy(problems, "multiworker", None)
    (found,) = problems.found
    assert part in found
    assert "ktlite launch --workers 2 script.py" in found


def test_tensorflow_must_not_have_been_used_before(monkeypatch: pytest.MonkeyPatch) -> None:
    config = {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))
    tf.constant(1)
    with pytest.raises(ArgumentError, match="Make the learner before anything else"):
        make_strategy("multiworker", None)


def test_a_process_that_trains_alone_among_workers_is_warned(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TF_CONFIG", '{"cluster": {"chief": ["a:1"], "worker": ["b:1"]}}')
    warn_if_alone.cache_clear()
    assert make_strategy(None, None) is None
    assert make_strategy(None, None) is None
    (record,) = caplog.records
    assert "TF_CONFIG tells of 2 workers" in record.message


def test_each_row_goes_to_one_device_of_one_worker() -> None:
    """Two workers of two devices; 10 rows in batches of 8, so the last one has 2 devices idle."""

    class Strategy:
        num_replicas_in_sync = 4

        def distribute_datasets_from_function(self, of_worker: Any) -> list[Any]:
            return [
                of_worker(SimpleNamespace(num_input_pipelines=2, input_pipeline_id=i))
                for i in range(2)
            ]

    feed = Feed(ArrayData(np.arange(10), np.arange(10)), 8, seed=0)
    workers = feed.training(0, feed.steps, None, Strategy())
    seen = [
        [(np.array(x), np.array(weights)) for x, _, weights in data.take(2 * feed.steps)]
        for data in workers
    ]
    plan = [rows.tolist() for rows in feed.plan(0)]
    for step, rows in enumerate(plan):
        parts = [x for worker in seen for x, _ in worker[2 * step : 2 * step + 2]]
        assert len({len(part) for part in parts}) == 1
        assert np.concatenate(parts).tolist()[: len(rows)] == rows
    counted = [x[weights > 0] for worker in seen for x, weights in worker]
    assert sorted(np.concatenate(counted)) == list(range(10))


def test_a_model_of_one_process_is_its_own_worker() -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    assert is_first(model)
    assert agreed(model, 15) == 15
