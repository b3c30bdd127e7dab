"""What stands before a stack of blocks, by its spec: from a model's inputs to vectors."""

from __future__ import annotations

from typing import Any

from ktlite.models.core.embeddings import Embeddings
from ktlite.models.core.init import Init
from ktlite.models.core.patches import Patches
from ktlite.models.core.spec import PatchesSpec, TokensSpec

FRONTS: dict[type[Any], Any] = {TokensSpec: Embeddings, PatchesSpec: Patches}


def front(spec: TokensSpec | PatchesSpec, init: Init, **options: Any) -> Any:
    """Returns the layer that a spec describes.

    It is called with (inputs, attention_mask), and its `mask(inputs)` gives the mask.

    Args:
        spec: Tells the kind.
        init: Hands out its parts.
        **options: `name`, `dtype`, and what the kind takes beside them.
    """
    return FRONTS[type(spec)](spec, init, **options)
