"""Writes rows to files, block after block, and files that are there whole or not at all."""

from __future__ import annotations

import abc
import csv
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from ktlite._json import plain
from ktlite.deploy.tables import Row, require_pyarrow
from ktlite.errors import ArgumentError, DataError, listing


class Writer(abc.ABC):
    """Writes rows."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file

    @abc.abstractmethod
    def write(self, rows: Sequence[Row]) -> None:
        """Writes one row or more."""

    def close(self) -> None:
        """Writes what is left; the file stays open."""
        self.file.flush()


class LineWriter(Writer):
    """A JSON object a line."""

    def write(self, rows: Sequence[Row]) -> None:
        self.file.writelines(f"{as_json(row)}\n".encode() for row in rows)
        self.file.flush()


class SeparatedWriter(Writer):
    """CSV, with the columns of the first `write`; what is not a string or number becomes JSON."""

    def __init__(self, file: BinaryIO, sep: str) -> None:
        super().__init__(file)
        self.sep = sep
        self.names: list[str] = []

    def write(self, rows: Sequence[Row]) -> None:
        text = io.StringIO(newline="")
        writer = csv.writer(text, delimiter=self.sep, lineterminator="\n")
        if not self.names:
            self.names = columns_of(rows)
            writer.writerow(self.names)
        _check_columns(rows, self.names)
        writer.writerows([_cell(row.get(name)) for name in self.names] for row in rows)
        self.file.write(text.getvalue().encode())
        self.file.flush()


class ParquetWriter(Writer):
    """Parquet, with the columns and types of the first `write`.

    Lists and objects that have no type become JSON strings; and so does what comes later in a
    column that is empty at first.

    Args:
        file: Opened to write bytes.
        types: `"string"` or `"double"` for columns that are not read but made.
        schema: Of the columns that are read from Parquet, whose types they keep.
    """

    def __init__(self, file: BinaryIO, types: Mapping[str, str], schema: Any = None) -> None:
        super().__init__(file)
        self.types = dict(types)
        self.read = {} if schema is None else {field.name: field for field in schema}
        self.schema: Any = None
        self.writer: Any = None

    def write(self, rows: Sequence[Row]) -> None:
        pyarrow = require_pyarrow()
        from pyarrow import parquet

        try:
            if self.writer is None:
                self.schema = pyarrow.schema(self._field(n, rows) for n in columns_of(rows))
                self.writer = parquet.ParquetWriter(self.file, self.schema)
            _check_columns(rows, self.schema.names)
            flat = [{n: self._plain(n, value) for n, value in row.items()} for row in rows]
            self.writer.write_table(pyarrow.Table.from_pylist(flat, schema=self.schema))
        except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError) as error:
            raise DataError(f"a row does not have the types of the first rows: {error}") from None

    def _field(self, name: str, rows: Sequence[Row]) -> Any:
        """Returns the name and type of a column, which is of strings where it is empty."""
        pyarrow = require_pyarrow()
        if name in self.read:
            return self.read[name]
        if name not in self.types:
            found = pyarrow.array([_cell(row.get(name)) for row in rows]).type
            if found != pyarrow.null():
                return pyarrow.field(name, found)
            self.types[name] = "string"
        kinds = {"string": pyarrow.string(), "double": pyarrow.float64()}
        return pyarrow.field(name, kinds[self.types[name]])

    def _plain(self, name: str, value: Any) -> Any:
        if name in self.read:
            return value
        return typed(value, self.types[name]) if name in self.types else _cell(value)

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()
        super().close()


def make_writer(
    file: BinaryIO,
    format: str,
    types: Mapping[str, str],
    sep: str | None = None,
    schema: Any = None,
) -> Writer:
    """Returns the writer of a format.

    Args:
        file: Opened to write bytes.
        format: One of `formats.FORMATS`. Rows do not go into a file of texts: it becomes CSV.
        types: As for `ParquetWriter`.
        sep: Of CSV, the character between fields. Default: a comma, or of TSV a tab.
        schema: As for `ParquetWriter`.
    """
    if format == "parquet":
        return ParquetWriter(file, types, schema)
    if format == "jsonl":
        return LineWriter(file)
    return SeparatedWriter(file, sep or ("\t" if format == "tsv" else ","))


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Opens a file to write that appears when it is complete, and on the disk.

    A link stays one. Into what is no file, such as a pipe or a device, is written as it comes.

    Raises:
        ArgumentError: If it is a folder.
    """
    given = Path(path)
    if given.is_dir():
        raise ArgumentError(f"{given}: it is a folder; name a file in it.")
    if given.exists() and not given.is_file():
        with given.open("wb") as stream:
            yield stream
        return
    file = Path(os.path.realpath(given))
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        with unfinished.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)


def columns_of(rows: Sequence[Row]) -> list[str]:
    """Returns the names of all columns of some rows, in the order in which they turn up."""
    return list(dict.fromkeys(name for row in rows for name in row))


def _check_columns(rows: Sequence[Row], known: Sequence[str]) -> None:
    """Raises for a column that the file was begun without."""
    new = [name for name in columns_of(rows) if name not in known]
    if new:
        raise DataError(
            f"a row has the column {new[0]!r}, which the first rows lack: {listing(known)}. Write "
            "JSONL, where each row has its own, or hold more rows at a time (block)."
        )


def as_json(value: Any) -> str:
    """Returns JSON of a row or a prediction, whatever types its cells have."""
    return json.dumps(value, ensure_ascii=False, default=plain)


def typed(value: Any, type: str) -> Any:
    """Returns a prediction as a column of `"string"` or `"double"` takes it."""
    if value is None or type == "double" or isinstance(value, str):
        return value
    return as_json(value)


def _cell(value: Any) -> Any:
    if isinstance(value, (Mapping, list, tuple)):
        return as_json(value)
    return value
