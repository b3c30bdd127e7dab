"""How a model spells what it hears: with which characters, and in how many frames."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ktlite.errors import CheckpointError
from ktlite.inputs.characters import Characters

_HEAD = "automatic-speech-recognition"  # Hugging Face's name


@dataclass(frozen=True)
class Spelling:
    """How a model spells what it hears (CTC).

    Args:
        vocabulary: Its characters; None: the checkpoint has none, as before it is fine-tuned.
        blank: The number of the blank.
        reduction: `"sum"` or `"mean"`, as the config's `ctc_loss_reduction`.
        zero_infinity: Likewise, `ctc_zero_infinity`.
        convolutions: (kernel, stride) of each, that make frames of samples.
    """

    vocabulary: Characters | None
    blank: int
    reduction: str
    zero_infinity: bool
    convolutions: tuple[tuple[int, int], ...]

    @classmethod
    def of_checkpoint(cls, folder: str | os.PathLike[str], spec: Any) -> Spelling | None:
        """Returns how the model of a checkpoint spells; None: it does not.

        Args:
            folder: The checkpoint's.
            spec: Of its model.

        Raises:
            CheckpointError: If its files are damaged, or do not fit each other.
        """
        said = spec.heads[_HEAD].spelling if _HEAD in spec.heads else None
        if said is None:
            return None
        vocabulary = Characters.of_checkpoint(folder, said.size)
        if vocabulary is not None and vocabulary.blank_number != said.blank:
            raise CheckpointError(
                f"{folder}: config.json has pad_token_id {said.blank}, and {vocabulary.blank!r}, "
                f"the blank, has the number {vocabulary.blank_number}. Mend one of them."
            )
        front = spec.first.front
        sizes = tuple(zip(front.kernels, front.strides, strict=True))
        return cls(vocabulary, said.blank, said.reduction, said.zero_infinity, sizes)

    def of_texts(self, characters: Sequence[str]) -> Spelling:
        """Returns the same with a vocabulary for texts of these characters."""
        return replace(self, vocabulary=Characters.of_texts(characters, self.blank))

    def frames(self, samples: np.ndarray) -> np.ndarray:
        """Returns in how many frames the model hears so many samples, int of any shape."""
        for kernel, stride in self.convolutions:
            samples = (samples - kernel) // stride + 1
        return samples

    def save(self, folder: str | os.PathLike[str]) -> dict[str, Any]:
        """Writes the vocabulary, as `transformers` reads it; returns the rest for JSON."""
        if self.vocabulary is not None:
            self.vocabulary.save(folder)
        return {
            "blank": self.blank,
            "reduction": self.reduction,
            "zero_infinity": self.zero_infinity,
            "convolutions": [list(sizes) for sizes in self.convolutions],
            "vocabulary": self.vocabulary is not None,
        }

    @classmethod
    def load(cls, folder: str | os.PathLike[str], config: Mapping[str, Any]) -> Spelling:
        """Makes it again from what `save` wrote and returned."""
        return cls(
            Characters.of_checkpoint(folder) if config["vocabulary"] else None,
            int(config["blank"]),
            str(config["reduction"]),
            bool(config["zero_infinity"]),
            tuple((int(kernel), int(stride)) for kernel, stride in config["convolutions"]),
        )
