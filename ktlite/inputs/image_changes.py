"""Further ways to change pictures at random: RandAugment, random erasing, several after another."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ktlite._arguments import at_least_one, between_0_and_1
from ktlite._extras import needs_extra
from ktlite.errors import Problems, listing
from ktlite.inputs.image_augmentation import Change, ImageAugmentation
from ktlite.inputs.named_changes import asked_changes

Picture = np.ndarray  # uint8 [height, width, 3]
_OPERATIONS = (
    "identity", "autocontrast", "equalize", "posterize", "solarize", "color", "contrast",
    "brightness", "sharpness", "rotate", "shear_x", "shear_y", "translate_x", "translate_y",
)  # fmt: skip
_STRONGEST = 30


@dataclass(frozen=True)
class RandAugment:
    """Changes a picture in some ways of fourteen, each drawn anew, all of one strength.

    Cubuk et al., 2020 (arXiv:1909.13719): colours, contrast, sharpness, levels; turned, slanted,
    shifted. For many epochs over few pictures.

    Args:
        count: Ways, one after the other.
        magnitude: How strong, from 0 to 30.

    Raises:
        ArgumentError: If these are out of range.

    Example:
        >>> RandAugment()(pixels, np.random.default_rng(0)).shape == pixels.shape
        True
    """

    count: int = 2
    magnitude: float = 9

    def __post_init__(self) -> None:
        problems = Problems("RandAugment")
        at_least_one(problems, count=self.count)
        number = isinstance(self.magnitude, (int, float)) and not isinstance(self.magnitude, bool)
        problems.add_unless(
            number and 0 <= self.magnitude <= _STRONGEST,
            f"magnitude={self.magnitude!r}; expected a number from 0 to {_STRONGEST}.",
        )
        problems.raise_if_any()

    def __call__(self, pixels: Picture, random: np.random.Generator) -> Picture:
        """Returns a changed picture, uint8 [height, width, 3].

        Args:
            pixels: uint8 [height, width, 3].
            random: What the change is drawn from.
        """
        for _ in range(self.count):
            name = _OPERATIONS[random.integers(len(_OPERATIONS))]
            sign = 1 if random.random() < 0.5 else -1
            pixels = operated(pixels, name, sign * self.magnitude / _STRONGEST)
        return pixels


@needs_extra("images", "augmenting pictures")
def operated(pixels: Picture, name: str, strength: float) -> Picture:
    """Returns a picture changed in one of RandAugment's ways.

    Args:
        pixels: uint8 [height, width, 3].
        name: Of the way.
        strength: From -1 to 1; its sign is of no matter where there are no two directions.
    """
    from PIL import Image, ImageEnhance, ImageOps

    enhanced = {"color": "Color", "contrast": "Contrast", "brightness": "Brightness",
                "sharpness": "Sharpness"}  # fmt: skip
    height, width = pixels.shape[:2]
    moved = {
        "rotate": {"angle": 30 * strength},
        "shear_x": {"shear": math.degrees(math.atan(0.3 * strength))},
        "translate_x": {"right": 150 / 331 * strength * width},
        "translate_y": {"down": 150 / 331 * strength * height},
    }
    if name == "identity":
        return pixels
    if name in moved:
        return Change(**moved[name]).apply(pixels, "constant", 128)
    if name == "shear_y":
        turned = operated(pixels.transpose(1, 0, 2), "shear_x", strength)
        return np.ascontiguousarray(turned.transpose(1, 0, 2))
    picture = Image.fromarray(pixels)
    if name in enhanced:
        changed = getattr(ImageEnhance, enhanced[name])(picture).enhance(1 + 0.9 * strength)
    elif name == "posterize":
        changed = ImageOps.posterize(picture, 8 - round(4 * abs(strength)))
    elif name == "solarize":
        changed = ImageOps.solarize(picture, round(256 * (1 - abs(strength))))
    else:
        changed = getattr(ImageOps, name)(picture)
    return np.asarray(changed)


@dataclass(frozen=True)
class RandomErasing:
    """Puts noise in place of a rectangle (Zhong et al., 2020, arXiv:1708.04896).

    The model cannot rely on one part of a picture.

    Args:
        probability: That a picture has one.
        area: Smallest and largest share of the picture.
        aspect: Flattest height by width; the steepest is its inverse.

    Raises:
        ArgumentError: If these are out of range.
    """

    probability: float = 0.5
    area: tuple[float, float] = (0.02, 0.33)
    aspect: float = 0.3

    def __post_init__(self) -> None:
        problems = Problems("RandomErasing")
        number = isinstance(self.probability, (int, float))
        problems.add_unless(
            number and 0 < self.probability <= 1,
            f"probability={self.probability!r}; expected above 0, at most 1.",
        )
        pair = isinstance(self.area, (tuple, list)) and len(self.area) == 2
        problems.add_unless(
            pair and 0 < self.area[0] <= self.area[1] < 1,
            f"area={self.area!r}; expected (smallest, largest) share, above 0 and below 1.",
        )
        between_0_and_1(problems, aspect=self.aspect)
        problems.raise_if_any()

    def __call__(self, pixels: Picture, random: np.random.Generator) -> Picture:
        """Returns a changed picture; arguments as `RandAugment`'s."""
        if random.random() >= self.probability:
            return pixels
        height, width = pixels.shape[:2]
        share = random.uniform(*self.area) * height * width
        steep = math.exp(random.uniform(math.log(self.aspect), -math.log(self.aspect)))
        high = min(height, max(1, round(math.sqrt(share * steep))))
        wide = min(width, max(1, round(math.sqrt(share / steep))))
        top, left = random.integers(height - high + 1), random.integers(width - wide + 1)
        erased = pixels.copy()
        noise = random.integers(0, 256, (high, wide, 3), "uint8")
        erased[top : top + high, left : left + wide] = noise
        return erased


_KINDS = (ImageAugmentation, RandAugment, RandomErasing)
#: Ways that have a name in `augment=`.
WAYS: dict[str, Callable[[], Any]] = {"randaugment": RandAugment, "erasing": RandomErasing}


@dataclass(frozen=True)
class PictureChanges:
    """Several ways to change a picture, one after the other.

    Args:
        ways: `ImageAugmentation`, `RandAugment` and `RandomErasing`.
    """

    ways: tuple[Any, ...]

    @classmethod
    def of(cls, augment: Any) -> Any:
        """Returns what an `augment=` stands for: a way itself; of names and lists, all of them.

        Raises:
            ArgumentError: If one is not known; all that are not get named.
        """
        if isinstance(augment, (cls, *_KINDS)):
            return augment
        problems = Problems("augment")
        ways = asked_changes(problems, augment, WAYS)
        for one in ways:
            problems.add_unless(
                isinstance(one, _KINDS),
                f"augment is of type {type(one).__name__}; expected what "
                "ktlite.vision.get_data_aug(horizontal_flip=True) returns, or some of "
                f"{listing(WAYS)}.",
            )
        problems.raise_if_any()
        return cls(tuple(ways))

    def __call__(self, pixels: Picture, random: np.random.Generator) -> Picture:
        """Returns a changed picture; arguments as `RandAugment`'s."""
        for way in self.ways:
            pixels = way(pixels, random)
        return pixels
