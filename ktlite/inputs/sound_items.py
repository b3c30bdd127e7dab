"""What a sound may be beside a file: arrays, with or without their rate, as libraries give them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ktlite.inputs.item_files import Unreadable, file_name, is_bytes, is_path

EXPECTED = (
    "the path of a file, its bytes, an array of samples, (array, sampling rate) or "
    '{"array": ..., "sampling_rate": ...}'
)
_MOST_CHANNELS = 64


def name_of(item: Any) -> str:
    """Returns what to call a sound in a message.

    Example:
        >>> name_of("cats/1.wav"), name_of((np.zeros(8000, "float32"), 8000))
        ("'cats/1.wav'", 'an array [8000] of float32 at 8000 Hz')
    """
    item = inner(item)
    if isinstance(item, np.ndarray):
        return f"an array {list(item.shape)} of {item.dtype}"
    if isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], np.ndarray):
        return f"{name_of(item[0])} at {item[1]} Hz"
    return file_name(item)


def is_sound(item: Any) -> bool:
    """Says whether an item may be a sound by its type; an array, by its number of axes."""
    item = inner(item)
    if isinstance(item, tuple):
        return len(item) == 2 and isinstance(item[0], np.ndarray) and not np.ndim(item[1])
    if isinstance(item, np.ndarray):
        return item.ndim in (1, 2) and item.dtype.kind in "fi"
    return is_path(item) or is_bytes(item)


def inner(item: Any) -> Any:
    """Returns what a dict of `datasets` holds: (array, rate), bytes or a path.

    Whatever is no dict is returned as it is.
    """
    if not isinstance(item, Mapping):
        return item
    if item.get("array") is not None:
        return np.asarray(item["array"]), item.get("sampling_rate")
    if item.get("bytes") is not None:
        return item["bytes"]
    return item["path"] if item.get("path") is not None else item


def is_rate(rate: Any) -> bool:
    """Says whether something is a number of samples a second."""
    return isinstance(rate, (int, np.integer)) and not isinstance(rate, bool) and bool(rate > 0)


def mono(samples: np.ndarray) -> np.ndarray:
    """Returns [samples] of [samples, channels], averaged."""
    return samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1, dtype="float32")


def array_and_rate(item: Any, rate: int) -> tuple[np.ndarray, int]:
    """Returns the samples of an array, or of a pair with its rate, and the rate.

    Args:
        item: The sound.
        rate: Of an array that comes without one.

    Returns:
        float32 [samples], of one channel, and samples a second.

    Raises:
        Unreadable: If it is something else.
    """
    own: Any = rate
    array = inner(item)
    if isinstance(array, tuple) and len(array) == 2:
        array, own = array
        if isinstance(own, np.ndarray) and is_rate(array):
            raise Unreadable(
                "the rate before the samples",
                "a pair has its rate first; expected (array, sampling rate), the samples first",
            )
    if not isinstance(array, np.ndarray):
        raise Unreadable(
            f"a value of type {type(array).__name__}",
            f"{name_of(array)} is no sound; expected {EXPECTED}",
        )
    name = name_of(array)
    if isinstance(own, (float, np.floating)) and float(own).is_integer():
        own = int(own)
    if not is_rate(own):
        raise Unreadable(
            "no sampling rate",
            f"{name} has the sampling rate {own!r}; expected samples a second, as 16000",
        )
    if array.dtype.kind == "i" and array.dtype.itemsize in (2, 4):
        array = array / np.float32(-float(np.iinfo(array.dtype).min))
    if array.dtype.kind != "f":
        raise Unreadable(
            f"samples of {array.dtype}",
            f"{name}; expected floats, 1 the loudest, or int16 or int32",
        )
    if array.ndim == 2:
        array = array if array.shape[1] <= array.shape[0] else array.T
    if array.ndim not in (1, 2) or (array.ndim == 2 and not 0 < array.shape[1] <= _MOST_CHANNELS):
        raise Unreadable(
            "an array of another shape than [samples]",
            f"{name}, not [samples], or [samples, channels] or [channels, samples] of "
            f"{_MOST_CHANNELS} channels at most",
        )
    array = np.ascontiguousarray(array, "float32")
    return (array if array.ndim == 1 else mono(array)), int(own)
