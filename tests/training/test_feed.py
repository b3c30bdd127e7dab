"""Batches for `Model.fit`: every row once an epoch, the same batch for the same step."""

from __future__ import annotations

import itertools
from typing import Any

import keras
import numpy as np
import pytest

from ktlite.errors import ArgumentError, DataError
from ktlite.tasks.losses import IGNORE
from ktlite.training.distribution import shares
from ktlite.training.feed import ArrayData, Feed, _evened, as_feed
from ktlite.training.stream import Stream


def arrays(rows: int = 10) -> ArrayData:
    return ArrayData(np.arange(rows, dtype="float32")[:, None], np.arange(rows))


def seen(dataset: Any, batches: int) -> list[list[int]]:
    return [batch[1].numpy().tolist() for batch in itertools.islice(dataset, batches)]


def test_an_epoch_visits_every_row_once_and_the_next_in_another_order() -> None:
    feed = Feed(arrays(), batch_size=4, seed=1)
    batches = seen(feed.training(0, feed.steps), 2 * feed.steps)
    first, second = (sum(batches[i : i + 3], []) for i in (0, 3))
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second


def test_inputs_and_targets_stay_together() -> None:
    feed = Feed(arrays(), batch_size=4, seed=1)
    for x, y in itertools.islice(feed.training(0, feed.steps), 6):
        np.testing.assert_array_equal(x.numpy()[:, 0], y.numpy())


def test_a_run_that_starts_at_a_later_epoch_sees_that_epochs_batches() -> None:
    whole = seen(Feed(arrays(), 4, seed=1).training(0, 3), 9)
    later = seen(Feed(arrays(), 4, seed=1).training(2, 3), 3)
    assert later == whole[6:]


def test_the_seed_determines_the_order() -> None:
    one, same, other = (seen(Feed(arrays(50), 4, seed=s).training(0, 13), 13) for s in (1, 1, 2))
    assert one == same
    assert one != other


def test_validation_repeats_all_rows() -> None:
    feed = Feed(arrays(), batch_size=4, seed=1)
    batches = seen(feed.validation(), 6)
    assert sorted(sum(batches[:3], [])) == list(range(10))
    assert batches[:3] == batches[3:]


def test_class_weights_multiply_sample_weights() -> None:
    data = ArrayData(np.zeros((3, 1)), np.array([0, 1, 1]), np.array([1.0, 1.0, 3.0]))
    dataset = Feed(data, 3, seed=0).training(0, 1, {0: 1.0, 1: 2.0})
    _, targets, weights = next(iter(dataset))
    by_target = sorted(zip(targets.numpy().tolist(), weights.numpy().tolist(), strict=True))
    assert by_target == [(0, 1.0), (1, 2.0), (1, 6.0)]


def test_a_row_may_have_a_weight_for_each_of_its_targets() -> None:
    targets, weights = np.zeros((4, 5, 1), "float32"), np.arange(20.0).reshape(4, 5)
    feed = Feed(ArrayData(np.zeros((4, 5, 3)), targets, weights), 4, seed=0)
    for dataset in (feed.training(0, 1), feed.validation()):
        _, _, found = next(iter(dataset))
        np.testing.assert_array_equal(np.sort(found.numpy().ravel()), np.arange(20))
        assert found.shape == (4, 5, 1)


@pytest.mark.parametrize(
    "x",
    [np.zeros((4, 2)), [np.zeros((4, 2)), np.ones((4, 3))], {"a": np.zeros(4), "b": np.ones(4)}],
    ids=["array", "list", "dict"],
)
def test_inputs_keep_their_structure(x: Any) -> None:
    batch, _ = next(iter(Feed(ArrayData(x, np.arange(4)), 4, seed=0).training(0, 1)))
    given = tuple(x) if isinstance(x, list) else x
    keras.tree.assert_same_structure(batch, given)


@pytest.mark.parametrize(
    ("x", "y"), [(np.zeros((4, 2)), np.zeros(3)), (np.zeros((0, 2)), np.zeros(0))]
)
def test_arrays_of_different_length_or_none_at_all_are_refused(x: Any, y: Any) -> None:
    with pytest.raises(DataError, match="one length, and not empty"):
        ArrayData(x, y)


def test_arrays_have_no_tokens_to_count() -> None:
    with pytest.raises(ArgumentError, match="batch_tokens=64: train_data is of type tuple"):
        as_feed((np.zeros((4, 2)), np.zeros(4)), 32, 0, "train_data", batch_tokens=64)


def test_other_kinds_of_data_are_refused_by_name() -> None:
    with pytest.raises(ArgumentError, match="val_data is of type str.*preprocess_train"):
        as_feed("reviews.csv", 32, 0, "val_data")


def test_streams_know_their_length_where_it_can_be_known() -> None:
    import tensorflow as tf

    dataset = tf.data.Dataset.from_tensor_slices((np.zeros((5, 1)), np.arange(5))).batch(2)
    assert Stream(dataset).steps == 3
    assert Stream(dataset.filter(lambda x, y: True)).steps is None
    assert Stream(dataset.repeat()).steps is None


def test_autotune_is_off_so_that_a_fit_does_not_wait_for_its_thread() -> None:
    feed = Feed(arrays(), 4, seed=0)
    assert feed.training(0, feed.steps).options().autotune.enabled is False
    assert feed.validation().options().autotune.enabled is False


@pytest.mark.parametrize(
    ("targets", "counted", "expected"),
    [
        # Four rows: three, and one that fills the batch up.
        ([0, 1, 2, 0], False, [4 / 3, 4 / 3, 4 / 3, 0]),
        ([0, IGNORE, 2, 0], False, [4 / 3, 4 / 3, 4 / 3, 0]),
        # Of 5 targets that count, the first device has 3; of the second's 4, 2 are a filler's.
        ([[1, IGNORE], [1, 2], [1, 2], [1, 2]], True, [6 / 5, 6 / 5, 8 / 5, 0]),
        ([[IGNORE, IGNORE]] * 4, True, [0, 0, 0, 0]),
    ],
)
@pytest.mark.parametrize("axes", [1, 2])
def test_weights_make_the_mean_of_devices_that_of_the_batch(
    targets: list[Any], counted: bool, expected: list[float], axes: int
) -> None:
    weights = np.array([1, 2, 1, 5], "float32").reshape(-1, *[1] * (axes - 1))
    found = _evened(np.array(targets), weights, 3, shares(4, 2), counted)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, weights * np.reshape(expected, weights.shape), rtol=1e-6)
