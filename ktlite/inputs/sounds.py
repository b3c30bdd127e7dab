"""Sounds: what a person gives where a model reads waves, or what is made of them."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from ktlite._arguments import at_least_one, positive
from ktlite.encodings.encodings import Encodings
from ktlite.encodings.indexed import IndexedData
from ktlite.errors import CheckpointError, DataError, Problems, plural
from ktlite.inputs import filter_banks, log_mel, wave_forms  # noqa: F401  register themselves
from ktlite.inputs.input import Input, register
from ktlite.inputs.item_files import is_path, processors
from ktlite.inputs.sound_checks import sound_checks
from ktlite.inputs.sound_encodings import KeptSounds, SoundEncodings
from ktlite.inputs.sound_features import SoundFeatures, features_of
from ktlite.inputs.sound_files import content_key, duration, flaw, problem
from ktlite.inputs.sound_items import EXPECTED, inner, is_sound, name_of
from ktlite.inputs.sound_travel import as_json, golden_sounds, of_json, player
from ktlite.inputs.spelling import Spelling
from ktlite.inputs.stretches import StretchParts
from ktlite.inputs.token_checks import Line
from ktlite.inputs.transcripts import Transcripts

#: Bytes of what was made of sounds that are kept for further epochs: 2 hours at 16 kHz.
KEEP = 512 * 2**20
#: Seconds of each sound that a model hears, unless it is told otherwise.
SECONDS = 30.0
# Names of files that are taken for sounds in a folder; a file that is named may have any.
SUFFIXES = frozenset(
    """
    .aif .aifc .aiff .au .caf .flac .mp3 .oga .ogg .opus .rf64 .snd .w64 .wav .wave
    """.split()  # noqa: SIM905
)
_TOLD = 5  # items with problems that are told
_ANY_RATE = 16_000  # of arrays of which none is known


@register
class Sounds(Input):
    """The sounds of a checkpoint's model: of one channel, at its rate, as the checkpoint says.

    An item is the path of a file, its bytes, or samples: (array, rate), a dict of them as
    `datasets` has it, or an array at the rate of the model.

    Args:
        features: What makes samples what the model reads.
        seconds: Of each sound that are heard; what comes later is left out.
        shortest: Samples that the model needs: what is shorter is filled up with silence.
        workers: Threads that decode. Default: as many as processors.
        keep: Bytes, at most, of what is made of sounds that is kept from the second epoch on.
        transcripts: The texts of a model that writes what it hears; None: it writes none.
        spelling: How the model spells what it hears; None: it spells nothing.

    Raises:
        ArgumentError: If `seconds`, `workers` or `keep` is no such number.

    Example:
        >>> sounds = Sounds.of_checkpoint(Path("wav2vec2-base"))
        >>> sounds.encode(["cats/1.wav", "cats/2.mp3"]).batch([0, 1])["input_values"].shape
        (2, 26624)
    """

    kind = "sound"
    unit = "sample"
    measure = "seconds"
    media = "audio/*"
    expected = EXPECTED
    options = ("seconds",)
    heads = MappingProxyType({"text-classification": "audio-classification"})
    golden = golden_sounds()
    in_pytorch = (
        "import soundfile\n",
        'samples, rate = soundfile.read("sound.wav")',
        'inputs = model.feature_extractor(samples, sampling_rate=rate, return_tensors="pt")',
    )

    def __init__(
        self,
        features: SoundFeatures,
        *,
        seconds: float | None = None,
        shortest: int = 1,
        workers: int | None = None,
        keep: int = KEEP,
        transcripts: Transcripts | None = None,
        spelling: Spelling | None = None,
    ) -> None:
        problems = Problems("Sounds")
        at_least_one(problems, **({} if workers is None else {"workers": workers}))
        positive(problems, **({} if seconds is None else {"seconds": seconds}))
        problems.add_unless(
            isinstance(keep, int) and keep >= 0, f"keep={keep!r}; expected bytes, 0 or more."
        )
        problems.raise_if_any()
        self.features = features
        self.seconds = SECONDS if seconds is None else float(seconds)
        if features.seconds is not None:
            self.seconds = min(self.seconds, features.seconds)
        self.shortest = shortest
        self.workers = processors() if workers is None else int(workers)
        self.keep = keep
        self.transcripts = transcripts
        self.spelling = spelling

    @property
    def sampling_rate(self) -> int:
        """Samples a second of what the model hears."""
        return self.features.sampling_rate

    @property
    def hears_all(self) -> bool:
        """Whether all of a sound is heard, in parts if the model cannot hear it at once."""
        return self.transcripts is not None and self.seconds == self.features.seconds

    def seconds_of(self, items: Sequence[Any]) -> list[float]:
        """Returns the seconds of sounds, heard or not."""
        return [self._seconds(item) or 0.0 for item in items]

    # Of items, whatever the checkpoint

    @classmethod
    def accepts(cls, item: Any) -> bool:
        """Says whether this is a sound by its type."""
        return is_sound(item)

    @classmethod
    def is_one(cls, value: Any) -> bool:
        """Says whether a value is one sound: of arrays, [n, samples] of many is several."""
        if isinstance(value, np.ndarray) and value.ndim == 2:
            return min(value.shape) <= 2
        return cls.accepts(value)

    @classmethod
    def problems(cls, items: Sequence[Any]) -> list[str | None]:
        """Says of each item why it cannot be used; None: it can. Each is decoded, in threads.

        What is said is the same of all that have one flaw, with the path of the first.
        """
        with ThreadPoolExecutor(processors(), thread_name_prefix="sounds") as pool:
            flaws = list(pool.map(flaw, items))
        said: dict[str, str] = {}
        for found, item in zip(flaws, items, strict=True):
            if found is not None:
                where = f", such as {name_of(item)}" if is_path(inner(item)) else ""
                said.setdefault(found, f"{found}{where}")
        return [None if found is None else said[found] for found in flaws]

    @classmethod
    def of_cells(cls, values: list[Any], base: Path | None) -> list[Any]:
        """Returns the sounds that cells of a table stand for.

        Args:
            values: Paths, relative to `base` or absolute; or whatever else is a sound.
            base: The folder of the table; None: the current one.
        """
        return [_of_cell(value, base) for value in values]

    @classmethod
    def is_file(cls, file: Path) -> bool:
        """Says by its name whether a file of a class folder is a sound."""
        return file.suffix.lower() in SUFFIXES

    @classmethod
    def key(cls, item: Any) -> str:
        """Returns the same for equal sounds: a hash of a file's bytes, or of samples."""
        return content_key(item)

    @classmethod
    def to_json(cls, item: Any) -> Any:
        """Returns a sound as a data URL, or an array that has no rate as `{"array": [...]}`.

        Raises:
            DataError: If it cannot be read.
        """
        return as_json(item)

    @classmethod
    def from_json(cls, value: Any) -> Any:
        """Returns the sound that a data URL holds, or base64 alone, or a dict of samples.

        A path is not read, nor an address: who sends JSON may not be allowed to.

        Raises:
            DataError: If it is none of these.
        """
        return of_json(value)

    @classmethod
    def is_one_json(cls, value: Any) -> bool:
        """Says whether a value of JSON is one sound, not several."""
        return isinstance(value, (str, dict))

    @classmethod
    def from_bytes(cls, content: bytes) -> bytes:
        """Returns the bytes of a file, which are a sound as they are."""
        return content

    @classmethod
    def extent(cls, item: Any) -> int:
        """Returns the seconds of a sound, whole ones; of files by their header.

        Raises:
            DataError: If it is no sound.
        """
        return math.ceil(duration(item, _ANY_RATE))

    @classmethod
    def schema(cls) -> dict[str, Any]:
        """Returns the JSON schema of a sound."""
        return {
            "type": "string",
            "title": "A sound",
            "description": "A data URL with base64 (data:audio/wav;base64,...), or the base64.",
            "contentEncoding": "base64",
        }

    @classmethod
    def shown(cls, item: Any) -> str:
        """Returns a sound in a line: what it is called, and its seconds.

        Example:
            >>> Sounds.shown("cats/1.wav")
            "'cats/1.wav' (1.3 s)"
        """
        name, found = name_of(item), inner(item)
        if isinstance(found, np.ndarray):  # of a rate that is not known here
            return name
        try:
            return f"{name} ({duration(found, _ANY_RATE):.1f} s)"
        except DataError:
            return name

    @classmethod
    def in_code(cls, item: Any) -> str:
        """Returns how a sound is given in an example of code: as the name of a file."""
        return '"sound.wav"'

    @classmethod
    def shown_as_html(cls, item: Any) -> str | None:
        """Returns a player that holds the sound, or its beginning if it is long; None if none."""
        return player(item, cls.shown(item))

    # Of a checkpoint

    @classmethod
    def of_checkpoint(
        cls,
        folder: str | os.PathLike[str],
        spec: Any = None,
        *,
        seconds: float | None = None,
        **options: Any,
    ) -> Sounds:
        """Returns the sounds of a checkpoint's model.

        Args:
            folder: The checkpoint's folder.
            spec: Of its model. None: its settings are taken as they are.
            seconds: Of each sound that are heard. Default: 30.
            **options: Those of other inputs, which make no difference.

        Raises:
            CheckpointError: If the checkpoint's settings are damaged or not understood, or are of
                another kind than the model.
            ArgumentError: If `seconds` is no number above 0.
        """
        front = None if spec is None else spec.first.front
        features = features_of(folder, getattr(front, "reads", None))
        made = features.fields[0]
        if front is not None and front.fields[0] != made:
            raise CheckpointError(
                f"{folder}: the model reads {front.fields[0]} (config.json), and "
                f"preprocessor_config.json makes {made}. Mend one of them."
            )
        return cls(
            features,
            seconds=seconds,
            shortest=getattr(front, "shortest", 1),
            transcripts=Transcripts.of_checkpoint(Path(folder), spec),
            spelling=None if spec is None else Spelling.of_checkpoint(folder, spec),
        )

    def __str__(self) -> str:
        return f"sounds at {self.sampling_rate} Hz, {self.seconds:g} seconds at most"

    def encode(self, items: Sequence[Any], *, verbose: int = 0) -> SoundEncodings:
        """Returns sounds as encodings, which decode them when a batch is asked for.

        Args:
            items: The sounds.
            verbose: Nothing is shown: no more than the heads of files is read yet.

        Raises:
            DataError: If one is none by its type, or a file is not there or is none; all are told.
        """
        items = list(items)
        with ThreadPoolExecutor(self.workers, thread_name_prefix="sounds") as pool:
            found = list(pool.map(self._seconds, items))
        self._check(items, found)
        heard = np.minimum([seconds or 0.0 for seconds in found], self.seconds)
        return SoundEncodings(
            items,
            self.features,
            np.rint(heard * self.sampling_rate).astype("int64"),
            np.arange(len(items)),
            self.seconds,
            self.shortest,
            self.workers,
            KeptSounds(self.keep),
        )

    def _seconds(self, item: Any) -> float | None:
        """Returns the seconds of a sound; None: it is none."""
        try:
            return duration(item, self.sampling_rate) if self.accepts(item) else None
        except DataError:
            return None

    def _check(self, items: list[Any], seconds: list[float | None]) -> None:
        wrong = [number for number, found in enumerate(seconds) if found is None]
        problems = Problems(f"{plural(len(wrong), 'sound')} cannot be read", DataError)
        for number in wrong[:_TOLD]:
            problems.add(f"number {number}: {problem(items[number])}.")
        problems.raise_if_any()

    def remarks(self, items: Sequence[Any]) -> list[str | None]:
        """Says of each sound that goes on after what is heard how long it is; None: all is."""
        if self.hears_all:
            return [None] * len(items)
        return [
            f"{seconds:.0f} seconds, of which the first {self.seconds:g} are heard"
            if seconds is not None and seconds > self.seconds
            else None
            for seconds in map(self._seconds, items)
        ]

    def parts(self, item: Any, encodings: Encodings) -> StretchParts:
        """Returns the stretches of a sound, which its explanation takes out."""
        assert isinstance(encodings, SoundEncodings)
        return StretchParts.of(item, encodings)

    def checks(self, splits: Mapping[str, IndexedData], longest: int | None) -> list[Line]:
        """Looks at how long and how loud the sounds are."""
        return sound_checks(splits, self.sampling_rate, self.seconds)

    def save(self, folder: str | os.PathLike[str]) -> dict[str, Any]:
        """Writes `preprocessor_config.json`, which `transformers` reads, too; returns the rest."""
        self.features.save(folder)
        parts = {"transcripts": self.transcripts, "spelling": self.spelling}
        said = {name: part.save(Path(folder)) for name, part in parts.items() if part}
        return {"seconds": self.seconds, "shortest": self.shortest, **said}
        return {"seconds": self.seconds, "shortest": self.shortest, **said}

    @classmethod
    def load(cls, folder: str | os.PathLike[str], config: Mapping[str, Any]) -> Sounds:
        """Returns the sounds that `save` wrote.

        Args:
            folder: Where it wrote them.
            config: What it returned.
        """
        written = config.get("transcripts")
        return cls(
            features_of(folder, None),
            seconds=float(config["seconds"]),
            shortest=int(config["shortest"]),
            transcripts=Transcripts.load(Path(folder), written) if written else None,
            spelling=Spelling.load(folder, config["spelling"]) if "spelling" in config else None,
        )


def _of_cell(value: Any, base: Path | None) -> Any:
    if isinstance(value, dict) and value.get("array") is None:
        content = value.get("bytes")
        value = content if content is not None else value.get("path", value)
    if isinstance(value, str) and base is not None and value.strip():
        return os.fspath(base / value)
    return value
