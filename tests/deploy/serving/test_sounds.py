"""A predictor of sounds as a service: data URLs, arrays, uploads, limits, stretches."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ktlite.data.preprocessor import Preprocessor
from ktlite.deploy.serving import Limits
from ktlite.inputs.sounds import Sounds
from ktlite.models import from_pretrained
from ktlite.predictor import Predictor
from ktlite.tasks import Classification

pytest.importorskip("soundfile")
pytest.importorskip("soxr")


@pytest.fixture(scope="module")
def predictor(golden: Path) -> Predictor:
    model = from_pretrained(golden / "wav2vec2", "audio-classification")
    sounds = Sounds.of_checkpoint(golden / "wav2vec2", model.spec)
    task = Classification(["cat", "dog", "owl"])
    return Predictor(model, Preprocessor(None, None, task, input=sounds))


GIVEN = [(np.random.default_rng(i).standard_normal(900 + 200 * i) / 10, 16_000) for i in range(3)]


def test_urls_arrays_and_uploads(serving: Callable[..., Any], predictor: Predictor) -> None:
    client, expected = serving(predictor), predictor.predict_proba(GIVEN)
    urls = [Sounds.to_json(item) for item in GIVEN]
    arrays = [{"array": list(array), "sampling_rate": rate} for array, rate in GIVEN]
    for sent in (urls, arrays, [url.partition(",")[2] for url in urls]):
        found = client.post("/predict_proba", {"sounds": sent}).json["probabilities"]
        np.testing.assert_allclose(found, expected, atol=1e-5)
    one = client.post("/predict", {"sound": urls[0]})
    assert one.status == 422  # by the plural name alone, as texts and images
    content = base64.b64decode(urls[1].partition(",")[2])
    body = (
        b'--b\r\nContent-Disposition: form-data; name="sound"; filename="a.wav"\r\n'
        b"Content-Type: audio/wav\r\n\r\n" + content + b"\r\n--b--\r\n"
    )
    said = client.post("/predict", content=body, Content_Type="multipart/form-data; boundary=b")
    assert said.json == {"predictions": predictor.predict(GIVEN[1])}
    info = client.get("/info").json
    assert (info["input"], info["media"], info["limits"]["seconds"]) == ("sound", "audio/*", 600)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("aaaa", "sounds: 3 bytes is no sound that libsndfile reads"),
        ("/etc/passwd", "sounds: a sound is '/etc/passwd'; expected a data URL"),
        ({"array": [0.0] * 33, "sampling_rate": 16}, "has 3 seconds; this server takes up to 2"),
        ({"array": ["a"], "sampling_rate": 16}, "a sound is of type dict; expected a data URL"),
        ({"array": [0.1], "sampling_rate": 0}, "has the sampling rate 0"),
        ({"array": [], "sampling_rate": 8}, "no samples"),
        (7, "got a number"),
    ],
)
def test_what_is_refused(
    serving: Callable[..., Any], predictor: Predictor, given: Any, words: str
) -> None:
    client = serving(predictor, limits=Limits(seconds=2))
    said = client.post("/predict", {"sounds": given})
    assert said.status == 422
    assert words in said.json["detail"]


def test_explanations_name_stretches(serving: Callable[..., Any], predictor: Predictor) -> None:
    client = serving(predictor)
    asked = {"sound": Sounds.to_json(GIVEN[0]), "method": "occlusion"}
    found = client.post("/explain", asked)
    assert found.status == 200, found.body
    assert len(found.json["stretches"]) == len(found.json["scores"])
    assert set(found.json["stretches"][0]) == {"start", "end"}
