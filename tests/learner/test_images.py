"""What a learner says and shows of images."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import ktlite
from ktlite.errors import DataError
from ktlite.inputs.image_augmentation import ImageAugmentation
from ktlite.models import from_config, from_pretrained

ROOT = Path(__file__).parents[2]
CONFIG = {
    "model_type": "vit", "image_size": 32, "patch_size": 8, "hidden_size": 32,
    "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64,
    "hidden_dropout_prob": 0.1,
}  # fmt: skip


def picture(bright: bool, random: np.random.Generator) -> np.ndarray:
    low, high = (100, 256) if bright else (0, 156)
    return random.integers(low, high, (40, 36, 3)).astype("uint8")


def write_folders(folder: Path, count: int, seed: int) -> Path:
    """Writes class folders of so many pictures each."""
    random = np.random.default_rng(seed)
    for name in ("bright", "dark"):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            Image.fromarray(picture(name == "bright", random)).save(folder / name / f"{number}.png")
    return folder


@pytest.fixture(scope="session")
def vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vit") / "tiny-vit"
    from_config(CONFIG, "image-classification", num_labels=2).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("data")
    return write_folders(folder / "train", 16, 0), write_folders(folder / "val", 6, 1)


def learner_of(vit: Path, data: tuple[Path, Path], **options: Any) -> Any:
    given = {"batch_size": 8, "check": False, **options}
    return ktlite.get_learner(vit, train_data=data[0], val_data=data[1], verbose=0, **given)


@pytest.fixture(scope="module")
def learner(vit: Path, data: tuple[Path, Path]) -> Any:
    made = learner_of(vit, data)
    made.fit_onecycle(2e-3, 2, verbose=0)
    return made


def test_a_model_of_images_is_saved_without_a_word_on_tokenizers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "ktlite"):
        from_config(CONFIG, "image-classification", num_labels=2).save_pretrained(tmp_path)
    assert "tokenizer" not in caplog.text


def test_checks_look_at_sizes_and_content(
    vit: Path, data: tuple[Path, Path], tmp_path: Path
) -> None:
    train, val = tmp_path / "train", data[1]
    shutil.copytree(data[0], train)
    shutil.copy(val / "dark" / "0.png", train / "dark" / "another name.png")
    found = {line.check: line for line in learner_of(vit, (train, val)).check()}
    both = found["in both splits"]
    assert both.found.startswith("1 of 12 images of val_data (8.3%) are in train_data too")
    sizes = found["sizes in train_data"].found
    assert sizes == "all 40 x 36 (height x width); the model reads 32 x 32"
    assert found["classes in train_data"].found.startswith("2 classes; bright has 16 examples")
    assert not any("text" in f"{line.found} {line.advice}" for line in found.values())


def test_the_worst_images_are_shown_with_heat_maps(
    learner: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "ktlite"):
        (found,) = learner.view_top_losses(1, explain=True)
    (number, *_), file = learner.top_losses(1)[0], learner.val_data.items
    assert Path(file[number]).name in caplog.text and "(36 x 40)" in caplog.text
    assert found.to_frame().shape == (16, 5)
    page = learner.report(tmp_path / "report.html", n_worst=2).read_text(encoding="utf-8")
    assert page.count('class="ktlite-explanation"') == 2
    assert page.count('<img src="data:image/jpeg;base64,') == 4
    assert "img-src data:" in page
    plain = learner.report(tmp_path / "plain.html", n_worst=2, explain=False)
    assert plain.read_text(encoding="utf-8").count("<img src=") == 2


def test_images_are_predicted_however_they_are_given(learner: Any, data: tuple[Path, Path]) -> None:
    files = [data[1] / "bright" / f"{number}.png" for number in range(3)]
    expected = learner.get_predictor().predict(files)
    arrays = [np.asarray(Image.open(file)) for file in files]
    assert learner.predict(files) == expected
    assert learner.predict([str(file) for file in files]) == expected
    assert learner.predict(np.stack(arrays)) == expected
    for item in (files[0], str(files[0]), files[0].read_bytes(), arrays[0], Image.open(files[0])):
        assert learner.predict(item) == expected[0]
    of_data = learner.predict(data[1])
    assert of_data.shape == (12, 2)
    np.testing.assert_allclose(learner.predict((files, ["bright"] * 3)), of_data[:3], atol=1e-5)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("A warm, funny film.", "there is no file 'A warm, funny film.'"),
        ("no/such.png", "there is no file 'no/such.png'"),
        (np.zeros((32, 32, 3)), r"float64, not of uint8.*\(255 \* array\)"),
        ([np.zeros((2, 2, 32, 32, 3), "uint8")], r"\[2, 2, 32, 32, 3\] of uint8"),
        ([np.zeros((3, 32, 32), "uint8")], "where channels come first, give np.moveaxis"),
        (3, "predict takes the path of a file, its bytes, .* or a list of them; got int"),
        (("no/a.png", "no/b.png"), "2 images cannot be read"),
        ([None], "a value of type NoneType is no picture"),
        (b"", "no bytes"),
        (
            pd.DataFrame({"file": ["a.png"], "label": ["dark"]}),
            r"predict takes images, not a table.*that of the images, such as data\['file'\]",
        ),
    ],
)
def test_what_is_no_image_is_told(learner: Any, given: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        learner.get_predictor().predict(given)


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """Class folders with files that are no pictures, and others beside."""
    folder = write_folders(tmp_path / "train", 6, 2)
    (folder / "dark" / "1.png").write_bytes(b"")
    cut = (folder / "bright" / "2.png").read_bytes()[:-500]
    (folder / "bright" / "2.png").write_bytes(cut)
    (folder / "dark" / "notes.txt").write_text("no picture")
    (folder / "dark" / "Thumbs.db").write_bytes(b"12")
    return folder


def test_damaged_files_are_left_out_or_refused_before_training(
    vit: Path, data: tuple[Path, Path], damaged: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "ktlite"):
        made = learner_of(vit, (damaged, data[1]), missing="drop")
    assert len(made.train_data) == 10
    assert "2.png" in caplog.text and "1.png" in caplog.text
    with pytest.raises(DataError) as caught:
        learner_of(vit, (damaged, data[1]), missing="error")
    assert "2.png" in str(caught.value) and "1.png" in str(caught.value)


def test_tables_name_what_is_missing(vit: Path, data: tuple[Path, Path], tmp_path: Path) -> None:
    table = tmp_path / "train.csv"
    rows = [f"{data[0]}/{name}/{i}.png,{name}" for i in range(8) for name in ("bright", "dark")]
    table.write_text("\n".join(["file,label", *rows, f"{data[0]}/dark/99.png,dark"]))
    with pytest.raises(DataError, match="no column is 'path'. The columns are 'file', 'label'"):
        ktlite.get_learner(
            vit, table, data[1], text_column="path", label_columns="label", verbose=0
        )
    with pytest.raises(DataError, match=r"no such file.*99.png.*row 16"):
        ktlite.get_learner(vit, table, data[1], text_column="file", label_columns="label",
                           missing="error", verbose=0)  # fmt: skip


# Training in other ways: each gives what plain training gives


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint without dropout, so that ways of training can be compared."""
    folder = tmp_path_factory.mktemp("still") / "tiny-vit"
    config = {**CONFIG, "hidden_dropout_prob": 0.0}
    from_config(config, "image-classification", num_labels=2).save_pretrained(folder)
    return folder


def logits_after(learner: Any, epochs: int = 1) -> np.ndarray:
    learner.fit(1e-3, epochs, verbose=0)
    return learner.get_predictor().logits(learner.val_data.items)


@pytest.fixture(scope="module")
def plain(still: Path, data: tuple[Path, Path]) -> np.ndarray:
    learner = learner_of(still, data)
    before = learner.get_predictor().logits(learner.val_data.items)
    after = logits_after(learner)
    assert np.abs(after - before).max() > 0.05
    return after


@pytest.mark.parametrize("option", ["remat", "xla"])
def test_what_saves_memory_or_time_changes_no_numbers(
    still: Path, data: tuple[Path, Path], plain: np.ndarray, option: str
) -> None:
    found = logits_after(learner_of(still, data, **{option: True}))
    np.testing.assert_allclose(found, plain, atol=2e-3)


def test_batches_of_one_step_are_one_batch(still: Path, data: tuple[Path, Path]) -> None:
    whole, parts = (
        logits_after(learner_of(still, data, batch_size=size, accumulate=32 // size))
        for size in (32, 8)
    )
    np.testing.assert_allclose(parts, whole, atol=2e-3)


def test_half_precision_is_near(still: Path, data: tuple[Path, Path], plain: np.ndarray) -> None:
    learner = learner_of(still, data, precision="bfloat16")
    assert {str(weight.dtype) for weight in learner.model.trainable_weights} == {"float32"}
    np.testing.assert_allclose(logits_after(learner), plain, atol=0.1)


def test_an_average_of_the_weights_is_left(
    still: Path, data: tuple[Path, Path], plain: np.ndarray
) -> None:
    averaged = logits_after(learner_of(still, data, ema=0.99))
    assert np.isfinite(averaged).all() and np.abs(averaged - plain).max() > 1e-3


def test_the_head_alone_trains_on_kept_features(still: Path, data: tuple[Path, Path]) -> None:
    found = []
    for keep in (True, False):
        learner = learner_of(still, data)
        learner.freeze(keep_features=keep)
        found.append(logits_after(learner, 2))
    np.testing.assert_allclose(found[0], found[1], atol=1e-4)


def test_adapters_train_and_come_back(still: Path, data: tuple[Path, Path], tmp_path: Path) -> None:
    learner = learner_of(still, data, lora=4)
    trained = {weight.path for weight in learner.model.trainable_weights}
    assert all("lora" in path or "head" in path for path in trained) and len(trained) > 5
    after = logits_after(learner, 2)
    learner.save_adapters(tmp_path / "adapters")
    back = from_pretrained(still, "image-classification", adapters=tmp_path / "adapters")
    values = learner.val_data.encodings.batch(np.arange(12))
    np.testing.assert_allclose(back(values), after, atol=1e-4)


class Crash(Exception):
    """What nothing catches."""


class Stop(keras.callbacks.Callback):
    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if self.model.optimizer.iterations.numpy() == 6:  # in the second epoch
            raise Crash


def test_a_run_goes_on_in_the_middle_of_an_epoch_bit_by_bit(
    vit: Path, data: tuple[Path, Path], tmp_path: Path
) -> None:
    augment = ImageAugmentation(horizontal_flip=True)
    alone, stopped, resumed = (learner_of(vit, data, augment=augment) for _ in range(3))
    alone.fit_onecycle(1e-3, 2, verbose=0)
    options = {"checkpoint_folder": tmp_path / "run", "save_every": 1, "verbose": 0}
    with pytest.raises(Crash):
        stopped.fit_onecycle(1e-3, 2, callbacks=[Stop()], **options)
    resumed.fit_onecycle(1e-3, 2, resume=True, **options)
    for mine, theirs in zip(resumed.model.weights, alone.model.weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert resumed.history.history["loss"] == alone.history.history["loss"]


def test_two_devices_follow_one(
    still: Path, data: tuple[Path, Path], plain: np.ndarray, tmp_path: Path
) -> None:
    """In a process of its own, since devices must be set before anything uses them."""
    program = f"""
import numpy as np, tensorflow as tf
cpus = tf.config.list_physical_devices("CPU")[:1]
tf.config.set_logical_device_configuration(cpus[0], [tf.config.LogicalDeviceConfiguration()] * 2)
import ktlite
learner = ktlite.get_learner({str(still)!r}, {str(data[0])!r}, {str(data[1])!r}, batch_size=8,
                             verbose=0, check=False, devices=["CPU:0", "CPU:1"])
learner.fit(1e-3, 1, verbose=0)
np.save({str(tmp_path / "logits.npy")!r}, learner.get_predictor().logits(learner.val_data.items))
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True,
                          text=True)  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    np.testing.assert_allclose(np.load(tmp_path / "logits.npy"), plain, atol=2e-3)
