"""ktrain's path: `from ktlite.text.preprocessor import Transformer, TransformerEmbedding`."""

from __future__ import annotations

from typing import Any

from ktlite.data.preprocessor import Preprocessor

__all__ = ["Preprocessor"]
_NAMES = ("Transformer", "TransformerEmbedding")


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        from ktlite import text

        return getattr(text, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_NAMES})
