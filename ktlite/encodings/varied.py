"""Examples that are changed, and encoded anew, in each batch that a seed draws."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ktlite.encodings.encodings import Drawn, Encodings, Seed
from ktlite.encodings.field import Field

#: Encodes examples, each changed by what stands beside it; None: as it is.
Again = Callable[[np.ndarray, Sequence[Any]], Encodings]


class VariedEncodings(Encodings):
    """The rows of others, changed at random in batches that a seed draws.

    An example that has another number of rows when it is changed is left as it is.

    Args:
        whole: What stands for all that is not drawn.
        augmentation: Its `drawn(random)` says how an example is changed.
        again: Encodes examples by their numbers.
    """

    def __init__(self, whole: Encodings, augmentation: Any, again: Again) -> None:
        self.whole, self.augmentation, self.again = whole, augmentation, again
        self.example_of = whole.example_of

    @property
    def fields(self) -> tuple[Field, ...]:
        return self.whole.fields

    @property
    def lengths(self) -> np.ndarray:
        return self.whole.lengths

    def __len__(self) -> int:
        return len(self.whole)

    def batch(self, rows: np.ndarray, seed: Seed | None = None) -> dict[str, np.ndarray]:
        if seed is None:
            return self.whole.batch(rows)
        drawn = self.drawn(rows, seed)
        return drawn.encodings.batch(drawn.rows)

    def drawn(self, rows: np.ndarray, seed: Seed) -> Drawn:
        rows = np.asarray(rows)
        example_of = rows if self.example_of is None else self.example_of[rows]
        examples, number = np.unique(example_of, return_inverse=True)
        changes = [
            self.augmentation.drawn(np.random.default_rng([*seed, int(example)]))
            for example in examples
        ]
        made = self.again(examples, changes)
        if self.example_of is None:
            return Drawn(made, number, examples)
        firsts, ends = (np.searchsorted(self.example_of, examples, s) for s in ("left", "right"))
        fits = np.bincount(_examples(made), minlength=len(examples)) == ends - firsts
        if not fits.all():
            kept = [c if fine else None for c, fine in zip(changes, fits, strict=True)]
            made = self.again(examples, kept)
        starts = np.searchsorted(_examples(made), np.arange(len(examples)))
        return Drawn(made, starts[number] + rows - firsts[number], examples)

    def take(self, examples: np.ndarray) -> VariedEncodings:
        def again(numbers: np.ndarray, changes: Sequence[Any]) -> Encodings:
            return self.again(examples[numbers], changes)

        return VariedEncodings(self.whole.take(examples), self.augmentation, again)

    def content(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        made = hashlib.blake2b(repr(self.augmentation).encode(), digest_size=16).digest()
        return {**self.whole.content(rows), "augmentation": np.frombuffer(made, "uint8")}


def _examples(encodings: Encodings) -> np.ndarray:
    found = encodings.example_of
    return np.arange(len(encodings)) if found is None else found
