"""Pictures of two kinds."""

from __future__ import annotations

import numpy as np

SIDE = 16


def pictures(count: int, seed: int = 0) -> tuple[np.ndarray, list[str]]:
    """Returns uint8 [count, 16, 16, 3], every other one reddish, and what each is."""
    random = np.random.default_rng(seed)
    names = ["blue", "red"] * (count // 2)
    made = random.integers(0, 120, (count, SIDE, SIDE, 3))
    made[::2, ..., 2] += 130
    made[1::2, ..., 0] += 130
    return made.astype("uint8"), names
