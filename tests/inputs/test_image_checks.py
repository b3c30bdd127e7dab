"""Sizes of pictures that a person should know of before training."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ktlite.inputs import image_checks
from ktlite.inputs.image_processor import ImageProcessor
from ktlite.inputs.pictures import height_and_width

SQUEEZED = ImageProcessor(size=(20, 20), resize=(20, 20))
CUT = ImageProcessor(size=(20, 20), resize=24, crop=True)


def checked(sizes: list[tuple[int, int]], processor: ImageProcessor = SQUEEZED) -> dict[str, Any]:
    data: Any = SimpleNamespace(items=[np.zeros(size, "uint8") for size in sizes])
    return {line.check: line for line in image_checks.image_checks({"d": data}, processor, 2)}


def test_sizes_are_told() -> None:
    found = checked([(30, 40), (10, 40), (50, 60)])
    line = found["sizes in d"]
    assert (
        line.found == "10 x 40 (height x width) to 50 x 60, median 30 x 40; the model reads 20 x 20"
    )
    assert line.advice == ""
    assert checked([(9, 8)] * 2)["sizes in d"].found.startswith("all 9 x 8 (height x width)")


def test_what_is_enlarged_is_counted_and_advised_on_where_it_is_much() -> None:
    line = checked([(30, 30)] * 2)["small images in d"]
    assert (line.found, line.advice) == ("none is smaller than what the model reads", "")
    line = checked([(30, 30), (19, 30)])["small images in d"]
    assert line.found.startswith("1 image (50.0%) is smaller") and not line.advice
    line = checked([(30, 30)] * 18 + [(30, 9)] * 2)["small images in d"]
    assert line.found.startswith("2 images (10.0%) are smaller")
    assert "larger copies" in line.advice


def test_long_images_are_counted_and_what_becomes_of_them_is_said() -> None:
    assert checked([(30, 90)])["long images in d"].found.startswith("none is over 3 times")
    sizes = [(30, 30)] * 9 + [(100, 30)]
    line = checked(sizes)["long images in d"]
    assert line.found.startswith("1 image (10.0%) is over 3 times as long as wide")
    assert "squeezed" in line.advice
    assert "middle alone" in checked(sizes, CUT)["long images in d"].advice
    assert checked([(30, 30)] * 99 + [(30, 100)])["long images in d"].advice == ""


def test_of_many_some_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_checks, "_SAMPLE", 3)
    found = checked([(30, 30), (1, 90), (30, 30), (2, 90), (30, 30)])
    assert found["sizes in d"].found.startswith("all 30 x 30 (height x width), of 3 looked at")


def test_heads_of_files_are_read_and_no_pixels(
    golden: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = golden / "images"
    assert height_and_width(folder / "rgb.png") == (17, 26)
    assert height_and_width(str(folder / "exif_6.jpg")) == (26, 17)
    assert height_and_width((folder / "exif_3.jpg").read_bytes()) == (17, 26)
    assert height_and_width(Image.new("L", (5, 7))) == (7, 5)
    cut = tmp_path / "cut.png"
    cut.write_bytes((folder / "rgb.png").read_bytes()[:60])
    assert height_and_width(cut) == (17, 26)
    assert height_and_width(tmp_path / "no.png") is None
    cut.write_bytes(b"text")
    assert height_and_width(cut) is None
