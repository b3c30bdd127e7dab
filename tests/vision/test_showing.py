"""Figures of pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ktlite import vision
from ktlite.errors import ArgumentError, DataError
from tests.vision.drawn import pictures


def test_a_picture_is_shown_as_it_is() -> None:
    (shown, *_), _ = pictures(2)
    (axes,) = vision.show_image(shown).axes
    np.testing.assert_array_equal(axes.images[0].get_array(), shown)
    with pytest.raises(DataError, match="no such file|there is no file"):
        vision.show_image("none.jpg")


def test_copies_are_what_the_augmentation_draws() -> None:
    (shown, *_), _ = pictures(2)
    data_aug = vision.get_data_aug(0, 0, 0, 0, horizontal_flip=True)
    figure = vision.preview_data_aug(shown, data_aug, rows=2, n=16)
    copies = [axes.images[0].get_array() for axes in figure.axes]
    same = [np.array_equal(copy, shown) for copy in copies]
    mirrored = [np.array_equal(copy, shown[:, ::-1]) for copy in copies]
    assert len(copies) == sum(same) + sum(mirrored) == 16
    assert 0 < sum(mirrored) < 16
    assert len({round(axes.get_position().y0, 6) for axes in figure.axes}) == 2
    with pytest.raises(ArgumentError, match="data_aug is of type dict") as error:
        vision.preview_data_aug(shown, {}, n=0)
    assert "n=0" in str(error.value)


def test_some_pictures_of_a_folder(folder: Path) -> None:
    figure = vision.show_random_images(folder / "flat", n=3, seed=1)
    assert len(figure.axes) == 3
    titles = {axes.get_title() for axes in figure.axes}
    assert titles <= {path.name for path in (folder / "flat").iterdir()}
    assert len(vision.show_random_images(folder / "train", n=100, rows=3).axes) == 24
    with pytest.raises(DataError, match="there are no image files"):
        vision.show_random_images(folder / "none")
