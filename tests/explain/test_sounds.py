"""Which stretches of a sound moved a prediction: against brute force, and by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ktlite.data.preprocessor import Preprocessor
from ktlite.inputs.sounds import Sounds
from ktlite.inputs.stretches import StretchParts
from ktlite.models import from_pretrained
from ktlite.predictor import Predictor
from ktlite.tasks import Classification

pytest.importorskip("soundfile")
pytest.importorskip("soxr")

CLASSES = ["cat", "dog", "owl"]
SOUND = (np.random.default_rng(3).standard_normal(8_000).astype("float32") / 10, 16_000)


@pytest.fixture(scope="module")
def predictor(golden: Path) -> Predictor:
    model = from_pretrained(golden / "wav2vec2-stable", "audio-classification")
    sounds = Sounds.of_checkpoint(golden / "wav2vec2-stable", model.spec)
    return Predictor(model, Preprocessor(None, None, Classification(CLASSES), input=sounds))


def test_stretches_cover_what_is_heard(predictor: Predictor) -> None:
    sounds = predictor.preproc.input
    for seconds, count in ((0.5, 5), (0.02, 1), (0.26, 3), (30.0, 40)):
        item = (np.ones(round(16_000 * seconds), "float32"), 16_000)
        parts = sounds.parts(item, sounds.encode([item]))
        assert isinstance(parts, StretchParts)
        assert len(parts) == count
        assert parts.places()[0][0] == 0
        assert parts.places()[-1][1] == pytest.approx(seconds, abs=1e-3)
        inside = parts.part_of[0][: round(16_000 * seconds)]
        assert set(inside) == set(range(count))
        assert (parts.part_of[0][len(inside) :] == -1).all()


def test_occlusion_is_what_silence_in_its_place_makes(predictor: Predictor) -> None:
    explanation = predictor.explain(SOUND, target="dog", method="occlusion")
    values = predictor.preproc.encode([SOUND]).batch(np.array([0]))
    number = CLASSES.index("dog")

    def output(silent: slice) -> float:
        changed = values["input_values"].copy()
        changed[:, silent] = 0
        logits = np.asarray(predictor.model({**values, "input_values": changed}))[0]
        return float(logits[number] - np.delete(logits, number).mean())

    expected = [output(slice(0, 0)) - output(slice(1_600 * i, 1_600 * (i + 1))) for i in range(5)]
    np.testing.assert_allclose(explanation.scores, expected, atol=1e-4)
    assert np.abs(expected).max() > 0.01
    assert list(explanation.to_frame().columns) == ["start", "end", "score"]
    assert explanation.to_dict()["stretches"][1] == {"start": 0.1, "end": 0.2}


def test_gradients_add_up(predictor: Predictor) -> None:
    explanation = predictor.explain(SOUND, target="owl", method="integrated-gradients")
    assert explanation.completeness_error is not None
    total = explanation.scores.sum()
    assert total == pytest.approx(
        explanation.difference, abs=0.02 * np.abs(explanation.scores).sum()
    )


def test_shown(predictor: Predictor) -> None:
    explanation = predictor.explain(SOUND, method="occlusion")
    text, page = str(explanation), explanation._repr_html_()
    assert "0.10 to    0.20 s" in text
    assert text.endswith("Compared with silence.")
    assert "<audio controls" in page
    assert page.count("flex:1") == 5
