"""Batches: each row once, like lengths together, few shapes, exact padding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ktlite.encodings.encodings import Encodings
from ktlite.encodings.plan import padded_length, plan_batches
from ktlite.encodings.tokens import TokenEncodings
from ktlite.errors import ArgumentError

# Three texts of 3, 1 and 5 tokens; the last one ends where the flat array ends.
IDS = np.array([11, 12, 13, 21, 31, 32, 33, 34, 35], "int32")
OFFSETS = np.array([0, 3, 4, 9])
TYPES = np.array([0, 1, 1, 0, 0, 0, 1, 1, 1], "int8")


def encodings(**changes: Any) -> Encodings:
    return TokenEncodings(
        **{"ids": IDS, "offsets": OFFSETS, "type_ids": TYPES, "max_length": 5} | changes
    )


def skewed_lengths(count: int, seed: int = 0) -> np.ndarray:
    """Lengths as texts have them: most short, some long, none over 512."""
    random = np.random.default_rng(seed)
    return np.clip(random.lognormal(4.0, 0.8, count), 3, 512).astype("int64")


def waste(lengths: np.ndarray, batches: list[np.ndarray]) -> float:
    """Returns the share of padding among all positions that are computed."""
    computed = sum(len(rows) * padded_length(int(lengths[rows].max()), 512) for rows in batches)
    return 1 - lengths.sum() / computed


# Padding


def test_encodings_know_their_size_and_lengths() -> None:
    assert len(encodings()) == 3
    assert encodings().lengths.tolist() == [3, 1, 5]


def test_batch_is_padded_to_its_longest_text_in_the_order_asked_for() -> None:
    batch = encodings(max_length=8, pad_id=7).batch(np.array([1, 0]))
    assert batch["input_ids"].tolist() == [[21, 7, 7, 7], [11, 12, 13, 7]]
    assert batch["attention_mask"].tolist() == [[1, 0, 0, 0], [1, 1, 1, 0]]
    assert batch["token_type_ids"].tolist() == [[0, 0, 0, 0], [0, 1, 1, 0]]
    assert {array.dtype for array in batch.values()} == {np.dtype("int32")}


def test_text_at_the_end_of_the_flat_array_is_padded_like_any_other() -> None:
    batch = encodings(max_length=8, pad_id=7).batch(np.array([2]))
    assert batch["input_ids"].tolist() == [[31, 32, 33, 34, 35, 7]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1, 1, 0]]
    assert batch["token_type_ids"].tolist() == [[0, 0, 1, 1, 1, 0]]


def test_padding_never_goes_past_the_maximum_length() -> None:
    assert encodings(max_length=5).batch(np.array([2]))["input_ids"].shape == (1, 5)


def test_encodings_without_types_have_zeros_for_them() -> None:
    types = encodings(type_ids=None).batch(np.array([0, 2]))["token_type_ids"]
    assert types.tolist() == [[0] * 5, [0] * 5]
    assert types.dtype == np.int32


def test_row_may_be_asked_for_twice() -> None:
    ids = encodings().batch(np.array([1, 1]))["input_ids"]
    assert ids.tolist() == [[21, 0], [21, 0]]


def test_random_texts_come_back_from_their_padding() -> None:
    random = np.random.default_rng(1)
    lengths = random.integers(1, 60, 200)
    texts = [random.integers(1, 99, n).astype("int32") for n in lengths]
    flat = TokenEncodings(
        np.concatenate(texts), np.concatenate([[0], np.cumsum(lengths)]), None, max_length=60
    )
    for rows in plan_batches(flat.lengths, 16, seed=(0, 0)):
        batch = flat.batch(rows)
        for row, ids, mask in zip(rows, batch["input_ids"], batch["attention_mask"], strict=True):
            assert ids[mask == 1].tolist() == texts[row].tolist()
            assert not ids[mask == 0].any()


# Lengths


@pytest.mark.parametrize("limit", [4, 40, 100, 128, 400, 512, 8192])
def test_padded_length_is_near_and_within_the_limit(limit: int) -> None:
    for length in range(1, limit + 1):
        padded = padded_length(length, limit)
        assert length <= padded <= limit
        assert padded <= max(length * 1.125, length + 1)


@pytest.mark.parametrize(("limit", "most"), [(128, 32), (512, 49), (8192, 80)])
def test_padded_lengths_are_few(limit: int, most: int) -> None:
    shapes = {padded_length(length, limit) for length in range(1, limit + 1)}
    assert len(shapes) <= most
    assert limit in shapes


def test_padded_length_grows_with_the_length() -> None:
    padded = [padded_length(length, 512) for length in range(1, 513)]
    assert padded == sorted(padded)


@pytest.mark.parametrize(
    ("length", "limit", "expected"),
    [(1, 512, 2), (31, 512, 32), (33, 512, 36), (65, 512, 72), (129, 512, 144), (127, 127, 127)],
)
def test_padded_length_steps_double_with_the_power_of_two(
    length: int, limit: int, expected: int
) -> None:
    assert padded_length(length, limit) == expected


# Plans

SIZES = [(1, 1), (1, 32), (31, 32), (32, 32), (33, 32), (1000, 7), (3333, 16), (5000, 64)]


@pytest.mark.parametrize(("count", "batch_size"), SIZES)
@pytest.mark.parametrize("seed", [None, (42, 0), (42, 1), (7, 3)])
def test_each_row_is_in_one_batch_and_one_batch_at_most_is_partial(
    count: int, batch_size: int, seed: tuple[int, int] | None
) -> None:
    batches = plan_batches(skewed_lengths(count), batch_size, seed=seed)
    assert sorted(np.concatenate(batches)) == list(range(count))
    sizes = [len(rows) for rows in batches]
    assert len(sizes) == -(-count // batch_size)
    assert all(0 < size <= batch_size for size in sizes)
    assert sum(size < batch_size for size in sizes) == (count % batch_size > 0)


def test_no_rows_make_no_batches() -> None:
    assert plan_batches(np.zeros(0, "int64"), 8) == []
    assert plan_batches(np.zeros(0, "int64"), 8, seed=(1, 2)) == []


def as_lists(batches: list[np.ndarray]) -> list[list[int]]:
    return [rows.tolist() for rows in batches]


def test_shuffle_depends_on_the_seed_and_the_epoch_and_on_nothing_else() -> None:
    lengths = skewed_lengths(1000)
    plan = as_lists(plan_batches(lengths, 16, seed=(42, 0)))
    np.random.seed(123)
    assert as_lists(plan_batches(lengths, 16, seed=(42, 0))) == plan
    for other in [(42, 1), (43, 0), (0, 42)]:
        assert as_lists(plan_batches(lengths, 16, seed=other)) != plan


def test_planning_leaves_numpys_global_random_state_alone() -> None:
    np.random.seed(5)
    expected = np.random.random()
    np.random.seed(5)
    plan_batches(skewed_lengths(100), 16, seed=(42, 0))
    assert np.random.random() == expected


def test_texts_of_one_length_are_shuffled_across_batches() -> None:
    batches = plan_batches(np.full(640, 9), 64, seed=(42, 0))
    for rows in batches:
        assert np.ptp(rows) > 300  # neighbours in the file are not neighbours in a batch


def test_shuffled_batches_do_not_come_by_length() -> None:
    lengths = skewed_lengths(3200)
    longest = [lengths[rows].max() for rows in plan_batches(lengths, 32, seed=(42, 0))]
    assert abs(np.corrcoef(longest, np.arange(len(longest)))[0, 1]) < 0.3


@pytest.mark.parametrize("count", [2_000, 20_000])
def test_shuffled_batches_waste_little_where_random_ones_waste_most(count: int) -> None:
    lengths = skewed_lengths(count)
    order = np.random.default_rng(0).permutation(count)
    naive = [order[i : i + 32] for i in range(0, count, 32)]
    assert waste(lengths, naive) > 0.6
    assert waste(lengths, plan_batches(lengths, 32, seed=(42, 0))) < 0.15
    assert waste(lengths, plan_batches(lengths, 32)) < 0.1


def test_without_a_seed_batches_go_from_long_to_short() -> None:
    lengths = skewed_lengths(500)
    assert np.all(np.diff(lengths[np.concatenate(plan_batches(lengths, 16))]) <= 0)


def test_rows_of_one_length_keep_their_order_without_a_seed() -> None:
    assert as_lists(plan_batches(np.full(5, 9), 2)) == [[0, 1], [2, 3], [4]]


@pytest.mark.parametrize("batch_size", [0, -1, 2.0, "8", None])
@pytest.mark.parametrize("count", [0, 3])
def test_batch_size_that_is_no_size_is_refused(batch_size: Any, count: int) -> None:
    with pytest.raises(ArgumentError, match=r"batch_size=.*expected a whole number > 0"):
        plan_batches(np.full(count, 9), batch_size)


# Batches by tokens


def tokens(lengths: np.ndarray, rows: np.ndarray) -> int:
    """Returns the tokens of a batch, padding counted."""
    return len(rows) * padded_length(int(lengths[rows].max()), 10_000)


@pytest.mark.parametrize("seed", [None, (42, 0), (42, 1)])
@pytest.mark.parametrize(("batch_size", "max_tokens"), [(32, 512), (32, 4096), (512, 4096)])
def test_no_batch_has_more_tokens_or_texts_than_allowed(
    batch_size: int, max_tokens: int, seed: tuple[int, int] | None
) -> None:
    lengths = skewed_lengths(3000)
    batches = plan_batches(lengths, batch_size, max_tokens=max_tokens, seed=seed)
    assert sorted(np.concatenate(batches)) == list(range(3000))
    assert max(len(rows) for rows in batches) <= batch_size
    assert max(tokens(lengths, rows) for rows in batches) <= max_tokens


def test_every_epoch_has_as_many_batches() -> None:
    lengths = skewed_lengths(3000)
    counts = {len(plan_batches(lengths, 32, max_tokens=2048, seed=(42, e))) for e in range(5)}
    assert len(counts) == 1


def test_shapes_are_hardly_more_than_lengths() -> None:
    lengths = skewed_lengths(20_000)
    batches = plan_batches(lengths, 512, max_tokens=4096, seed=(42, 0))
    shapes = {(len(rows), padded_length(int(lengths[rows].max()), 10_000)) for rows in batches}
    widths = {width for _, width in shapes}
    assert len(shapes) <= 1.2 * len(widths)


def test_a_text_that_no_batch_can_hold_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"batch_tokens=64: the longest text needs 72 tokens"):
        plan_batches(np.array([3, 70]), 32, max_tokens=64)


@pytest.mark.parametrize("picked", [[3, 0], [1], [0, 1, 2, 3], [2, 2]])
@pytest.mark.parametrize("windows", [False, True])
def test_some_texts_of_encodings_are_padded_as_they_were(picked: list[int], windows: bool) -> None:
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 9, 7 if windows else 4)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    example_of = np.array([0, 0, 1, 2, 2, 2, 3]) if windows else None
    ids = rng.integers(1, 99, offsets[-1]).astype("int32")
    whole = TokenEncodings(ids, offsets, None, 16, words=ids + 1, example_of=example_of)
    some = whole.take(np.array(picked))
    rows = [
        r for text in picked for r in range(7) if example_of is not None and example_of[r] == text
    ]
    rows = rows if windows else picked
    assert len(some) == len(rows)
    np.testing.assert_array_equal(some.lengths, whole.lengths[rows])
    for name, expected in whole.batch(np.array(rows)).items():
        np.testing.assert_array_equal(some.batch(np.arange(len(rows)))[name], expected)
    for i, row in enumerate(rows):
        np.testing.assert_array_equal(some.words_in(i), whole.words_in(row))
        if example_of is not None:
            assert picked[some.example(i)] == example_of[row]
    again = some.take(np.array([len(picked) - 1]))
    first = next(i for i in range(len(rows)) if some.example(i) == len(picked) - 1)
    np.testing.assert_array_equal(again.words_in(0), some.words_in(first))
