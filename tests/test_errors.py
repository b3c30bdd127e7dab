"""Messages: the nearest name, short lists, plurals, and every problem of a call at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from ktlite import errors
from ktlite.errors import (
    ArgumentError,
    DataError,
    KtliteError,
    Problems,
    did_you_mean,
    listing,
    plural,
)


@pytest.mark.parametrize(
    ("name", "known", "expected"),
    [
        ("txt", ["text", "label"], " Did you mean 'text'?"),
        ("TEXT", ["text", "label"], " Did you mean 'text'?"),
        ("lable", ["Text", "Label"], " Did you mean 'Label'?"),
        (12, [1, 2, 120], " Did you mean '120'?"),
        ("zzz", ["text", "label"], ""),
        ("txt", [], ""),
    ],
)
def test_did_you_mean_gives_the_nearest_known_name(
    name: object, known: list[Any], expected: str
) -> None:
    assert did_you_mean(name, known) == expected


@pytest.mark.parametrize(
    ("items", "limit", "expected"),
    [
        ([], 10, ""),
        (["a"], 10, "a"),
        ([1, 2, 3], 3, "1, 2, 3"),
        ([1, 2, 3, 4], 3, "1, 2, 3, ... (4 in all)"),
        ((c for c in "ab"), 1, "a, ... (2 in all)"),
    ],
)
def test_listing_shows_at_most_its_limit(items: Any, limit: int, expected: str) -> None:
    assert listing(items, limit) == expected


@pytest.mark.parametrize(
    ("count", "expected"), [(0, "0 rows"), (1, "1 row"), (2, "2 rows"), (1204, "1,204 rows")]
)
def test_plural_agrees_with_the_count(count: int, expected: str) -> None:
    assert plural(count, "row") == expected


def test_plural_is_spelled_right() -> None:
    nouns = ("epoch", "patch", "batch", "image")
    assert [plural(2, noun) for noun in nouns] == ["2 epochs", "2 patches", "2 batches", "2 images"]
    assert plural(1, "patch") == "1 patch"


def test_every_error_is_a_ktlite_error_and_a_value_error() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    kinds = [kind for kind in kinds if issubclass(kind, Exception)]
    assert len(kinds) == 8
    assert all(issubclass(kind, KtliteError) and issubclass(kind, ValueError) for kind in kinds)


def test_problems_raise_nothing_when_there_are_none() -> None:
    problems = Problems("fit")
    problems.add_unless(True, "never shown")
    problems.choice("mode", "a", ["a", "b"])
    problems.unknown([], ["lr"])
    problems.raise_if_any()


def test_one_problem_is_one_line() -> None:
    problems = Problems("fit", DataError)
    problems.add_unless(False, "lr must be positive, got -1.")
    with pytest.raises(DataError) as caught:
        problems.raise_if_any()
    assert str(caught.value) == "fit: lr must be positive, got -1."


def test_all_problems_are_raised_together() -> None:
    problems = Problems("fit")
    problems.add("lr must be positive, got -1.")
    problems.choice("mode", "trian", ["train", "test"])
    problems.unknown(["epoch", "zzz"], ["lr", "epochs"])
    with pytest.raises(ArgumentError) as caught:
        problems.raise_if_any()
    assert str(caught.value).splitlines() == [
        "fit: 4 problems",
        "  - lr must be positive, got -1.",
        "  - mode='trian' is not known; expected one of 'train', 'test'. Did you mean 'train'?",
        "  - unknown argument 'epoch'. Did you mean 'epochs'?",
        "  - unknown argument 'zzz'.",
    ]


@pytest.mark.parametrize("value", [None, 3, ["train"], {"train": 1}])
def test_choice_takes_values_of_any_type(value: Any) -> None:
    known: Sequence[str] = ("train", "test")
    problems = Problems("fit")
    problems.choice("mode", value, known)
    assert problems.found[0].startswith(f"mode={value!r} is not known; expected one of 'train'")
