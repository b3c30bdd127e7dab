"""Files of rows as tables: CSV, TSV, JSON, Parquet; one, several, or a pattern."""

from __future__ import annotations

import abc
import codecs
import glob
import math
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ktlite._logging import logger
from ktlite.data.csv_table import read_table, split_header, split_records
from ktlite.data.examples import Block, Name
from ktlite.data.json_rows import json_rows
from ktlite.data.packed import is_packed, opened_bytes, read_bytes, refusal, suffix_of
from ktlite.data.table import (
    AT_ONCE,
    DatasetTable,
    FrameTable,
    JoinedTable,
    Names,
    Table,
    as_block,
)
from ktlite.errors import ArgumentError, DataError, Problems, did_you_mean, plural
from ktlite.inputs.decoding import decode, encoding_of

SEPARATORS = ",;|\t"
TAB_ENDINGS = (".tsv", ".tab")
_PART = 2**23  # bytes of a text file at once


def open_files(
    path: Any,
    *,
    sep: str | None = None,
    encoding: str | None = None,
    names: Sequence[Name] | None = None,
    whole: bool = True,
) -> Table:
    """Returns files of rows as one table; the end of a name says what a file is.

    `.parquet` and `.pq` are Parquet, `.jsonl` and `.ndjson` have a JSON object a line, `.json` an
    array of them or one a line, all others are separated values. Files of text may be packed:
    `.csv.gz`, `.jsonl.bz2`, `.tsv.xz`.

    Args:
        path: A file, a pattern such as `"reviews/*.parquet"`, or a list of files.
        sep: As for `read_csv`.
        encoding: Of text files; None detects it.
        names: Column names of separated values without a header line.
        whole: Take text files into memory; else parts of them, one after the other.

    Raises:
        DataError: If there is no such file, or it is of another kind than its name says.
    """
    listed = [path] if isinstance(path, (str, os.PathLike)) else list(path)
    files = [file for item in listed for file in _matches(os.fspath(item))]
    kinds = {
        ".parquet": lambda file: ParquetFile(file),
        ".pq": lambda file: ParquetFile(file),
        ".json": lambda file: JsonFile(file, encoding, whole),
        ".jsonl": lambda file: JsonFile(file, encoding, whole),
        ".ndjson": lambda file: JsonFile(file, encoding, whole),
    }

    def opened(file: Path) -> Table:
        kind = kinds.get(suffix_of(file))
        return CsvFile(file, sep, encoding, names, whole) if kind is None else kind(file)

    tables = [opened(file) for file in files]
    return tables[0] if len(tables) == 1 else JoinedTable(tables)


def open_table(data: Any, source: str, *, whole: bool = True, **options: Any) -> Table:
    """Returns whatever has named columns (see `is_tabular`) as a table.

    Args:
        data: A file or several, a data frame, or a `datasets.Dataset`.
        source: What to call data that has no name of its own.
        whole: As for `open_files`.
        **options: `sep`, `encoding` and `names`, as for `open_files`.
    """
    if hasattr(data, "iloc"):
        return FrameTable(data, source)
    if hasattr(data, "column_names"):
        return DatasetTable(data, source)
    return open_files(data, whole=whole, **options)


def _matches(path: str) -> list[Path]:
    if Path(path).exists() or not glob.has_magic(path):
        return [Path(path)]
    found = [Path(name) for name in sorted(glob.glob(path, recursive=True))]
    files = [file for file in found if file.is_file()]
    if not files:
        raise DataError(f"no file has a name like {path!r}.")
    return files


class FileTable(Table):
    """A file of rows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.source = path.name
        problems = Problems(self.source, DataError)
        check_exists(problems, path, path.is_file(), "file")
        if refused := refusal(path):
            problems.add(f"by its name it is {refused}")
        problems.raise_if_any()

    def state(self, wanted: Names) -> Any:
        facts = self.path.stat()
        return [facts.st_size, facts.st_mtime_ns]

    def identity(self) -> Any:
        return os.path.realpath(self.path)


class ParquetFile(FileTable):
    """A Parquet file, read by pyarrow a row group, or a part of one, at a time."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        try:
            from pyarrow import ArrowInvalid, parquet
        except ImportError as error:
            raise ArgumentError(
                f'{self.source}: Parquet files are read by pyarrow: pip install "ktlite[parquet]".'
            ) from error
        try:
            self._file = parquet.ParquetFile(path)
        except (ArrowInvalid, OSError) as error:
            raise DataError(f"{self.source} is no Parquet file, or damaged: {error}") from error
        self.columns = list(self._file.schema_arrow.names)

    def blocks(self, texts: Names, labels: Names) -> Iterator[Block]:
        wanted: Any = [*texts, *labels]
        empty = True
        for batch in self._file.iter_batches(AT_ONCE, columns=wanted):
            # Whole numbers with gaps as floats would not all be the same numbers.
            frame = batch.to_pandas(integer_object_nulls=True)
            yield as_block(frame, texts, labels, self.path.parent)
            empty = False
        if empty:
            schema = self._file.schema_arrow.empty_table().select(wanted)
            yield as_block(schema.to_pandas(), texts, labels)

    def size(self) -> int:
        return int(self._file.metadata.num_rows)


class TextFile(FileTable, abc.ABC):
    """A file of text in some encoding, in memory, or read part by part."""

    def __init__(self, path: Path, encoding: str | None, whole: bool) -> None:
        super().__init__(path)
        self._content: str | None = None
        if whole:
            content, self.encoding = decode(read_bytes(path), encoding, self.source)
            self._content = _line_ends(content)
        else:
            self.encoding = encoding or self._detect()
        if encoding is None and not self.encoding.startswith("utf-8"):
            logger.info("%s: read as %s.", self.source, self.encoding)

    def identity(self) -> Any:
        return [super().identity(), self.encoding]

    def parts(self) -> Iterator[str]:
        r"""Yields the text without byte order mark, its line ends `\n` or `\r\n`."""
        if self._content is not None:
            yield self._content
            return
        held = ""
        for number, part in enumerate(self._decoded()):
            text = held + (part if number else part.removeprefix("\ufeff"))
            # The other half of a line end may come with the next part.
            held = "\r" if text.endswith("\r") else ""
            yield _line_ends(text.removesuffix("\r") if held else text)
        yield held.replace("\r", "\n")

    def _decoded(self) -> Iterator[str]:
        try:
            decoder = codecs.getincrementaldecoder(self.encoding)()
        except LookupError:
            decode(b"", self.encoding, self.source)  # raises, and says it well
            raise
        # What is added meanwhile is not read.
        before, size = 0, math.inf if is_packed(self.path) else self.path.stat().st_size
        with opened_bytes(self.path) as file:
            while True:
                data = file.read(int(min(_PART, size - before)))
                try:
                    yield decoder.decode(data, final=not data)
                except UnicodeDecodeError as error:
                    place = before + len(data) - len(error.object) + error.start
                    raise DataError(
                        f"{self.source}: byte 0x{error.object[error.start]:02x} at offset "
                        f"{place:,} does not fit encoding={self.encoding!r}. Name the encoding of "
                        "the whole file, or mend it."
                    ) from None
                if not data:
                    return
                before += len(data)

    def _detect(self) -> str:
        with opened_bytes(self.path) as file:
            return encoding_of(file, self.source)


def _line_ends(text: str) -> str:
    """Makes a lone carriage return a line end, as it was on old Macs."""
    return re.sub(r"\r(?!\n)", "\n", text) if "\r" in text else text


class CsvFile(TextFile):
    """Separated values; arguments as `read_csv`."""

    def __init__(
        self,
        path: Path,
        sep: str | None,
        encoding: str | None,
        names: Sequence[Name] | None,
        whole: bool = True,
    ) -> None:
        super().__init__(path, encoding, whole)
        self.sep = sep or usual_separator(path)
        self._in_parts = not whole
        self._names = None if names is None else list(names)
        header, _ = split_header(next(self._records(), ""), self.sep)
        if not header:
            raise DataError(f"{self.source}: the file is empty.")
        hint = _separator_hint(header, self.sep)
        if names is None:
            self.columns, self.hint = [*header], hint
            return
        self.columns = list(names)
        if len(self.columns) != len(header):
            self.problems = [
                f"names has {plural(len(self.columns), 'name')}, but the first line has "
                f"{plural(len(header), 'field')} with sep={self.sep!r}.{hint}"
            ]

    def identity(self) -> Any:
        return [super().identity(), self.sep, self._names]

    def blocks(self, texts: Names, labels: Names) -> Iterator[Block]:
        width, stray, too_long = len(self.columns), 0, ""
        text_at = [self.columns.index(name) for name in texts]
        label_at = [self.columns.index(name) for name in labels]
        for line, part in self._bodies():
            table = read_table(part, self.sep, width, [*text_at, *label_at])
            stray += table.stray
            if table.too_long_line and not too_long:
                first = line + table.too_long_line
                too_long = f"more than {plural(width, 'field')}, first on line {first}"
            yield Block(
                table.frame[text_at].set_axis(texts, axis=1),
                table.frame[label_at].set_axis(labels, axis=1) if labels else None,
                {too_long: table.too_long} if too_long else {},
                written=True,
                base=self.path.parent,
            )
        if stray:
            lines = plural(stray, "line")
            logger.info("%s: quotes do not pair in %s; read as they stand.", self.source, lines)

    def _bodies(self) -> Iterator[tuple[int, str]]:
        """Yields the parts of the text after its header, each after the number of lines before."""
        line, skip_header = 0, self._names is None
        for part in self._records():
            body = split_header(part, self.sep)[1] if skip_header else part
            line += part[: len(part) - len(body)].count("\n")
            skip_header = False
            yield line, body
            line += body.count("\n")

    def _records(self) -> Iterator[str]:
        """Yields the text in parts that end where a record does; in none are blank lines alone."""
        parts = split_records(self.parts(), self.sep) if self._in_parts else self.parts()
        return (part for part in parts if part.strip())


class JsonFile(TextFile):
    """A JSON object a line; or, in a file whose name ends in `.json`, an array of objects."""

    def __init__(self, path: Path, encoding: str | None, whole: bool) -> None:
        super().__init__(path, encoding, whole)
        records = next(self._records(), [])
        self.columns = list(dict.fromkeys(name for record in records for name in record))

    def blocks(self, texts: Names, labels: Names) -> Iterator[Block]:
        import pandas as pd

        for records in self._records():
            columns: dict[Any, Any] = {
                name: pd.Series([record.get(str(name)) for record in records], dtype=object)
                for name in (*texts, *labels)
            }
            yield as_block(pd.DataFrame(columns), texts, labels, self.path.parent)

    def _records(self) -> Iterator[list[dict[str, Any]]]:
        """Yields the objects of each part of the file."""
        return json_rows(self.parts(), self.source, arrays=suffix_of(self.path) == ".json")


def usual_separator(path: Path) -> str:
    """Returns the separator of a file by its name: a tab in `.tsv` files, else a comma."""
    return "\t" if suffix_of(path) in TAB_ENDINGS else ","


def check_exists(problems: Problems, path: Path, exists: bool, kind: str) -> None:
    """Records a problem unless a file or folder is there, with the nearest name."""
    if exists:
        return
    if path.exists():
        other = "folder" if path.is_dir() else "file"
        problems.add(f"expected a {kind}, but {str(path)!r} is a {other}.")
    elif path.parent.is_dir():
        near = did_you_mean(path.name, (p.name for p in visible(path.parent)))
        problems.add(f"there is no {kind} {str(path)!r}.{near}")
    else:
        problems.add(f"there is no folder {str(path.parent)!r}.")


def visible(folder: Path) -> list[Path]:
    """Returns what is in a folder and not hidden."""
    return [path for path in folder.iterdir() if not path.name.startswith(".")]


def _separator_hint(header: list[str], sep: str) -> str:
    """Returns what `sep` should be if the header was not split and another one splits it."""
    others = [s for s in SEPARATORS if s != sep and s in header[0]]
    if len(header) > 1 or not others:
        return ""
    best = max(others, key=header[0].count)
    return f" The separator is probably {best!r}: pass sep={best!r}."
