"""From the samples of a sound to what a model reads: the base of all ways, and their registry."""

from __future__ import annotations

import abc
import json
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np

from ktlite._logging import logger
from ktlite.encodings.field import Field
from ktlite.errors import CheckpointError, Problems, did_you_mean, listing
from ktlite.inputs.settings import FILE, read_settings

_PART = "feature_extractor"
# Without effect on the values, or on those of a batch that is padded and masked.
_HARMLESS = frozenset(
    """
    auto_map feature_extractor_type image_processor_type padding_side padding_value
    processor_class return_attention_mask return_tensors transformers_version
    """.split()  # noqa: SIM905
)


@dataclass(frozen=True)
class SoundFeatures(abc.ABC):
    """What a checkpoint makes of samples, as a feature extractor of `transformers` does it.

    A new way is one file with a subclass that `register_features` knows; specs of models say its
    name in `reads`.

    Args:
        sampling_rate: Samples a second of what it takes.
    """

    sampling_rate: int = 16_000

    #: The name by which specs of models ask for it: `"waves"`.
    name: ClassVar[str]
    #: The class of `transformers` that does the same.
    extractor: ClassVar[str]
    #: The name of the model's input.
    field: ClassVar[str]
    #: Whether what it makes is as long as the sound: batches are padded, and have a mask.
    ragged: ClassVar[bool]

    @classmethod
    @abc.abstractmethod
    def read(cls, settings: Settings) -> SoundFeatures:
        """Makes one of the settings of a checkpoint; every field is read, or refused."""

    @property
    @abc.abstractmethod
    def shape(self) -> tuple[int | None, ...]:
        """Of what it makes; None: as long as the sound."""

    @property
    def seconds(self) -> float | None:
        """Of a sound that it looks at; None: all."""
        return None

    @abc.abstractmethod
    def __call__(self, samples: np.ndarray) -> np.ndarray:
        """Returns what the model reads of one sound, float32 of `shape`.

        Args:
            samples: float32 [samples], of its rate, at least one.
        """

    def quiet(self) -> np.ndarray:
        """Returns what silence is in what it makes, float32, of as many axes or fewer."""
        return np.zeros((), "float32")

    def length(self, samples: Any) -> Any:
        """Returns how long what it makes of so many samples is, int; of any shape."""
        return samples

    @abc.abstractmethod
    def to_config(self) -> dict[str, Any]:
        """Returns what `preprocessor_config.json` says, every field of it."""

    @property
    def fields(self) -> tuple[Field, ...]:
        """What a batch holds."""
        values = Field(self.field, "float32", self.shape)
        return (values, Field("attention_mask", "int32", (None,))) if self.ragged else (values,)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Writes `preprocessor_config.json`, which `transformers` reads, too."""
        config = {"feature_extractor_type": self.extractor, **self.to_config()}
        text = json.dumps(config, indent=2) + "\n"
        (Path(folder) / FILE).write_text(text, encoding="utf-8")


class Settings:
    """Hands out the fields of a checkpoint's settings, and remembers which were read."""

    def __init__(self, config: Mapping[str, Any], path: Path) -> None:
        self.config = config
        self.problems = Problems(str(path), CheckpointError)
        self._known: set[str] = set()

    def get(self, name: str, default: Any) -> Any:
        """Returns a field of the type of the default, or the default if it is absent."""
        self._known.add(name)
        value = self.config.get(name)
        if value is None:
            return default
        if isinstance(default, float) and type(value) is int:
            return float(value)
        if type(value) is not type(default):
            kind = type(default).__name__
            self.problems.add(f"{name}={value!r} is of type {type(value).__name__}, not {kind}.")
            return default
        return value

    def size(self, name: str, default: int) -> int:
        """Returns a field that counts something, and so is at least 1."""
        value: int = self.get(name, default)
        self.problems.add_unless(value >= 1, f"{name}={value!r}; expected at least 1.")
        return value

    def expect(self, name: str, *supported: Any) -> None:
        """Records a problem unless a field is absent or one of `supported`."""
        self._known.add(name)
        value = self.config.get(name)
        self.problems.add_unless(
            value is None or value in supported,
            f"{name}={value!r} is not supported; expected {listing(map(repr, supported))}.",
        )

    def ignore(self, names: Collection[str]) -> None:
        """Passes over fields that follow from others."""
        self._known.update(names)

    def finish(self) -> None:
        """Raises CheckpointError for all that is wrong, and for fields that were not read."""
        known = [*self._known, *_HARMLESS]
        unknown = [key for key in self.config if key not in known and not key.startswith("_")]
        hints = "".join(did_you_mean(key, known) for key in unknown[:3])
        self.problems.add_unless(
            not unknown,
            f"fields that ktlite does not know: {listing(unknown)}.{hints} They may change what "
            "the model is given. Take them out of the file if they do not.",
        )
        self.problems.raise_if_any()


T = TypeVar("T", bound=type[SoundFeatures])

#: All ways by name; `register_features` adds one.
FEATURES: dict[str, type[SoundFeatures]] = {}


def register_features(kind: T) -> T:
    """Makes a way from samples to a model's input known by its name; for use as a decorator."""
    FEATURES[kind.name] = kind
    return kind


def features_of(folder: str | os.PathLike[str], reads: str | None) -> SoundFeatures:
    """Returns what a checkpoint makes of samples, by its `preprocessor_config.json`.

    A checkpoint without one gets the defaults of its kind, and a line in the log.

    Args:
        folder: The checkpoint's.
        reads: What its model reads, a name in `FEATURES`. None: the file says it.

    Raises:
        CheckpointError: If the file is damaged, of another kind, or not understood.
    """
    folder = Path(folder)
    found = read_settings(folder, _PART)
    config, path = found or ({}, folder / FILE)
    kinds = {kind.extractor: kind for kind in FEATURES.values()}
    given = config.get("feature_extractor_type")
    problems = Problems(str(path), CheckpointError)
    problems.choice("feature_extractor_type", given, [None, *kinds])
    problems.add_unless(
        found is not None or reads is not None, "there is no such file, which a sound needs."
    )
    problems.raise_if_any()
    kind = FEATURES[reads] if reads is not None else kinds[given or _oldest()]
    if given is not None and kinds[given] is not kind:
        raise CheckpointError(
            f"{path}: feature_extractor_type={given!r}, and the model (config.json) reads what "
            f"{kind.extractor} makes. Mend one of them."
        )
    if found is None:
        logger.info(
            "%s has no %s: sounds become what %s makes of them by default.",
            folder, FILE, kind.extractor,
        )  # fmt: skip
    settings = Settings(config, path)
    made = kind.read(settings)
    settings.finish()
    return made


def _oldest() -> str:
    """Returns the class of files that name none: there was one then."""
    return FEATURES["waves"].extractor


def stacked(arrays: Sequence[np.ndarray], width: int) -> np.ndarray:
    """Returns arrays of unequal length as one, padded with zeros to `width`."""
    padded = np.zeros((len(arrays), width, *arrays[0].shape[1:]), "float32")
    for place, array in zip(padded, arrays, strict=True):
        place[: len(array)] = array
    return padded
