"""ktrain's loaders of pictures: what they read, how they split, and what they refuse."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ktlite import vision
from ktlite.errors import ArgumentError, DataError
from ktlite.tasks import Classification, MultiLabel, Regression
from ktlite.text import Transformer
from ktlite.vision import StandardImagePreprocessor
from tests.vision.drawn import pictures


def first(data: Any) -> np.ndarray:
    return np.asarray(data.inputs(np.arange(1))["pixel_values"][0])


def scaled(picture: np.ndarray) -> np.ndarray:
    return picture.astype("float64") / 127.5 - 1


# From folders


def test_class_folders_to_train_and_to_validate_on(folder: Path) -> None:
    train, val, preproc = vision.images_from_folder(
        folder, (16, 16), train_test_names=["train", "valid"], verbose=0
    )
    assert (len(train), len(val)) == (24, 8)
    assert preproc.get_classes() == ["blue", "red"]
    assert isinstance(preproc, StandardImagePreprocessor)
    names = [Path(item).parent.name for item in train.items]
    assert [preproc.get_classes()[n] for n in train.y] == names
    picture = np.asarray(Image.open(train.items[0]))
    np.testing.assert_allclose(first(train), scaled(picture), atol=1e-6)


def test_one_folder_is_split_in_proportion(folder: Path) -> None:
    def load(seed: int) -> Any:
        return vision.images_from_folder(
            folder, 16, train_test_names=["train"], val_pct=0.25, random_state=seed, verbose=0
        )

    train, val, _ = load(1)
    assert np.bincount(train.y).tolist() == [9, 9]
    assert np.bincount(val.y).tolist() == [3, 3]
    assert not set(train.items) & set(val.items)
    assert load(1)[1].items == val.items
    assert load(2)[1].items != val.items


def test_some_classes_of_a_folder(folder: Path) -> None:
    with pytest.raises(DataError, match="no class folder 'reds'. Did you mean 'red'"):
        vision.images_from_folder(folder, classes=["blue", "reds"])


def test_what_is_said_counts_images(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        vision.images_from_folder(folder, 16, train_test_names=["train", "valid"])
    assert "24 images to train on, 8 images to validate on" in caplog.text


def test_files_that_are_none_are_left_out_or_refused(tmp_path: Path) -> None:
    shown, names = pictures(8)
    for number, (picture, name) in enumerate(zip(shown, names, strict=True)):
        (tmp_path / "train" / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(tmp_path / "train" / name / f"{number}.png")
    (tmp_path / "train" / "red" / "broken.png").write_bytes(b"none")
    (tmp_path / "train" / "red" / "notes.txt").write_text("none")
    train, val, _ = vision.images_from_folder(tmp_path, 16, val_pct=0.25, verbose=0)
    assert len(train) + len(val) == 8
    with pytest.raises(DataError, match=r"broken\.png"):
        vision.images_from_folder(tmp_path, 16, missing="error", verbose=0)


# For a checkpoint


def test_a_checkpoint_brings_its_own_size_and_scaling(folder: Path, vit: Path) -> None:
    train, _, preproc = vision.images_from_folder(
        folder, train_test_names=["train", "valid"], preprocess_mode=vit, verbose=0
    )
    assert isinstance(preproc, Transformer)
    assert first(train).shape == (16, 16, 3)
    for size in (16, (16, 16), [16, 16]):
        vision.images_from_folder(
            folder, size, train_test_names=["train", "valid"], preprocess_mode=vit, verbose=0
        )
    with pytest.raises(ArgumentError, match="the checkpoint reads images of 16 x 16 pixels"):
        vision.images_from_folder(
            folder, 32, train_test_names=["train"], preprocess_mode=vit, verbose=0
        )


def test_a_checkpoint_of_texts_is_refused(folder: Path, tiny_checkpoint: Path) -> None:
    with pytest.raises(ArgumentError, match="is a checkpoint that reads texts; expected one of im"):
        vision.images_from_folder(
            folder, train_test_names=["train"], preprocess_mode=tiny_checkpoint, verbose=0
        )


# Augmentation


def test_training_pictures_alone_are_augmented(folder: Path) -> None:
    train, val, _ = vision.images_from_folder(
        folder, 16, train_test_names=["train", "valid"], verbose=0,
        data_aug=vision.get_data_aug(0, 0, 0, 0, brightness_range=(1e-4, 1e-4)),
    )  # fmt: skip
    rows = np.arange(2)
    drawn, _ = train.training_examples(rows, (1, 2))
    assert (drawn["pixel_values"] == -1).all()
    for data in (train.examples, val.examples, val.training_examples):
        assert (data(rows, (1, 2))[0]["pixel_values"] > -1).any()


# Tables


@pytest.fixture
def table(folder: Path, tmp_path: Path) -> Path:
    """A table of the flat pictures, without what their names end with, and with numbers."""
    files = sorted((folder / "flat").iterdir())
    frame = pd.DataFrame({
        "name": [file.stem for file in files],
        "kind": [file.stem.split("_")[0] for file in files],
        "age": [float(file.stem.split("_")[1]) / 2 for file in files],
    })  # fmt: skip
    frame["is red"], frame["is odd"] = frame.kind == "red", [1, 0] * 16
    frame["is red"] = frame["is red"].astype(int)
    frame.to_csv(tmp_path / "table.csv", index=False)
    return tmp_path / "table.csv"


def test_a_table_names_files_of_a_folder(folder: Path, table: Path) -> None:
    train, val, preproc = vision.images_from_csv(
        table, "name", "kind", folder / "flat", ".jpg", target_size=16, val_pct=0.25, verbose=0
    )
    assert (len(train), len(val)) == (24, 8)
    assert isinstance(preproc.task, Classification)
    for item, label in zip(train.items, train.y, strict=True):
        assert Path(item).parent == folder / "flat"
        assert Path(item).name.startswith(preproc.get_classes()[label])


def test_paths_of_a_table_begin_where_it_lies(folder: Path) -> None:
    files = sorted((folder / "flat").iterdir())
    frame = pd.DataFrame({"file": [file.name for file in files], "kind": ["a", "b"] * 16})
    path = folder / "flat" / "table.csv"
    frame.to_csv(path, index=False)
    try:
        train, _, _ = vision.images_from_csv(path, "file", "kind", target_size=16, verbose=0)
    finally:
        path.unlink()
    assert Path(train.items[0]).parent == folder / "flat"


@pytest.mark.parametrize(
    ("labels", "options", "task"),
    [
        ("age", {"is_regression": True}, Regression),
        ("age", {"task": "regression"}, Regression),
        (["is red", "is odd"], {}, MultiLabel),
        ("kind", {}, Classification),
    ],
)
def test_labels_of_all_kinds(
    folder: Path, table: Path, labels: Any, options: dict[str, Any], task: type
) -> None:
    train, _, preproc = vision.images_from_df(
        pd.read_csv(table), "name", labels, folder / "flat", suffix=".jpg", target_size=16,
        verbose=0, **options,
    )  # fmt: skip
    assert isinstance(preproc.task, task)
    assert len(train.y) == len(train)


def test_validation_frame_with_a_folder_of_its_own(folder: Path, table: Path) -> None:
    frame = pd.read_csv(table)
    frame["file"] = frame.name + ".jpg"
    train, val, _ = vision.images_from_df(
        frame, "file", "kind", folder / "flat", val_directory=folder / "flat" / ".." / "flat",
        val_df=frame[:6], target_size=16, verbose=0,
    )  # fmt: skip
    assert (len(train), len(val)) == (32, 6)
    assert ".." in str(val.items[0])
    assert ".." not in str(train.items[0])


def test_a_table_is_checked(folder: Path, table: Path) -> None:
    with pytest.raises(DataError, match="no column is 'nam'. Did you mean 'name'"):
        vision.images_from_csv(table, "nam", "kind")
    with pytest.raises(DataError, match="no such file"):  # without their suffix
        vision.images_from_csv(table, "name", "kind", folder / "flat")
    with pytest.raises(ArgumentError) as error:
        vision.images_from_csv(
            table, ["name", "kind"], "age", target_size=0, color_mode="bgr", is_regression=True,
            task="classification", data_aug="flip", val_pct=2,
        )  # fmt: skip
    for said in (
        "image_column=['name', 'kind']", "target_size=0", "color_mode='bgr'", "contradict",
        "data_aug is of type str", "val_pct=2",
    ):  # fmt: skip
        assert said in str(error.value)


# Names of files


def test_names_of_files_say_classes(folder: Path) -> None:
    train, val, preproc = vision.images_from_fname(
        folder / "flat", target_size=16, val_pct=0.25, verbose=0
    )
    assert (len(train), len(val)) == (24, 8)
    assert preproc.get_classes() == ["blue", "red"]
    for item, label in zip(val.items, val.y, strict=True):
        assert Path(item).name.split("_")[0] == preproc.get_classes()[label]


def test_names_of_files_say_numbers(folder: Path) -> None:
    train, _, preproc = vision.images_from_fname(
        folder / "flat", r"/[^/]+_(\d+)\.jpg$", is_regression=True, target_size=16, verbose=0
    )
    assert isinstance(preproc.task, Regression)
    numbers = [float(Path(item).stem.split("_")[1]) for item in train.items]
    assert np.ravel(train.y).tolist() == numbers


def test_names_that_do_not_fit(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    train, val, preproc = vision.images_from_fname(
        folder / "flat", r"(blue|red)_[0-4]", target_size=16, verbose=0, missing="drop"
    )
    assert len(train) + len(val) == 27  # 0 to 4, and those that begin so: 10 to 31
    assert "a name that '(blue|red)_[0-4]' does not fit (blue_6.jpg" in caplog.text
    with pytest.raises(DataError, match="does not fit"):
        vision.images_from_fname(folder / "flat", r"(blue|red)_[0-4]", missing="error")
    with pytest.raises(ArgumentError, match="has no group; expected one around the label"):
        vision.images_from_fname(folder / "flat", r"blue")
    with pytest.raises(ArgumentError, match="is no regular expression"):
        vision.images_from_fname(folder / "flat", r"(blue")
    with pytest.raises(DataError, match="holds no image files; class folders: images_from_folder"):
        vision.images_from_fname(folder / "train")


# Arrays


@pytest.mark.parametrize("kind", ["uint8", "int64", "float32"])
def test_arrays_keep_their_size_and_values(kind: str) -> None:
    shown, names = pictures(16)
    train, val, preproc = vision.images_from_array(
        shown[:, :12].astype(kind), names, (shown[:4, :12].astype(kind), names[:4]), verbose=0
    )
    assert preproc.input.size == (12, 16)
    assert (len(train), len(val)) == (16, 4)
    np.testing.assert_allclose(first(train), scaled(shown[0, :12]), atol=1e-6)


def test_grey_arrays_and_class_numbers() -> None:
    shown, _ = pictures(16)
    grey = shown[..., :1].astype("float32")
    train, _, preproc = vision.images_from_array(
        grey, np.arange(16) % 2, class_names=["zero", "one"], random_state=3, verbose=0
    )
    assert preproc.get_classes() == ["zero", "one"]
    assert (np.ptp(first(train), axis=-1) == 0).all()


def test_arrays_that_are_scaled_already_are_refused() -> None:
    shown, names = pictures(8)
    with pytest.raises(ArgumentError, match=r"x_train has values from 0 to 0\.9.* \(x \* 255\)"):
        vision.images_from_array(shown / 255, names)
    with pytest.raises(ArgumentError, match="validation_data has values from -"):
        vision.images_from_array(shown, names, (shown / 127.5 - 1, names))
    with pytest.raises(ArgumentError, match="expected a tuple"):
        vision.images_from_array(shown, names, shown)


# ktrain's preprocess_csv


def test_several_classes_in_a_cell_become_columns(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("image_name,tags\n01,sunny hot\n02,cloudy cold\n03,hot\n")
    labels = vision.preprocess_csv(
        tmp_path / "in.csv", tmp_path / "out.csv", "image_name", "tags", suffix=".jpg"
    )
    assert labels == ["cloudy", "cold", "hot", "sunny"]
    assert (tmp_path / "out.csv").read_text().split() == [
        "image_name,cloudy,cold,hot,sunny", "01.jpg,0,0,1,1", "02.jpg,1,1,0,0", "03.jpg,0,0,1,0",
    ]  # fmt: skip
    with pytest.raises(ArgumentError, match="y_col is not given"):
        vision.preprocess_csv(tmp_path / "in.csv", tmp_path / "out.csv", suffix=".jpg")
    with pytest.raises(DataError, match="no column is 'tag'"):
        vision.preprocess_csv(tmp_path / "in.csv", tmp_path / "out.csv", "image_name", "tag")
