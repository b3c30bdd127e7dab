"""Pictures as a model reads them, decoded when a batch of them is asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ktlite.encodings.encodings import Encodings
from ktlite.encodings.field import Field
from ktlite.errors import DataError
from ktlite.inputs.image_changes import PictureChanges
from ktlite.inputs.image_processor import ImageProcessor
from ktlite.inputs.pictures import state_key


class KeptPixels:
    """Pictures in the model's size, of bytes, kept when they are asked for a second time.

    What is predicted once is not kept, and takes no memory.

    Args:
        count: Pictures.
        size: Their height and width.
    """

    def __init__(self, count: int, size: tuple[int, int]) -> None:
        self.pixels = np.empty((count, *size, 3), "uint8")
        self.asked, self.there = np.zeros((2, count), bool)

    def get(self, number: int, make: Callable[[], np.ndarray]) -> np.ndarray:
        """Returns a picture, from `make` the first two times; several threads may ask."""
        found: np.ndarray = self.pixels[number]
        if self.there[number]:
            return found
        if not self.asked[number]:
            self.asked[number] = True
            return make()
        found[...] = make()
        self.there[number] = True
        return found


@dataclass(frozen=True, eq=False)
class ImageEncodings(Encodings):
    """Pictures, each decoded and resized when a batch has it; a row is a picture.

    Args:
        items: What `ktlite.inputs.pictures.read_picture` takes.
        processor: What makes them what the model reads.
        rows: int64 [rows], the number of each row's item.
        workers: Threads that decode and resize; Pillow lets them run at once.
        kept: Where pixels are kept for further epochs, by the number of the item; None: nowhere.
        augmentation: Changes the pictures of batches that are drawn by a seed. None: none.
    """

    items: Sequence[Any]
    processor: ImageProcessor
    rows: np.ndarray
    workers: int
    kept: KeptPixels | None = None
    augmentation: Callable[[np.ndarray, np.random.Generator], np.ndarray] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def fields(self) -> tuple[Field, ...]:
        """What a batch holds: `pixel_values`, float32 [batch, height, width, 3]."""
        return (Field("pixel_values", "float32", (*self.processor.size, 3)),)

    @property
    def lengths(self) -> np.ndarray:
        """int64 [rows]: zeros, since all rows are alike."""
        return np.zeros(len(self), "int64")

    def batch(self, rows: np.ndarray, seed: Sequence[int] | None = None) -> dict[str, np.ndarray]:
        """Returns some pictures as the model reads them.

        Args:
            rows: int [batch], which, in which order.
            seed: By which, and its row, a picture is changed at random, where there is an
                `augmentation`. None: none is.

        Returns:
            `pixel_values`, float32 [batch, height, width, 3].

        Raises:
            DataError: If one cannot be read; it says which.
        """
        rows = np.asarray(rows)
        values = np.empty((len(rows), *self.processor.size, 3), "float32")

        def fill(place: int) -> None:
            pixels = self.pixels(int(rows[place]))
            if self.augmentation is not None and seed is not None:
                random = np.random.default_rng([*seed, int(rows[place])])
                pixels = self.augmentation(pixels, random)
            self.processor.standardised(pixels, values[place])

        workers = min(self.workers, len(rows))
        if workers > 1:
            with ThreadPoolExecutor(workers, thread_name_prefix="pictures") as pool:
                for _ in pool.map(fill, range(len(rows))):
                    pass
        else:
            for place in range(len(rows)):
                fill(place)
        return {"pixel_values": values}

    def pixels(self, row: int) -> np.ndarray:
        """Returns a picture before its values are scaled: uint8 [height, width, 3].

        Raises:
            DataError: If it cannot be read; it says which.
        """
        number = int(self.rows[row])
        try:
            if self.kept is None:
                return self.processor.pixels(self.items[number])
            return self.kept.get(number, lambda: self.processor.pixels(self.items[number]))
        except DataError as error:
            raise DataError(f"picture {number}: {error}") from None

    def augmented(self, augmentation: Any, again: Any = None) -> ImageEncodings:
        """Returns the same pictures, changed at random in the batches that a seed draws.

        Args:
            augmentation: How, as `PictureChanges.of` takes it; None: not at all.
            again: Not needed.

        Raises:
            ArgumentError: If it is something else; all that is wrong is named.
        """
        changes = None if augmentation is None else PictureChanges.of(augmentation)
        return replace(self, augmentation=changes)

    def take(self, examples: np.ndarray) -> ImageEncodings:
        """Returns some rows, in their order; pixels that are kept stay where they are.

        Args:
            examples: int [picked], their numbers.
        """
        return replace(self, rows=self.rows[examples])

    def content(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Returns what tells some rows from others, for hashes, without decoding them.

        Files count by their path, size and time of change.

        Returns:
            `picture`, uint8 [rows, 16].

        Raises:
            DataError: If a file is not there.
        """
        made = repr((self.processor, self.augmentation)).encode()
        keys = [
            hashlib.blake2b(made + state_key(self.items[self.rows[row]]), digest_size=16).digest()
            for row in rows
        ]
        return {"picture": np.frombuffer(b"".join(keys), "uint8").reshape(len(keys), 16)}
