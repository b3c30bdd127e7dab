"""Raw text as a stream of documents: from files of any size, data frames or lists."""

from __future__ import annotations

import glob
import io
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ktlite.data.packed import opened_bytes, suffix_of
from ktlite.data.readers import read_csv, read_frame
from ktlite.errors import DataError, Problems, did_you_mean
from ktlite.inputs.decoding import detect_encoding

_HEAD = 1 << 20  # bytes of a file that its encoding and its blank lines are told from
_LONGEST_NAME = 255  # bytes, on all usual file systems
_TABLES = {".csv": ",", ".tsv": "\t"}
_BLANK_LINE = re.compile(r"\S[^\S\n]*\n[^\S\n]*\n\s*\S")

Document = list[str]


def read_documents(
    data: Any,
    text_column: str | None = None,
    *,
    sep: str | None = None,
    encoding: str | None = None,
    source: str = "train_data",
) -> Iterator[Document]:
    r"""Yields documents, each a list of paragraphs. Files are read line by line.

    Args:
        data: Strings, one document each (a list, a Series, a generator); a DataFrame or a CSV
            file, with `text_column`; or text files: a path, a pattern such as
            `"corpus/*.txt"`, a folder (all its .txt files), or a list of `Path`s. In
            a text file blank lines separate documents, as BERT's authors have it; where there
            are none, each line is a document.
        text_column: The column of the texts.
        sep: The character between the fields of a CSV file. Default: by its name's end.
        encoding: Of the files. Default: detected.
        source: What to call the data in messages.

    Raises:
        DataError: If there is no such file, or it cannot be read.

    Example:
        >>> list(read_documents(["First line.\nSecond line.", "Another text."]))
        [['First line.', 'Second line.'], ['Another text.']]
    """
    if hasattr(data, "columns"):
        return _of_texts(read_frame(data, _column(text_column, source), source=source).items)
    if isinstance(data, (str, os.PathLike)) or _are_paths(data):
        files = find_files(data, source)
        if suffix_of(files[0]) in _TABLES or text_column is not None:
            column = _column(text_column, source)
            return _of_tables(files, column, sep, encoding)
        return _of_files(files, encoding)
    if not isinstance(data, Iterable) or isinstance(data, (bytes, Mapping)):
        raise DataError(
            f"{source} is of type {type(data).__name__}; expected texts, a DataFrame, or the path "
            "of text files."
        )
    return _of_texts(data)


def find_files(data: Any, source: str) -> list[Path]:
    """Returns the files that a path, a pattern, a folder or a list of paths stands for.

    Raises:
        DataError: If there are none.
    """
    hint = " If this is a text: pass it in a list." if isinstance(data, str) else ""
    parts = data.split("/") if isinstance(data, str) else []
    if any(len(part.encode()) > _LONGEST_NAME for part in parts):
        raise DataError(f"{source}: {data!r:.60}... is no path.{hint}")
    if _are_paths(data):
        files = [Path(path) for path in data]
    elif Path(data).expanduser().is_dir():
        files = sorted(Path(data).expanduser().glob("*.txt"))
        if not files:
            raise DataError(f"{source}: there are no .txt files in the folder {os.fspath(data)!r}.")
    elif Path(data).expanduser().exists():
        files = [Path(data).expanduser()]
    else:
        pattern = os.path.expanduser(os.fspath(data))
        files = sorted(Path(path) for path in glob.glob(pattern, recursive=True))
    problems = Problems(source, DataError)
    for file in files or [Path(data)]:
        if not file.is_file():
            folder = file.parent
            near = [p.name for p in folder.iterdir()] if folder.is_dir() else []
            problems.add(f"there is no file {str(file)!r}.{did_you_mean(file.name, near)}{hint}")
    problems.raise_if_any()
    return files


def _are_paths(data: Any) -> bool:
    return isinstance(data, (list, tuple)) and bool(data) and isinstance(data[0], os.PathLike)


def _column(text_column: str | None, source: str) -> str:
    if not isinstance(text_column, str):
        raise DataError(
            f"{source} is a table: name its column of texts; got text_column={text_column!r}."
        )
    return text_column


def _of_texts(texts: Iterable[Any]) -> Iterator[Document]:
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise DataError(
                f"text {row} is {text!r:.60} of type {type(text).__name__}; expected a string."
            )
        yield text.splitlines()


def _of_tables(
    files: list[Path], column: str, sep: str | None, encoding: str | None
) -> Iterator[Document]:
    for file in files:
        separator = sep or _TABLES.get(suffix_of(file), ",")
        yield from _of_texts(read_csv(file, column, sep=separator, encoding=encoding).items)


def _of_files(files: list[Path], encoding: str | None) -> Iterator[Document]:
    for file in files:
        with opened_bytes(file) as raw:
            head = raw.read(_HEAD)
        whole_lines = head if len(head) < _HEAD else head[: head.rfind(b"\n") + 1] or head
        try:
            used = encoding or detect_encoding(whole_lines)
        except DataError as error:
            raise DataError(f"{file}: {error}") from None
        separated = bool(_BLANK_LINE.search(whole_lines.decode(used, "replace")))
        document: Document = []
        for line in _lines(file, used):
            if not separated:
                yield [line]
            elif line.strip():
                document.append(line)
            elif document:
                yield document
                document = []
        if document:
            yield document


def _lines(file: Path, encoding: str) -> Iterator[str]:
    try:
        with opened_bytes(file) as raw:
            for line in io.TextIOWrapper(raw, encoding):
                yield line.rstrip("\n")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{file}: byte 0x{error.object[error.start]:02x} does not fit encoding={encoding!r}; "
            "mend the file, or pass its encoding."
        ) from None
