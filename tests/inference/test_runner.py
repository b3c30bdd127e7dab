"""A forward pass over many inputs: in their order, one trace, whatever the lengths."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from ktlite.encodings.encodings import Encodings
from ktlite.encodings.tokens import TokenEncodings
from ktlite.errors import ArgumentError
from ktlite.inference.runner import Forward, in_order
from ktlite.models import from_pretrained


class Sums:
    """Stands for a model: says what it was given, and counts how often it is traced."""

    def __init__(self) -> None:
        self.traces = 0
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, inputs: dict[str, Any], training: bool) -> Any:
        self.traces += 1
        assert training is False
        ids, mask = inputs["input_ids"], inputs["attention_mask"]
        types = inputs["token_type_ids"]
        totals = [keras.ops.sum(x * mask, axis=1) for x in (ids, keras.ops.ones_like(ids), types)]
        return keras.ops.cast(keras.ops.stack(totals, axis=1), "float32")


def random_encodings(lengths: list[int], seed: int = 0, limit: int = 40) -> Encodings:
    random = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype("int64")
    ids = random.integers(5, 97, offsets[-1]).astype("int32")
    types = random.integers(0, 2, offsets[-1]).astype("int8")
    return TokenEncodings(ids, offsets, types, max_length=limit)


def expected_sums(data: Encodings) -> np.ndarray:
    rows = [slice(a, b) for a, b in zip(data.offsets[:-1], data.offsets[1:], strict=True)]
    assert data.type_ids is not None
    return np.array([[data.ids[r].sum(), r.stop - r.start, data.type_ids[r].sum()] for r in rows])


LENGTHS = np.random.default_rng(3).integers(1, 41, 101).tolist()


@pytest.mark.parametrize("batch_size", [1, 7, 32, 101, 500])
def test_outputs_come_in_the_order_of_the_data(batch_size: int) -> None:
    data = random_encodings(LENGTHS)
    outputs = Forward(Sums()).over(data, batch_size=batch_size)
    assert outputs.dtype == np.float32
    assert outputs.tolist() == expected_sums(data).tolist()


def test_one_trace_serves_all_batch_sizes_and_lengths() -> None:
    model = Sums()
    forward = Forward(model)
    for length in range(1, 41):
        forward.over(random_encodings([length] * (length % 3 + 1)), batch_size=2)
    assert model.traces == 1


def test_inputs_of_other_names_get_a_trace_of_their_own() -> None:
    def total(inputs: dict[str, Any], training: bool) -> Any:
        return sum(keras.ops.sum(value, axis=1) for value in inputs.values())

    forward = Forward(total)
    ids = np.array([[1, 2]], "int32")
    assert forward({"input_ids": ids}).tolist() == [3]
    assert forward({"input_ids": ids, "other": ids}).tolist() == [6]
    assert forward({"input_ids": ids * 2}).tolist() == [6]


@pytest.mark.parametrize("batch_size", [1, 5, 32])
def test_batches_give_what_texts_give_one_by_one(tiny_checkpoint: Path, batch_size: int) -> None:
    forward = Forward(from_pretrained(tiny_checkpoint, "text-classification"))
    data = random_encodings(LENGTHS[:40])
    together = forward.over(data, batch_size=batch_size)
    assert together.shape == (40, 3)
    for row in range(40):
        alone = forward(data.batch(np.array([row])))
        np.testing.assert_allclose(together[row], alone[0], atol=1e-5)


def test_forward_follows_the_weights_of_its_model(tiny_checkpoint: Path) -> None:
    model = from_pretrained(tiny_checkpoint, "text-classification")
    forward, data = Forward(model), random_encodings([5, 9])
    before = forward.over(data, batch_size=2)
    model.head.classifier.bias.assign(model.head.classifier.bias + 1.0)
    np.testing.assert_allclose(forward.over(data, batch_size=2), before + 1.0, atol=1e-5)


def test_one_text_and_no_text() -> None:
    model = Sums()
    one = random_encodings([4])
    assert Forward(model).over(one, batch_size=32).tolist() == expected_sums(one).tolist()
    nothing = Forward(model).over(random_encodings([]), batch_size=32)
    assert nothing.shape == (0,)
    assert nothing.dtype == np.float32


def test_batch_size_that_is_no_size_is_refused() -> None:
    with pytest.raises(ArgumentError, match="batch_size=0"):
        Forward(Sums()).over(random_encodings([4]), batch_size=0)


@pytest.mark.parametrize(
    ("verbose", "count", "shown"), [(1, 21, True), (1, 20, False), (0, 21, False)]
)
def test_progress_bar_is_for_long_runs_only(
    verbose: int, count: int, shown: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    Forward(Sums()).over(random_encodings([2] * count), batch_size=1, verbose=verbose)
    assert ("Predicting" in capfd.readouterr().err) == shown


def test_many_predictors_in_a_process_are_no_reason_to_warn(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """TensorFlow warns of "excessive tracing" when one piece of code is traced again and again."""
    data = random_encodings([3, 5])
    for _ in range(8):
        Forward(Sums()).over(data, batch_size=2)
    assert "retracing" not in caplog.text


def test_batches_of_long_rows_are_smaller() -> None:
    lengths = np.array([10] * 40 + [512] * 20 + [300] * 3)
    seen: list[np.ndarray] = []

    def run(number: int, rows: np.ndarray) -> tuple[np.ndarray]:
        seen.append(lengths[rows])
        return (rows,)

    (kept,) = in_order(run, lengths, 32, what="Predicting")
    assert kept.tolist() == list(range(len(lengths)))
    assert max(len(rows) * rows.max() for rows in seen) == 32 * 128
    assert max(len(rows) for rows in seen) == 32
    in_order(run, np.array([512, 512]), 1, what="Predicting")
    assert [len(rows) for rows in seen[-2:]] == [1, 1]


def test_batches_that_run_at_the_same_time_come_in_the_order_of_the_rows() -> None:
    lengths = np.random.default_rng(1).integers(1, 41, 50)
    together = threading.Barrier(3, timeout=60)
    threads = set()

    def run(number: int, rows: np.ndarray) -> tuple[np.ndarray, None]:
        threads.add(threading.get_ident())
        if number < 3:
            together.wait()  # or they would not all be running
        return lengths[rows] * 10, None

    found, nothing = in_order(run, lengths, 4, what="Running", at_once=3)
    np.testing.assert_array_equal(found, lengths * 10)
    assert nothing is None
    assert len(threads) == 3


def test_a_single_batch_needs_no_thread() -> None:
    def run(number: int, rows: np.ndarray) -> tuple[np.ndarray]:
        return (np.full(len(rows), threading.get_ident()),)

    (found,) = in_order(run, np.full(3, 5), 4, what="Running", at_once=2)
    assert set(found) == {threading.get_ident()}


def test_a_batch_that_fails_ends_all() -> None:
    done = []

    def run(number: int, rows: np.ndarray) -> tuple[np.ndarray]:
        if number == 2:
            raise ValueError("batch 2")
        done.append(number)
        return (rows,)

    with pytest.raises(ValueError, match="batch 2"):
        in_order(run, np.full(10_000, 3), 1, what="Running", at_once=2)
    assert len(done) < 10_000
