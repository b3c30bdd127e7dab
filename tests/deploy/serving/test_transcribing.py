"""A predictor that writes what it hears as a service: uploads, options, streams."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ktlite import text
from ktlite.inputs.sounds import Sounds
from ktlite.predictor import Predictor

pytest.importorskip("soundfile")
pytest.importorskip("soxr")

GIVEN = [(np.random.default_rng(i).standard_normal(4000) / 10, 16_000) for i in range(2)]


@pytest.fixture(scope="module")
def predictor(golden: Path) -> Predictor:
    return text.Transcriber(golden / "whisper").predictor


def test_sounds_are_sent_and_texts_come_back(
    serving: Callable[..., Any], predictor: Predictor
) -> None:
    client, sent = serving(predictor), [Sounds.to_json(item) for item in GIVEN]
    options = {"max_new_tokens": 5}
    found = client.post("/predict", {"sounds": sent, "options": options})
    assert found.json == {"predictions": predictor.predict(GIVEN, **options)}
    one = client.post("/generate", {"sound": sent[0], "options": options})
    assert one.json == {"text": predictor.predict(GIVEN[0], **options)}
    for path, given in (("/predict", {"sounds": [sent[0], 3]}), ("/generate", {"sound": sent})):
        wrong = client.post(path, given)
        assert wrong.status == 422 and "sound" in str(wrong.json["detail"])
