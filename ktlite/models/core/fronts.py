"""What stands before a stack of blocks, by its spec: from a model's inputs to vectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ktlite.models.core.embeddings import Embeddings
from ktlite.models.core.frames import Frames, FramesSpec
from ktlite.models.core.init import Init
from ktlite.models.core.patches import Patches
from ktlite.models.core.spec import Front, PatchesSpec, TokensSpec
from ktlite.models.core.spectrogram import SpectrogramPatches, SpectrogramSpec
from ktlite.models.core.waves import Waves, WavesSpec

T = TypeVar("T", bound=type[Any])

FRONTS: dict[type[Any], Any] = {
    TokensSpec: Embeddings,
    FramesSpec: Frames,
    PatchesSpec: Patches,
    SpectrogramSpec: SpectrogramPatches,
    WavesSpec: Waves,
}


def register_front(spec: type[Any]) -> Callable[[T], T]:
    """Makes the layer of a kind of front known, by the type of its spec; for a decorator.

    The spec says what `PatchesSpec` does: `input`, `width`, `max_positions`, `fields`, `vectors`
    and `drawn`.
    """

    def registered(layer: T) -> T:
        FRONTS[spec] = layer
        return layer

    return registered


def front(spec: Front, init: Init, **options: Any) -> Any:
    """Returns the layer that a spec describes.

    It is called with (inputs, attention_mask), and its `mask(inputs)` gives the mask.

    Args:
        spec: Tells the kind.
        init: Hands out its parts.
        **options: `name`, `dtype`, and what the kind takes beside them.
    """
    return FRONTS[type(spec)](spec, init, **options)
