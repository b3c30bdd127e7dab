"""Pictures are classified by labels, and found by words."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

import ktlite
from ktlite.errors import ArgumentError, CheckpointError, DataError

LABELS = ["a cat", "a photo of a dog and a cat", "dogs"]


@pytest.fixture(scope="module")
def expected(golden: Path) -> dict[str, np.ndarray]:
    return load_file(golden / "clip" / "expected.safetensors")


@pytest.fixture(scope="module")
def pictures(expected: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The golden pictures: as arrays, and as files."""
    folder = tmp_path_factory.mktemp("pictures")
    arrays = [expected["picture.0"], expected["picture.1"]]
    paths = [folder / f"{number}.png" for number in range(2)]
    for array, path in zip(arrays, paths, strict=True):
        Image.fromarray(array).save(path)
    return arrays, list(map(str, paths))


@pytest.fixture(scope="module")
def classifier(golden: Path) -> ktlite.ZeroShotImageClassifier:
    return ktlite.ZeroShotImageClassifier(golden / "clip", batch_size=1)


def test_probabilities_are_the_softmax_of_pytorchs_logits(
    classifier: Any, pictures: Any, expected: dict[str, np.ndarray]
) -> None:
    arrays, paths = pictures
    powers = np.exp(expected["logits"])
    chances = powers / powers.sum(axis=1, keepdims=True)
    found = classifier.predict(paths, LABELS, template="{}")
    np.testing.assert_allclose(found, chances, atol=1e-5)
    one = classifier.predict(arrays[1], LABELS, include_labels=True, template="{}")
    assert [name for name, _ in one] == LABELS
    np.testing.assert_allclose([chance for _, chance in one], chances[1], atol=1e-5)
    assert sum(classifier.predict(paths[0], ["a cat", "dogs"])) == pytest.approx(1)


def test_errors_name_what_is_wrong(classifier: Any, pictures: Any, golden: Path) -> None:
    arrays, paths = pictures
    with pytest.raises(ArgumentError, match=r"labels=\[\]; expected a list of words"):
        classifier.predict(arrays[0], [])
    with pytest.raises(ArgumentError, match="labels"):
        classifier.predict(arrays[0], "cat")
    with pytest.raises(ArgumentError, match="template='a photo' has no {}"):
        classifier.predict(arrays[0], ["cat"], template="a photo")
    with pytest.raises(DataError, match="there is no file 'a cat'"):
        classifier.predict("a cat", ["a cat", "a dog"])
    with pytest.raises(DataError, match="predict takes .*got 3"):
        classifier.predict([paths[0], 3], ["a cat"])
    with pytest.raises(CheckpointError, match="compares images with texts, such as CLIP"):
        ktlite.ZeroShotImageClassifier(golden / "vit")


def test_truncated_jpeg_is_named(classifier: Any, pictures: Any, tmp_path: Path) -> None:
    written = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), "uint8")
    Image.fromarray(noise).save(written, "JPEG")
    (tmp_path / "half.jpg").write_bytes(written.getvalue()[: len(written.getvalue()) // 2])
    with pytest.raises(DataError, match=r"picture 1.*half\.jpg"):
        classifier.predict([pictures[1][0], str(tmp_path / "half.jpg")], ["a cat"])


def test_pictures_are_found_by_words_and_by_pictures(
    golden: Path, pictures: Any, expected: dict[str, np.ndarray], tmp_path: Path
) -> None:
    arrays, paths = pictures
    search = ktlite.SemanticSearch(ktlite.get_embedder(golden / "clip"))
    with pytest.raises(DataError, match="add takes a list"):
        search.add(arrays[0])
    search.add(paths)
    search.add([arrays[0]])
    cosines = expected["text_embeds"] @ expected["image_embeds"].T
    hits = search.search("a cat", k=2)
    assert {hit.number for hit in hits} <= {0, 1, 2}
    assert hits[0].score == pytest.approx(cosines[0].max(), abs=1e-5)
    by_picture = search.search(paths[1], k=1)[0]
    assert (by_picture.text, by_picture.number) == (paths[1], 1)
    assert by_picture.score == pytest.approx(1)
    assert [hits[0].number for hits in search.search([arrays[1], paths[1]], k=1)] == [1, 1]
    with pytest.raises(DataError, match="texts and pictures at once"):
        search.search(["a cat", paths[0]])

    search.save(tmp_path / "index")
    again = ktlite.SemanticSearch.load(tmp_path / "index")
    assert again.texts[:2] == paths
    assert again.search("a cat", k=2)[0].score == pytest.approx(hits[0].score, abs=1e-6)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(again.texts[2]))), arrays[0])
