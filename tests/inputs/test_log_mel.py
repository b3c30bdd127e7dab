"""What Whisper reads of a sound: the numbers of transformers, and their settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import WhisperFeatureExtractor

from ktlite.errors import CheckpointError
from ktlite.inputs.log_mel import LogMel
from ktlite.inputs.sound_features import features_of


def noise(samples: int) -> np.ndarray:
    random = np.random.default_rng(samples)
    return (0.1 * random.standard_normal(samples)).astype("float32")


@pytest.mark.parametrize("bands", [80, 128])
@pytest.mark.parametrize("samples", [1, 100, 250, 16_037, 479_900, 480_000, 500_000])
def test_numbers_are_those_of_transformers(bands: int, samples: int) -> None:
    sound = noise(samples)
    theirs = WhisperFeatureExtractor(feature_size=bands)
    expected = theirs(sound, sampling_rate=16_000, return_tensors="np")["input_features"][0].T
    found = LogMel(bands=bands)(sound)
    assert found.shape == (3_000, bands) and found.dtype == "float32"
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


def test_silence_is_quiet() -> None:
    found = LogMel(seconds_heard=1)(np.zeros(500, "float32"))
    np.testing.assert_allclose(found, np.tile(LogMel().quiet(), (100, 1)), atol=1e-6)


def test_settings_go_there_and_back(tmp_path: Path) -> None:
    made = LogMel(bands=128, seconds_heard=2, hop=200, window=512, sampling_rate=8_000)
    made.save(tmp_path)
    assert features_of(tmp_path, None) == made
    theirs = WhisperFeatureExtractor.from_pretrained(tmp_path)
    assert (theirs.feature_size, theirs.hop_length, theirs.n_samples) == (128, 200, 16_000)
    assert made.fields[0].shape == (80, 128)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"dither": 0.1}, r"dither=0\.1 is not supported"),
        ({"chunk_length": 0}, "chunk_length=0; expected at least 1"),
        ({"n_mels": 80}, "does not know: n_mels"),
    ],
)
def test_settings_that_are_refused(fields: dict[str, Any], message: str, tmp_path: Path) -> None:
    LogMel().save(tmp_path)
    file = tmp_path / "preprocessor_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))
    with pytest.raises(CheckpointError, match=message):
        features_of(tmp_path, "log mel")


def test_older_files_hold_the_filters(tmp_path: Path) -> None:
    LogMel().save(tmp_path)
    file = tmp_path / "preprocessor_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "mel_filters": [[0.0]]}))
    assert features_of(tmp_path, "log mel") == LogMel()
