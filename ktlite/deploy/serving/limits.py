"""What a server takes, and for how long."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ktlite._arguments import at_least_one, positive
from ktlite.errors import ArgumentError, Problems

# How large is what counts once in a batch, by what an input measures.
_SHORT = {"characters": 2_000, "pixels": 4_000_000, "seconds": 30}


@dataclass(frozen=True)
class Limits:
    """What a server takes, and for how long. Whatever is more is refused, and the client told.

    Args:
        body: Bytes of a request (413).
        texts: Texts, images, sounds or other examples of a request (422).
        characters: Characters of a text (422).
        pixels: Pixels of an image (422).
        seconds: Seconds of a sound (422).
        max_new_tokens: Tokens that a model writes for a text (422).
        beams: Beams that it follows (422).
        streams: Texts that are sent at the same time while they are written; further ones wait.
        waiting: Requests that are being answered or wait for it; further ones are asked to come
            again (503).
        batch: Examples that the model is given together, from as many requests as they are of. A
            text counts once more for every 2,000 characters, an image for every 4 million pixels, a
            sound for every 30 seconds.
        gather: Seconds that a batch waits for those of other requests that have arrived.
        timeout: Seconds until an answer is given up (504).
        slow: Seconds that a client may take to send its request (408).

    Raises:
        ArgumentError: If a limit is not a positive number.
    """

    body: int = 8 * 2**20
    texts: int = 1_000
    characters: int = 100_000
    pixels: int = 50_000_000
    seconds: int = 600
    max_new_tokens: int = 512
    beams: int = 8
    streams: int = 4
    waiting: int = 256
    batch: int = 64
    gather: float = 0.005
    timeout: float = 30.0
    slow: float = 20.0

    @classmethod
    def of(cls, given: Limits | Mapping[str, Any] | None) -> Limits:
        """Returns limits, also from those that are not the default, by their names.

        Raises:
            ArgumentError: If a limit is not known, or not a positive number.

        Example:
            >>> Limits.of({"texts": 100}).texts
            100
        """
        if isinstance(given, Limits):
            return given
        if not isinstance(given, Mapping | None):
            raise ArgumentError(
                f'limits={given!r}; expected Limits, or some by name: {{"texts": 100}}.'
            )
        names = [field.name for field in fields(cls)]
        problems = Problems("limits")
        problems.unknown([name for name in given or {} if name not in names], names)
        problems.raise_if_any()
        return cls(**(given or {}))

    def __post_init__(self) -> None:
        problems = Problems("Limits")
        at_least_one(
            problems,
            body=self.body,
            texts=self.texts,
            characters=self.characters,
            pixels=self.pixels,
            seconds=self.seconds,
            max_new_tokens=self.max_new_tokens,
            beams=self.beams,
            streams=self.streams,
            waiting=self.waiting,
            batch=self.batch,
        )
        positive(problems, gather=self.gather, timeout=self.timeout, slow=self.slow)
        problems.raise_if_any()

    def largest(self, measure: str) -> int | None:
        """Returns the limit of an example in what its input measures; None where there is none."""
        return getattr(self, measure) if measure in _SHORT else None


def cost(measure: str, extent: int) -> int:
    """Returns how many short examples one of this size counts as, in what its input measures."""
    return 1 + (extent // _SHORT[measure] if measure in _SHORT else 0)
