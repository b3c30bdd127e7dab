"""Sounds as a model reads them, decoded when a batch of them is asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ktlite.encodings.encodings import Encodings
from ktlite.encodings.field import Field
from ktlite.encodings.plan import padded_length
from ktlite.errors import DataError
from ktlite.inputs.sound_features import SoundFeatures, stacked
from ktlite.inputs.sound_files import read_sound, state_key


class KeptSounds:
    """What was made of sounds, kept when it is asked for a second time, up to some bytes.

    Args:
        limit: Bytes, at most.
    """

    def __init__(self, limit: int) -> None:
        self.left = limit
        self.made: dict[int, np.ndarray] = {}
        self.asked: set[int] = set()

    def get(self, number: int, make: Callable[[], np.ndarray]) -> np.ndarray:
        """Returns what was made of a sound, from `make` the first two times at least."""
        found = self.made.get(number)
        if found is not None:
            return found
        made = make()
        if number in self.asked and made.nbytes <= self.left:
            self.left -= made.nbytes
            self.made[number] = made
        self.asked.add(number)
        return made


@dataclass(frozen=True, eq=False)
class SoundEncodings(Encodings):
    """Sounds, each decoded, resampled and turned into features when a batch has it.

    Args:
        items: What `ktlite.inputs.sound_files.read_sound` takes.
        features: What makes them what the model reads.
        samples: int64 [items], of each, at the model's rate, as far as it is heard.
        rows: int64 [rows], the number of each row's item.
        seconds: Of each sound that are heard.
        shortest: Samples that the model needs: what is shorter is filled up with silence.
        workers: Threads that decode.
        kept: What is kept for further epochs.
    """

    items: Sequence[Any]
    features: SoundFeatures
    samples: np.ndarray
    rows: np.ndarray
    seconds: float
    shortest: int
    workers: int
    kept: KeptSounds

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def fields(self) -> tuple[Field, ...]:
        """What a batch holds."""
        return self.features.fields

    @property
    def lengths(self) -> np.ndarray:
        """int64 [rows]: of what the model reads; zeros where all are alike."""
        if not self.features.ragged:
            return np.zeros(len(self), "int64")
        samples = np.maximum(self.samples[self.rows], self.shortest)
        return np.asarray(self.features.length(samples), "int64")

    @property
    def max_length(self) -> int:
        """The length of the longest sound that is heard in full."""
        most = max(round(self.seconds * self.features.sampling_rate), self.shortest)
        return int(self.features.length(most))

    def batch(self, rows: np.ndarray, seed: Sequence[int] | None = None) -> dict[str, np.ndarray]:
        """Returns some sounds as the model reads them.

        Args:
            rows: int [batch], which, in which order.
            seed: Nothing is drawn.

        Returns:
            By the names of `fields`. Sounds of unequal length are padded with zeros, and have an
            `attention_mask`.

        Raises:
            DataError: If one cannot be read; it says which.
        """
        numbers = [int(self.rows[row]) for row in np.asarray(rows)]
        workers = min(self.workers, len(numbers))
        if workers > 1:
            with ThreadPoolExecutor(workers, thread_name_prefix="sounds") as pool:
                made = list(pool.map(self._made, numbers))
        else:
            made = [self._made(number) for number in numbers]
        name = self.features.field
        if not self.features.ragged:
            shape = tuple(side or 0 for side in self.features.shape)
            return {name: np.stack(made) if made else np.zeros((0, *shape), "float32")}
        lengths = np.array([len(one) for one in made], "int64")
        width = padded_length(int(lengths.max(initial=1)), self.max_length)
        inside = np.arange(width) < lengths[:, None]
        values = stacked(made, width) if made else np.zeros((0, width), "float32")
        return {name: values, "attention_mask": inside.astype("int32")}

    def _made(self, number: int) -> np.ndarray:
        return self.kept.get(number, lambda: self._make(number))

    def _make(self, number: int) -> np.ndarray:
        try:
            samples = read_sound(
                self.items[number], self.features.sampling_rate, seconds=self.seconds
            )
        except DataError as error:
            raise DataError(f"sound {number}: {error}") from None
        made = self.features(samples)
        least = int(self.features.length(self.shortest)) if self.features.ragged else 0
        return stacked([made], least)[0] if len(made) < least else made

    def take(self, examples: np.ndarray) -> SoundEncodings:
        """Returns some rows, in their order; what is kept stays where it is.

        Args:
            examples: int [picked], their numbers.
        """
        return replace(self, rows=self.rows[examples])

    def content(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Returns what tells some rows from others, for hashes, without decoding them.

        Files count by their path, size and time of change.

        Returns:
            `sound`, uint8 [rows, 16].

        Raises:
            DataError: If a file is not there.
        """
        made = repr((self.features, self.seconds)).encode()
        keys = [
            hashlib.blake2b(made + state_key(self.items[self.rows[row]]), digest_size=16).digest()
            for row in rows
        ]
        return {"sound": np.frombuffer(b"".join(keys), "uint8").reshape(len(keys), 16)}
