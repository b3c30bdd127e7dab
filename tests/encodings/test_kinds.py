"""What holds for every kind of encodings: each is a row here."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from ktlite.encodings.encodings import Encodings
from ktlite.encodings.field import Field, mismatches
from ktlite.encodings.grouped import GroupedEncodings
from ktlite.encodings.joined import JoinedEncodings
from ktlite.encodings.signals import SignalEncodings
from ktlite.encodings.targets import (
    ContinuedEncodings,
    PromptEncodings,
    SourceEncodings,
    TargetEncodings,
)
from ktlite.encodings.tokens import TokenEncodings
from ktlite.encodings.varied import VariedEncodings
from ktlite.encodings.vectors import VectorEncodings
from ktlite.errors import ArgumentError
from ktlite.inputs.image_processor import ImageProcessor
from ktlite.inputs.images import Images

ROOMS = ("ktlite.encodings", "ktlite.inputs.images", "ktlite.inputs.image_encodings")
LENGTHS = np.array([3, 7, 1, 5, 2, 6])


def tokens(lengths: np.ndarray = LENGTHS, **more: object) -> TokenEncodings:
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return TokenEncodings(np.arange(1, offsets[-1] + 1, dtype="int32"), offsets, None, 8, **more)  # type: ignore[arg-type]


def held(made: TokenEncodings) -> dict[str, object]:
    return {field.name: getattr(made, field.name) for field in dataclasses.fields(TokenEncodings)}


def grouped() -> GroupedEncodings:
    lengths = np.array([3, 2, 7, 1, 1, 1, 5, 6])
    made = tokens(lengths)
    return GroupedEncodings(made.ids, made.offsets, None, 8, size=2)


def signals() -> SignalEncodings:
    random = np.random.default_rng(0)
    return SignalEncodings(
        [random.standard_normal((n, 2)).astype("float32") for n in LENGTHS], "values", 8
    )


def vectors() -> VectorEncodings:
    made = VectorEncodings(LENGTHS, 4, 8)
    made.vectors[:] = np.random.default_rng(0).standard_normal(made.vectors.shape)
    return made


def images() -> Encodings:
    random = np.random.default_rng(0)
    items = [random.integers(0, 256, (8, 9 + n, 3)).astype("uint8") for n in range(6)]
    return Images(ImageProcessor((8, 8), (8, 8))).encode(items)


def prompts(kind: type[PromptEncodings]) -> PromptEncodings:
    given = held(tokens())
    counted = np.arange(len(given["ids"])) % 2 == 1
    end = np.array([9], "int32")
    return kind(**given, decode=str, settled=str, counted=counted, end=end)


class Halves:
    """An augmentation that changes every other example."""

    def drawn(self, random: np.random.Generator) -> bool | None:
        return True if random.integers(2) else None

    def __repr__(self) -> str:
        return "Halves()"


def varied() -> VariedEncodings:
    whole = tokens()

    def again(numbers: np.ndarray, changes: Sequence[bool | None]) -> TokenEncodings:
        made = whole.take(numbers)
        ids = made.ids.copy()
        for row, change in enumerate(changes):
            if change:
                ids[made.offsets[row] : made.offsets[row + 1]] += 100
        return dataclasses.replace(made, ids=ids)

    return VariedEncodings(whole, Halves(), again)


KINDS: dict[str, Callable[[], Encodings]] = {
    "tokens": tokens,
    "windows": lambda: tokens(example_of=np.array([0, 0, 1, 2, 2, 2])),
    "grouped": grouped,
    "signals": signals,
    "vectors": vectors,
    "images": images,
    "targets": lambda: TargetEncodings(**held(tokens()), start_id=99),
    "sources": lambda: SourceEncodings(**held(tokens()), decode=str, settled=str),
    "prompts": lambda: prompts(PromptEncodings),
    "continued": lambda: prompts(ContinuedEncodings),
    "varied": varied,
    "joined": lambda: JoinedEncodings({"": images(), "decoder_": tokens()}),
}


@pytest.fixture(params=KINDS)
def made(request: pytest.FixtureRequest) -> Encodings:
    return KINDS[request.param]()


def examples(made: Encodings) -> int:
    return len(made) if made.example_of is None else int(made.example_of.max()) + 1


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    """Compares two batches, which may be padded to different lengths."""
    assert one.keys() == other.keys()
    for name, array in one.items():
        common = tuple(
            slice(0, min(a, b)) for a, b in zip(array.shape, other[name].shape, strict=True)
        )
        np.testing.assert_array_equal(array[common], other[name][common])


def test_fields_say_what_a_batch_holds(made: Encodings) -> None:
    batch = made.batch(np.arange(len(made)))
    assert {field.name for field in made.fields} == set(batch)
    for field in made.fields:
        array = batch[field.name]
        assert str(array.dtype) == field.dtype
        assert array.ndim == len(field.shape) + 1
        fixed = [(a, b) for a, b in zip(array.shape[1:], field.shape, strict=True) if b is not None]
        assert all(a == b for a, b in fixed)
    assert bool(made.lengths.any()) == any(field.is_ragged for field in made.fields)


def test_a_batch_is_its_rows_one_by_one(made: Encodings) -> None:
    order = np.array([len(made) - 1, 0, 1])
    batch = made.batch(order)
    for place, row in enumerate(order):
        same({n: a[place : place + 1] for n, a in batch.items()}, made.batch(np.array([row])))


def test_padding_is_what_the_field_says(made: Encodings) -> None:
    batch = made.batch(np.arange(len(made)))
    if "attention_mask" not in batch:
        return
    for field in made.fields:
        array = batch[field.name]
        mask = batch["attention_mask"] == 0
        if array.shape[: mask.ndim] == mask.shape:
            assert (array[mask] == field.fill).all()


def test_takes_examples_in_any_order(made: Encodings) -> None:
    picked = np.array([examples(made) - 1, 0])
    taken = made.take(picked)
    rows = [row for example in picked for row in range(len(made)) if made.example(row) == example]
    assert len(taken) == len(rows)
    assert taken.lengths.tolist() == made.lengths[rows].tolist()
    same(taken.batch(np.arange(len(taken))), made.batch(np.array(rows)))
    if made.example_of is not None:
        assert [taken.example(row) for row in range(len(taken))] == [
            picked.tolist().index(made.example(row)) for row in rows
        ]


def test_content_tells_rows_apart(made: Encodings) -> None:
    first, again, other = (made.content(np.array([row])) for row in (0, 0, 1))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert any(not np.array_equal(first[name], other[name]) for name in first)


def test_what_a_model_reads_is_compared_with_what_data_gives() -> None:
    ids, mask = Field("input_ids", "int32", (None,)), Field("attention_mask", "int32", (None,))
    pixels = Field("pixel_values", "float32", (224, 224, 3))
    assert mismatches([ids, mask], tokens().fields) == []
    assert mismatches([ids], grouped().fields) == []
    assert mismatches([pixels], tokens().fields) == [
        "the model reads pixel_values (float32 [batch, 224, 224, 3]), which the data does not give"
    ]
    assert mismatches([pixels], images().fields) == [
        "the model reads pixel_values (float32 [batch, 224, 224, 3]), and the data gives "
        "pixel_values (float32 [batch, 8, 8, 3])"
    ]
    assert mismatches([Field("more", "int32", (), optional=True)], tokens().fields) == []


def test_parts_that_do_not_go_together_are_refused() -> None:
    for parts, problem in (
        ({"": images(), "b_": tokens(np.array([1, 2]))}, "as many rows"),
        ({"": tokens(), "x_": tokens(example_of=np.array([0, 0, 1, 2, 2, 2]))}, "a row an example"),
        ({"": tokens(), " ": tokens()}, ""),
    ):
        if problem:
            with pytest.raises(ArgumentError, match=problem):
                JoinedEncodings(parts)  # type: ignore[arg-type]


def test_every_kind_is_here() -> None:
    def below(kind: type) -> set[type]:
        return {kind, *(sub for one in kind.__subclasses__() for sub in below(one))}

    own = {kind for kind in below(Encodings) if kind.__module__.startswith(ROOMS)}
    tried = {type(make()) for make in KINDS.values()}
    # Made by the tokenizer of questions alone, and tried with it.
    assert {kind.__name__ for kind in own - tried} <= {"Encodings", "ContextEncodings"}
