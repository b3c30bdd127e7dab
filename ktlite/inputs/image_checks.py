"""What may be wrong with the sizes of pictures, and what to do about it; nothing is decoded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ktlite.encodings.indexed import IndexedData
from ktlite.errors import plural
from ktlite.inputs.image_processor import ImageProcessor
from ktlite.inputs.pictures import height_and_width
from ktlite.inputs.token_checks import Line, shown_share

_SAMPLE = 2_000  # pictures of a data set that are looked at
_LONG = 3  # times that the longer side is as long as the shorter
_SMALL = 0.5  # of what the model reads, from where on too little is to be seen
_SOME = 0.05  # from this share on, there is something to do


def image_checks(
    splits: Mapping[str, IndexedData], processor: ImageProcessor, workers: int
) -> list[Line]:
    """Looks at the sizes of the pictures of data sets.

    Args:
        splits: The data sets by name.
        processor: What makes the pictures what the model reads.
        workers: Threads that read the heads of files.
    """
    found = []
    for name, data in splits.items():
        sizes, more = _sizes(data.items or (), workers)
        if len(sizes):
            found += [
                _extent(f"sizes in {name}", sizes, processor, more),
                _enlarged(f"small images in {name}", sizes, processor, more),
                _long(f"long images in {name}", sizes, processor, more),
            ]
    return found


def _sizes(items: Sequence[object], workers: int) -> tuple[np.ndarray, str]:
    """Returns int64 [n, 2], heights and widths, and what else to say: of how many they are."""
    chosen = np.unique(np.linspace(0, len(items) - 1, min(len(items), _SAMPLE)).astype(int))
    with ThreadPoolExecutor(workers, thread_name_prefix="pictures") as pool:
        sizes = list(pool.map(lambda row: height_and_width(items[row]), chosen))
    more = f", of {len(chosen):,} looked at" if len(chosen) < len(items) else ""
    return np.array([size for size in sizes if size], "int64").reshape(-1, 2), more


def _extent(check: str, sizes: np.ndarray, processor: ImageProcessor, more: str) -> Line:
    order = sizes.prod(axis=1).argsort(kind="stable")
    least, middle, most = (
        " x ".join(map(str, sizes[order[place]])) for place in (0, (len(order) - 1) // 2, -1)
    )
    read = " x ".join(map(str, processor.size))
    if least == most:
        return Line(check, f"all {least} (height x width){more}; the model reads {read}")
    what = f"{least} (height x width) to {most}, median {middle}{more}; the model reads {read}"
    return Line(check, what)


def _enlarged(check: str, sizes: np.ndarray, processor: ImageProcessor, more: str) -> Line:
    shares = (sizes / processor.size).min(axis=1)
    smaller, small = int((shares < 1).sum()), (shares < _SMALL).mean()
    if not smaller:
        return Line(check, f"none is smaller than what the model reads{more}")
    what = (
        f"{plural(smaller, 'image')} ({shown_share(smaller / len(sizes))}) {_are(smaller)} smaller "
        f"than what the model reads, and {_are(smaller)} enlarged{more}"
    )
    advice = (
        "enlarging adds no detail: take larger copies, or a checkpoint of smaller images, which is "
        "faster and may be as good."
    )
    return Line(check, what, advice if small >= _SOME else "")


def _long(check: str, sizes: np.ndarray, processor: ImageProcessor, more: str) -> Line:
    ratio = sizes.max(axis=1) / sizes.min(axis=1)
    long = int((ratio > _LONG).sum())
    if not long:
        return Line(
            check, f"none is over {_LONG} times as long as it is wide, or the reverse{more}"
        )
    cut = processor.crop and isinstance(processor.resize, int)
    what = (
        f"{plural(long, 'image')} ({shown_share(long / len(sizes))}) {_are(long)} over {_LONG} "
        f"times as long as wide, or the reverse{more}"
    )
    advice = (
        "the model sees their middle alone" if cut else "the model sees them squeezed into its size"
    )
    advice += ": cut out what matters, or split them."
    return Line(check, what, advice if long / len(sizes) >= _SOME else "")


def _are(count: int) -> str:
    return "is" if count == 1 else "are"
