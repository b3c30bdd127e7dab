"""Rows of files that may be larger than memory, a block at a time."""

from __future__ import annotations

import io
import itertools
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ktlite.data.csv_table import read_rows, split_header, split_records
from ktlite.data.json_rows import json_rows
from ktlite.data.packed import is_packed, opened_bytes, refusal
from ktlite.deploy.formats import format_of
from ktlite.errors import ArgumentError, DataError, Problems
from ktlite.inputs.decoding import encoding_of

TEXT = "text"  # the column of a file with a text a line
_SEPARATORS = {"csv": ",", "tsv": "\t"}
_PART = 2**18  # characters of CSV at once


Row = dict[str, Any]


@dataclass(frozen=True)
class Table:
    """A source of rows.

    Args:
        file: Opened to read bytes.
        name: What to call it in messages.
        format: One of `formats.FORMATS`.
        sep: Of CSV, the character between fields. Default: a comma, or of TSV a tab.
        encoding: Of text. Default: detected; of a pipe, UTF-8.
        base: The folder that paths in it are relative to; None: the current one.
    """

    file: BinaryIO
    name: str
    format: str
    sep: str | None = None
    encoding: str | None = None
    base: Path | None = None

    def blocks(self, rows: int) -> Iterator[list[Row]]:
        """Yields the rows in their order, `rows` at a time.

        Values of CSV are strings as they stand; those of JSONL and Parquet have their types.

        Raises:
            DataError: At the first row that cannot be read.
        """
        found = self._rows(rows)
        while block := list(itertools.islice(found, rows)):
            yield block

    def _rows(self, rows: int) -> Iterator[Row]:
        if self.format == "parquet":
            for batch in parquet_file(self.file).iter_batches(rows):
                yield from batch.to_pylist()
        elif self.format in _SEPARATORS:
            yield from self._separated(self.sep or _SEPARATORS[self.format])
        elif self.format == "jsonl":
            with self._decoded() as lines:
                ended = (line.rstrip("\r\n") + "\n" for line in lines)
                for found in json_rows(ended, self.name, arrays=True):
                    yield from found
        else:
            with self._decoded() as lines:
                yield from ({TEXT: line.rstrip("\r\n")} for line in lines)

    @contextmanager
    def _decoded(self) -> Iterator[io.TextIOWrapper]:
        used = self.encoding or self._detected()
        try:
            text = io.TextIOWrapper(self.file, used, newline="")
        except LookupError as error:
            raise ArgumentError(f"{self.name}: {error}.") from None
        try:
            yield text
        except UnicodeDecodeError as error:
            raise DataError(
                f"{self.name}: byte 0x{error.object[error.start]:02x} does not fit the encoding "
                f"{used!r}; name the right one (encoding)."
            ) from None
        finally:
            text.detach()

    def _detected(self) -> str:
        """Returns the encoding that the file begins in; a pipe cannot go back to there."""
        if not self.file.seekable():
            return "utf-8-sig"
        found = encoding_of(self.file, self.name)
        self.file.seek(0)
        return "utf-8-sig" if found == "utf-8" else found

    def _separated(self, sep: str) -> Iterator[Row]:
        names: list[str] = []
        line = 1
        with self._decoded() as text:
            for records in split_records(iter(lambda: text.read(_PART), ""), sep):
                body = records
                if not names:
                    names, body = split_header(records, sep)
                    self._check_names(names)
                rows, too_long_line = read_rows(body, sep, len(names))
                if too_long_line:
                    before = records[: len(records) - len(body)].count("\n")
                    raise DataError(
                        f"{self.name}: line {line + before + too_long_line - 1} has more "
                        f"than {len(names)} fields with {sep!r} between them, as many as the "
                        "header has."
                    )
                line += records.count("\n")
                yield from (dict(zip(names, row, strict=True)) for row in rows)

    def _check_names(self, names: Sequence[str]) -> None:
        """Raises if a column would be lost, or all of them be taken for one."""
        problems = Problems(self.name, DataError)
        for name, count in Counter(names).items():
            problems.add_unless(count == 1, f"{count} columns have the name {name!r}.")
        found = [sep for sep in ";\t|," if len(names) == 1 and sep in names[0]]
        if found and self.sep is None:
            problems.add(
                f"there is only one column, {names[0]!r}. Name the character between the fields "
                f"(sep): {found[0]!r}, or {_SEPARATORS[self.format]!r} if it is one column."
            )
        problems.raise_if_any()


@contextmanager
def opened(
    path: str | os.PathLike[str],
    format: str | None = None,
    *,
    sep: str | None = None,
    encoding: str | None = None,
) -> Iterator[Table]:
    """Opens a file to read rows from.

    Raises:
        ArgumentError: If its format is neither given nor told by its name.
        DataError: If there is no such file.
    """
    file = Path(path)
    if not file.is_file():
        raise DataError(f"{file}: there is no such file.")
    if refused := refusal(file):
        raise DataError(f"{file}: by its name it is {refused}")
    found = format_of(file.with_suffix("") if is_packed(file) else file, format)
    with opened_bytes(file) as stream:
        yield Table(stream, file.name, found, sep, encoding, file.parent)


@dataclass(frozen=True)
class ItemFiles:
    """Files, each of which is an example, such as pictures, as a table of their paths.

    Args:
        base: The folder that they are in.
        files: Their paths.
        column: What to call the column.
    """

    base: Path
    files: Sequence[Path]
    column: str

    format = "csv"
    sep = None

    @property
    def name(self) -> str:
        """What to call it in messages."""
        return self.base.name

    def blocks(self, rows: int) -> Iterator[list[Row]]:
        """Yields rows with the path of a file, relative to the folder, `rows` at a time."""
        for start in range(0, len(self.files), rows):
            yield [
                {self.column: file.relative_to(self.base).as_posix()}
                for file in self.files[start : start + rows]
            ]


def parquet_file(file: BinaryIO) -> Any:
    """Opens a Parquet file with pyarrow.

    Args:
        file: Opened to read bytes; not a pipe, for its end is read first.

    Raises:
        ArgumentError: If pyarrow is not installed.
        DataError: If it is no Parquet file.
    """
    pyarrow = require_pyarrow()
    from pyarrow import parquet

    try:
        return parquet.ParquetFile(file)
    except pyarrow.ArrowInvalid as error:
        raise DataError(f"{getattr(file, 'name', 'the input')}: {error}") from None


def require_pyarrow() -> Any:
    """Imports pyarrow.

    Raises:
        ArgumentError: If it is not installed.
    """
    try:
        import pyarrow
    except ImportError:
        raise ArgumentError('Parquet files need pyarrow: pip install "ktlite[parquet]".') from None
    return pyarrow


def standard_input(format: str, *, sep: str | None = None, encoding: str | None = None) -> Table:
    """Returns standard input as a table; Parquet, whose end is read first, is read whole."""
    stream: BinaryIO = sys.stdin.buffer
    if format == "parquet":
        stream = io.BytesIO(stream.read())
    return Table(stream, "standard input", format, sep, encoding)
