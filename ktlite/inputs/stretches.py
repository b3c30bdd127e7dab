"""The stretches of a sound, and what is left of it without some of them."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ktlite.encodings.encodings import Encodings
from ktlite.encodings.field import Field
from ktlite.inputs.parts import Parts
from ktlite.inputs.sound_encodings import SoundEncodings
from ktlite.inputs.sound_items import name_of
from ktlite.inputs.sound_travel import player
from ktlite.inputs.word_rendering import AGAINST, FOR, STRONGEST, visible

_SECONDS, _MOST = 0.1, 40  # of a stretch, at least; and how many there are, at most
_NOTE = "Compared with silence."


@dataclass(frozen=True, eq=False)
class StretchParts(Parts):
    """Stretches of a sound, all of one length, at least 0.1 seconds and at most 40 of them.

    A stretch is taken out by making it silent, in what the model reads.

    Args:
        item: The sound.
        inputs: What the model reads of it, a row each.
        field: The name of the input that is changed.
        quiet: float32, what silence is in it.
        ends: float64 [stretches + 1], where stretches begin, and the last one ends, in seconds.
        part_of: int64 [length], once: the number of the stretch that a place is of.
    """

    noun, nouns = "stretch", "stretches"
    columns = ("start", "end")
    texts = ()

    item: Any
    inputs: dict[str, np.ndarray]
    field: str
    quiet: np.ndarray
    ends: np.ndarray
    part_of: list[np.ndarray]

    @classmethod
    def of(cls, item: Any, encodings: SoundEncodings) -> StretchParts:
        """Finds the stretches of a sound.

        Args:
            item: What `read_sound` takes.
            encodings: Of this sound alone.
        """
        features = encodings.features
        inputs = encodings.batch(np.array([0]))
        samples = int(max(encodings.samples[encodings.rows[0]], 1))
        seconds = samples / features.sampling_rate
        count = int(np.clip(round(seconds / _SECONDS), 1, _MOST))
        length = inputs[features.field].shape[1]
        heard = min(int(features.length(samples)), length)
        part_of = np.full(length, -1, "int64")
        part_of[:heard] = np.arange(heard) * count // max(heard, 1)
        return cls(
            item,
            inputs,
            features.field,
            features.quiet(),
            np.linspace(0, seconds, count + 1),
            [part_of],
        )

    def __len__(self) -> int:
        return len(self.ends) - 1

    def variants(self, row: int, kept: np.ndarray) -> StretchVariants:
        return StretchVariants(self.inputs, self.field, self.quiet, self.part_of[row], kept)

    def places(self) -> list[tuple[Any, ...]]:
        rounded = [round(float(end), 3) for end in self.ends]
        return list(zip(rounded[:-1], rounded[1:], strict=True))

    def as_html(self, scores: np.ndarray, seen: np.ndarray, summary: str, unit: str) -> str:
        largest = float(np.abs(scores).max(initial=0)) or 1.0
        cells = "".join(
            f'<span title="{start:.2f} to {end:.2f} s: {score:+.3g}" style="flex:1;height:2em;'
            f"background:rgba({','.join(map(str, FOR if score >= 0 else AGAINST))},"
            f"{STRONGEST * abs(score) / largest:.2f});"
            'border:1px solid rgba(128,128,128,.3)"></span>'
            for (start, end), score in zip(self.places(), scores, strict=True)
        )
        played = player(self.item, name_of(self.item)) or html.escape(name_of(self.item))
        return (
            '<div class="ktlite-explanation" style="font-family:sans-serif;max-width:60em">'
            f'<div style="font-size:.85em;opacity:.85">{html.escape(summary)} &nbsp; '
            f"({html.escape(unit)}. {_NOTE})</div>{played}"
            f'<div style="display:flex;margin:.4em 0">{cells}</div>'
            f'<div style="font-size:.85em">0 to {self.ends[-1]:.2f} seconds</div></div>'
        )

    def as_text(self, scores: np.ndarray, seen: np.ndarray, summary: str, unit: str) -> str:
        largest = float(np.abs(scores).max(initial=0)) or 1.0
        lines = [
            f"{start:7.2f} to {end:7.2f} s  {score:+.3g}".ljust(34)
            + ("+" if score > 0 else "-") * round(20 * abs(score) / largest)
            for (start, end), score in zip(self.places(), scores, strict=True)
        ]
        return "\n".join([visible(summary), visible(name_of(self.item)), *lines, unit, _NOTE])


@dataclass(frozen=True, eq=False)
class StretchVariants(Encodings):
    """A sound again and again, each time with other stretches made silent, when a batch has it.

    Args:
        inputs: What the model reads of the sound, a row each.
        read: The name of the input that is changed.
        quiet: float32, what silence is in it.
        part_of: int64 [length], the number of the stretch that a place is of; -1: of none.
        kept: bool [variants, stretches], which stay.
    """

    inputs: dict[str, np.ndarray]
    read: str
    quiet: np.ndarray
    part_of: np.ndarray
    kept: np.ndarray

    def __len__(self) -> int:
        return len(self.kept)

    @property
    def fields(self) -> tuple[Field, ...]:
        return tuple(
            Field(name, str(value.dtype), value.shape[1:]) for name, value in self.inputs.items()
        )

    @property
    def lengths(self) -> np.ndarray:
        return np.zeros(len(self), "int64")

    def batch(self, rows: np.ndarray, seed: Sequence[int] | None = None) -> dict[str, np.ndarray]:
        # A column more, for places of no stretch: they always stay.
        kept = np.pad(self.kept[rows], ((0, 0), (0, 1)), constant_values=True)[:, self.part_of]
        whole = {name: np.repeat(value, len(kept), axis=0) for name, value in self.inputs.items()}
        values = whole[self.read]
        stays = kept.reshape(*kept.shape, *[1] * (values.ndim - 2))
        return {**whole, self.read: np.where(stays, values, self.quiet).astype("float32")}

    def take(self, examples: np.ndarray) -> StretchVariants:
        return replace(self, kept=self.kept[examples])
