"""A predictor of images in other formats: the same numbers from pictures, in every runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ktlite.predictor import Predictor, load_predictor

NEEDS = {"onnx": ("tf2onnx", "onnxruntime"), "litert": ("ai_edge_litert",)}
NAMES = ["blue", "green", "red"]


@pytest.fixture(scope="module")
def pictures(class_folders: Path) -> list[str]:
    return [str(file) for file in sorted((class_folders / "valid").rglob("*.*"))]


@pytest.mark.parametrize(
    ("format", "quantize", "within"),
    [
        ("onnx", None, 1e-5),
        ("onnx", "int8", 0.1),
        ("litert", None, 1e-5),
        ("litert", "float16", 1e-2),
        ("saved_model", None, 1e-5),
        ("huggingface", None, 1e-5),
        ("huggingface", "float16", 1e-2),
    ],
)
def test_exported_and_opened(
    image_predictor: Predictor,
    pictures: list[str],
    tmp_path: Path,
    format: str,
    quantize: str | None,
    within: float,
) -> None:
    for package in NEEDS.get(format, ()):
        pytest.importorskip(package)
    image_predictor.export(tmp_path / "export", format, quantize)
    loaded = load_predictor(
        tmp_path / "export", runtime="saved_model" if format == "saved_model" else None
    )
    expected = image_predictor.logits(pictures)
    np.testing.assert_allclose(loaded.logits(pictures), expected, atol=within)
    assert loaded.predict(pictures[0]) == "blue"
    assert (tmp_path / "export" / "preprocessor_config.json").is_file()


def test_exports_are_compared(image_predictor: Predictor, pictures: list[str]) -> None:
    labels = [Path(file).parent.name for file in pictures]
    frame = image_predictor.compare_exports(pictures, labels, ["saved_model"])
    assert {"accuracy", "one_image_ms", "images_per_s"} <= set(frame.columns)
    assert not [name for name in frame.columns if "text" in name]
    np.testing.assert_array_equal(frame["accuracy"], 1.0)


@pytest.mark.torch
def test_transformers_opens_it_with_its_image_processor(
    image_predictor: Predictor, pictures: list[str], tmp_path: Path
) -> None:
    import torch
    from PIL import Image
    from transformers import AutoImageProcessor, AutoModelForImageClassification

    image_predictor.export(tmp_path / "export", "huggingface")
    processor = AutoImageProcessor.from_pretrained(tmp_path / "export", backend="pil")
    model = AutoModelForImageClassification.from_pretrained(tmp_path / "export").eval()
    images = [Image.open(file).convert("RGB") for file in pictures]
    with torch.no_grad():
        logits = model(**processor(images, return_tensors="pt")).logits.numpy()
    np.testing.assert_allclose(image_predictor.logits(pictures), logits, atol=1e-5)
    assert [model.config.id2label[number] for number in range(3)] == NAMES


@pytest.mark.torch
def test_code_on_the_card_runs_in_pytorch(
    image_predictor: Predictor,
    pictures: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from PIL import Image

    image_predictor.save(tmp_path / "this-folder")
    text = (tmp_path / "this-folder" / "README.md").read_text(encoding="utf-8")
    assert "pipeline_tag: image-classification" in text and "text" not in text.split("## Data")[0]
    monkeypatch.chdir(tmp_path)
    Image.open(pictures[0]).save("picture.jpg")
    ours, theirs = [part.split("```")[0] for part in text.split("```python\n")[1:]]
    exec(ours.replace("predictor.predict", "said = predictor.predict"), found := {})
    assert found["said"] == "blue"
    exec(theirs, found := {})
    assert found["model"]("picture.jpg")[0]["label"] == "blue"


@pytest.mark.torch
def test_calibrated_probabilities_of_the_card_in_pytorch(
    image_predictor: Predictor,
    pictures: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import copy
    from dataclasses import replace

    from PIL import Image

    predictor = copy.copy(image_predictor)
    predictor.preproc = copy.copy(predictor.preproc)
    predictor.preproc.task = copy.deepcopy(predictor.preproc.task)
    task = predictor.preproc.task
    task.calibration = replace(task.calibration, temperature=2.5)
    predictor.save(tmp_path / "this-folder")
    text = (tmp_path / "this-folder" / "README.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    Image.open(pictures[1]).save("picture.jpg")
    _, loading, scaling = [part.split("```")[0] for part in text.split("```python\n")[1:]]
    exec(loading + "\n" + scaling, found := {})
    theirs = found["probabilities"].detach().numpy()[0]
    np.testing.assert_allclose(predictor.predict_proba("picture.jpg"), theirs, atol=2e-3)
