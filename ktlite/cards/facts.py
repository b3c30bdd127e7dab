"""What goes on a run card: arguments, data, and where it ran."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Mapping
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from ktlite.encodings.indexed import items_of
from ktlite.tasks.arrays import plain

_LIBRARIES = ("ktlite", "keras", "tensorflow", "transformers", "tokenizers", "numpy")
# Only what they are goes on a card, not what is in them.
_DATA = ("train_data", "val_data", "sample_weight", "preproc", "model")
_LEFT_OUT = ("workers", "use_multiprocessing", "verbose", "check")
_LONGEST = 200  # items of a list, such as names of classes


def described(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Returns arguments as they go on a card: paths by their last name, data by its type."""
    kept = {name: value for name, value in arguments.items() if name not in _LEFT_OUT}
    return {name: _described(value, name in _DATA) for name, value in kept.items()}


def _described(value: Any, is_data: bool) -> Any:
    if isinstance(value, (str, os.PathLike)):
        # What is there is a path; what is not is a name on the Hub.
        path = Path(value)
        return path.resolve().name if path.exists() else os.fspath(value)
    if isinstance(value, (bool, int, float, np.generic, type(None))):
        return value
    short = isinstance(value, (list, tuple)) and len(value) <= _LONGEST and not is_data
    if short and all(isinstance(item, (str, int, float, np.generic)) for item in value):
        return plain(list(value))
    return getattr(value, "__name__", type(value).__name__)


def fingerprint(data: Any) -> dict[str, Any]:
    """Returns the number of rows of a data set, and a digest of texts or arrays and targets.

    It does not depend on the tokenizer. Of a stream, which can be read once, nothing is known.
    """
    texts = items_of(data)
    arrays = getattr(data, "x", None) if texts is None else None  # x of texts are their tokens
    if texts is None and arrays is None:
        return {"rows": len(data)} if hasattr(data, "__len__") else {}
    digest = hashlib.sha256()
    for text in texts or ():
        digest.update(data.preproc.input.key(text).encode("utf-8", "surrogatepass"))
    for column in (*_arrays(arrays), *_arrays(data.targets)):
        is_ragged = column.dtype == object
        digest.update(repr(column.tolist()).encode() if is_ragged else column.tobytes())
    rows = len(data) if texts is None else len(texts)
    return {"rows": rows, "sha256": digest.hexdigest()[:16]}


def _arrays(values: Any) -> list[np.ndarray]:
    """Returns the arrays in an array, a dict or a tuple of them, in a fixed order."""
    if isinstance(values, Mapping):
        values = [values[name] for name in sorted(values)]
    if isinstance(values, (list, tuple)):
        return [array for value in values for array in _arrays(value)]
    return [] if values is None else [np.asarray(values)]


def environment() -> dict[str, Any]:
    """Returns the time, versions of libraries, the system and its devices."""
    import keras

    found: dict[str, Any] = {"time": datetime.now(timezone.utc).isoformat(timespec="seconds")}
    found["python"] = platform.python_version()
    found |= {name: _version(name) for name in _LIBRARIES}
    found["system"] = f"{platform.system()} {platform.machine()}"
    found["processors"] = os.cpu_count()
    found["devices"] = keras.distribution.list_devices()
    return found


def _version(library: str) -> str | None:
    if library == "ktlite":  # which need not be installed
        from ktlite._version import __version__

        return __version__
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None
