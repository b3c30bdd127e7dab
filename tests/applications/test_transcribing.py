"""`Transcriber`: checkpoints of both kinds that hear, as they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import ktlite
from ktlite import text
from ktlite.errors import ArgumentError

RATE = 16_000
SOUNDS = [
    {"array": np.sin(np.arange(n) / 9).astype("float32"), "sampling_rate": RATE}
    for n in (4000, 6000)
]


@pytest.mark.parametrize("name", ["wav2vec2-ctc", "whisper"])
def test_checkpoints_are_used_as_they_are(name: str, golden: Path, tmp_path: Path) -> None:
    transcriber = text.Transcriber(golden / name)
    many = transcriber.transcribe(SOUNDS)
    assert len(many) == 2 and all(isinstance(one, str) for one in many)
    assert transcriber.transcribe(SOUNDS[0]) == many[0]
    transcriber.predictor.save(tmp_path / "saved")
    again = text.Transcriber(ktlite.load_predictor(tmp_path / "saved"))
    assert again.transcribe(SOUNDS, batch_size=1) == many


def test_others_are_refused(golden: Path) -> None:
    with pytest.raises(ArgumentError):
        text.Transcriber(golden / "vit")


def test_ktrains_path() -> None:
    from ktlite.text.speech import Transcriber

    assert Transcriber is text.Transcriber
