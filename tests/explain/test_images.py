"""Which patches of an image moved a prediction: against PyTorch, brute force, and by hand."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from ktlite.data.preprocessor import Preprocessor
from ktlite.errors import ArgumentError, DataError
from ktlite.explain import METHODS
from ktlite.explain.gradients import TOLERANCE
from ktlite.inputs.image_processor import ImageProcessor
from ktlite.inputs.images import Images
from ktlite.inputs.pictures import read_picture
from ktlite.models import from_pretrained
from ktlite.predictor import Predictor
from ktlite.predictor.loading import load_predictor
from ktlite.tasks import Classification, MultiLabel, Regression, Task
from tests.made_up.counts import Counts

CLASSES = ["cat", "dog", "owl"]


def predictor_of(folder: Path, task: Task | None = None, **options: Any) -> Predictor:
    model = from_pretrained(folder, "image-classification", **options)
    images = Images.of_checkpoint(folder, model.spec)
    task = Classification(CLASSES) if task is None else task
    return Predictor(model, Preprocessor(None, None, task, input=images))


@pytest.fixture(scope="module")
def vit(golden: Path) -> Predictor:
    """Of 12 x 12 pixels, in patches of 4 x 4."""
    return predictor_of(golden / "vit")


@pytest.fixture(scope="module")
def known(golden: Path) -> dict[str, np.ndarray]:
    return load_file(golden / "explanations" / "vit.safetensors")


@pytest.fixture
def photo() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (30, 45, 3)).astype("uint8")


@pytest.mark.parametrize("method", ["integrated-gradients", "occlusion"])
def test_scores_are_those_of_pytorch(
    vit: Predictor, known: dict[str, np.ndarray], method: str
) -> None:
    for pixels, expected in zip(known["pixels"], known[method.replace("-", "_")], strict=True):
        for explanation in vit.explain(pixels, all_targets=True, method=method):
            of_target = expected[CLASSES.index(explanation.target)]
            allowed = 1e-4 if method == "occlusion" else 0.02 * np.abs(of_target).sum()
            np.testing.assert_allclose(explanation.scores, of_target, atol=allowed)
            assert np.abs(of_target).max() > 0.02


def test_scores_of_gradients_add_up_to_what_the_image_makes(
    vit: Predictor, photo: np.ndarray
) -> None:
    grey = np.full((12, 12, 3), 127.5)  # no picture: between two values of uint8
    inputs = np.stack([vit.preproc.input.processor(photo), grey / 127.5 - 1])
    whole, empty = keras.ops.convert_to_numpy(vit.model({"pixel_values": inputs}))
    for explanation in vit.explain(photo, all_targets=True):
        number = CLASSES.index(explanation.target)
        values = [out[number] - np.delete(out, number).mean() for out in (whole, empty)]
        difference = values[0] - values[1]
        assert explanation.difference == pytest.approx(difference, abs=1e-5)
        error = explanation.scores.sum() - explanation.difference
        assert explanation.completeness_error == pytest.approx(error)
        assert abs(error) <= TOLERANCE * max(1, abs(difference)) + 1e-6


def test_limes_scores_are_near_those_of_occlusion_where_patches_add_up(vit: Predictor) -> None:
    """Of a model that adds up its pixels, both are what each patch adds."""
    pixels = np.random.default_rng(2).integers(0, 256, (12, 12, 3)).astype("uint8")
    kernel = np.random.default_rng(3).normal(0, 0.05, (432, 1))
    linear = keras.Sequential([keras.Input((12, 12, 3)), keras.layers.Flatten(),
                               keras.layers.Dense(1, use_bias=False)])  # fmt: skip
    linear.layers[-1].kernel.assign(kernel)

    class Named(keras.Model):
        def call(self, inputs: Any, training: Any = None) -> Any:
            return linear(inputs["pixel_values"])

    task = Regression(["brightness"], mean=[0.0], scale=[1.0])
    predictor = Predictor(Named(), Preprocessor(None, None, task, input=vit.preproc.input))
    values = vit.preproc.input.processor(pixels)
    parts = (values * kernel.reshape(12, 12, 3)).sum(-1).reshape(3, 4, 3, 4).sum((1, 3)).ravel()
    by_default = predictor.explain(pixels)
    assert by_default.method == "occlusion"
    np.testing.assert_allclose(by_default.scores, parts, atol=1e-5)
    lime = predictor.explain(pixels, method="lime", n_samples=2000)
    np.testing.assert_allclose(lime.scores, parts, atol=0.02 * np.abs(parts).max())


@pytest.mark.parametrize("task", [MultiLabel(CLASSES), Regression(CLASSES, [0.0] * 3, [2.0] * 3)])
def test_other_tasks_are_explained(golden: Path, photo: np.ndarray, task: Task) -> None:
    for explanation in predictor_of(golden / "vit", task).explain(photo, all_targets=True):
        allowed = TOLERANCE * max(2, abs(explanation.difference)) + 1e-6
        assert abs(explanation.completeness_error) <= allowed
        assert (explanation.scores != 0).all()


def test_half_precision_gives_nearly_the_same_scores(
    golden: Path, vit: Predictor, photo: np.ndarray
) -> None:
    half = predictor_of(golden / "vit", dtype="mixed_bfloat16").explain(photo, target="dog")
    full = vit.explain(photo, target="dog")
    np.testing.assert_allclose(half.scores, full.scores, atol=0.1 * np.abs(full.scores).max())


def test_patches_are_where_they_are_in_the_image_as_given(
    vit: Predictor, photo: np.ndarray
) -> None:
    frame = vit.explain(photo, method="occlusion").to_frame()
    assert list(frame.columns) == ["top", "left", "height", "width", "score"]
    assert frame.iloc[5].tolist()[:4] == [10, 30, 10, 15]  # of 30 x 45 pixels, 3 x 3 patches
    covered = np.zeros((30, 45), int)
    for top, left, height, width in frame.iloc[:, :4].to_numpy().astype(int):
        covered[top : top + height, left : left + width] += 1
    assert (covered == 1).all()


def test_what_is_cropped_is_in_no_patch(photo: np.ndarray) -> None:
    # The shorter side to 15, the middle 12 x 12 of that: 24 x 24 pixels of the image.
    images = Images(ImageProcessor(size=(12, 12), resize=15, crop=True), patch=(5, 5))
    parts = images.parts(photo, images.encode([photo]))
    assert parts.boxes[..., 0].tolist() == [[2, 2], [12, 12]]  # 3, and 10 pixels for 5
    assert parts.boxes[..., 1].tolist() == [[10, 20], [10, 20]]
    assert len(parts) == 4
    assert (parts.part_of[0] == -1).sum() == 12 * 12 - 10 * 10
    gone = parts.variants(0, np.zeros((1, 4), bool)).batch(np.array([0]))["pixel_values"][0]
    assert (gone[:10, :10] == 0).all()
    np.testing.assert_array_equal(gone[10:], parts.values[10:])


def test_without_a_mean_what_is_taken_out_is_between_black_and_white(photo: np.ndarray) -> None:
    for rescale, middle in ((1 / 255, 0.5), (None, 127.5)):
        images = Images(ImageProcessor(size=(12, 12), resize=(12, 12), rescale=rescale, mean=None))
        assert images.processor.grey == pytest.approx(middle)


@pytest.mark.parametrize("method", METHODS)
def test_an_explanation_is_json_and_text_and_a_picture(
    vit: Predictor, photo: np.ndarray, method: str
) -> None:
    explanation = vit.explain(photo, method=method, n_samples=50)
    found = json.loads(json.dumps(explanation.to_dict()))
    assert found["patches"][5] == {"top": 10, "left": 30, "height": 10, "width": 15}
    np.testing.assert_allclose(found["scores"], explanation.scores)
    assert explanation.words == []
    lines = str(explanation).splitlines()
    assert lines[0].endswith(method) and lines[1] == "an array [30, 45, 3] of uint8"
    numbers = [[float(cell) for cell in line.split()] for line in lines[2:5]]
    np.testing.assert_allclose(np.ravel(numbers), explanation.scores, atol=0.06)
    assert lines[-1] == "Compared with the image all grey."


def pictures_in(page: str) -> list[np.ndarray]:
    urls = re.findall(r'<img src="data:image/jpeg;base64,([^"]+)"', page)
    return [np.asarray(read_picture(base64.b64decode(url)), "float64") for url in urls]


def test_the_heat_map_is_blue_for_and_orange_against(vit: Predictor) -> None:
    grey = np.full((120, 240, 3), 128, "uint8")
    explanation = vit.explain(grey, method="occlusion")
    scores = np.array([1.0, 0, 0, 0, -1.0, 0, 0, 0, 0.5])
    page = explanation.parts.as_html(scores, scores != 9, "<b>", "&")
    assert "<b>" not in page and "http" not in page
    assert "for (+1)" in page and "against (-1)" in page
    shown, heat = pictures_in(page)
    np.testing.assert_allclose(shown, 128, atol=2)
    assert heat.shape == (120, 240, 3)
    first, neutral, against, weak = heat[20, 40], heat[20, 120], heat[60, 120], heat[100, 200]
    assert np.ptp(neutral) < 3
    assert first[2] - first[0] > 2 * (weak[2] - weak[0]) * 0.8 > 0
    assert against[0] - against[2] > 80


def test_small_patches_are_summed_up_for_terminals(photo: np.ndarray) -> None:
    images = Images(ImageProcessor(size=(32, 32), resize=(32, 32)), patch=(1, 1))
    parts = images.parts(photo, images.encode([photo]))
    lines = parts.as_text(np.full(32 * 32, 0.25), np.ones(32 * 32, bool), "s", "u").splitlines()
    assert lines[2].split() == ["+2.2"] * 10 + ["+1.5"]
    assert lines[-3] == "each number is the sum of 3 x 3 patches"


def test_saved_and_exported_predictors_have_the_same_patches(
    vit: Predictor, photo: np.ndarray, tmp_path: Path
) -> None:
    vit.save(tmp_path / "p")
    vit.export(tmp_path / "onnx", "onnx")
    expected = vit.explain(photo, method="occlusion").scores
    for folder in ("p", "onnx"):
        loaded = load_predictor(tmp_path / folder)
        found = loaded.explain(photo, method="occlusion")
        np.testing.assert_allclose(found.scores, expected, atol=1e-4)
    with pytest.raises(ArgumentError, match="take 'occlusion' or 'lime'"):
        loaded.explain(photo, method="integrated-gradients")


def test_files_are_named_and_explained_after_they_are_gone(
    vit: Predictor, photo: np.ndarray, tmp_path: Path
) -> None:
    file = tmp_path / "a\x1b[31m.png"
    Image.fromarray(photo).save(file)
    explanation = vit.explain(str(file), method="occlusion")
    file.unlink()
    assert "\x1b" not in str(explanation) and ".png" in str(explanation)
    assert len(pictures_in(explanation._repr_html_())) == 2
    with pytest.raises(DataError, match="there is no file"):
        vit.explain(str(file))


def test_what_has_no_known_parts_is_refused(golden: Path) -> None:
    counts = Counts(5)
    items = [np.arange(4)]
    with pytest.raises(ArgumentError, match="signals have no parts that are known"):
        counts.parts(items[0], counts.encode(items))


def test_targets_are_checked(vit: Predictor, photo: np.ndarray) -> None:
    with pytest.raises(ArgumentError, match="target='dgo'.*Did you mean 'dog'"):
        vit.explain(photo, target="dgo")
    assert vit.explain(photo, target="owl", method="occlusion").target == "owl"
