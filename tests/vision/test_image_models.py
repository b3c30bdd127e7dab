"""Models of pictures by name: from a loader's data to a saved predictor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ktlite
from ktlite import vision
from ktlite.errors import ArgumentError, DataError
from tests.vision.drawn import pictures


@pytest.fixture(scope="module")
def data(folder: Path) -> Any:
    return vision.images_from_folder(folder, 16, train_test_names=["train", "valid"], verbose=0)


@pytest.fixture(scope="module")
def learner(data: Any) -> Any:
    train, val, _ = data
    made = ktlite.get_learner(vision.image_classifier("default_cnn", train, val), train, val, 8)
    made.fit_onecycle(1e-2, 6, verbose=0)
    return made


def test_the_small_network_learns(learner: Any) -> None:
    assert learner.metrics()["accuracy"] == 1.0


def test_its_predictor_is_saved_and_loaded(learner: Any, folder: Path, tmp_path: Path) -> None:
    predictor, shown = learner.get_predictor(), list(pictures(6, seed=1)[0])
    predictor.save(tmp_path / "saved")
    loaded = ktlite.load_predictor(tmp_path / "saved")
    assert loaded.predict(shown[0]) == "blue"
    np.testing.assert_allclose(loaded.logits(shown), predictor.logits(shown), atol=1e-6)
    assert loaded.metrics(folder / "valid")["accuracy"] == 1.0


@pytest.mark.parametrize("format", ["onnx", "saved_model"])
def test_it_is_exported(learner: Any, format: str, tmp_path: Path) -> None:
    predictor, shown = learner.get_predictor(), list(pictures(4, seed=1)[0])
    predictor.export(tmp_path / "export", format)
    loaded = ktlite.load_predictor(tmp_path / "export", runtime=format)
    np.testing.assert_allclose(loaded.logits(shown), predictor.logits(shown), atol=1e-4)


def test_names_of_files_are_predicted(learner: Any, folder: Path) -> None:
    predictor = learner.get_predictor()
    (file,) = (folder / "flat").glob("red_3.jpg")
    assert predictor.predict_filename(file) == ["red"]
    assert predictor.predict_filename(str(file), return_proba=True).shape == (1, 2)
    found = predictor.predict_folder(folder / "flat")
    assert [name for name, _ in found] == sorted(p.name for p in (folder / "flat").iterdir())
    assert all(name.startswith(label) for name, label in found)
    with pytest.raises(DataError, match="no file"):
        predictor.predict_filename(folder / "none.jpg")
    with pytest.raises(DataError, match="holds no image files"):
        predictor.predict_folder(folder)


def test_first_layers_can_be_frozen(data: Any) -> None:
    model = vision.image_classifier("default_cnn", data[0], freeze_layers=3)
    assert [w.path.split("/")[-2] for w in model.trainable_weights] == ["classifier"] * 2


def test_a_checkpoint_is_fine_tuned(folder: Path, vit: Path) -> None:
    train, val, _ = vision.images_from_folder(
        folder, train_test_names=["train", "valid"], preprocess_mode=vit, verbose=0
    )
    for name in (vit, str(vit), "vit"):
        model = vision.image_classifier(name, train, val)
        assert model.spec.input == "image"
    learner = ktlite.get_learner(model, train, val, batch_size=8)
    learner.fit_onecycle(5e-3, 6, verbose=0)
    assert learner.metrics()["accuracy"] == 1.0
    with pytest.raises(ArgumentError, match="'default_cnn' starts from scratch: load the data"):
        vision.image_classifier("default_cnn", train)
    with pytest.raises(ArgumentError, match="the pictures were loaded for"):
        vision.image_classifier("deit", train)


def test_a_frozen_encoder_sees_pictures_as_they_are_augmented(
    vit: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shown, names = pictures(16)

    def trained(data_aug: Any) -> np.ndarray:
        train, val, _ = vision.images_from_array(
            shown, names, (shown, names), preprocess_mode=vit, data_aug=data_aug, verbose=0
        )
        learner = ktlite.get_learner(vision.image_classifier(vit, train), train, val, 8)
        learner.freeze()
        learner.fit(1e-2, 2, verbose=0)
        return np.array(learner.model.trainable_weights[0])

    dark = vision.get_data_aug(0, 0, 0, 0, brightness_range=(0.1, 0.1))
    plain, darkened = trained(None), trained(dark)
    assert caplog.text.count("encodes 32 images once") == 1
    assert np.abs(plain - darkened).max() > 1e-4


@pytest.mark.parametrize("name", ["default_cnn", "vit"])
def test_numbers_are_predicted(name: str, folder: Path, vit: Path) -> None:
    train, val, _ = vision.images_from_fname(
        folder / "flat", r"_(\d+).jpg$", is_regression=True, verbose=0,
        target_size=16, preprocess_mode="standard" if name == "default_cnn" else vit,
    )  # fmt: skip
    with pytest.raises(ArgumentError, match="image_regression_model makes models for them"):
        vision.image_classifier(name, train)
    model = vision.image_regression_model(name, train, val)
    learner = ktlite.get_learner(model, train, val, batch_size=8)
    learner.fit(1e-3, 1, verbose=0)
    assert isinstance(learner.get_predictor().predict(train.items[0]), float)


def test_what_cannot_be_made_says_so(data: Any) -> None:
    train = data[0]
    with pytest.raises(ArgumentError, match="labels were taken for classification; load them with"):
        vision.image_regression_model("default_cnn", train)
    with pytest.raises(ArgumentError, match="Did you mean 'default_cnn'"):
        vision.image_classifier("default_cn", train)
    for name in ("pretrained_resnet50", "wrn22", "mobilenetv3"):
        with pytest.raises(ArgumentError, match="Take a checkpoint of a ViT or DeiT"):
            vision.image_classifier(name, train)
    with pytest.raises(ArgumentError) as error:
        vision.image_classifier(
            "default_cnn", train, freeze_layers=-1, optimizer_name="sgd", multilabel=True,
            pt_fc=[512], pt_ps=[0.25],
        )  # fmt: skip
    for said in ("freeze_layers=-1", "'sgd'", "multilabel=True", "pt_fc=[512]", "pt_ps=[0.25]"):
        assert said in str(error.value)
    with pytest.raises(ArgumentError, match="train_data is of type list"):
        vision.image_classifier("default_cnn", [1])
    from ktlite.text import texts_from_array

    texts, _, _ = texts_from_array(["a b", "c d"] * 8, [0, 1] * 8, verbose=0)
    with pytest.raises(ArgumentError, match="train_data has texts; expected images"):
        vision.image_classifier("default_cnn", texts)


def test_names_are_shown(caplog: pytest.LogCaptureFixture) -> None:
    vision.print_image_classifiers()
    vision.print_image_regression_models()
    assert caplog.text.count("default_cnn") == 2
    assert list(vision.image_classifiers()) == list(vision.image_regression_models())
