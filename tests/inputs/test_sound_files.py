"""Sounds in any format become samples of one rate, or a message that names them."""

from __future__ import annotations

import io
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ktlite.errors import ArgumentError, DataError
from ktlite.inputs.sound_files import (
    content_key,
    duration,
    file_bytes,
    flaw,
    media_type,
    problem,
    read_sound,
    state_key,
)
from ktlite.inputs.sound_items import is_sound, name_of

soundfile = pytest.importorskip("soundfile")
soxr = pytest.importorskip("soxr")


def tone(rate: int, seconds: float = 0.5, pitch: float = 440.0) -> np.ndarray:
    """Returns a tone that swells and fades: float32 [samples]."""
    time = np.arange(round(rate * seconds)) / rate
    swell = np.sin(np.pi * time / seconds) ** 2
    return (0.5 * np.sin(2 * np.pi * pitch * time) * swell).astype("float32")


def written(samples: np.ndarray, rate: int, format: str = "WAV", **options: Any) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=format, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("format", "subtype", "most"),
    [("WAV", "PCM_16", 5e-5), ("WAV", "FLOAT", 0), ("FLAC", "PCM_24", 2e-7),
     ("OGG", "VORBIS", 0.02), ("MP3", "MPEG_LAYER_III", 0.02)],
)  # fmt: skip
def test_files_of_all_formats(format: str, subtype: str, most: float, tmp_path: Path) -> None:
    samples = tone(16_000)
    content = written(samples, 16_000, format, subtype=subtype)
    path = tmp_path / "sound"
    path.write_bytes(content)
    for item in (path, str(path), content, {"bytes": content, "path": None}, {"path": str(path)}):
        read = read_sound(item, 16_000)
        assert read.dtype == np.float32
        assert abs(len(read) - len(samples)) <= (0 if most < 0.01 else 2_000)
        np.testing.assert_allclose(read[:8000], samples[: len(read)], atol=most)
        assert problem(item) is None
        assert duration(item, 16_000) == pytest.approx(0.5, abs=0.1)
    assert media_type(content).startswith("audio/")
    assert file_bytes(path, 16_000) == content


@pytest.mark.parametrize(("own", "rate"), [(44_100, 16_000), (8_000, 16_000), (48_000, 16_000)])
def test_another_rate_is_the_same_tone(own: int, rate: int) -> None:
    expected = tone(rate)
    for item in ((tone(own), own), written(tone(own), own, subtype="FLOAT")):
        read = read_sound(item, rate)
        assert len(read) == len(expected)
        np.testing.assert_allclose(read, expected, atol=1e-4)


def test_what_is_decoded_in_blocks_is_resampled_as_a_whole(monkeypatch: Any) -> None:
    monkeypatch.setattr("ktlite.inputs.sound_files._BLOCK", 1000)
    samples = np.random.default_rng(0).standard_normal(7_000).astype("float32") / 10
    read = read_sound(written(samples, 44_100, subtype="FLOAT"), 16_000)
    whole = soxr.resample(samples, 44_100, 16_000, quality="HQ")
    np.testing.assert_allclose(read, whole, atol=1e-6)


def test_the_beginning_alone() -> None:
    samples = np.random.default_rng(0).standard_normal(40_000).astype("float32") / 10
    for item in ((samples, 8_000), written(samples, 8_000, subtype="FLOAT")):
        read = read_sound(item, 16_000, seconds=1.5)
        assert len(read) == 24_000
        np.testing.assert_allclose(read, read_sound(item, 16_000)[:24_000], atol=1e-4)


def test_channels_are_averaged() -> None:
    left, right = tone(16_000), tone(16_000, pitch=300)
    both = np.stack([left, right], axis=1)
    for item in (written(both, 16_000, subtype="FLOAT"), both, both.T, both.astype("float64")):
        np.testing.assert_allclose(read_sound(item, 16_000), (left + right) / 2, atol=1e-6)


def test_arrays_with_and_without_a_rate() -> None:
    samples = tone(8_000)
    expected = read_sound((samples, 8_000), 16_000)
    dicts = (
        {"array": samples, "sampling_rate": 8_000},
        {"array": list(samples), "sampling_rate": 8000},
    )
    for item in dicts:
        np.testing.assert_array_equal(read_sound(item, 16_000), expected)
    np.testing.assert_array_equal(read_sound(samples, 8_000), samples)
    for dtype, most in (("int16", 2.0**15), ("int32", 2.0**31)):
        whole = np.array([-most, 0, most / 2], dtype)
        np.testing.assert_array_equal(read_sound(whole, 8_000), np.float32([-1, 0, 0.5]))


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (np.zeros(0, "float32"), r"an array \[0\] of float32 has no samples: it lasts zero"),
        (np.float32([0, np.nan, np.inf]), r"NaN or infinite \(2 of 3\)"),
        (np.zeros([2, 3, 4]), r"not \[samples\]"),
        (np.zeros(4, "uint8"), "of uint8; expected floats, 1 the loudest, or int16 or int32"),
        ((16_000, np.zeros(4)), "a pair has its rate first"),
        ((np.zeros(4), 0), "has the sampling rate 0; expected"),
        ({"array": np.zeros(4)}, "has the sampling rate None"),
        (b"", "it has no bytes"),
        (7, "a value of type int is no sound; expected the path of a file"),
        (b"these are words, and no sound", "no sound that libsndfile reads; it starts with b'the"),
        (b"\0\0\0\x18ftypM4A \0\0", "a file of MP4 or M4A, which libsndfile does not read"),
        (written(np.zeros(0), 8_000), "has no samples"),
        (written(np.float32([0, np.nan]), 8_000, subtype="FLOAT"), "NaN or infinite"),
        ((np.zeros(200), 1), "it lasts 4 min, and what is longer than 1 s is not read"),
        (written(np.zeros(16_001), 8_000), r"it lasts 2\.00013 s, and what is longer than 1 s"),
        ("nowhere.wav", "there is no file 'nowhere.wav'"),
        ("https://x.org/a.wav", "sounds are not fetched"),
    ],
    # Not the bytes: libsndfile writes the time into files of floats.
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)  # fmt: skip
def test_what_is_wrong_is_said(item: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_sound(item, 16_000, longest=1)
    found = problem(item, longest=1)
    assert found is not None
    assert flaw(item, longest=1)


@pytest.mark.parametrize(
    ("format", "share"),
    [("WAV", 0.5), ("WAV", 0.001), ("FLAC", 0.5), ("OGG", 0.7), ("MP3", 0.5), ("WAV", 1 - 1e-4)],
)
def test_files_that_are_cut_off_are_named(format: str, share: float, tmp_path: Path) -> None:
    content = written(np.random.default_rng(0).standard_normal(32_000) / 10, 16_000, format)
    path = tmp_path / "half.wav"
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(DataError, match=r"half\.wav' is (cut off|damaged)"):
        read_sound(path, 16_000)


def test_text_in_a_file_of_sound_and_folders_are_named(tmp_path: Path) -> None:
    (tmp_path / "words.wav").write_text("Call me Ishmael.", encoding="utf-8")
    (tmp_path / "empty.wav").touch()
    (tmp_path / "folder.wav").mkdir()
    for name, message in (
        ("words", "is no sound that libsndfile reads; it starts with b'Call me Ishm'"),
        ("empty", "is empty"),
        ("folder", "is a folder; expected a file"),
    ):
        with pytest.raises(DataError, match=rf"{name}\.wav' {message}"):
            read_sound(tmp_path / f"{name}.wav", 16_000)


def test_three_hours_are_refused_before_they_are_decoded() -> None:
    # A header of 3 hours, written as by a pipe, which does not know the length.
    content = bytearray(written(np.zeros(10), 8_000))
    content[40:44] = struct.pack("<I", 3 * 3600 * 8_000 * 2)
    samples = bytes(3 * 3600 * 8_000 * 2)
    with pytest.raises(DataError, match="it lasts 3 h 0 min, and what is longer than 2 h 0 min"):
        read_sound(bytes(content[:44]) + samples, 16_000)


def test_a_length_that_a_pipe_did_not_know_is_no_fault() -> None:
    content = bytearray(written(tone(8_000), 8_000))
    content[40:44] = struct.pack("<I", 0xFFFFFFFF)
    assert len(read_sound(bytes(content), 8_000)) == 4_000


def test_keys_are_of_the_content(tmp_path: Path) -> None:
    samples = tone(8_000)
    content = written(samples, 8_000)
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    assert content_key(path) == content_key(content) == content_key({"bytes": content})
    assert content_key((samples, 8_000)) == content_key({"array": samples, "sampling_rate": 8_000})
    assert content_key((samples, 8_000)) != content_key((samples, 16_000))
    before = state_key(path)
    path.write_bytes(content + b"\0")
    assert state_key(path) != before
    assert state_key((samples, 8_000)) != state_key((samples[1:], 8_000))


def test_arrays_become_files_without_a_loss() -> None:
    samples = tone(8_000)
    for item in ((samples, 8_000), samples):
        content = file_bytes(item, 8_000)
        assert media_type(content) == "audio/wav"
        np.testing.assert_array_equal(read_sound(content, 8_000), samples)


def test_what_may_be_a_sound_by_its_type() -> None:
    assert all(map(is_sound, ("a", b"a", Path("a"), np.zeros(3), (np.zeros(3), 8), {"path": "a"})))
    assert not any(map(is_sound, (7, ("a", "b"), np.zeros([1, 2, 3]), np.array(["a"]), {}, None)))
    assert name_of((np.zeros(3), 8)) == "an array [3] of float64 at 8 Hz"


def test_arguments_and_what_is_not_installed(monkeypatch: Any) -> None:
    with pytest.raises(ArgumentError, match=r"sampling_rate=16000\.0"):
        read_sound(np.zeros(3), 16_000.0)  # type: ignore[arg-type]
    for name in ("soundfile", "soxr"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ArgumentError, match=r"pip install 'ktlite\[sound\]'"):
        read_sound(written(tone(8_000), 8_000), 8_000)
    with pytest.raises(ArgumentError, match=r"resampling sounds needs soxr"):
        read_sound((tone(8_000), 8_000), 16_000)
