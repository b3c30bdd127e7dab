"""Items that people have as files or their bytes: what they are called, told apart, and missing."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ktlite.errors import DataError, KtliteError, plural


class Unreadable(DataError):
    """An item that cannot be read.

    Args:
        flaw: What is wrong with it, whichever it is: "no such file".
        message: The same of this one, with its name.
    """

    def __init__(self, flaw: str, message: str) -> None:
        super().__init__(message)
        self.flaw = flaw


def is_path(item: Any) -> bool:
    """Says whether an item is a path by its type."""
    return isinstance(item, (str, os.PathLike))


def is_bytes(item: Any) -> bool:
    """Says whether an item is the bytes of a file."""
    return isinstance(item, (bytes, bytearray, memoryview))


def file_name(item: Any) -> str:
    """Returns what to call a path, the bytes of a file or a value of any type.

    Example:
        >>> file_name("cats/1.jpg"), file_name(b"RIFF")
        ("'cats/1.jpg'", '4 bytes')
    """
    if is_path(item):
        return repr(os.fspath(item))
    return plural(len(item), "byte") if is_bytes(item) else f"a value of type {type(item).__name__}"


def file_content(item: Any) -> bytes:
    """Returns the bytes of a file that is given by its path, or as they are.

    Raises:
        Unreadable: If there are none.
    """
    content = Path(item).read_bytes() if is_path(item) else bytes(item)
    if not content:
        name = f"{file_name(item)} is empty" if is_path(item) else "it has no bytes"
        raise Unreadable("an empty file", name)
    return content


@contextmanager
def told(item: Any, name: str, kinds: str) -> Iterator[None]:
    """Turns what reading a file raises into an `Unreadable` that names the item.

    Args:
        item: The item.
        name: What it is called.
        kinds: What such items are called: "pictures".
    """
    try:
        yield
    except (KtliteError, MemoryError):
        raise
    except FileNotFoundError:
        message = f"there is no file {name}{_hint(item, kinds)}"
        raise Unreadable("no such file", message) from None
    except IsADirectoryError:
        message = f"{name} is a folder; expected a file"
        raise Unreadable("a folder in place of a file", message) from None
    except PermissionError:
        message = f"{name} may not be read: permission denied"
        raise Unreadable("no permission to read it", message) from None


def file_state(item: Any) -> bytes:
    """Returns what changes when a file does, without reading it: path, size and time of change."""
    state = os.stat(item)
    return repr((os.fspath(item), state.st_size, state.st_mtime_ns)).encode()


def digest(*parts: Any) -> Any:
    """Returns a hash of bytes, of 16 bytes."""
    made = hashlib.blake2b(digest_size=16)
    for part in parts:
        made.update(part)
    return made


def _hint(item: Any, kinds: str) -> str:
    text = os.fspath(item)
    if isinstance(text, str) and text.startswith(("http://", "https://")):
        return f"; {kinds} are not fetched: give the bytes"
    return "" if os.path.isabs(text) else f" (looked in {os.getcwd()})"


def processors() -> int:
    """Returns how many processors this process may use, for threads that decode."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
