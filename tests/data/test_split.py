"""The split is scikit-learn's wherever that works, and works where scikit-learn's does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.model_selection import train_test_split

from ktlite.data.split import stratified_split
from ktlite.errors import DataError

RNG = np.random.default_rng(0)
STRINGS = RNG.choice(np.array(["neg", "pos", "so-so"], dtype=object), 97, p=[0.6, 0.3, 0.1])
INTEGERS = RNG.choice([3, 7, 40], 101)
MULTI_HOT = RNG.integers(0, 2, (60, 2))


def assert_partition(train: np.ndarray, val: np.ndarray, n: int) -> None:
    assert train.dtype == val.dtype == np.int64
    assert np.all(np.diff(train) > 0) and np.all(np.diff(val) > 0)
    assert sorted([*train, *val]) == list(range(n))


@pytest.mark.parametrize("labels", [STRINGS, INTEGERS, STRINGS.astype("U"), INTEGERS % 2 == 0])
@pytest.mark.parametrize("fraction", [0.1, 0.2, 0.33, 0.5])
@pytest.mark.parametrize("seed", [0, 42])
def test_partition_is_that_of_scikit_learn(labels: np.ndarray, fraction: float, seed: int) -> None:
    train, val = stratified_split(labels, fraction, seed)
    theirs = train_test_split(
        np.arange(len(labels)), test_size=fraction, stratify=labels, random_state=seed
    )
    assert_partition(train, val, len(labels))
    assert train.tolist() == sorted(theirs[0])
    assert val.tolist() == sorted(theirs[1])


def test_one_hot_rows_split_as_their_classes() -> None:
    one_hot = np.eye(3)[np.unique(INTEGERS, return_inverse=True)[1]]
    for ours, theirs in zip(
        stratified_split(one_hot, 0.2, 1), stratified_split(INTEGERS, 0.2, 1), strict=True
    ):
        assert ours.tolist() == theirs.tolist()


def test_multi_hot_rows_split_by_combination() -> None:
    train, val = stratified_split(MULTI_HOT, 0.25, 5)
    assert_partition(train, val, 60)
    for combination in ([0, 0], [0, 1], [1, 0], [1, 1]):
        total = (combination == MULTI_HOT).all(axis=1).sum()
        in_val = (combination == MULTI_HOT[val]).all(axis=1).sum()
        assert abs(in_val - 0.25 * total) < 1


def test_combinations_that_occur_once_are_one_class(caplog: pytest.LogCaptureFixture) -> None:
    rare = [[1, 0, 1], [0, 1, 1], [1, 1, 0], [1, 1, 1]]
    labels = np.array([[1, 0, 0]] * 8 + rare)
    train, val = stratified_split(labels, 0.5, 0)
    assert_partition(train, val, 12)
    assert (val >= 8).sum() == 2
    assert not caplog.records


@pytest.mark.parametrize(
    "labels", [RNG.normal(size=50), RNG.normal(size=(50, 3)), RNG.integers(0, 9, (50, 2))]
)
def test_regression_targets_split_at_random(labels: np.ndarray) -> None:
    train, val = stratified_split(labels, 0.2, 3)
    assert_partition(train, val, 50)
    assert val.tolist() == sorted(train_test_split(np.arange(50), test_size=0.2, random_state=3)[1])


def test_class_of_one_row_stays_in_training(caplog: pytest.LogCaptureFixture) -> None:
    labels = np.array(["a"] * 10 + ["once"] + ["b"] * 10, dtype=object)
    train, val = stratified_split(labels, 0.2, 0)
    assert_partition(train, val, 21)
    assert 10 in train
    assert sorted(labels[val]) == ["a", "a", "a", "b", "b"] or sorted(labels[val]) == [
        "a", "a", "b", "b", "b"
    ]  # fmt: skip
    (record,) = caplog.records
    assert record.getMessage() == (
        "validation split: 1 class with too few rows to be in both parts, only in training: "
        "once (1 row)."
    )


def test_more_classes_than_validation_rows(caplog: pytest.LogCaptureFixture) -> None:
    labels = np.repeat(np.arange(10), [5, 3, 3, 3, 3, 3, 3, 3, 3, 6])
    train, val = stratified_split(labels, 0.05, 0)
    assert_partition(train, val, 35)
    assert sorted(labels[val]) == [0, 9]  # the two largest
    (record,) = caplog.records
    assert "8 classes with too few rows" in record.getMessage()


def test_each_class_keeps_a_training_row() -> None:
    labels = np.repeat(np.arange(5), 2)
    train, val = stratified_split(labels, 0.9, 0)
    assert_partition(train, val, 10)
    assert sorted(labels[train]) == [0, 1, 2, 3, 4]


def test_seed_decides() -> None:
    first, again, other = (stratified_split(INTEGERS, 0.2, seed)[1] for seed in (1, 1, 2))
    assert first.tolist() == again.tolist() != other.tolist()


@pytest.mark.parametrize(
    ("labels", "fraction", "message"),
    [
        (["a", "b"], 0.0, "between 0 and 1, got 0.0"),
        (["a", "b"], 1.0, "between 0 and 1, got 1.0"),
        (["a"], 0.5, "at least 2 rows, got 1"),
        ([], 2, "2 problems"),
        (["a", "b", "c"], 0.5, "each class has only one row"),
    ],
)
def test_impossible_split_is_an_error(labels: Any, fraction: float, message: str) -> None:
    with pytest.raises(DataError, match=message):
        stratified_split(np.array(labels), fraction, 0)
