"""Modules that are there for the sake of ktrain's paths, and hold names of `ktlite.text`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def forwarded(module: str, *names: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Returns a module's `__getattr__` and `__dir__`, which look names up in `ktlite.text`.

    Args:
        module: The module's name.
        *names: What it has.
    """

    def find(name: str) -> Any:
        if name in names:
            from ktlite import text

            return getattr(text, name)
        raise AttributeError(f"module {module!r} has no attribute {name!r}")

    return find, lambda: sorted(names)
