"""From the spectrogram of a sound to vectors: one a patch, and patches may overlap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from keras import ops

from ktlite.encodings.field import Field
from ktlite.models.core.patches import Patches
from ktlite.models.core.spec import PatchesSpec


@dataclass(frozen=True)
class SpectrogramSpec(PatchesSpec):
    """Patches of a spectrogram, whose height are its bands and whose width is time.

    Sizes are those of the picture that it makes, (bands, frames); the model reads [frames, bands].
    """

    input: ClassVar[str] = "sound"
    reads: ClassVar[str] = "filter banks"

    @property
    def fields(self) -> tuple[Field, ...]:
        """What the model reads."""
        return (Field("input_values", "float32", self.size[::-1]),)

    def drawn(self, lengths: np.ndarray, random: np.random.Generator) -> dict[str, np.ndarray]:
        """Returns random spectrograms, as many as there are lengths."""
        shape = (len(lengths), *self.size[::-1])
        return {"input_values": random.standard_normal(shape).astype("float32")}


class SpectrogramPatches(Patches):
    """Patches of a spectrogram as vectors, as `Patches` has those of an image.

    Call arguments:
        inputs: `input_values`, float [batch, frames, bands], of the spec's size.
    """

    def picture(self, inputs: Mapping[str, Any]) -> Any:
        return ops.expand_dims(ops.transpose(inputs["input_values"], (0, 2, 1)), 3)
