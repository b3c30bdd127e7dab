"""Images as an input: what is one, how it travels, and the batches of it."""

from __future__ import annotations

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ktlite.errors import ArgumentError, DataError
from ktlite.inputs.image_augmentation import ImageAugmentation
from ktlite.inputs.image_processor import ImageProcessor
from ktlite.inputs.images import Images
from ktlite.inputs.pictures import read_picture

FOLDER = Path(__file__).parents[1] / "golden" / "images"
FILES = [FOLDER / name for name in ("rgb.png", "exif_6.jpg", "grey.png", "palette.png")]
PROCESSOR = ImageProcessor(size=(12, 10), resize=(12, 10))


def counted(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Returns a list that gets every item that is decoded from now on."""
    decoded: list[Any] = []
    pixels = ImageProcessor.pixels

    def count(self: ImageProcessor, item: Any) -> np.ndarray:
        decoded.append(item)
        return pixels(self, item)

    monkeypatch.setattr(ImageProcessor, "pixels", count)
    return decoded


def resident() -> int:
    """Returns the bytes of memory that this process has in use."""
    if not Path("/proc/self/statm").exists():
        pytest.skip("only Linux says so")
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("workers", [1, 2, 16])
@pytest.mark.parametrize("keep", [0, 10**6])
def test_a_batch_is_its_pictures_one_by_one(workers: int, keep: int) -> None:
    encodings = Images(PROCESSOR, workers=workers, keep=keep).encode(FILES)
    assert len(encodings) == 4
    rows = np.array([3, 0, 0, 2, 1])
    for _ in range(3):
        batch = encodings.batch(rows)
        assert list(batch) == ["pixel_values"]
        assert batch["pixel_values"].dtype == np.float32
        expected = np.stack([PROCESSOR(FILES[row]) for row in rows])
        np.testing.assert_array_equal(batch["pixel_values"], expected)
    assert encodings.batch(rows[:0])["pixel_values"].shape == (0, 12, 10, 3)


def test_fields_are_what_a_batch_holds() -> None:
    encodings = Images(PROCESSOR).encode(FILES)
    batch = encodings.batch(np.arange(2))
    assert [field.name for field in encodings.fields] == list(batch)
    for field in encodings.fields:
        assert batch[field.name].shape[1:] == field.shape
        assert batch[field.name].dtype == field.dtype
    np.testing.assert_array_equal(encodings.lengths, [0, 0, 0, 0])


def test_pictures_are_decoded_when_a_batch_has_them_and_kept_the_second_time_if_they_fit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    decoded = counted(monkeypatch)
    size = len(FILES) * 12 * 10 * 3
    for keep, times in ((size, 2), (size - 1, 4)):
        encodings = Images(PROCESSOR, keep=keep).encode(FILES)
        assert decoded == []
        for _ in range(4):
            encodings.batch(np.array([2, 3]))
        assert sorted(decoded) == sorted(FILES[2:] * times)
        encodings.take(np.array([3])).batch(np.array([0]))
        assert len(decoded) == 2 * times + (times > 2)
        decoded.clear()


def test_what_is_asked_for_once_takes_no_memory() -> None:
    pixels = np.full((500, 500, 3), 7, "uint8")
    images = Images(ImageProcessor(size=(500, 500), resize=None))
    encodings = images.encode([pixels] * 100)
    assert encodings.kept is not None
    before = resident()
    for row in range(100):
        encodings.batch(np.array([row]))
    once = resident()
    encodings.batch(np.arange(100)[:50])
    assert once - before < 15e6
    assert encodings.kept.there.sum() == 50


def test_some_examples_are_taken_in_their_order() -> None:
    whole = Images(PROCESSOR).encode(FILES)
    some = whole.take(np.array([2, 0, 2])).take(np.array([1, 0]))
    assert len(some) == len(some.lengths) == 2
    np.testing.assert_array_equal(
        some.batch(np.array([0, 1]))["pixel_values"], whole.batch(np.array([0, 2]))["pixel_values"]
    )


def test_many_threads_may_ask_for_batches() -> None:
    encodings = Images(PROCESSOR).encode(FILES)
    expected = np.stack([PROCESSOR(file) for file in FILES])
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: encodings.batch(np.arange(4)), range(40)))
    for batch in found:
        np.testing.assert_array_equal(batch["pixel_values"], expected)


def test_chance_is_a_function_of_the_seed_and_the_row() -> None:
    augmentation = ImageAugmentation(rotation_range=90, channel_shift_range=50)
    for workers in (1, 4):
        plain = Images(PROCESSOR, workers=workers).encode(FILES)
        encodings = plain.augmented(augmentation)
        expected = [
            PROCESSOR.standardised(
                augmentation(PROCESSOR.pixels(file), np.random.default_rng([7, 1, row]))
            )
            for row, file in enumerate(FILES)
        ]
        rows = np.arange(4)
        for _ in range(4):  # what is kept is not changed
            found = encodings.batch(rows, seed=[7, 1])["pixel_values"]
            np.testing.assert_array_equal(found, expected)
        backwards = encodings.batch(rows[::-1], seed=(7, 1))["pixel_values"]
        np.testing.assert_array_equal(backwards, found[::-1])
        assert not np.array_equal(encodings.batch(rows, seed=[7, 2])["pixel_values"], found)
        expected = plain.batch(rows)["pixel_values"]
        for same in (encodings.batch(rows), plain.batch(rows, seed=[7, 1])):
            np.testing.assert_array_equal(same["pixel_values"], expected)
        some = encodings.take(np.array([2]))
        assert some.augmentation is augmentation


def test_content_tells_pictures_apart_without_decoding_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.png"
    shutil.copy(FILES[0], file)
    grey = np.zeros((5, 5), "uint8")
    decoded = counted(monkeypatch)

    def content(*items: Any, processor: ImageProcessor = PROCESSOR) -> list[bytes]:
        encodings = Images(processor).encode(items)
        found = encodings.content(np.arange(len(items)))["picture"]
        assert found.shape == (len(items), 16)
        return [row.tobytes() for row in found]

    first, second, third = content(file, grey, FILES[1])
    assert len({first, second, third}) == 3
    assert content(grey.copy(), str(file)) == [second, first]
    assert content(file, processor=PROCESSOR.resized(8)) != [first]
    turned = Images(PROCESSOR).encode([file]).augmented(ImageAugmentation(rotation_range=1))
    assert turned.content(np.array([0]))["picture"].tobytes() != first
    os.utime(file, ns=(1, 1))
    assert content(file) != [first]
    assert decoded == []


def test_what_cannot_be_read_is_told_when_encoding_or_with_the_batch(tmp_path: Path) -> None:
    images = Images(PROCESSOR)
    with pytest.raises(DataError) as raised:
        images.encode([FILES[0], "no/such.png", 3, FILES[1]])
    assert "2 images cannot be read" in str(raised.value)
    assert "number 1: there is no file 'no/such.png'" in str(raised.value)
    assert "number 2: a value of type int is no picture" in str(raised.value)
    cut = tmp_path / "cut.png"
    cut.write_bytes(FILES[0].read_bytes()[:-60])
    encodings = images.encode([*FILES, cut]).take(np.array([4]))
    with pytest.raises(DataError, match=r"picture 4: '.*cut.png' is damaged"):
        encodings.batch(np.array([0]))


def test_problems_of_many_pictures_are_told_by_their_flaw() -> None:
    items = [FILES[0], b"no picture", np.zeros((3, 3)), "no/such.png", "no/other.png", None]
    assert Images.problems(items) == [
        None,
        "no picture that Pillow reads",
        "an array of float64, not uint8 "
        "(where white is 1, give (255 * array).round().astype('uint8'))",
        "no such file, such as 'no/such.png'",
        "no such file, such as 'no/such.png'",
        "a value of type NoneType",
    ]
    assert Images.problems([]) == []


def test_what_is_a_picture_by_its_type() -> None:
    grey = np.zeros((5, 6), "uint8")
    for item in ("a.png", Path("a.png"), b"...", Image.new("L", (2, 2)), grey):
        assert Images.accepts(item)
        assert Images.is_one(item)
    assert Images.is_one(np.zeros((5, 6, 3), "uint8"))
    assert not Images.is_one(np.zeros((10, 28, 28), "uint8"))
    for item in (None, 3, ["a.png"], np.zeros((2, 5, 6, 3), "uint8"), float("nan")):
        assert not Images.accepts(item)
        assert not Images.is_one(item)


def test_cells_of_tables_are_paths_beside_them_or_what_datasets_stores(tmp_path: Path) -> None:
    image = Image.new("L", (2, 2))
    cells = ["cats/1.jpg", str(tmp_path / "2.jpg"), {"bytes": b"12", "path": "x"}, image, None, ""]
    assert Images.of_cells(cells, Path("/data")) == [
        os.path.join("/data", "cats/1.jpg"), str(tmp_path / "2.jpg"), b"12", image, None, "",
    ]  # fmt: skip
    assert Images.of_cells(["cats/1.jpg"], None) == ["cats/1.jpg"]
    assert Images.of_cells([{"bytes": None, "path": "1.jpg"}], Path("d")) == [
        os.path.join("d", "1.jpg")
    ]


def test_files_of_class_folders_are_pictures_by_their_name() -> None:
    assert Images.is_file(Path("a.JPEG"))
    assert Images.is_file(Path("a.webp"))
    assert not Images.is_file(Path("Thumbs.db"))
    assert not Images.is_file(Path("labels.csv"))


@pytest.mark.parametrize("name", ["exif_6.jpg", "palette_alpha.png", "lossy.webp", "animated.gif"])
def test_files_travel_in_json_as_they_are(name: str) -> None:
    content = (FOLDER / name).read_bytes()
    for item in (FOLDER / name, content):
        value = json.loads(json.dumps(Images.to_json(item)))
        kind = {"jpg": "jpeg"}.get(name[-3:], name.split(".")[1])
        assert value.startswith(f"data:image/{kind};base64,")
        assert Images.from_json(value) == content
        assert Images.from_json(value.split(",")[1]) == content


def test_pixels_travel_in_json_without_loss() -> None:
    for item in Images.golden or ():
        again = Images.from_json(Images.to_json(item))
        np.testing.assert_array_equal(np.asarray(read_picture(again)), read_picture(item))


@pytest.mark.parametrize("value", [None, 3, ["a"], "cats/1.jpg!", "https://a.org/1.jpg", "data:,a"])
def test_other_values_of_json_are_refused_and_no_file_is_read(value: Any) -> None:
    with pytest.raises(DataError, match="expected a data URL with base64"):
        Images.from_json(value)


def test_what_is_no_picture_does_not_become_json() -> None:
    with pytest.raises(DataError, match="is no picture that Pillow reads"):
        Images.to_json(b"some text")


def test_schema_is_of_a_string() -> None:
    assert Images.schema()["type"] == "string"
    assert Images.schema()["contentEncoding"] == "base64"


def test_pictures_are_shown_by_name_and_size_and_as_small_copies(tmp_path: Path) -> None:
    large = tmp_path / 'a"<b>.png'
    Image.new("RGBA", (600, 300), (9, 200, 30, 40)).save(large)
    assert Images.shown(large) == f"'{large}' (600 x 300)"
    assert Images.shown(FOLDER / "exif_6.jpg").endswith("exif_6.jpg' (17 x 26)")
    assert Images.shown(np.zeros((3, 4), "uint8")) == "an array [3, 4] of uint8"
    assert Images.shown("no/such.png") == "'no/such.png'"
    shown = str(Images.shown_as_html(large))
    assert shown.startswith('<img src="data:image/jpeg;base64,')
    assert 'width="160" height="80"' in shown
    assert "<b>" not in shown and "&lt;b&gt;" in shown
    thumbnail = read_picture(Images.from_json(shown.split('"')[1]))
    assert thumbnail.size == (160, 80)
    np.testing.assert_allclose(thumbnail.getpixel((20, 20)), (9, 200, 30), atol=4)
    assert Images.shown_as_html("no/such.png") is None


def test_keys_are_those_of_equal_pictures(tmp_path: Path) -> None:
    shutil.copy(FILES[0], tmp_path / "copy.png")
    assert Images.key(FILES[0]) == Images.key(tmp_path / "copy.png") != Images.key(FILES[1])


def test_golden_pictures_are_pictures() -> None:
    assert Images.problems(list(Images.golden or ())) == [None] * 3
    assert len({Images.key(item) for item in Images.golden or ()}) == 3
    assert len({item.shape for item in Images.golden or ()}) == 3


def test_images_are_saved_and_loaded(tmp_path: Path) -> None:
    images = Images.of_checkpoint(tmp_path, size=(20, 24))
    assert images.size == (20, 24)
    (tmp_path / "saved").mkdir()
    config = json.loads(json.dumps(images.save(tmp_path / "saved")))
    again = Images.load(tmp_path / "saved", config)
    assert again.processor == images.processor


def test_arguments_are_checked_together() -> None:
    with pytest.raises(ArgumentError, match="2 problems"):
        Images(PROCESSOR, workers=0, keep=-1)
