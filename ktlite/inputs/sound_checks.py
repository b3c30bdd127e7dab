"""What may be wrong with how long sounds are, and what to do about it; nothing is decoded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ktlite.encodings.indexed import IndexedData
from ktlite.errors import DataError, plural
from ktlite.inputs.item_files import processors
from ktlite.inputs.sound_files import duration
from ktlite.inputs.token_checks import Line, shown_share

_SAMPLE = 2_000  # sounds of a data set that are looked at
_SOME = 0.05  # from this share on, there is something to do
_SHORT = 0.1  # seconds, in which hardly anything can be heard


def sound_checks(splits: Mapping[str, IndexedData], rate: int, heard: float) -> list[Line]:
    """Looks at how long the sounds of data sets are.

    Args:
        splits: The data sets by name.
        rate: Of arrays that come without one.
        heard: Seconds of each that the model hears.
    """
    found = []
    for name, data in splits.items():
        seconds, more = _seconds(data.items or (), rate)
        if len(seconds):
            found += [
                _extent(f"lengths in {name}", seconds, heard, more),
                _cut(f"cut in {name}", seconds, heard, more),
                _short(f"short sounds in {name}", seconds, more),
            ]
    return found


def _seconds(items: Sequence[object], rate: int) -> tuple[np.ndarray, str]:
    """Returns float64 [n], how long sounds are, and what else to say: of how many they are."""
    chosen = np.unique(np.linspace(0, len(items) - 1, min(len(items), _SAMPLE)).astype(int))

    def seconds(row: int) -> float | None:
        try:
            return duration(items[row], rate)
        except DataError:
            return None

    with ThreadPoolExecutor(processors(), thread_name_prefix="sounds") as pool:
        found = [one for one in pool.map(seconds, chosen) if one is not None]
    more = f", of {len(chosen):,} looked at" if len(chosen) < len(items) else ""
    return np.array(found, "float64"), more


def _extent(check: str, seconds: np.ndarray, heard: float, more: str) -> Line:
    least, middle, most = np.quantile(seconds, [0, 0.5, 1])
    what = f"{least:.1f} to {most:.1f} seconds, median {middle:.1f}{more}"
    return Line(check, f"{what}; the model hears {heard:g}")


def _cut(check: str, seconds: np.ndarray, heard: float, more: str) -> Line:
    count = int((seconds > heard).sum())
    if not count:
        return Line(check, f"no sound is longer than {heard:g} seconds{more}")
    share = count / len(seconds)
    what = (
        f"{plural(count, 'sound')} ({shown_share(share)}) {'is' if count == 1 else 'are'} longer "
        f"than the {heard:g} seconds that the model hears{more}"
    )
    return Line(check, what, "give seconds=, or cut them into parts." if share >= _SOME else "")


def _short(check: str, seconds: np.ndarray, more: str) -> Line:
    count = int((seconds < _SHORT).sum())
    if not count:
        return Line(check, f"none is shorter than {_SHORT:g} seconds{more}")
    what = (
        f"{plural(count, 'sound')} ({shown_share(count / len(seconds))}) "
        f"{'is' if count == 1 else 'are'} shorter than {_SHORT:g} seconds{more}"
    )
    return Line(check, what, "listen to them: hardly anything can be heard in so short a time.")
