"""Images: what a person gives where a model reads `pixel_values`."""

from __future__ import annotations

import base64
import binascii
import html
import io
import os
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from ktlite._arguments import at_least_one
from ktlite.encodings.encodings import Encodings
from ktlite.encodings.indexed import IndexedData
from ktlite.errors import CheckpointError, DataError, Problems, plural
from ktlite.inputs.image_checks import image_checks
from ktlite.inputs.image_encodings import ImageEncodings, KeptPixels
from ktlite.inputs.image_processor import ImageProcessor, Size
from ktlite.inputs.input import Input, register
from ktlite.inputs.item_files import is_path, processors
from ktlite.inputs.patch_parts import PatchParts
from ktlite.inputs.pictures import (
    EXPECTED,
    content_key,
    file_bytes,
    flaw,
    is_picture,
    media_type,
    name_of,
    pixel_count,
    problem,
    read_picture,
)
from ktlite.inputs.token_checks import Line

#: Bytes of pixels that are kept for further epochs: 3,566 pictures of 224 x 224.
KEEP = 512 * 2**20
# Names of files that are taken for pictures in a folder; a file that is named may have any.
SUFFIXES = frozenset(
    """
    .avif .bmp .dib .gif .j2k .jfif .jp2 .jpe .jpeg .jpg .pbm .pgm .png .pnm .ppm .tif .tiff .webp
    """.split()  # noqa: SIM905
)
_DATA_URL = re.compile(r"data:image/[\w.+-]+;base64,")
_THUMBNAIL = 160  # pixels of the longer side
_TOLD = 5  # items with problems that are told


def _golden() -> tuple[np.ndarray, ...]:
    """Returns pictures of slopes, a chessboard and stripes: uint8, of unequal size."""
    down, across = np.mgrid[:24, :32]
    slopes = np.stack([across * 8, down * 10, 255 - across * 4 - down * 5], axis=-1)
    board = (down[:, :20] // 4 + across[:, :20] // 4) % 2 * 255
    stripes = (down[:16] * 37 + across[:16] * 11) % 256
    return slopes.astype("uint8"), board.astype("uint8"), stripes.astype("uint8")


@register
class Images(Input):
    """The pictures of a checkpoint's model: resized and standardised as the checkpoint says.

    An item is the path of a file, its bytes, a Pillow image or a uint8 array: [height, width, 3],
    or [height, width] for grey.

    Args:
        processor: What makes pictures what the model reads.
        workers: Threads that decode. Default: as many as processors.
        keep: Bytes of pixels, at most, that are kept from the second epoch on. Where a data set
            has more, its pictures are decoded anew each time.
        patch: Height and width of what explanations take out, in pixels of what the model reads.
            Default: a fourteenth of them.

    Raises:
        ArgumentError: If `workers` or `keep` is no such number.

    Example:
        >>> images = Images.of_checkpoint(Path("vit-base-patch16-224"))
        >>> images.encode(["cats/1.jpg", "cats/2.jpg"]).batch([0, 1])["pixel_values"].shape
        (2, 224, 224, 3)
    """

    kind = "image"
    measure = "pixels"
    media = "image/*"
    expected = EXPECTED
    heads = MappingProxyType({"text-classification": "image-classification"})
    golden = _golden()
    in_pytorch = (
        "from PIL import Image\n",
        'picture = Image.open("picture.jpg").convert("RGB")',
        'inputs = model.image_processor(picture, return_tensors="pt")',
    )

    def __init__(
        self,
        processor: ImageProcessor,
        *,
        workers: int | None = None,
        keep: int = KEEP,
        patch: Size | None = None,
    ) -> None:
        problems = Problems("Images")
        at_least_one(problems, **({} if workers is None else {"workers": workers}))
        problems.add_unless(
            isinstance(keep, int) and keep >= 0, f"keep={keep!r}; expected bytes, 0 or more."
        )
        problems.raise_if_any()
        self.processor = processor
        self.workers = processors() if workers is None else int(workers)
        self.keep = keep
        height, width = processor.size
        self.patch = (max(1, height // 14), max(1, width // 14)) if patch is None else patch

    @property
    def size(self) -> Size:
        """Height and width of what the model reads."""
        return self.processor.size

    # Of items, whatever the checkpoint

    @classmethod
    def accepts(cls, item: Any) -> bool:
        """Says whether this is a picture by its type."""
        return is_picture(item)

    @classmethod
    def is_one(cls, value: Any) -> bool:
        """Says whether a value is one picture: of arrays, [n, height, width] is several."""
        if isinstance(value, np.ndarray) and value.ndim == 3:
            return value.shape[-1] in (1, 3, 4)
        return cls.accepts(value)

    @classmethod
    def problems(cls, items: Sequence[Any]) -> list[str | None]:
        """Says of each item why it cannot be used; None: it can. Each is decoded, in threads.

        What is said is the same of all that have one flaw, with the path of the first.
        """
        with ThreadPoolExecutor(processors(), thread_name_prefix="pictures") as pool:
            flaws = list(pool.map(flaw, items))
        said: dict[str, str] = {}
        for item, found in zip(items, flaws, strict=True):
            if found is not None:
                where = f", such as {name_of(item)}" if is_path(item) else ""
                said.setdefault(found, f"{found}{where}")
        return [None if found is None else said[found] for found in flaws]

    @classmethod
    def of_cells(cls, values: list[Any], base: Path | None) -> list[Any]:
        """Returns the pictures that cells of a table stand for.

        Args:
            values: Paths, relative to `base` or absolute; or whatever else is a picture, or
                {"bytes": ..., "path": ...}, as `datasets` and its Parquet files have them.
            base: The folder of the table; None: the current one.
        """
        return [_of_cell(value, base) for value in values]

    @classmethod
    def is_file(cls, file: Path) -> bool:
        """Says by its name whether a file of a class folder is a picture."""
        return file.suffix.lower() in SUFFIXES

    @classmethod
    def key(cls, item: Any) -> str:
        """Returns the same for equal pictures: a hash of a file's bytes, or of pixels."""
        return content_key(item)

    @classmethod
    def to_json(cls, item: Any) -> str:
        """Returns a picture as a data URL: a file as it is, others as PNG.

        Raises:
            DataError: If it cannot be read.
        """
        return data_url(file_bytes(item))

    @classmethod
    def from_json(cls, value: Any) -> bytes:
        """Returns the bytes of the file that a data URL holds, or base64 alone.

        A path is not read, nor an address: who sends JSON may not be allowed to.

        Raises:
            DataError: If it is neither.
        """
        problem = "expected a data URL with base64 (data:image/png;base64,...), or the base64 alone"
        if not isinstance(value, str):
            raise DataError(f"an image is of type {type(value).__name__}; {problem}.")
        try:
            return base64.b64decode(_DATA_URL.sub("", value, count=1), validate=True)
        except (binascii.Error, ValueError):
            raise DataError(f"an image is {value[:40]!r}; {problem}.") from None

    @classmethod
    def from_bytes(cls, content: bytes) -> bytes:
        """Returns the bytes of a file, which are a picture as they are."""
        return content

    @classmethod
    def extent(cls, item: Any) -> int:
        """Returns the pixels of a picture; of files by their header, which costs little.

        Raises:
            DataError: If it is no picture.
        """
        return pixel_count(item)

    @classmethod
    def schema(cls) -> dict[str, Any]:
        """Returns the JSON schema of a picture."""
        return {
            "type": "string",
            "title": "An image",
            "description": "A data URL with base64 (data:image/png;base64,...), or the base64.",
            "contentEncoding": "base64",
        }

    @classmethod
    def shown(cls, item: Any) -> str:
        """Returns a picture in a line: what it is called, and its size.

        Example:
            >>> Images.shown("cats/1.jpg")
            "'cats/1.jpg' (640 x 480)"
        """
        name = name_of(item)
        if not is_path(item) and not isinstance(item, (bytes, bytearray, memoryview)):
            return name
        try:
            picture = read_picture(item)
        except DataError:
            return name
        return f"{name} ({picture.width} x {picture.height})"

    @classmethod
    def in_code(cls, item: Any) -> str:
        """Returns how a picture is given in an example of code: as the name of a file."""
        return '"picture.jpg"'

    @classmethod
    def shown_as_html(cls, item: Any) -> str | None:
        """Returns a small copy of a picture as an `<img>` that holds it; None if it is none."""
        try:
            picture = read_picture(item)
        except DataError:
            return None
        name = html.escape(cls.shown(item), quote=True)
        picture.thumbnail((_THUMBNAIL, _THUMBNAIL))
        written = io.BytesIO()
        picture.save(written, "JPEG", quality=85)
        url = data_url(written.getvalue())
        return (
            f'<img src="{url}" width="{picture.width}" height="{picture.height}" '
            f'alt="{name}" title="{name}">'
        )

    # Of a checkpoint

    @classmethod
    def of_checkpoint(
        cls,
        folder: str | os.PathLike[str],
        spec: Any = None,
        *,
        size: int | Size | None = None,
        **options: Any,
    ) -> Images:
        """Returns the images of a checkpoint's model.

        Args:
            folder: The checkpoint's folder.
            spec: Of its model. None: it is not looked at.
            size: Height and width of what the model reads, or one number for both, in place of
                the checkpoint's.
            **options: Those of other inputs, which make no difference.

        Raises:
            CheckpointError: If the checkpoint's settings are damaged or not understood, or give
                another size than the model reads.
            ArgumentError: If `size` is no size.
        """
        front = None if spec is None else spec.first.front
        made = cls(
            ImageProcessor.of_checkpoint(folder, size), patch=None if front is None else front.patch
        )
        reads = None if front is None else tuple(front.size)
        if reads not in (None, made.size):
            raise CheckpointError(
                f"{folder}: the model reads images of {_sides(reads)} pixels (config.json), and "
                f"preprocessor_config.json makes them {_sides(made.size)}. Mend one of them."
            )
        return made

    def __str__(self) -> str:
        return f"images of {_sides(self.size)} pixels"

    def encode(self, items: Sequence[Any], *, verbose: int = 0) -> ImageEncodings:
        """Returns pictures as encodings, which decode them when a batch is asked for.

        Args:
            items: The pictures.
            verbose: Nothing is shown: nothing is decoded yet.

        Raises:
            DataError: If one is none by its type, or a file is not there; all are told.
        """
        items = list(items)
        self._check(items)
        height, width = self.size
        fits = len(items) * height * width * 3 <= self.keep
        return ImageEncodings(
            items,
            self.processor,
            np.arange(len(items)),
            self.workers,
            KeptPixels(len(items), self.size) if fits else None,
        )

    def _check(self, items: list[Any]) -> None:
        wrong = [
            number
            for number, item in enumerate(items)
            if not self.accepts(item) or (is_path(item) and not os.path.isfile(item))
        ]
        problems = Problems(f"{plural(len(wrong), 'image')} cannot be read", DataError)
        for number in wrong[:_TOLD]:
            problems.add(f"number {number}: {problem(items[number])}.")
        problems.raise_if_any()

    def parts(self, item: Any, encodings: Encodings) -> PatchParts:
        """Returns the patches of a picture, which its explanation takes out."""
        assert isinstance(encodings, ImageEncodings)
        return PatchParts.of(item, encodings, self.patch)

    def checks(self, splits: Mapping[str, IndexedData], longest: int | None) -> list[Line]:
        """Looks at the sizes of the pictures, in the heads of their files."""
        return image_checks(splits, self.processor, self.workers)

    def save(self, folder: str | os.PathLike[str]) -> dict[str, Any]:
        """Writes `preprocessor_config.json`, which `transformers` reads, too; returns the rest."""
        self.processor.save(folder)
        return {"patch": list(self.patch)}

    @classmethod
    def load(cls, folder: str | os.PathLike[str], config: Mapping[str, Any]) -> Images:
        """Returns the images that `save` wrote.

        Args:
            folder: Where it wrote them.
            config: What it returned.
        """
        patch = config.get("patch")
        made = ImageProcessor.of_checkpoint(folder)
        return cls(made, patch=None if patch is None else (int(patch[0]), int(patch[1])))


def data_url(content: bytes) -> str:
    """Returns the bytes of a picture's file as a data URL.

    Raises:
        DataError: If they are none.
    """
    return f"data:{media_type(content)};base64,{base64.b64encode(content).decode()}"


def _sides(size: tuple[int, ...]) -> str:
    return " x ".join(map(str, size))


def _of_cell(value: Any, base: Path | None) -> Any:
    if isinstance(value, dict) and {"bytes", "path"} & set(value):
        content = value.get("bytes")
        value = content if content is not None else value.get("path")
    if isinstance(value, str) and base is not None and value.strip():
        return os.fspath(base / value)
    return value
