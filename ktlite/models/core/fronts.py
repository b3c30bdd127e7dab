"""What stands before an encoder, by its spec: from a model's inputs to vectors."""

from __future__ import annotations

from typing import Any

from ktlite.models.core.embeddings import Embeddings
from ktlite.models.core.init import Init
from ktlite.models.core.patches import Patches
from ktlite.models.core.spec import NormSpec, PatchesSpec, TokensSpec

FRONTS: dict[type[Any], Any] = {TokensSpec: Embeddings, PatchesSpec: Patches}


def front(spec: TokensSpec | PatchesSpec, norm: NormSpec, init: Init, *, dtype: Any) -> Any:
    """Returns the layer that a spec describes.

    It is called with (inputs, attention_mask), and its `mask(inputs)` gives the mask.
    """
    return FRONTS[type(spec)](spec, norm, init, dtype=dtype)
