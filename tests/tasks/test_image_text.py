"""Images and texts are learned from pairs, by the losses of CLIP and SigLIP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from safetensors.numpy import load_file

import ktlite
from ktlite.errors import ArgumentError, DataError, ExportError
from ktlite.models import from_pretrained
from ktlite.tasks import ImageText, find_task
from ktlite.training.pieces import pieces_of

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (30, 40, 220)}


@pytest.mark.parametrize("name", ["clip", "clip-old", "siglip"])
def test_loss_is_pytorchs(name: str, golden: Path) -> None:
    expected = load_file(golden / name / "expected.safetensors")
    model = from_pretrained(golden / name, "image-text-similarity")
    inputs = {
        k: expected[k] for k in ("pixel_values", "input_ids", "attention_mask") if k in expected
    }
    pairs = {key: array[:2] for key, array in inputs.items()}
    outputs = np.asarray(model(pairs))
    task = ImageText()
    loss = task.loss()(np.array([0, 1], "int32"), outputs)
    np.testing.assert_allclose(np.asarray(loss), expected["loss"][0], rtol=1e-5)
    theirs = np.array(["one", "another"], object)
    losses = task.example_losses(outputs, theirs)
    np.testing.assert_allclose(losses.mean(), expected["loss"][0], rtol=1e-5)


@pytest.mark.parametrize("bias", [None, -1.5])
def test_equal_texts_do_not_count_as_wrong(bias: float | None) -> None:
    """Of three pairs the first and the last have one text: worked out with NumPy, pair by pair."""
    outputs = np.random.default_rng(0).standard_normal((3, 2, 4)).astype("float32")
    texts = np.array(["a", "b", "a"], object)
    z = outputs[:, 0] @ outputs[:, 1].T
    if bias is None:

        def one(right: int, row: np.ndarray, others: list[int]) -> float:
            return float(np.log(np.exp(row[others]).sum()) - row[right])

        others = [[0, 1], [0, 1, 2], [1, 2]]
        expected = [(one(i, z[i], o) + one(i, z[:, i], o)) / 2 for i, o in enumerate(others)]
    else:
        outputs = np.concatenate([outputs, np.full((3, 1, 4), bias, "float32")], axis=1)
        wrong, right = np.log1p(np.exp(z + bias)), np.log1p(np.exp(-z - bias))
        expected = [
            right[0, 0] + wrong[0, 1],
            right[1, 1] + wrong[1, 0] + wrong[1, 2],
            right[2, 2] + wrong[2, 1],
        ]
    task = ImageText()
    np.testing.assert_allclose(task.example_losses(outputs, texts), expected, rtol=1e-5)
    numbers = task.align(texts, None, np.arange(3))  # type: ignore[arg-type]
    loss = task.loss().call(numbers, outputs)
    np.testing.assert_allclose(np.asarray(loss), expected, rtol=1e-5)


@pytest.fixture(scope="module")
def frame(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """Paths of pictures of three colours, in several shades, with what is in them."""
    folder, random = tmp_path_factory.mktemp("colours"), np.random.default_rng(0)
    rows = []
    for number in range(24):
        name = list(COLOURS)[number % 3]
        noise = random.integers(-25, 26, (16, 16, 3)) + np.array(COLOURS[name])
        path = folder / f"{number}.png"
        Image.fromarray(noise.clip(0, 255).astype("uint8")).save(path)
        rows.append((str(path), f"{name} paint"))
    return pd.DataFrame(rows, columns=["file", "caption"])


@pytest.mark.parametrize("name", ["clip", "siglip"])
def test_pairs_are_learned_and_pictures_classified(
    name: str, golden: Path, frame: pd.DataFrame, tmp_path: Path
) -> None:
    learner = ktlite.get_learner(
        golden / name, frame, frame, batch_size=6, maxlen=20, text_column="file",
        label_columns="caption", task="zero-shot-image-classification", verbose=0,
    )  # fmt: skip
    assert pieces_of(learner.model) is None  # a picture is compared with all texts of its batch
    learner.fit(1e-3, 10, verbose=0)
    figures = dict(learner.validate(print_report=False))
    assert figures["text recall@1"] > 0.9  # of three texts; by chance a third
    assert figures["image recall@1"] > 0.9
    learner.get_predictor().save(tmp_path / "predictor")
    predictor = ktlite.load_predictor(tmp_path / "predictor")
    labels = [f"{colour} paint" for colour in COLOURS]
    paths = frame["file"].tolist()
    chances = np.array(predictor.predict(paths, labels=labels, template="{}"))
    assert (chances.argmax(1) == np.arange(24) % 3).mean() > 0.9
    best = predictor.predict(paths[0], labels=labels, template="{}", include_labels=True)
    assert max(best, key=lambda pair: pair[1])[0] == "red paint"
    search = ktlite.SemanticSearch(predictor)
    search.add(paths)
    assert search.search("blue paint", k=1)[0].number % 3 == 2
    with pytest.raises(ArgumentError, match=r"labels=\(\); expected a list of words"):
        predictor.predict(paths[0])
    with pytest.raises(ExportError, match="compares images with texts.*has no exports"):
        predictor.export(tmp_path / "onnx")

    # The saved folder is a checkpoint of its own.
    model = next((tmp_path / "predictor").rglob("model.safetensors")).parent
    again = ktlite.ZeroShotImageClassifier(model)
    np.testing.assert_allclose(again.predict(paths, labels, template="{}"), chances, atol=1e-5)


def test_data_that_is_none_is_named(golden: Path, frame: pd.DataFrame) -> None:
    clip = golden / "clip"
    given: Any = {"task": "image-text-similarity", "verbose": 0}
    columns = {"text_column": "file", "label_columns": "caption"}
    numbers = frame.assign(caption=range(24))
    with pytest.raises(DataError, match="expected a text for each image; got 0 of type int"):
        ktlite.get_learner(clip, numbers, **columns, **given)
    with pytest.raises(DataError, match="there is no file 'red paint'"):
        ktlite.get_learner(clip, frame, text_column="caption", label_columns="file", **given)
    with pytest.raises(ArgumentError, match="compare images with texts, such as CLIP"):
        ktlite.get_learner(
            golden / "vit", frame, **columns, task="image-text-similarity", verbose=0
        )
    assert find_task("zero-shot-image-classification") is ImageText
