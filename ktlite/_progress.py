"""Progress bars for long work."""

from __future__ import annotations

import sys
from typing import Any, TextIO


class _Silent:
    """A bar that shows nothing, and costs nothing: predicting one text makes two of them."""

    def update(self, count: int) -> None:
        pass

    def close(self) -> None:
        pass


def progress(total: int | None, what: str, unit: str, *, shown: bool | int) -> Any:
    """Returns a tqdm bar that vanishes when it is closed; a silent one unless `shown`.

    Without a total it counts.
    """
    if not shown:
        return _Silent()
    # Not tqdm.auto: in a notebook without ipywidgets it warns in place of drawing.
    from tqdm import tqdm

    return tqdm(total=total, desc=what, unit=f" {unit}s", leave=False, file=screen())


def screen() -> TextIO:
    """Returns where bars and remarks go: a notebook paints standard error red, like a failure."""
    return sys.stdout if "ipykernel" in sys.modules else sys.stderr
