"""Sounds as an input: what is one, how it travels, and the batches of it."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from ktlite.errors import ArgumentError, CheckpointError, DataError
from ktlite.inputs.filter_banks import FilterBanks
from ktlite.inputs.input import find_input
from ktlite.inputs.sound_features import features_of
from ktlite.inputs.sound_files import read_sound
from ktlite.inputs.sounds import Sounds
from ktlite.inputs.wave_forms import WaveForms
from ktlite.models.auto import read_spec

soundfile = pytest.importorskip("soundfile")
pytest.importorskip("soxr")

GOLDEN = Path(__file__).parents[1] / "golden"
EXPECTED = load_file(GOLDEN / "wav2vec2" / "expected.safetensors")
GIVEN = [EXPECTED[f"sound.{i}"] for i in range(3)]


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Returns files of 0.5, 0.25 and 0.125 seconds, at two rates."""
    random = np.random.default_rng(0)
    made = []
    for number, (seconds, rate) in enumerate(((0.5, 16_000), (0.25, 8_000), (0.125, 16_000))):
        path = tmp_path / f"{number}.wav"
        samples = random.standard_normal(round(seconds * rate)) / 10
        soundfile.write(path, samples, rate, subtype="FLOAT")
        made.append(path)
    return made


def counted(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Returns a list that gets every item that is decoded from now on."""
    decoded: list[Any] = []

    def count(item: Any, *args: Any, **options: Any) -> np.ndarray:
        decoded.append(item)
        return read_sound(item, *args, **options)

    monkeypatch.setattr("ktlite.inputs.sound_encodings.read_sound", count)
    return decoded


def test_waves_are_those_of_the_feature_extractor() -> None:
    encodings = Sounds.of_checkpoint(GOLDEN / "wav2vec2").encode(GIVEN)
    batch = encodings.batch(np.array([2, 0, 1]))
    for row, number in enumerate((2, 0, 1)):
        values = EXPECTED[f"input_values.{number}"]
        np.testing.assert_allclose(batch["input_values"][row, : len(values)], values, atol=2e-6)
        assert batch["attention_mask"][row].sum() == len(values)
        assert not batch["input_values"][row, len(values) :].any()
    # Without a mask, the extractor takes mean and variance over the padding, too.
    stable = load_file(GOLDEN / "wav2vec2-stable" / "expected.safetensors")
    padded = stable["padded.input_values"]
    np.testing.assert_allclose(
        batch["input_values"][[1, 2, 0], : padded.shape[1]], padded, atol=2e-6
    )


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("keep", [0, 20_000, 10**6])
def test_a_batch_is_its_sounds_one_by_one(files: list[Path], workers: int, keep: int) -> None:
    encodings = Sounds(WaveForms(), workers=workers, keep=keep).encode(files)
    np.testing.assert_array_equal(encodings.lengths, [8_000, 4_000, 2_000])
    alone = [WaveForms()(read_sound(file, 16_000)) for file in files]
    rows = np.array([2, 0, 0, 1])
    for _ in range(3):
        batch = encodings.batch(rows)
        assert [field.name for field in encodings.fields] == list(batch)
        for row, number in enumerate(rows):
            found = batch["input_values"][row][batch["attention_mask"][row] == 1]
            np.testing.assert_array_equal(found, alone[number])
    assert encodings.kept.left >= 0
    some = encodings.take(np.array([1, 2])).take(np.array([1]))
    np.testing.assert_array_equal(some.lengths, [2_000])
    np.testing.assert_array_equal(some.batch(np.array([0]))["input_values"][0, :2_000], alone[2])
    assert encodings.batch(rows[:0])["input_values"].shape[0] == 0


def test_sounds_are_decoded_when_a_batch_has_them_and_kept_if_they_fit(
    files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = counted(monkeypatch)
    for keep, times in ((10**6, 2), (8_000, 4)):  # bytes of the last one
        encodings = Sounds(WaveForms(), keep=keep).encode(files)
        assert decoded == []
        for _ in range(4):
            encodings.batch(np.array([0, 2]))
        assert decoded.count(files[0]) == times
        assert decoded.count(files[2]) == 2
        decoded.clear()


def test_what_is_long_is_heard_in_part_and_what_is_short_filled_up(files: list[Path]) -> None:
    sounds = Sounds(WaveForms(normalize=False), seconds=0.2, shortest=2_400)
    encodings = sounds.encode(files)
    np.testing.assert_array_equal(encodings.lengths, [3_200, 3_200, 2_400])
    batch = encodings.batch(np.arange(3))
    np.testing.assert_array_equal(batch["attention_mask"].sum(axis=1), [3_200, 3_200, 2_400])
    whole = read_sound(files[0], 16_000)
    np.testing.assert_array_equal(batch["input_values"][0, :3_200], whole[:3_200])
    assert not batch["input_values"][2, 2_000:].any()
    assert sounds.remarks(files)[2] is None
    long = (np.zeros(32_000, "float32"), 16_000)
    assert sounds.remarks([long]) == ["2 seconds, of which the first 0.2 are heard"]


def test_silence_stays_silent() -> None:
    assert not WaveForms()(np.zeros(5, "float32")).any()


def test_a_sound_in_json(files: list[Path]) -> None:
    pair = (GIVEN[0], 8_000)
    for item in (files[1], files[1].read_bytes(), pair, GIVEN[0], *Sounds.golden):
        value = Sounds.to_json(item)
        again = Sounds.from_json(json.loads(json.dumps(value)))
        assert Sounds.is_one_json(value)
        np.testing.assert_allclose(
            read_sound(again, 16_000), read_sound(item, 16_000), rtol=0, atol=1e-7
        )
    assert Sounds.from_json({"array": [0.5, 0], "sampling_rate": 8_000})[1] == 8_000
    for wrong in ("words, and no base64", 7, {"array": "a"}, {"path": "/etc/passwd"}):
        with pytest.raises(DataError, match="expected a data URL"):
            Sounds.from_json(wrong)


def test_what_is_one_sound() -> None:
    one = np.zeros(100, "float32")
    assert all(map(Sounds.is_one, ("a.wav", b"a", one, (one, 8), np.zeros([2, 9]), {"path": "a"})))
    assert not any(map(Sounds.is_one, ([one], ["a.wav"], np.zeros([5, 100]), 3)))
    assert Sounds.is_file(Path("a/B.WAV"))
    assert not Sounds.is_file(Path("a/b.txt"))
    assert find_input("sound") is Sounds


def test_cells_of_tables(tmp_path: Path) -> None:
    array = {"array": [0.0], "sampling_rate": 8_000}
    cells = ["a.wav", {"path": "b.wav", "bytes": None}, {"path": "c", "bytes": b"RIFF"}, array, ""]
    expected = [str(tmp_path / "a.wav"), str(tmp_path / "b.wav"), b"RIFF", array, ""]
    assert Sounds.of_cells(cells, tmp_path) == expected


def test_shown(files: list[Path], tmp_path: Path) -> None:
    assert Sounds.shown(files[0]) == f"'{files[0]}' (0.5 s)"
    html = Sounds.shown_as_html(files[0])
    assert html is not None
    assert html.startswith('<audio controls preload="none" src="data:audio/wav;base64,UklGR')
    long = (np.zeros(16_000 * 60, "float32"), 16_000)
    html = Sounds.shown_as_html(long)
    assert html is not None
    assert len(html) < 450_000  # ten seconds of 16 bits
    assert Sounds.shown_as_html("nowhere.wav") is None
    assert Sounds.shown("nowhere.wav") == "'nowhere.wav'"
    assert Sounds.extent(files[0]) == 1


def test_all_that_cannot_be_read_is_named(files: list[Path], tmp_path: Path) -> None:
    words = tmp_path / "words.wav"
    words.write_text("words")
    with pytest.raises(DataError) as caught:
        Sounds(WaveForms()).encode([files[0], "nowhere.wav", words, 7])
    said = str(caught.value)
    assert "3 sounds cannot be read" in said
    assert "number 1: there is no file 'nowhere.wav'" in said
    assert "number 2:" in said and "is no sound that libsndfile reads" in said
    assert "number 3: a value of type int is no sound" in said
    assert Sounds.problems([files[0], words, "nowhere.wav"])[0] is None
    assert (
        Sounds.problems([words, words])
        == [f"no sound that libsndfile reads, such as '{words}'"] * 2
    )


def test_a_file_that_is_damaged_later_is_named_by_its_batch(files: list[Path]) -> None:
    encodings = Sounds(WaveForms()).encode(files)
    files[1].write_text("words")
    with pytest.raises(DataError, match=r"sound 1: .*1\.wav' is no sound"):
        encodings.batch(np.arange(3))


def test_content_tells_sounds_apart(files: list[Path]) -> None:
    encodings = Sounds(WaveForms()).encode([*files, files[0]])
    keys = encodings.content(np.arange(4))["sound"]
    assert len(np.unique(keys, axis=0)) == 3
    other = Sounds(WaveForms(), seconds=1).encode(files).content(np.arange(1))["sound"]
    assert not np.array_equal(other[0], keys[0])


def test_saved_and_loaded(tmp_path: Path) -> None:
    made = Sounds(WaveForms(8_000, normalize=False, mask=True), seconds=7, shortest=400)
    loaded = Sounds.load(tmp_path, json.loads(json.dumps(made.save(tmp_path))))
    assert (loaded.features, loaded.seconds, loaded.shortest) == (made.features, 7, 400)
    assert str(loaded) == "sounds at 8000 Hz, 7 seconds at most"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"do_normalise": True}, "do_normalise. Did you mean 'do_normalize'"),
        ({"feature_size": 80}, "feature_size=80 is not supported"),
        ({"sampling_rate": 0}, "sampling_rate=0; expected at least 1"),
        ({"do_normalize": "yes"}, "is of type str, not bool"),
        ({"feature_extractor_type": "ClvpFeatureExtractor"}, "'ClvpFeatureExtractor'"),
    ],
)
def test_settings_are_read_strictly(config: dict[str, Any], message: str, tmp_path: Path) -> None:
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=message):
        features_of(tmp_path, "waves")


def test_settings_of_newer_checkpoints_and_of_none(tmp_path: Path, caplog: Any) -> None:
    with caplog.at_level(logging.INFO):
        assert features_of(tmp_path, "waves") == WaveForms()
    assert "has no preprocessor_config.json" in caplog.text
    with pytest.raises(CheckpointError, match="there is no such file"):
        features_of(tmp_path, None)
    config = {"feature_extractor": {"sampling_rate": 8_000}, "processor_class": "A"}
    (tmp_path / "processor_config.json").write_text(json.dumps(config))
    assert features_of(tmp_path, "waves").sampling_rate == 8_000


def test_arguments() -> None:
    with pytest.raises(ArgumentError, match="seconds=0"):
        Sounds(WaveForms(), seconds=0)
    with pytest.raises(ArgumentError, match=r"workers=0.*\n.*keep=-1"):
        Sounds(WaveForms(), workers=0, keep=-1)


AST = load_file(GOLDEN / "ast" / "expected.safetensors")


def test_filter_banks_are_those_of_the_feature_extractor() -> None:
    sounds = Sounds.of_checkpoint(GOLDEN / "ast", read_spec(GOLDEN / "ast"))
    given = [AST[f"sound.{i}"] for i in range(3)]
    encodings = sounds.encode(given)
    np.testing.assert_array_equal(encodings.lengths, [0, 0, 0])
    batch = encodings.batch(np.array([1, 2, 0]))
    assert list(batch) == ["input_values"]
    for row, number in enumerate((1, 2, 0)):
        expected = AST[f"input_values.{number}"]
        np.testing.assert_allclose(batch["input_values"][row], expected, rtol=0, atol=1e-5)
    assert sounds.seconds == pytest.approx(0.155)
    assert encodings.batch(np.zeros(0, "int64"))["input_values"].shape == (0, 14, 12)


def test_filter_banks_of_a_tone_are_loud_in_its_band() -> None:
    features = FilterBanks(8_000, bands=40, frames=50, mean=None)
    for pitch in (300, 1_000, 3_000):
        made = features(np.sin(2 * np.pi * pitch * np.arange(8_000) / 8_000).astype("float32"))
        edges = 700 * np.expm1(
            np.linspace(*1127 * np.log1p(np.array([20, 4_000]) / 700), 42) / 1127
        )
        nearest = np.abs(edges[1:-1] - pitch).argmin()
        assert abs(int(made.mean(axis=0).argmax()) - nearest) <= 1


def test_what_is_short_or_silent_is_filled_up() -> None:
    features = FilterBanks(frames=20, bands=8)
    made = features(np.zeros(100, "float32"))
    np.testing.assert_allclose(made[0], features.quiet())
    np.testing.assert_allclose(made[1:], 4.2677393 / (2 * 4.5689974), rtol=1e-6)
    np.testing.assert_array_equal(features.length(np.array([100, 560, 16_000])), [1, 2, 98])


def test_filter_banks_saved_and_loaded(tmp_path: Path) -> None:
    for features in (FilterBanks(8_000, 40, 100, None, 2.0), FilterBanks(mean=-3.0)):
        made = Sounds(features, seconds=50)
        again = Sounds.load(tmp_path, made.save(tmp_path)).features
        assert again == features
    with pytest.raises(CheckpointError, match=r"the model reads input_values .*14, 12.* makes"):
        Sounds.of_checkpoint(tmp_path, read_spec(GOLDEN / "ast"))
    with pytest.raises(CheckpointError, match="reads what Wav2Vec2FeatureExtractor makes"):
        Sounds.of_checkpoint(tmp_path, read_spec(GOLDEN / "wav2vec2"))
