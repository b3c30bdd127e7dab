"""Pictures changed at random for training: turned, shifted, zoomed, flipped, lighter or darker."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ktlite._arguments import checked, without_effect
from ktlite._extras import needs_extra
from ktlite.errors import Problems

# How the outside of a picture is filled, and what NumPy calls it.
_FILLS = {"nearest": "edge", "reflect": "symmetric", "wrap": "wrap", "constant": "constant"}


@dataclass(frozen=True)
class Change:
    """What is done to a picture, in this order: moved, shifted in value, flipped, brightened.

    Args:
        angle: By which it is turned, in degrees.
        right: How many pixels further to the right each pixel is taken from.
        down: How many pixels further down.
        shear: The angle by which it is slanted, in degrees.
        wide: What widths are divided by; below 1, it is enlarged. `high` likewise of heights.
        high: See `wide`.
        value: Added to all values, which stay in 0 to 255.
        mirrored: Whether left and right are exchanged.
        upside_down: Whether top and bottom are.
        brightness: What all values are multiplied by, in the end.
    """

    angle: float = 0.0
    right: float = 0.0
    down: float = 0.0
    shear: float = 0.0
    wide: float = 1.0
    high: float = 1.0
    value: float = 0.0
    mirrored: bool = False
    upside_down: bool = False
    brightness: float = 1.0

    def apply(self, pixels: np.ndarray, fill_mode: str = "nearest", cval: float = 0) -> np.ndarray:
        """Returns a picture changed so; its size stays.

        Args:
            pixels: uint8 [height, width, 3].
            fill_mode: As for `ImageAugmentation`, and `cval` likewise.
            cval: See `fill_mode`.
        """
        matrix = self._matrix()
        if not np.array_equal(matrix, np.eye(2, 3)):
            pixels = _moved(pixels, matrix, fill_mode, cval)
        if self.mirrored:
            pixels = pixels[:, ::-1]
        if self.upside_down:
            pixels = pixels[::-1]
        if self.value or self.brightness != 1:
            levels = np.clip(np.arange(256) + self.value, 0, 255) * self.brightness
            pixels = np.rint(np.clip(levels, 0, 255)).astype("uint8")[pixels]
        return np.ascontiguousarray(pixels)

    def _matrix(self) -> np.ndarray:
        """Returns [2, 3]: from a place of the changed picture (x, y, 1) to one of the original.

        Places are counted from the middle.
        """
        turn, slant = math.radians(self.angle), math.radians(self.shear)
        turned = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
        slanted = np.array([[1, -math.sin(slant)], [0, math.cos(slant)]])
        linear = turned @ slanted @ np.diag([self.wide, self.high])
        return np.column_stack([linear, turned @ [self.right, self.down]])


@needs_extra("images", "augmenting pictures")
def _moved(pixels: np.ndarray, matrix: np.ndarray, fill_mode: str, cval: float) -> np.ndarray:
    """Returns a picture whose places are those of another, bilinear between its pixels."""
    from PIL import Image

    height, width = pixels.shape[:2]
    middle = np.array([width / 2, height / 2])
    linear, offset = matrix[:, :2], matrix[:, 2]
    offset = offset + middle - linear @ middle
    # Pillow fills the outside with one colour alone: so much of it as the corners reach is put on.
    corners = linear @ [[0, width, 0, width], [0, 0, height, height]] + offset[:, None]
    before = np.maximum(0, np.ceil(1 - corners.min(axis=1))).astype(int)
    behind = np.maximum(0, np.ceil(1 + corners.max(axis=1) - [width, height])).astype(int)
    around = ((before[1], behind[1]), (before[0], behind[0]), (0, 0))
    options = {"constant_values": round(cval)} if fill_mode == "constant" else {}
    padded = np.pad(pixels, around, _FILLS[fill_mode], **options)  # type: ignore[call-overload]
    (a, b), (c, d) = linear
    x, y = offset + before
    moved = Image.fromarray(padded).transform(
        (width, height),
        Image.Transform.AFFINE,
        (a, b, x, c, d, y),
        Image.Resampling.BILINEAR,
    )
    return np.asarray(moved)


@dataclass(frozen=True)
class ImageAugmentation:
    """Draws a change for each picture, as the arguments of Keras' `ImageDataGenerator` say.

    What is drawn depends on the generator alone: with one more kind of change, the others stay.

    Args:
        rotation_range: Degrees that a picture is turned by, at most, either way.
        width_shift_range: How far it is shifted to either side: below 1 a fraction of its width,
            from 1 on pixels. `height_shift_range` likewise up and down.
        height_shift_range: See `width_shift_range`.
        brightness_range: Lowest and highest factor of all values. None: they stay.
        shear_range: Degrees that it is slanted by, at most.
        zoom_range: Lowest and highest factor that its sides are divided by, each drawn by itself;
            one number `z` stands for 1 - z and 1 + z.
        channel_shift_range: What is added to all values, at most, either way.
        fill_mode: What stands where the picture does not reach: `"nearest"` its edge, `"reflect"`
            its mirror image, `"wrap"` its other side, `"constant"` the value `cval`.
        cval: From 0 to 255.
        horizontal_flip: Whether every other one is mirrored.
        vertical_flip: Whether every other one is turned upside down.

    Raises:
        ArgumentError: If arguments cannot work; all of them are told.

    Example:
        >>> augmentation = ImageAugmentation(rotation_range=10, horizontal_flip=True)
        >>> augmentation(pixels, np.random.default_rng(0)).shape == pixels.shape
        True
    """

    rotation_range: float = 0.0
    width_shift_range: float = 0.0
    height_shift_range: float = 0.0
    brightness_range: tuple[float, float] | None = None
    shear_range: float = 0.0
    zoom_range: float | tuple[float, float] = 0.0
    channel_shift_range: float = 0.0
    fill_mode: str = "nearest"
    cval: float = 0.0
    horizontal_flip: bool = False
    vertical_flip: bool = False

    def __post_init__(self) -> None:
        problems = Problems("ImageAugmentation")
        for name in (
            "rotation_range", "width_shift_range", "height_shift_range", "shear_range",
            "channel_shift_range",
        ):  # fmt: skip
            value = getattr(self, name)
            problems.add_unless(
                _is_number(value) and value >= 0, f"{name}={value!r}; expected a number, 0 or more."
            )
        for name in ("brightness_range", "zoom_range"):
            self._check_range(name, problems)
        problems.choice("fill_mode", self.fill_mode, list(_FILLS))
        problems.add_unless(
            _is_number(self.cval) and 0 <= self.cval <= 255,
            f"cval={self.cval!r}; expected a number from 0 to 255.",
        )
        for name in ("horizontal_flip", "vertical_flip"):
            value = getattr(self, name)
            problems.add_unless(isinstance(value, bool), f"{name}={value!r}; expected a boolean.")
        problems.raise_if_any()

    def _check_range(self, name: str, problems: Problems) -> None:
        value = getattr(self, name)
        if value is None and name == "brightness_range":
            return
        if _is_number(value) and name == "zoom_range":
            problems.add_unless(0 <= value < 1, f"{name}={value!r}; expected at least 0, below 1.")
            return
        pair = isinstance(value, (tuple, list)) and len(value) == 2 and all(map(_is_number, value))
        if not pair or not 0 < value[0] <= value[1]:
            problems.add(f"{name}={value!r}; expected (lowest, highest), above 0.")
            return
        object.__setattr__(self, name, tuple(value))  # lists cannot be hashed

    def __call__(self, pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Returns a picture changed at random.

        Args:
            pixels: uint8 [height, width, 3].
            random: What the change is drawn from.

        Returns:
            uint8 [height, width, 3].
        """
        change = self.draw(random, (pixels.shape[0], pixels.shape[1]))
        return change.apply(pixels, self.fill_mode, self.cval)

    def draw(self, random: np.random.Generator, size: tuple[int, int]) -> Change:
        """Returns a change.

        Args:
            random: What it is drawn from.
            size: Height and width of the picture.
        """
        angle, right, down, shear, value = random.uniform(-1, 1, 5)
        wide, high, mirrored, upside_down, brightness = random.uniform(0, 1, 5)
        low, far = self._zoom()
        darkest, brightest = self.brightness_range or (1.0, 1.0)
        return Change(
            angle=angle * self.rotation_range,
            right=right * _pixels(self.width_shift_range, size[1]),
            down=down * _pixels(self.height_shift_range, size[0]),
            shear=shear * self.shear_range,
            wide=low + (far - low) * wide,
            high=low + (far - low) * high,
            value=value * self.channel_shift_range,
            mirrored=self.horizontal_flip and bool(mirrored < 0.5),
            upside_down=self.vertical_flip and bool(upside_down < 0.5),
            brightness=darkest + (brightest - darkest) * brightness,
        )

    def _zoom(self) -> tuple[float, float]:
        if isinstance(self.zoom_range, tuple):
            return self.zoom_range
        return 1 - self.zoom_range, 1 + self.zoom_range


@checked
def get_data_aug(
    rotation_range: float = 40,
    zoom_range: float | tuple[float, float] = 0.2,
    width_shift_range: float = 0.2,
    height_shift_range: float = 0.2,
    horizontal_flip: bool = False,
    vertical_flip: bool = False,
    featurewise_center: bool | None = None,
    featurewise_std_normalization: bool | None = None,
    samplewise_center: bool | None = None,
    samplewise_std_normalization: bool | None = None,
    rescale: float | None = None,
    *,
    brightness_range: tuple[float, float] | None = None,
    shear_range: float = 0.0,
    channel_shift_range: float = 0.0,
    fill_mode: str = "nearest",
    cval: float = 0.0,
) -> ImageAugmentation:
    """Returns how pictures are changed at random for training, as ktrain's function of this name.

    Args:
        rotation_range: As for `ImageAugmentation`, and so are the others that have its names.
        zoom_range: Likewise.
        width_shift_range: Likewise.
        height_shift_range: Likewise.
        horizontal_flip: Likewise.
        vertical_flip: Likewise.
        featurewise_center: Without effect, as the next four: a checkpoint says itself how pixels
            are scaled and standardised.
        featurewise_std_normalization: Without effect.
        samplewise_center: Without effect.
        samplewise_std_normalization: Without effect.
        rescale: Without effect.
        brightness_range: As for `ImageAugmentation`.
        shear_range: Likewise.
        channel_shift_range: Likewise.
        fill_mode: Likewise.
        cval: Likewise.

    Raises:
        ArgumentError: If arguments cannot work; all of them are told.

    Example:
        >>> get_data_aug(rotation_range=15, horizontal_flip=True).zoom_range
        0.2
    """
    without_effect(
        "get_data_aug",
        featurewise_center=featurewise_center,
        featurewise_std_normalization=featurewise_std_normalization,
        samplewise_center=samplewise_center,
        samplewise_std_normalization=samplewise_std_normalization,
        rescale=rescale,
    )
    return ImageAugmentation(
        rotation_range=rotation_range,
        width_shift_range=width_shift_range,
        height_shift_range=height_shift_range,
        brightness_range=brightness_range,
        shear_range=shear_range,
        zoom_range=zoom_range,
        channel_shift_range=channel_shift_range,
        fill_mode=fill_mode,
        cval=cval,
        horizontal_flip=horizontal_flip,
        vertical_flip=vertical_flip,
    )


def _is_number(value: Any) -> bool:
    numbers = (int, float, np.integer, np.floating)
    return isinstance(value, numbers) and not isinstance(value, bool) and math.isfinite(value)


def _pixels(shift: float, side: int) -> float:
    return shift * side if shift < 1 else shift
