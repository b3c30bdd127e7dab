"""Long sounds in parts that end where it is quiet, so that no word is cut."""

from __future__ import annotations

import numpy as np

_STEP = 0.02  # seconds between places where a part may end
_QUIET = 0.3  # seconds that are looked at around one
_LAST = 1 / 3  # of a part, in which it ends


def split_at_pauses(samples: np.ndarray, rate: int, seconds: float) -> list[tuple[int, int]]:
    """Returns where the parts of a sound begin and end, in samples: all of it, nothing twice.

    A part ends at the quietest place of its last third.

    Args:
        samples: float32 [samples].
        rate: Samples a second.
        seconds: Of a part, at most.

    Example:
        >>> split_at_pauses(np.zeros(100_000, "float32"), 1_000, 30.0)[:2]
        [(0, 20000), (20000, 40000)]
    """
    most, step = int(seconds * rate), max(int(_STEP * rate), 1)
    around = max(round(_QUIET / _STEP), 1)
    parts, start = [], 0
    while len(samples) - start > most:
        first = start + round(most * (1 - _LAST))
        places = np.arange(first, start + most + 1, step)
        reach = around * step // 2
        heard = samples[max(first - reach, 0) : start + most + reach].astype("float64")
        loud = np.concatenate([[0.0], np.cumsum(heard**2)])
        offset = max(first - reach, 0)
        ends = np.clip([places - reach - offset, places + reach - offset], 0, len(heard))
        power = (loud[ends[1]] - loud[ends[0]]) / np.maximum(ends[1] - ends[0], 1)
        end = int(places[power.argmin()])
        parts.append((start, end))
        start = end
    return [*parts, (start, len(samples))]
