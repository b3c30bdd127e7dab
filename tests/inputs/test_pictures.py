"""Pictures in any format become the RGB that `transformers` makes of them, or a message."""

from __future__ import annotations

import io
import struct
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from ktlite.errors import ArgumentError, DataError
from ktlite.inputs.pictures import (
    content_key,
    file_bytes,
    flaw,
    name_of,
    problem,
    read_picture,
    state_key,
)

FOLDER = Path(__file__).parents[1] / "golden" / "images"
DECODED = {
    name.removeprefix("decoded/"): pixels
    for name, pixels in load_file(FOLDER / "expected.safetensors").items()
    if name.startswith("decoded/")
}
# Decoders of these may round otherwise from version to version.
LOSSY = (".jpg", "lossy.webp")


def pixels_of(item: Any) -> np.ndarray:
    return np.asarray(read_picture(item))


def png(width: int, height: int) -> bytes:
    """Returns the bytes of a PNG file that says to be so large, and has no pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        summed = kind + data
        return struct.pack(">I", len(data)) + summed + struct.pack(">I", zlib.crc32(summed))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IEND", b"")


@pytest.mark.parametrize("name", DECODED)
@pytest.mark.filterwarnings("error")
def test_a_file_is_decoded_as_transformers_does(name: str) -> None:
    pixels = pixels_of(FOLDER / name)
    assert pixels.dtype == np.uint8
    assert pixels.shape == DECODED[name].shape
    away = np.abs(pixels.astype(int) - DECODED[name]).max()
    assert away <= (2 if name.endswith(LOSSY) else 0)
    assert problem(FOLDER / name) is None


def test_the_bytes_of_a_file_and_a_pillow_image_are_the_same_picture() -> None:
    for name in ("exif_6.jpg", "palette_alpha.png", "grey_16.tiff"):
        expected = pixels_of(FOLDER / name)
        content = (FOLDER / name).read_bytes()
        for item in (str(FOLDER / name), content, bytearray(content), Image.open(FOLDER / name)):
            np.testing.assert_array_equal(pixels_of(item), expected)


def test_arrays_are_rgb_grey_or_rgb_with_transparency() -> None:
    rgba = np.arange(2 * 3 * 4, dtype="uint8").reshape(2, 3, 4) * 10
    np.testing.assert_array_equal(pixels_of(rgba), rgba[..., :3])
    np.testing.assert_array_equal(pixels_of(rgba[..., :3]), rgba[..., :3])
    grey = np.repeat(rgba[..., :1], 3, axis=-1)
    np.testing.assert_array_equal(pixels_of(rgba[..., 0]), grey)
    np.testing.assert_array_equal(pixels_of(rgba[..., :1]), grey)


def test_a_pillow_image_of_the_caller_stays_as_it_is() -> None:
    opened = Image.open(FOLDER / "exif_6.jpg")
    read_picture(opened)
    assert opened.size == (26, 17)
    assert opened.getexif()[0x0112] == 6


def test_a_pillow_image_that_is_not_loaded_yet_can_be_read_by_many_threads() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (600, 600, 3), "uint8")
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "PNG")
    for _ in range(5):
        opened = Image.open(io.BytesIO(file.getvalue()))
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(pixels_of, [opened] * 8))
        assert all(np.array_equal(pixels, noise) for pixels in found)


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.zeros((4, 5, 3)), "an array [4, 5, 3] of float64, not of uint8"),
        (
            np.zeros((4, 5, 3), "float32"),
            "where white is 1, give (255 * array).round().astype('uint8')",
        ),
        (np.zeros((4, 5, 3), "int64"), "not of uint8"),
        (np.zeros((3, 40, 50), "uint8"), "np.moveaxis(array, 0, -1)"),
        (np.zeros((4, 5, 2), "uint8"), "not [height, width, 3], or [height, width] for grey"),
        (np.zeros((2, 4, 5, 3), "uint8"), "not [height, width, 3]"),
        (np.zeros((0, 5, 3), "uint8"), "has no pixels"),
    ],
)
def test_other_arrays_are_refused_with_the_way_out(array: np.ndarray, says: str) -> None:
    assert says in str(problem(array))
    with pytest.raises(DataError) as raised:
        read_picture(array)
    assert says in str(raised.value)
    assert str(raised.value).endswith(".")


def test_files_that_are_no_pictures_are_told(tmp_path: Path) -> None:
    whole = (FOLDER / "rgb.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[:-30])
    (tmp_path / "cut.png").write_bytes((FOLDER / "rgb.png").read_bytes()[:-60])
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "page.jpg").write_bytes(b"<html>not found</html>")
    (tmp_path / "head.png").write_bytes(png(5, 5))
    (tmp_path / "none.png").write_bytes(png(0, 5))
    (tmp_path / "bomb.png").write_bytes(png(20_000, 20_000))
    expected = {
        "missing.jpg": f"there is no file '{tmp_path}/missing.jpg'",
        "": "is a folder; expected a file",
        "cut.jpg": "is damaged: image file is truncated",
        "cut.png": "is damaged: ",
        "head.png": "is damaged: ",
        "none.png": "none.png' ",
        "empty.png": "is empty",
        "page.jpg": "is no picture that Pillow reads; it starts with b'<html>not fo'",
        "bomb.png": "is too large: Image size (400000000 pixels) exceeds limit",
    }
    for name, says in expected.items():
        assert says in str(problem(tmp_path / name)), name
        with pytest.raises(DataError) as raised:
            read_picture(tmp_path / name)
        assert says in str(raised.value)
    assert "it has no bytes" in str(problem(b""))
    assert "8 bytes is no picture" in str(problem(b"a string"))


def test_flaws_are_the_same_of_all_pictures_that_have_them(tmp_path: Path) -> None:
    for name in ("cut_1.jpg", "cut_2.jpg"):
        (tmp_path / name).write_bytes((FOLDER / "rgb.jpg").read_bytes()[:-30])
    (tmp_path / "empty.png").write_bytes(b"")
    expected = {
        FOLDER / "rgb.jpg": None,
        tmp_path / "cut_1.jpg": "a damaged file",
        tmp_path / "cut_2.jpg": "a damaged file",
        tmp_path / "empty.png": "an empty file",
        tmp_path / "none.png": "no such file",
        tmp_path: "a folder in place of a file",
        b"text": "no picture that Pillow reads",
        png(20_000, 20_000): "too many pixels",
        3: "a value of type int",
    }
    for item, found in expected.items():
        assert flaw(item) == found
        assert (problem(item) is None) == (found is None)
    assert flaw(np.zeros((2, 2), "int8")) == "an array of int8, not uint8"
    assert flaw(np.zeros((2, 2, 2), "uint8")) == "an array of another shape than [height, width, 3]"
    assert flaw(np.zeros((0, 2), "uint8")) == "no pixels"
    assert flaw(Image.fromarray(np.zeros((2, 2), "float32"))) == "pixels of 32 bits"


@pytest.mark.skipif(sys.platform == "win32", reason="permissions are others there")
def test_files_that_may_not_be_read_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)  # root may read whatever its mode
    assert problem(tmp_path / "a.png") == f"'{tmp_path}/a.png' may not be read: permission denied"
    assert flaw(tmp_path / "a.png") == "no permission to read it"


def test_relative_paths_and_addresses_are_told_what_was_looked_for(tmp_path: Path) -> None:
    assert f"(looked in {Path.cwd()})" in str(problem("no-such-file.jpg"))
    assert "pictures are not fetched: give the bytes" in str(problem("https://a.org/b.jpg"))


@pytest.mark.parametrize("item", [None, 3, [1, 2], {"bytes": b""}])
def test_other_values_are_told_what_is_expected(item: Any) -> None:
    assert "is no picture; expected the path of a file" in str(problem(item))


def test_pixels_of_32_bits_are_refused() -> None:
    for dtype in ("int32", "float32"):
        image = Image.fromarray(np.zeros((4, 5), dtype))
        assert "pixels of 32 bits" in str(problem(image))


def test_what_pillow_cannot_do_does_not_hide_what_memory_cannot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(Image, "open", full)
    with pytest.raises(MemoryError):
        read_picture(FOLDER / "rgb.png")


def test_equal_pictures_have_one_key_whatever_they_are_called(tmp_path: Path) -> None:
    content = (FOLDER / "rgb.png").read_bytes()
    (tmp_path / "copy.png").write_bytes(content)
    files = [FOLDER / "rgb.png", tmp_path / "copy.png", str(tmp_path / "copy.png"), content]
    assert len({content_key(item) for item in files}) == 1
    pixels = pixels_of(FOLDER / "rgb.png")
    assert content_key(pixels) == content_key(Image.fromarray(pixels))
    other = pixels.copy()
    other[0, 0, 0] ^= 1
    keys = {content_key(item) for item in (content, pixels, other, pixels.reshape(26, 17, 3))}
    assert len(keys) == 4


def test_images_with_equal_indices_and_other_palettes_have_other_keys() -> None:
    first, second = (Image.new("P", (2, 2)) for _ in range(2))
    first.putpalette([0, 0, 0])
    second.putpalette([255, 0, 0])
    assert content_key(first) != content_key(second)


def test_the_state_of_a_file_is_known_without_reading_it(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"no picture")
    before = state_key(path)
    assert state_key(str(path)) == before
    path.write_bytes(b"no picture at all")
    assert state_key(path) != before
    with pytest.raises(DataError, match="there is no file"):
        state_key(tmp_path / "b.png")
    grey = np.zeros((3, 3), "uint8")
    assert state_key(grey) == state_key(grey.copy()) != state_key(grey + 1)


def test_the_bytes_of_a_file_are_its_own_and_of_an_array_a_png() -> None:
    content = (FOLDER / "exif_6.jpg").read_bytes()
    assert file_bytes(FOLDER / "exif_6.jpg") == file_bytes(memoryview(content)) == content
    pixels = pixels_of(FOLDER / "rgb.jpg")
    written = file_bytes(pixels)
    assert written.startswith(b"\x89PNG")
    np.testing.assert_array_equal(pixels_of(written), pixels)


def test_names_in_messages() -> None:
    assert name_of(Path("cats/1.jpg")) == "'cats/1.jpg'"
    assert name_of(b"12345") == "5 bytes"
    assert name_of(np.zeros((2, 3, 3), "uint8")) == "an array [2, 3, 3] of uint8"
    assert name_of(Image.new("L", (3, 2))) == "a Pillow image of 3 x 2 pixels (L)"


def test_without_pillow_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ArgumentError, match=r"pip install 'ktlite\[images\]'"):
        read_picture(FOLDER / "rgb.png")


@pytest.mark.parametrize("size", [(39, 7), (7, 39), (1, 1), (8, 8)])
def test_a_jpeg_of_few_pixels_is_a_picture(size: tuple[int, int], tmp_path: Path) -> None:
    """It is looked through at an eighth of its size, of which it has less than a pixel."""
    Image.new("RGB", size, "red").save(tmp_path / "small.jpg")
    assert problem(tmp_path / "small.jpg") is None
    assert flaw(tmp_path / "small.jpg") is None
    assert read_picture(tmp_path / "small.jpg").size == size
