"""`find_batch_size`: what fits, found without a trace in the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ktlite
from ktlite.errors import ArgumentError, TrainingError
from ktlite.training.memory import PeakMemory

TEXTS = ["the film was great", "a bad film", "great great film was it", "bad"] * 3
LABELS = ["good", "bad", "good", "bad"] * 3


@pytest.fixture
def learner(tiny_checkpoint: Path) -> ktlite.Learner:
    return ktlite.get_learner(tiny_checkpoint, (TEXTS, LABELS), maxlen=16, batch_size=4, verbose=0)


def test_the_largest_size_that_was_asked_for_fits_a_tiny_model(
    learner: ktlite.Learner, caplog: pytest.LogCaptureFixture
) -> None:
    before = [np.array(v) for v in learner.model.variables]
    # The other tests' memory counts, and what is free changes.
    assert learner.find_batch_size(start=4, largest=10, memory=1e4) == 8
    for old, variable in zip(before, learner.model.variables, strict=True):
        np.testing.assert_array_equal(old, np.array(variable))
    assert "batch_size    8:" in caplog.text and "rows a second" in caplog.text
    learner.fit_onecycle(1e-3, 1, verbose=0)


@pytest.mark.parametrize(("limit", "found"), [(32, 16), (5, None)])
def test_running_out_of_memory_ends_the_search(
    learner: ktlite.Learner, monkeypatch: pytest.MonkeyPatch, limit: int, found: int | None
) -> None:
    import tensorflow as tf

    def fit(x: Any, **options: Any) -> None:
        inputs, _ = next(iter(x))
        if len(inputs["input_ids"]) >= limit:
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")
        whole(x=x, **options)

    whole = learner.model.fit
    monkeypatch.setattr(learner.model, "fit", fit)
    if found is None:
        with pytest.raises(ArgumentError, match="a batch of 8 rows of 8 tokens does not fit"):
            learner.find_batch_size(8, 64, memory=1e4)
    else:
        assert learner.find_batch_size(8, 64, memory=1e4) == found


def test_it_stops_before_memory_runs_out(learner: ktlite.Learner) -> None:
    taken = PeakMemory()
    if not taken.read():
        pytest.skip("this system does not tell how much memory a process takes")
    with pytest.raises(ArgumentError, match="memory=0; expected"):
        learner.find_batch_size(memory=0)
    assert learner.find_batch_size(4, 64, memory=taken.read() / 2e9) == 4


def test_peak_memory_sees_what_has_been_freed() -> None:
    peak = PeakMemory()
    if not peak.read():
        pytest.skip("this system does not tell how much memory a process takes")
    with peak:
        before = peak.read()
        np.ones(50_000_000, "uint8").sum()
    assert peak.read() - before > 40e6


def test_arguments_and_data_that_cannot_work_are_named_at_once(learner: ktlite.Learner) -> None:
    with pytest.raises(ArgumentError, match="start=0.*\n.*largest='many'"):
        learner.find_batch_size(start=0, largest="many")
    import tensorflow as tf

    batches = tf.data.Dataset.from_tensors((np.zeros((4, 2)), np.zeros(4)))
    streamed = ktlite.get_learner(learner.model, batches)
    with pytest.raises(ArgumentError, match="comes in batches of its own"):
        streamed.find_batch_size()


def test_a_fit_without_memory_says_what_to_lower(
    learner: ktlite.Learner, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tensorflow as tf

    def step(iterator: Any) -> None:
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    model = learner.model
    monkeypatch.setattr(
        model, "make_train_function", lambda: setattr(model, "train_function", step)
    )
    with pytest.raises(TrainingError, match="up to 4 rows of 8 tokens.*batch_size=2") as error:
        learner.fit_onecycle(1e-3, 1, verbose=0)
    assert "accumulate=2" in str(error.value)
    assert isinstance(error.value.__cause__, tf.errors.ResourceExhaustedError)


def test_rows_of_one_size(
    tiny_vit: Path, class_folders: Path, caplog: pytest.LogCaptureFixture
) -> None:
    learner = ktlite.get_learner(
        tiny_vit, class_folders / "train", class_folders / "valid", batch_size=4, verbose=0
    )
    assert learner.find_batch_size(start=4, largest=10, memory=1e4) == 8
    assert "batch_size    8:" in caplog.text and "(rows of" not in caplog.text
