"""ktrain's path of what answers questions: `from ktlite.text.qa import SimpleQA`."""

from __future__ import annotations

from typing import Any

_NAMES = ("AnswerExtractor", "SimpleQA")


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        from ktlite import text

        return getattr(text, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_NAMES})
