"""Long sounds in parts, and texts with times."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ktlite.inputs.heard import HeardEncodings
from ktlite.inputs.pauses import split_at_pauses
from ktlite.inputs.sounds import Sounds
from ktlite.inputs.transcripts import Transcripts
from ktlite.models.auto import read_spec

RATE = 16_000


def talk(*pauses: float, seconds: float) -> np.ndarray:
    """Returns noise with pauses of 0.2 seconds around some times."""
    made = np.random.default_rng(0).standard_normal(int(seconds * RATE)).astype("float32")
    for pause in pauses:
        made[int((pause - 0.1) * RATE) : int((pause + 0.1) * RATE)] *= 0.01
    return 0.1 * made


@pytest.fixture(scope="module")
def sounds(golden: Path) -> Sounds:
    return Sounds.of_checkpoint(golden / "whisper", read_spec(golden / "whisper"))


def heard(sounds: Sounds, items: list[np.ndarray]) -> HeardEncodings:
    assert sounds.transcripts is not None
    given = [(item, RATE) for item in items]
    made = HeardEncodings.of(sounds.encode(given), sounds.transcripts, np.array([257], "int32"))
    return made.in_parts(sounds.seconds_of(given))


def test_parts_end_in_pauses() -> None:
    sound = talk(0.4, 0.85, 1.7, seconds=2.4)
    found = split_at_pauses(sound, RATE, 1.0)
    ends = [end / RATE for _, end in found]
    assert ends[-1] == 2.4
    np.testing.assert_allclose(ends[:-1], [0.85, 1.7], atol=0.06)
    assert [start for start, _ in found] == [0, *(end for _, end in found[:-1])]


@pytest.mark.parametrize("samples", [0, 1, 15_999, 16_000, 16_001, 100_000])
def test_parts_are_the_whole_and_fit(samples: int) -> None:
    found = split_at_pauses(talk(seconds=samples / RATE)[:samples], RATE, 1.0)
    assert found[0][0] == 0 and found[-1][1] == samples
    assert all(end == start for (_, end), (start, _) in zip(found, found[1:], strict=False))
    assert all(0 < end - start <= RATE for start, end in found) or not samples


def test_rows_of_long_sounds(sounds: Sounds) -> None:
    items = [talk(seconds=0.5), talk(0.8, 1.6, seconds=2.2), talk(seconds=1.0)]
    encodings = heard(sounds, items)
    assert encodings.example_of is not None
    assert encodings.example_of.tolist() == [0, 1, 1, 1, 2]
    np.testing.assert_allclose(
        encodings.ends, [[0, 0.5], [0, 0.8], [0.8, 1.6], [1.6, 2.2], [0, 1]], atol=0.06
    )
    start, end = (round(x * RATE) for x in encodings.ends[2])
    (row,) = encodings.batch(np.array([2]))["input_features"]
    np.testing.assert_array_equal(row, sounds.features(items[1][start:end]))
    taken = encodings.take(np.array([1, 0]))
    assert taken.example_of is not None and taken.example_of.tolist() == [0, 0, 0, 1]
    np.testing.assert_array_equal(taken.batch(np.array([1]))["input_features"][0], row)
    first = encodings.first_parts()
    assert first.example_of is None and len(first) == 3
    assert first.ends[1].tolist() == encodings.ends[1].tolist()
    short = heard(sounds, items[:1])
    assert short.example_of is None and short.first_parts() is short
    assert sounds.remarks([(items[1], RATE)]) == [None]


def test_a_limit_of_seconds_is_kept(golden: Path) -> None:
    spec = read_spec(golden / "whisper")
    limited = Sounds.of_checkpoint(golden / "whisper", spec, seconds=0.5)
    assert not limited.hears_all
    assert limited.remarks([(talk(seconds=2.0), RATE)]) != [None]


def test_segments(golden: Path) -> None:
    transcripts = Transcripts.of_checkpoint(golden / "whisper", read_spec(golden / "whisper"))
    assert transcripts is not None and transcripts.no_times is not None
    time = transcripts.no_times + 1
    a, b, c = (transcripts.tokenizer.plain_ids([f" {text}"])[0] for text in ("a", "b", "c d"))
    ids = np.concatenate([[time], a, [time + 5, time + 5], b, [time + 20], [time + 25], c])
    assert transcripts.segments(ids, 30.0, 31.0) == [
        (30.0, 30.1, "a"), (30.1, 30.4, "b"), (30.5, 31.0, "c d")
    ]  # fmt: skip
    assert transcripts.segments(np.concatenate([a, b]), 0.0, 0.7) == [(0.0, 0.7, "a b")]
    assert transcripts.segments(np.zeros(0, "int32"), 0.0, 1.0) == []
    assert transcripts.decode(ids) == " a b c d"
