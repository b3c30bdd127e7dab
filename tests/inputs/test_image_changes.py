"""RandAugment and random erasing: what they do, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from ktlite.errors import ArgumentError
from ktlite.inputs.image_augmentation import ImageAugmentation
from ktlite.inputs.image_changes import (
    _OPERATIONS,
    PictureChanges,
    RandAugment,
    RandomErasing,
    operated,
)

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), "uint8")


@pytest.mark.parametrize("strength", [-0.5, 0.5])
def test_levels_are_those_worked_out_by_hand(strength: float) -> None:
    np.testing.assert_array_equal(operated(PIXELS, "posterize", strength), PIXELS & 0b11111100)
    solar = np.where(PIXELS < 128, PIXELS, 255 - PIXELS)
    np.testing.assert_array_equal(operated(PIXELS, "solarize", strength), solar)
    bright = np.clip(PIXELS * (1 + 0.9 * strength), 0, 255)
    np.testing.assert_allclose(operated(PIXELS, "brightness", strength), bright, atol=1)
    grey = PIXELS @ [0.299, 0.587, 0.114]
    mean = round(float(np.rint(grey).mean()))
    contrast = np.clip(mean + (PIXELS - float(mean)) * (1 + 0.9 * strength), 0, 255)
    np.testing.assert_allclose(operated(PIXELS, "contrast", strength), contrast, atol=2)
    colour = np.clip(grey[..., None] + (PIXELS - grey[..., None]) * (1 + 0.9 * strength), 0, 255)
    np.testing.assert_allclose(operated(PIXELS, "color", strength), colour, atol=2)


def test_pictures_are_moved_by_shares_of_their_size() -> None:
    shift = 6 / 20 / (150 / 331)  # of six rows
    moved = operated(PIXELS, "translate_y", shift)
    np.testing.assert_array_equal(moved[:-6], PIXELS[6:])
    assert (moved[-5:] == 128).all()
    assert operated(PIXELS, "identity", 1.0) is PIXELS


def test_all_operations_are_drawn_and_keep_size_and_type() -> None:
    for name in _OPERATIONS:
        for strength in (-1.0, 0.3, 1.0):
            found = operated(PIXELS, name, strength)
            assert found.shape == PIXELS.shape and found.dtype == "uint8"
    drawn = {RandAugment(1)(PIXELS, np.random.default_rng(i)).tobytes() for i in range(100)}
    assert len(drawn) > 15
    one, two = (RandAugment()(PIXELS, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(one, two)


def test_a_rectangle_is_erased() -> None:
    before, shares = PIXELS.copy(), []
    for i in range(300):
        found = RandomErasing(0.5, area=(0.1, 0.2))(PIXELS, np.random.default_rng(i))
        rows, columns = np.nonzero((found != PIXELS).any(axis=2))
        if not len(rows):
            continue
        high, wide = np.ptp(rows) + 1, np.ptp(columns) + 1
        shares.append(high * wide / 600)
        assert len(rows) > 0.95 * high * wide
    assert 110 < len(shares) < 190
    assert min(shares) > 0.05 and max(shares) < 0.25
    np.testing.assert_array_equal(PIXELS, before)


def test_ways_come_one_after_the_other() -> None:
    both = PictureChanges.of(["erasing", ImageAugmentation(vertical_flip=True)])
    random, again = np.random.default_rng(3), np.random.default_rng(3)
    found = both(PIXELS, random)
    erased = RandomErasing()(PIXELS, again)
    np.testing.assert_array_equal(found, ImageAugmentation(vertical_flip=True)(erased, again))
    assert PictureChanges.of("randaugment, erasing").ways == (RandAugment(), RandomErasing())


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(ArgumentError) as caught:
        PictureChanges.of(["randaugmnt", 3])
    assert "Did you mean 'randaugment'?" in str(caught.value)
    assert "of type int" in str(caught.value)
    with pytest.raises(ArgumentError, match=r"(?s)count=0.*magnitude=31"):
        RandAugment(0, 31)
    with pytest.raises(ArgumentError, match=r"(?s)probability=0.*area=.*aspect=2"):
        RandomErasing(0, (0.5, 0.1), 2)
