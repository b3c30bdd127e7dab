"""Files by their names: which are packed, what is in them, and what is not read at all."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from ktlite.errors import DataError

# Each of one file, such as `reviews.csv.gz`.
_OPEN: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_TABLES = {"feather": "read_feather", "arrow": "read_feather", "orc": "read_orc"}
_SHEETS = ("xlsx", "xls", "xlsm", "ods")
_ARCHIVES = ("zip", "tar", "tgz", "7z", "zst", "rar")


def suffix_of(path: str | os.PathLike[str]) -> str:
    """Returns the end of a file's name, in small letters, without that of a packed file.

    Example:
        >>> suffix_of("Reviews.CSV.gz")
        '.csv'
    """
    file = Path(path)
    return Path(file.stem if is_packed(file) else file.name).suffix.lower()


def is_packed(path: str | os.PathLike[str]) -> bool:
    """Says whether a file is to be unpacked while it is read, by its name."""
    return Path(path).suffix.lower() in _OPEN


@contextmanager
def opened_bytes(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Opens a file, packed or not, to read what is in it.

    Raises:
        DataError: If it is damaged, or not packed as its name says.
    """
    file = Path(path)
    try:
        with _OPEN.get(file.suffix.lower(), open)(file, "rb") as stream:
            yield stream
    except (gzip.BadGzipFile, lzma.LZMAError, zlib.error, EOFError) as error:
        raise DataError(f"{file.name}: it cannot be unpacked: {error}.") from error
    except OSError as error:
        if error.errno is None and is_packed(file):  # bz2 has no error of its own
            raise DataError(f"{file.name}: it cannot be unpacked: {error}.") from error
        raise


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """Returns all that is in a file, unpacked."""
    with opened_bytes(path) as stream:
        return stream.read()


def refusal(path: Path) -> str:
    """Returns what to do with a file whose name says that it is none to be read; else nothing."""
    kind = suffix_of(path).lstrip(".")
    if kind in _SHEETS:
        return "a spreadsheet: save it as CSV, or pass pandas.read_excel(...)."
    if kind in _TABLES:
        return f"not read here: pass pandas.{_TABLES[kind]}(...)."
    if kind in _ARCHIVES:
        return "an archive: unpack it first. (.gz, .bz2 and .xz of one file are read as they are.)"
    return ""
