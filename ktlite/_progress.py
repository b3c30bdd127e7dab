"""Progress bars for long work."""

from __future__ import annotations

from typing import Any


class _Silent:
    """A bar that shows nothing, and costs nothing: predicting one text makes two of them."""

    def update(self, count: int) -> None:
        pass

    def close(self) -> None:
        pass


def progress(total: int, what: str, unit: str, *, shown: bool | int) -> Any:
    """Returns a tqdm bar that vanishes when it is closed; a silent one unless `shown`."""
    if not shown:
        return _Silent()
    from tqdm.auto import tqdm

    return tqdm(total=total, desc=what, unit=f" {unit}s", leave=False)
