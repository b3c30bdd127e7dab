"""Sounds that a model writes texts of, long ones in several rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from ktlite.inputs.pauses import split_at_pauses
from ktlite.inputs.sound_encodings import KeptSounds, SoundEncodings
from ktlite.inputs.sound_files import read_sound
from ktlite.inputs.transcripts import Transcripts


@dataclass(frozen=True, eq=False, kw_only=True)
class HeardEncodings(SoundEncodings):
    """Sounds that a model writes texts of.

    Args:
        transcripts: How tokens become text.
        prompt: int32 [tokens], what each text begins with.
        ends: float64 [rows, 2], when the sound of each row begins and ends in its example, in
            seconds.
        example_of: As all encodings have it.
    """

    transcripts: Transcripts
    prompt: np.ndarray
    ends: np.ndarray
    example_of: np.ndarray | None = None

    @classmethod
    def of(
        cls, sounds: SoundEncodings, transcripts: Transcripts, prompt: np.ndarray
    ) -> HeardEncodings:
        """Returns sounds with what is to be written of them, a row each."""
        held = {field.name: getattr(sounds, field.name) for field in fields(SoundEncodings)}
        seconds = sounds.samples[sounds.rows] / sounds.features.sampling_rate
        ends = np.stack([np.zeros(len(sounds)), seconds], axis=1)
        return cls(**held, transcripts=transcripts, prompt=prompt, ends=ends)

    def in_parts(self, seconds: Sequence[float]) -> HeardEncodings:
        """Returns rows for all of each sound: what the model cannot hear at once has several.

        Such sounds are decoded now, and kept: 4 MB a minute.

        Args:
            seconds: Of each sound.

        Raises:
            DataError: If one cannot be read.
        """
        rate = self.features.sampling_rate
        long = [row for row in range(len(self)) if seconds[row] > self.seconds]
        if not long:
            return self
        with ThreadPoolExecutor(self.workers, thread_name_prefix="sounds") as pool:
            whole = dict(zip(long, pool.map(lambda row: self._whole(row), long), strict=True))
        items: list[Any] = []
        ends, counts = [], []
        for row in range(len(self)):
            if row not in whole:
                items.append(self.items[self.rows[row]])
                ends.append(tuple(self.ends[row]))
                counts.append(1)
                continue
            parts = split_at_pauses(whole[row], rate, self.seconds)
            items += [(whole[row][start:end], rate) for start, end in parts]
            ends += [(start / rate, end / rate) for start, end in parts]
            counts.append(len(parts))
        times = np.array(ends, "float64")
        return replace(
            self,
            items=items,
            samples=np.rint((times[:, 1] - times[:, 0]) * rate).astype("int64"),
            rows=np.arange(len(items)),
            ends=times,
            example_of=np.repeat(np.arange(len(self)), counts),
            kept=KeptSounds(0),
        )

    def first_parts(self) -> HeardEncodings:
        """Returns a row for each sound: its first part."""
        if self.example_of is None:
            return self
        first = np.flatnonzero(np.diff(self.example_of, prepend=-1))
        return replace(self, rows=self.rows[first], ends=self.ends[first], example_of=None)

    def _whole(self, row: int) -> np.ndarray:
        return read_sound(self.items[self.rows[row]], self.features.sampling_rate)

    def take(self, examples: np.ndarray) -> HeardEncodings:
        """Returns the rows of some sounds, in their order."""
        of = np.arange(len(self)) if self.example_of is None else self.example_of
        found = [np.flatnonzero(of == example) for example in examples]
        rows = np.concatenate([np.zeros(0, "int64"), *found])
        again = np.repeat(np.arange(len(examples)), [len(part) for part in found])
        return replace(
            self,
            rows=self.rows[rows],
            ends=self.ends[rows],
            example_of=None if self.example_of is None else again,
        )

    def begun(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns a batch of sounds with what the text of each begins with."""
        count = len(next(iter(inputs.values())))
        return {**inputs, "decoder_input_ids": np.repeat(self.prompt[None], count, axis=0)}

    @property
    def decode(self) -> Any:
        """What turns tokens into the text, as `SourceEncodings` has it."""
        return self.transcripts.decode

    @property
    def settled(self) -> Any:
        """Likewise, of the first tokens of a text."""
        return self.transcripts.settled
