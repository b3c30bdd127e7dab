"""Pictures as people have them (files, bytes, arrays, Pillow's own) to RGB, or to what is wrong."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ktlite._extras import needs_extra
from ktlite.errors import DataError, KtliteError
from ktlite.inputs.item_files import (
    Unreadable,
    digest,
    file_content,
    file_name,
    file_state,
    is_bytes,
    is_path,
    told,
)

if TYPE_CHECKING:
    from PIL import Image

EXPECTED = "the path of a file, its bytes, a Pillow image or a uint8 array [height, width, 3]"
_ORIENTATION = 0x0112  # the tag of EXIF
_ON_ITS_SIDE = (5, 6, 7, 8)  # of its values
_OF_16_BITS = ("I;16", "I;16L", "I;16B", "I;16N")
_OF_32_BITS = ("I", "F")
_SHOWN_BYTES = 12
# Pillow reads the pixels of a file that it has opened when they are first asked for, and two
# threads that ask at once read past each other.
_READING = threading.Lock()


def read_picture(item: Any) -> Image.Image:
    """Returns a picture in RGB, upright.

    It is what the pipelines of `transformers` make of a file: its first frame, turned as EXIF
    says, in RGB. Transparency is dropped: a transparent pixel has the colour that is stored for it.
    One difference: grey of 16 bits is scaled to 8, where Pillow's own conversion makes all but
    the darkest 1/256 of it white.

    Args:
        item: The path of a file in any format that Pillow reads, the bytes of one, a Pillow
            image, or a uint8 array: [height, width, 3] RGB, [height, width, 4] RGB and
            transparency, [height, width] or [height, width, 1] grey.

    Raises:
        DataError: If it is none of these, or cannot be read.
        ArgumentError: If Pillow is not installed.

    Example:
        >>> read_picture("cats/1.jpg")
        <PIL.Image.Image image mode=RGB size=640x480>
    """
    try:
        with _told(item):
            return _upright_rgb(_loaded(item))
    except DataError as error:
        raise DataError(f"{error}.") from None


def problem(item: Any) -> str | None:
    """Says why something is no picture that can be read, or returns None.

    The pixels are decoded, since nothing less tells that a file is cut off; of JPEG files at an
    eighth of their size, which costs a third.

    Example:
        >>> problem("cats/1.jpeg")
        "there is no file 'cats/1.jpeg'"
    """
    try:
        with _told(item):
            _loaded(item, smaller=8)
    except DataError as error:
        return str(error)
    return None


def flaw(item: Any) -> str | None:
    """Says in a few words what `problem` finds, the same of all such pictures; None: nothing.

    Example:
        >>> flaw("cats/1.jpeg")
        'no such file'
    """
    try:
        with _told(item):
            _loaded(item, smaller=8)
    except Unreadable as error:
        return error.flaw
    return None


def height_and_width(item: Any) -> tuple[int, int] | None:
    """Returns the size of a picture, upright; of a file, from its head alone. None: it has none.

    Example:
        >>> height_and_width("cats/1.jpg")
        (480, 640)
    """
    try:
        with _told(item):
            if not is_path(item):
                return _upright_size(_opened(item))
            from PIL import Image

            with Image.open(item) as image:
                return _upright_size(image)
    except DataError:
        return None


def content_key(item: Any) -> str:
    """Returns the same for equal pictures: of files the digest of their bytes, else of the pixels.

    A file and its bytes are equal, so are an array and a Pillow image with the same pixels. A file
    is not equal to its pixels: to know these it would have to be decoded.

    Raises:
        DataError: If a file cannot be read, or the item is no picture.
    """
    return digest(*_bytes_or_pixels(item)).hexdigest()


def state_key(item: Any) -> bytes:
    """Returns what changes when the picture does, without reading files.

    Of a file, its path, size and time of change; of others, what `content_key` is made of.

    Raises:
        DataError: If there is no such file, or the item is no picture.
    """
    if not is_path(item):
        return digest(*_bytes_or_pixels(item)).digest()
    with _told(item):
        return file_state(item)


def file_bytes(item: Any) -> bytes:
    """Returns a picture as the bytes of a file: its own, or of a PNG file that is made of it.

    Raises:
        DataError: If it cannot be read.
    """
    if is_bytes(item):
        return bytes(item)
    if is_path(item):
        with _told(item):
            return Path(item).read_bytes()
    written = io.BytesIO()
    read_picture(item).save(written, "PNG")
    return written.getvalue()


def media_type(content: bytes) -> str:
    """Returns what a picture's file is of, such as `"image/png"`, by its bytes.

    Raises:
        DataError: If it is no picture.
    """
    try:
        with _told(content):
            opened = _opened(content)
            from PIL import Image

            return Image.MIME.get(opened.format or "", "image/*")
    except DataError as error:
        raise DataError(f"{error}.") from None


def pixel_count(item: Any) -> int:
    """Returns the pixels of a picture, without decoding it.

    Raises:
        DataError: If it is none, or of more pixels than Pillow opens.
    """
    try:
        with _told(item):
            opened = _opened(item)
            return int(opened.width * opened.height)
    except DataError as error:
        raise DataError(f"{error}.") from None


def name_of(item: Any) -> str:
    """Returns what to call a picture in a message.

    Example:
        >>> name_of("cats/1.jpg"), name_of(np.zeros([32, 32, 3], "uint8"))
        ("'cats/1.jpg'", 'an array [32, 32, 3] of uint8')
    """
    if isinstance(item, np.ndarray):
        return f"an array {list(item.shape)} of {item.dtype}"
    if _is_pillow(item):
        return f"a Pillow image of {item.width} x {item.height} pixels ({item.mode})"
    return file_name(item)


def is_picture(item: Any) -> bool:
    """Says whether an item may be a picture by its type; an array, by its number of axes."""
    if isinstance(item, np.ndarray):
        return item.ndim in (2, 3)
    return is_path(item) or is_bytes(item) or _is_pillow(item)


def _is_pillow(item: Any) -> bool:
    # Without an import: where Pillow is not, nothing is one of its images.
    return any(base.__module__ == "PIL.Image" for base in type(item).__mro__)


@needs_extra("images", "reading pictures")
def _opened(item: Any) -> Image.Image:
    """Returns a Pillow image, of files and bytes without their pixels yet."""
    from PIL import Image, UnidentifiedImageError

    if isinstance(item, Image.Image):
        _check_area(item.width, item.height, name_of(item))
        return item
    if isinstance(item, np.ndarray):
        return Image.fromarray(_checked(item))
    if not is_path(item) and not is_bytes(item):
        name = type(item).__name__
        raise Unreadable(
            f"a value of type {name}", f"{name_of(item)} is no picture; expected {EXPECTED}"
        )
    content = file_content(item)
    try:
        return Image.open(io.BytesIO(content))
    except UnidentifiedImageError:
        raise Unreadable(
            "no picture that Pillow reads",
            f"{name_of(item)} is no picture that Pillow reads; it starts with "
            f"{content[:_SHOWN_BYTES]!r}",
        ) from None


def _checked(array: np.ndarray) -> np.ndarray:
    """Returns an array as Pillow takes it, or raises DataError."""
    name = name_of(array)
    if array.dtype != np.uint8:
        advice = ""
        if array.dtype.kind == "f":
            advice = " (where white is 1, give (255 * array).round().astype('uint8'))"
        raise Unreadable(
            f"an array of {array.dtype}, not uint8{advice}",
            f"{name}, not of uint8, from 0 to 255{advice}",
        )
    if array.ndim == 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim != 2 and (array.ndim != 3 or array.shape[-1] not in (3, 4)):
        first = array.ndim == 3 and array.shape[0] in (1, 3, 4)
        raise Unreadable(
            "an array of another shape than [height, width, 3]",
            f"{name}, not [height, width, 3], or [height, width] for grey"
            + ("; where channels come first, give np.moveaxis(array, 0, -1)" if first else ""),
        )
    _check_area(array.shape[1], array.shape[0], name)
    return np.ascontiguousarray(array)


def _check_area(width: int, height: int, name: str) -> None:
    if not width or not height:
        raise Unreadable("no pixels", f"{name} has no pixels")


def _loaded(item: Any, smaller: int = 1) -> Image.Image:
    """Returns a Pillow image with its pixels, as they are stored.

    Args:
        item: The picture.
        smaller: Decoders that can may give a picture that is so many times smaller.
    """
    image = _opened(item)
    if image.mode in _OF_32_BITS:
        raise Unreadable(
            "pixels of 32 bits",
            f"{name_of(item)} has pixels of 32 bits (mode {image.mode!r}), and nothing says which "
            "of their values is white; save it with 8 bits",
        )
    if smaller > 1 and image is not item:
        # A side of fewer pixels than that would have none left.
        image.draft(None, (max(image.width // smaller, 1), max(image.height // smaller, 1)))
    with _READING if image is item else nullcontext():
        image.load()
    return image


def _upright_size(image: Image.Image) -> tuple[int, int]:
    from PIL import Image

    # Of PNG files, their own method decodes the pixels where the head has none.
    turned = Image.Image.getexif(image).get(_ORIENTATION, 1) in _ON_ITS_SIDE
    return (image.width, image.height) if turned else (image.height, image.width)


def _upright_rgb(image: Image.Image) -> Image.Image:
    from PIL import Image, ImageOps

    if image.getexif().get(_ORIENTATION, 1) != 1:
        image = ImageOps.exif_transpose(image)
    if image.mode in _OF_16_BITS:
        grey = np.asarray(image).astype("uint16") >> 8
        image = Image.fromarray(grey.astype("uint8"))
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # Pillow warns of the direct way, which gives the same
    return image.convert("RGB")


@contextmanager
def _told(item: Any) -> Iterator[None]:
    """Turns what files and decoders raise into a DataError that names the picture."""
    name = name_of(item)
    try:
        with told(item, name, "pictures"):
            yield
    except (KtliteError, MemoryError):
        raise
    except Exception as error:  # the decoders of forty formats share no class of errors
        if type(error).__name__ == "DecompressionBombError":
            raise Unreadable(
                "too many pixels",
                f"{name} is too large: {str(error).rstrip('.')}. Where it is yours, scale it down, "
                "or raise PIL.Image.MAX_IMAGE_PIXELS",
            ) from None
        raise Unreadable("a damaged file", f"{name} is damaged: {error}") from None


def _bytes_or_pixels(item: Any) -> tuple[bytes, Any]:
    if is_path(item) or is_bytes(item):
        return b"file", file_bytes(item)
    picture = read_picture(item)
    return f"{picture.width} {picture.height}".encode(), picture.tobytes()
