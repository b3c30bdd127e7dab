"""Several inputs side by side: an image and a text, a source and a target."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from ktlite.encodings.encodings import Encodings, Seed
from ktlite.encodings.field import Field
from ktlite.errors import ArgumentError


class JoinedEncodings(Encodings):
    """The batches of several encodings, each under a prefix.

    Args:
        parts: Encodings of the same examples, a row each, by the prefix of their names.
        prefixed: Whether names get it; without, `parts` are by what they are called.

    Raises:
        ArgumentError: If they have different numbers of rows, or examples of several rows, or
            the same names.

    Example:
        >>> both = JoinedEncodings({"": source, "decoder_": target})
        >>> sorted(both.batch(np.arange(2)))[:2]
        ['attention_mask', 'decoder_attention_mask']
    """

    def __init__(self, parts: Mapping[str, Encodings], *, prefixed: bool = True) -> None:
        self.parts = dict(parts)
        self.prefixed = prefixed
        sizes = {prefix: len(part) for prefix, part in parts.items()}
        names = [field.name for field in self.fields]
        if len(set(sizes.values())) != 1:
            raise ArgumentError(f"joined encodings must have as many rows each; got {sizes}.")
        if any(part.example_of is not None for part in parts.values()):
            raise ArgumentError("joined encodings have a row an example; got several of one.")
        if len(set(names)) != len(names):
            raise ArgumentError(f"joined encodings must differ in names; got {sorted(names)}.")

    @property
    def fields(self) -> tuple[Field, ...]:
        return tuple(
            dataclasses.replace(field, name=prefix + field.name)
            for prefix, part in self._prefixed()
            for field in part.fields
        )

    @property
    def lengths(self) -> np.ndarray:
        """int64 [rows]: the length of all parts together."""
        return np.sum([part.lengths for part in self.parts.values()], axis=0)

    def __len__(self) -> int:
        return len(next(iter(self.parts.values())))

    def batch(self, rows: np.ndarray, seed: Seed | None = None) -> dict[str, np.ndarray]:
        found = {}
        for number, (prefix, part) in enumerate(self._prefixed()):
            drawn = None if seed is None else (*seed, number)
            found.update({prefix + k: v for k, v in part.batch(rows, drawn).items()})
        return found

    def take(self, examples: np.ndarray) -> JoinedEncodings:
        return self._with({name: part.take(examples) for name, part in self.parts.items()})

    def augmented(self, augmentation: Any, again: Any = None) -> JoinedEncodings:
        """Returns the same rows, those parts changed at random that can be; see `Encodings`.

        Raises:
            ArgumentError: If none can be.
        """
        changed, refusals = dict(self.parts), []
        for name, part in self.parts.items():
            try:
                changed[name] = part.augmented(augmentation)
            except ArgumentError as error:
                refusals.append(error)
        if len(refusals) == len(self.parts):
            raise refusals[0]
        return self._with(changed)

    def content(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        return {
            prefix + name: array
            for prefix, part in self._prefixed()
            for name, array in part.content(rows).items()
        }

    def _with(self, parts: Mapping[str, Encodings]) -> JoinedEncodings:
        return JoinedEncodings(parts, prefixed=self.prefixed)

    def _prefixed(self) -> list[tuple[str, Encodings]]:
        return [(name if self.prefixed else "", part) for name, part in self.parts.items()]
