"""Random changes of pictures: what they do is what Keras' `ImageDataGenerator` does."""

from __future__ import annotations

from dataclasses import fields
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from ktlite.errors import ArgumentError
from ktlite.inputs.image_augmentation import Change, ImageAugmentation, get_data_aug

CHANGES = [
    Change(angle=30),
    Change(angle=-100, right=3, down=-2),
    Change(right=5.5),
    Change(down=-4.25),
    Change(shear=20),
    Change(wide=0.7, high=1.6),
    Change(angle=12, right=-3, down=6, shear=-9, wide=1.3, high=0.8),
    Change(angle=45, wide=3.0, high=3.0),
    Change(right=19.5, down=-25, wide=0.3, high=0.3),
]
FILLS = {"nearest": "nearest", "reflect": "reflect", "wrap": "grid-wrap"}


def smooth(height: int, width: int) -> np.ndarray:
    """Returns uint8 [height, width, 3] without sharp edges."""
    down, across = np.mgrid[:height, :width]
    waves = [np.sin(down / a + across / b) for a, b in ((5, 9), (-7, 4), (6, 30))]
    return np.rint(127 + 120 * np.stack(waves, axis=-1)).astype("uint8")


def moved(pixels: np.ndarray, change: Change, mode: str, cval: float = 0) -> np.ndarray:
    """Returns a picture moved by SciPy, with the matrices of `ImageDataGenerator`."""
    angle, shear = np.deg2rad([change.angle, change.shear])
    turn = [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    shift = [[1, 0, change.right], [0, 1, change.down], [0, 0, 1]]
    slant = [[1, -np.sin(shear), 0], [0, np.cos(shear), 0], [0, 0, 1]]
    zoom = np.diag([change.wide, change.high, 1])
    height, width = pixels.shape[:2]
    there, back = np.eye(3), np.eye(3)
    there[:2, 2] = (width - 1) / 2, (height - 1) / 2
    back[:2, 2] = -there[:2, 2]
    matrix = there @ np.array(turn) @ np.array(shift) @ np.array(slant) @ zoom @ back
    swap = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1]])
    rows_first = swap @ matrix @ swap
    channels = [
        ndimage.affine_transform(
            pixels[..., channel].astype(float), rows_first[:2, :2], rows_first[:2, 2],
            order=1, mode=mode, cval=cval,
        )
        for channel in range(3)
    ]  # fmt: skip
    return np.stack(channels, axis=-1)


@pytest.mark.parametrize("change", CHANGES, ids=str)
@pytest.mark.parametrize("fill", FILLS)
def test_pictures_are_moved_as_scipy_moves_them(change: Change, fill: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 33, 3), "uint8")
    found = change.apply(pixels, fill)
    assert found.dtype == np.uint8
    away = np.abs(found - moved(pixels, change, FILLS[fill]))
    assert away.max() <= 1.01


def test_the_outside_may_have_one_value() -> None:
    found = Change(right=10).apply(np.full((8, 30, 3), 99, "uint8"), "constant", 40)
    expected = np.full((8, 30, 3), 99)
    expected[:, 20:] = 40
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_matrices_are_those_of_keras(change: Change, monkeypatch: pytest.MonkeyPatch) -> None:
    image = pytest.importorskip("keras.src.legacy.preprocessing.image")
    # It looks for SciPy's function at an old place, which newer ones lack.
    scipy = SimpleNamespace(ndimage=SimpleNamespace(interpolation=ndimage))
    monkeypatch.setattr(image, "scipy", scipy)
    pixels = smooth(32, 32)  # where sides differ, Keras takes height for width
    theirs = image.apply_affine_transform(
        pixels.astype("float32"), change.angle, change.right, change.down, change.shear,
        change.wide, change.high, row_axis=0, col_axis=1, channel_axis=2,
    )  # fmt: skip
    assert np.abs(change.apply(pixels) - theirs).max() <= 1.01


def test_pictures_are_flipped() -> None:
    pixels = smooth(7, 10)
    np.testing.assert_array_equal(Change(mirrored=True).apply(pixels), pixels[:, ::-1])
    np.testing.assert_array_equal(Change(upside_down=True).apply(pixels), pixels[::-1])
    np.testing.assert_array_equal(Change().apply(pixels), pixels)


def test_values_are_shifted_then_multiplied() -> None:
    pixels = np.arange(0, 240, 10, dtype="uint8").reshape(2, 4, 3)
    found = Change(value=-45, brightness=1.5).apply(pixels)
    expected = [[0, 0, 0, 0, 0, 8, 22, 38, 52, 68, 82, 98]]
    np.testing.assert_array_equal(found.reshape(2, 12)[:1], expected)
    assert found.max() == 255
    lighter = Change(value=300).apply(pixels)
    np.testing.assert_array_equal(lighter, np.full(pixels.shape, 255))


def changes(augmentation: ImageAugmentation, count: int = 2000) -> dict[str, np.ndarray]:
    """Returns what is drawn for many pictures of 50 x 100 pixels, by its name."""
    drawn = [augmentation.draw(np.random.default_rng([3, i]), (50, 100)) for i in range(count)]
    return {
        field.name: np.array([getattr(change, field.name) for change in drawn])
        for field in fields(Change)
    }


@pytest.mark.parametrize(
    ("options", "name", "low", "high"),
    [
        ({"rotation_range": 40}, "angle", -40, 40),
        ({"width_shift_range": 0.2}, "right", -20, 20),
        ({"width_shift_range": 3}, "right", -3, 3),
        ({"height_shift_range": 0.2}, "down", -10, 10),
        ({"shear_range": 15}, "shear", -15, 15),
        ({"zoom_range": 0.3}, "wide", 0.7, 1.3),
        ({"zoom_range": [0.5, 0.9]}, "high", 0.5, 0.9),
        ({"channel_shift_range": 30}, "value", -30, 30),
        ({"brightness_range": (0.4, 1.1)}, "brightness", 0.4, 1.1),
    ],
)
def test_each_argument_draws_from_its_range_and_changes_nothing_else(
    options: dict[str, Any], name: str, low: float, high: float
) -> None:
    drawn = changes(ImageAugmentation(**options))
    values = drawn.pop(name)
    assert low <= values.min() < low + 0.01 * (high - low)
    assert high - 0.01 * (high - low) < values.max() <= high
    assert abs(values.mean() - (low + high) / 2) < 0.03 * (high - low)
    still = changes(ImageAugmentation(), count=1)
    for other in drawn:
        if {name, other} != {"wide", "high"}:
            assert (drawn[other] == still[other][0]).all(), other


def test_every_other_picture_is_flipped() -> None:
    drawn = changes(ImageAugmentation(horizontal_flip=True))
    assert 0.45 < drawn["mirrored"].mean() < 0.55
    assert not drawn["upside_down"].any()
    both = changes(ImageAugmentation(horizontal_flip=True, vertical_flip=True))
    np.testing.assert_array_equal(both["mirrored"], drawn["mirrored"])
    assert 0.2 < (both["mirrored"] & both["upside_down"]).mean() < 0.3


def test_one_kind_of_change_more_leaves_the_others_as_they_are() -> None:
    few = changes(ImageAugmentation(rotation_range=20), 5)
    many = changes(ImageAugmentation(rotation_range=20, zoom_range=0.5, vertical_flip=True), 5)
    np.testing.assert_array_equal(few["angle"], many["angle"])


def test_a_picture_is_changed_by_what_is_drawn() -> None:
    augmentation = ImageAugmentation(rotation_range=30, fill_mode="constant", cval=200)
    pixels = smooth(20, 20)
    change = augmentation.draw(np.random.default_rng(5), (20, 20))
    np.testing.assert_array_equal(
        augmentation(pixels, np.random.default_rng(5)), change.apply(pixels, "constant", 200)
    )
    np.testing.assert_array_equal(pixels, smooth(20, 20))


def test_arguments_are_checked_together() -> None:
    with pytest.raises(ArgumentError) as raised:
        ImageAugmentation(
            rotation_range=-1,
            width_shift_range=[0.1, 0.2],  # type: ignore[arg-type]
            brightness_range=(0.0, 1.0),
            zoom_range=1.5,
            fill_mode="mirror",
            cval=300,
            horizontal_flip=1,  # type: ignore[arg-type]
        )
    assert "7 problems" in str(raised.value)
    for zoom in ((2, 1), (0.5,), "big", True):
        with pytest.raises(ArgumentError, match="zoom_range"):
            ImageAugmentation(zoom_range=zoom)  # type: ignore[arg-type]


def test_ktrains_function_has_its_defaults_and_says_what_has_no_effect(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "ktlite")
    plain = ImageAugmentation(40, 0.2, 0.2, zoom_range=0.2)
    assert get_data_aug() == plain
    assert caplog.text == ""
    given = get_data_aug(15, horizontal_flip=True, rescale=1 / 255, featurewise_center=True)
    assert given == ImageAugmentation(15, 0.2, 0.2, zoom_range=0.2, horizontal_flip=True)
    assert "without effect here: featurewise_center, rescale" in caplog.text
    with pytest.raises(ArgumentError, match="Did you mean 'rotation_range'"):
        get_data_aug(rotation=3)
