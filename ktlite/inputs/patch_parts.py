"""The patches of an image, and what is left of it without some of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ktlite.encodings.encodings import Encodings
from ktlite.encodings.field import Field
from ktlite.inputs.heat_map import as_html, as_text
from ktlite.inputs.image_encodings import ImageEncodings
from ktlite.inputs.image_processor import Size
from ktlite.inputs.parts import Parts
from ktlite.inputs.pictures import name_of, read_picture

if TYPE_CHECKING:
    from PIL import Image

_SHOWN = 400  # pixels of the longer side of a picture that is kept to be shown


@dataclass(frozen=True, eq=False)
class PatchParts(Parts):
    """A grid of patches over an image.

    A patch is taken out by making it grey: of the mean colour that the checkpoint subtracts, so
    that its values are 0. What is right and below of the last whole patch is in none of them, as
    models leave it out.

    Args:
        name: What the image is called.
        picture: The image as it was given, in RGB, no larger than is shown.
        values: float32 [height, width, 3], the image as the model reads it.
        grey: float32 [3], what stands in for a pixel that is taken out.
        boxes: int64 [rows, columns, 4], where each patch is in the image as it was given: top,
            left, height, width.
        size: Height and width of the image as it was given.
        part_of: int64 [height, width], once: the number of the patch that a pixel is of.
    """

    noun, nouns = "patch", "patches"
    columns = ("top", "left", "height", "width")
    field = "pixel_values"
    texts = ()

    name: str
    picture: Image.Image
    values: np.ndarray
    grey: np.ndarray
    boxes: np.ndarray
    size: Size
    part_of: list[np.ndarray]

    @classmethod
    def of(cls, item: Any, encodings: ImageEncodings, patch: Size) -> PatchParts:
        """Finds the patches of an image.

        Args:
            item: What `read_picture` takes.
            encodings: Of this image alone.
            patch: Height and width of a patch, in pixels of what the model reads.
        """
        picture, processor = read_picture(item), encodings.processor
        (values,) = encodings.batch(np.array([0]))["pixel_values"]
        size = picture.height, picture.width
        ends = [
            _edges(whole, part, first, last, most)
            for whole, part, (first, last), most in zip(
                processor.size, patch, processor.window(*size), size, strict=True
            )
        ]
        rows, columns = (len(edges) - 1 for edges in ends)
        boxes = np.empty((rows, columns, 4), "int64")
        boxes[..., 0], boxes[..., 1] = np.meshgrid(ends[0][:-1], ends[1][:-1], indexing="ij")
        boxes[..., 2], boxes[..., 3] = np.meshgrid(*map(np.diff, ends), indexing="ij")
        part_of = np.full(processor.size, -1, "int64")
        inside = np.arange(rows * columns).reshape(rows, columns)
        inside = inside.repeat(patch[0], 0).repeat(patch[1], 1)
        part_of[: inside.shape[0], : inside.shape[1]] = inside
        picture.thumbnail((_SHOWN, _SHOWN))
        return cls(name_of(item), picture, values, processor.grey, boxes, size, [part_of])

    def __len__(self) -> int:
        return self.boxes.shape[0] * self.boxes.shape[1]

    def variants(self, row: int, kept: np.ndarray) -> PatchVariants:
        return PatchVariants(self.values, self.grey, self.part_of[row], kept)

    def places(self) -> list[tuple[Any, ...]]:
        return [tuple(box) for box in self.boxes.reshape(-1, 4).tolist()]

    def as_html(self, scores: np.ndarray, seen: np.ndarray, summary: str, unit: str) -> str:
        grid = scores.reshape(self.boxes.shape[:2])
        return as_html(self.picture, self.boxes, self.size, grid, (self.name, summary, unit))

    def as_text(self, scores: np.ndarray, seen: np.ndarray, summary: str, unit: str) -> str:
        return as_text(scores.reshape(self.boxes.shape[:2]), (self.name, summary, unit))


@dataclass(frozen=True, eq=False)
class PatchVariants(Encodings):
    """An image again and again, each time with other patches made grey, when a batch has it.

    Args:
        values: float32 [height, width, channels], the image.
        grey: float32 [channels].
        part_of: int64 [height, width], the number of the patch that a pixel is of; -1: of none.
        kept: bool [variants, patches], which stay.
    """

    values: np.ndarray
    grey: np.ndarray
    part_of: np.ndarray
    kept: np.ndarray

    def __len__(self) -> int:
        return len(self.kept)

    @property
    def fields(self) -> tuple[Field, ...]:
        return (Field("pixel_values", "float32", self.values.shape),)

    @property
    def lengths(self) -> np.ndarray:
        return np.zeros(len(self), "int64")

    def batch(self, rows: np.ndarray, seed: Sequence[int] | None = None) -> dict[str, np.ndarray]:
        # A column more, for pixels of no patch: they always stay.
        kept = np.pad(self.kept[rows], ((0, 0), (0, 1)), constant_values=True)
        return {"pixel_values": np.where(kept[:, self.part_of, None], self.values, self.grey)}

    def take(self, examples: np.ndarray) -> PatchVariants:
        return replace(self, kept=self.kept[examples])


def _edges(whole: int, part: int, first: float, last: float, most: int) -> np.ndarray:
    """Returns where patches begin along one axis, and the last ends: pixels of the image.

    Args:
        whole: Pixels that the model reads.
        part: Of a patch.
        first: Where these begin in the image.
        last: And where they end.
        most: Pixels of the image.
    """
    shares = np.arange(whole // part + 1) * part / whole
    return np.rint(first + shares * (last - first)).clip(0, most).astype("int64")
