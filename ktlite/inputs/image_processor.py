"""A picture as a model reads it: what the checkpoint's `preprocessor_config.json` asks for."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ktlite._logging import logger
from ktlite.errors import ArgumentError, DataError
from ktlite.inputs.image_settings import image_size, read_fields
from ktlite.inputs.pictures import name_of, read_picture
from ktlite.inputs.settings import FILE

Size = tuple[int, int]  # height, width


@dataclass(frozen=True)
class ImageProcessor:
    """What a checkpoint does with a picture before its model sees it.

    Resized, cropped in the middle, scaled, standardised: the same values, bit by bit, as
    `AutoImageProcessor.from_pretrained(..., backend="pil")` of `transformers` gives. Where
    torchvision is installed, `transformers` takes that by default, and it rounds otherwise:
    bilinear values differ by at most 2/255, bicubic ones beside sharp edges by more (1 in 2,000
    by over 1/255).

    Args:
        size: Height and width of what the model gets.
        resize: Height and width before cropping; one number: those of the shorter side, which
            keeps the proportions. None: pictures have the size already.
        resample: How Pillow resizes: 0 nearest, 1 Lanczos, 2 bilinear, 3 bicubic, 4 box, 5 Hamming.
        crop: Whether what is larger than `size` is cut off on all sides, and what is smaller is
            filled up with black.
        rescale: What values from 0 to 255 are multiplied by. None: they are not.
        mean: Subtracted from each channel, then; None: no standardising.
        std: What each channel is divided by, thereafter.
        kind: The class of `transformers` that does the same.

    Example:
        >>> processor = ImageProcessor.of_checkpoint("vit-base-patch16-224")
        >>> processor("cats/1.jpg").shape
        (224, 224, 3)
    """

    size: Size = (224, 224)
    resize: Size | int | None = (224, 224)
    resample: int = 2
    crop: bool = False
    rescale: float | None = 1 / 255
    mean: tuple[float, float, float] | None = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    kind: str = "ViTImageProcessor"

    @classmethod
    def of_checkpoint(
        cls, folder: str | os.PathLike[str], size: int | Size | None = None
    ) -> ImageProcessor:
        """Reads `preprocessor_config.json`, or the part of `processor_config.json` on images.

        A checkpoint that has neither gets ViT's processor at its model's size, and a line in the
        log.

        Args:
            folder: The checkpoint's folder.
            size: Height and width of what the model gets, or one number for both, in place of the
                checkpoint's. What is cropped is resized in the same proportion as before.

        Raises:
            CheckpointError: If a file is damaged, has a field that is not known or a value that is
                not supported.
            ArgumentError: If `size` is no such size.
        """
        fields = read_fields(Path(folder), any_size=size is not None)
        made = cls._by_default(Path(folder)) if fields is None else cls(**fields)
        return made if size is None else made.resized(size)

    @classmethod
    def _by_default(cls, folder: Path) -> ImageProcessor:
        size = image_size(folder) or cls.size
        logger.info(
            "%s has no %s: pictures are resized to %d x %d pixels and their values scaled to "
            "-1 to 1, as ViT has them.", folder, FILE, *size,
        )  # fmt: skip
        return cls(size=size, resize=size)

    def resized(self, size: int | Size) -> ImageProcessor:
        """Returns a processor for another size.

        Args:
            size: Height and width, or one number for both.

        Raises:
            ArgumentError: If it is no such size.
        """
        height, width = _checked(size)
        resize: Size | int = (height, width)
        if self.crop and self.resize is not None:
            down, across = height / self.size[0], width / self.size[1]
            if isinstance(self.resize, int):
                resize = max(round(self.resize * max(down, across)), height, width)
            else:
                resize = (round(self.resize[0] * down), round(self.resize[1] * across))
        return replace(self, size=(height, width), resize=resize)

    def __call__(self, item: Any) -> np.ndarray:
        """Returns a picture as the model reads it.

        Args:
            item: What `ktlite.inputs.pictures.read_picture` takes.

        Returns:
            float32 [height, width, 3].

        Raises:
            DataError: If it cannot be read, or is not resized and has another size.
        """
        return self.standardised(self.pixels(item))

    def pixels(self, item: Any) -> np.ndarray:
        """Returns a picture in the model's size: uint8 [height, width, 3]."""
        image = read_picture(item)
        height, width = self.size
        if self.resize is not None:
            across, down = self._resized_to(image.width, image.height)
            image = image.resize((across, down), self.resample)
        if self.crop and image.size != (width, height):
            left, top = (image.width - width) // 2, (image.height - height) // 2
            image = image.crop((left, top, left + width, top + height))
        if image.size != (width, height):
            raise DataError(
                f"{name_of(item)} has {image.width} x {image.height} pixels; expected "
                f"{width} x {height}, as the checkpoint does not resize (do_resize is false). "
                f"Give size={self.size} to have pictures resized."
            )
        return np.asarray(image)

    def window(self, height: int, width: int) -> tuple[tuple[float, float], tuple[float, float]]:
        """Returns what the model sees of a picture: (top, bottom) and (left, right), in its pixels.

        Where the picture is filled up with black, that is more than the picture has.

        Args:
            height: Of the picture.
            width: Likewise.
        """
        across, down = (width, height) if self.resize is None else self._resized_to(width, height)
        if not self.crop:
            return (0, height), (0, width)
        ends = []
        for size, resized, whole in ((self.size[0], down, height), (self.size[1], across, width)):
            first = (resized - size) // 2
            ends.append((first * whole / resized, (first + size) * whole / resized))
        return ends[0], ends[1]

    @property
    def grey(self) -> np.ndarray:
        """The values of a pixel that says nothing, float32 [3]: 0, of the mean that is subtracted.

        Where none is, those of the middle between black and white.
        """
        if self.mean is not None:
            return np.zeros(3, "float32")
        return np.full(3, 127.5 * (1.0 if self.rescale is None else self.rescale), "float32")

    def _resized_to(self, width: int, height: int) -> tuple[int, int]:
        if not isinstance(self.resize, int):
            assert self.resize is not None
            return self.resize[1], self.resize[0]
        if width <= height:
            return self.resize, int(self.resize * height / width)
        return int(self.resize * width / height), self.resize

    def standardised(self, pixels: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Returns pixels scaled and standardised.

        Args:
            pixels: uint8 [height, width, 3].
            out: float32 of this shape, contiguous, to write into. None: a new array.
        """
        if out is None:
            out = np.empty(pixels.shape, "float32")
        # A row at a time: NumPy is five times slower on an axis of three.
        rows = out.reshape(len(out), -1)
        scale = 1.0 if self.rescale is None else 1 / self.rescale
        np.divide(pixels.reshape(rows.shape), np.float32(scale), out=rows)
        if self.mean is not None:
            rows -= np.tile(np.array(self.mean, "float32"), pixels.shape[1])
            rows /= np.tile(np.array(self.std, "float32"), pixels.shape[1])
        return out

    def to_config(self) -> dict[str, Any]:
        """Returns what `preprocessor_config.json` says, every field of it."""
        height_width = ("height", "width")
        resize = self.size if self.resize is None else self.resize
        size = (
            {"shortest_edge": resize}
            if isinstance(resize, int)
            else dict(zip(height_width, resize, strict=True))
        )
        return {
            "image_processor_type": self.kind,
            "do_convert_rgb": True,
            "do_resize": self.resize is not None,
            "size": size,
            "resample": self.resample,
            "do_center_crop": self.crop,
            "crop_size": dict(zip(height_width, self.size, strict=True)),
            "do_rescale": self.rescale is not None,
            "rescale_factor": 1 / 255 if self.rescale is None else self.rescale,
            "do_normalize": self.mean is not None,
            "image_mean": list(self.mean or (0.0, 0.0, 0.0)),
            "image_std": list(self.std),
        }

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Writes `preprocessor_config.json`, which `transformers` reads, too."""
        path = Path(folder) / FILE
        path.write_text(json.dumps(self.to_config(), indent=2) + "\n", encoding="utf-8")


def _checked(size: Any) -> Size:
    sizes = size if isinstance(size, (tuple, list)) else (size, size)
    whole = all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) for n in sizes)
    if len(sizes) != 2 or not whole or min(sizes) < 1:
        raise ArgumentError(f"size={size!r}; expected pixels, as 224 or (height, width).")
    return int(sizes[0]), int(sizes[1])
