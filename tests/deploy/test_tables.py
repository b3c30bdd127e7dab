"""Rows in and out: every format, in parts, whatever the quotes and encodings are like."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import json
import lzma
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ktlite.data.csv_table import read_rows, read_table
from ktlite.deploy.formats import format_of
from ktlite.deploy.scoring import Columns
from ktlite.deploy.tables import Table, opened
from ktlite.deploy.writers import make_writer, whole_file
from ktlite.errors import ArgumentError, DataError

TEXTS = ["plain", 'with "quotes", and a comma', "two\nlines", "房间很好", "", "NA", "007", "  x"]
TYPES = {"prediction": "string", "probability": "double"}


def rows_in(data: bytes, format: str, block: int = 3, **options: Any) -> list[dict[str, Any]]:
    table = Table(io.BytesIO(data), "data", format, **options)
    blocks = list(table.blocks(block))
    assert all(len(rows) == block for rows in blocks[:-1])
    return [row for rows in blocks for row in rows]


@pytest.mark.parametrize("format", ["csv", "tsv", "jsonl", "parquet"])
def test_what_is_written_is_read_as_it_was(format: str) -> None:
    if format == "parquet":
        pytest.importorskip("pyarrow")
    rows: list[dict[str, Any]] = [{"id": str(i), "text": text} for i, text in enumerate(TEXTS)]
    out = io.BytesIO()
    writer = make_writer(out, format, TYPES)
    for start in range(0, len(rows), 3):
        writer.write(rows[start : start + 3])
    writer.close()
    assert rows_in(out.getvalue(), format) == rows


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_encodings_are_detected_in_files(encoding: str) -> None:
    data = "text\n房间很干净，服务也好，我们很喜欢。\n".encode(encoding)
    assert rows_in(data, "csv") == [{"text": "房间很干净，服务也好，我们很喜欢。"}]
    assert rows_in(data, "csv", encoding=encoding)[0]["text"].startswith("房间")


def test_stray_quotes_join_no_lines() -> None:
    data = b'content|pos\nhe said "no|1\nfine|0\n"quoted" word|1\n'
    found = rows_in(data, "csv", sep="|")
    assert [row["content"] for row in found] == ['he said "no', "fine", '"quoted" word']


def test_records_go_over_the_parts_that_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ktlite.deploy.tables._PART", 7)
    data = b'id,text\n1,"a ""b"", c\nd"\n2,plain\r\n3,"x,y"\n'
    found = rows_in(data, "csv")
    assert [row["text"].replace("\r", "") for row in found] == ['a "b", c\nd', "plain", "x,y"]


@pytest.mark.parametrize(
    ("data", "format", "problem"),
    [
        (b"a,b\n1,2\n1,2,3\n", "csv", "line 3 has more than 2 fields"),
        (b"a,b\n1,2\n1,2,,3\n", "csv", "line 3 has more than 2 fields"),
        (b'{"a": 1}\nnope\n', "jsonl", "line 2: not valid JSON"),
        (b"[1]\n", "jsonl", "expected an object"),
        (b'[{"a": 1}, nope]', "jsonl", "object 1: not valid JSON"),
        (b'{"a": 1, "a": 2}', "jsonl", "the name 'a' is there twice"),
        (b"no parquet", "parquet", "arquet"),
    ],
)
def test_rows_that_cannot_be_read_are_named(data: bytes, format: str, problem: str) -> None:
    if format == "parquet":
        pytest.importorskip("pyarrow")
    with pytest.raises(DataError, match=problem):
        rows_in(data, format)


def test_wrong_encoding_is_named() -> None:
    with pytest.raises(DataError, match="does not fit the encoding 'ascii'"):
        rows_in("é".encode(), "txt", encoding="ascii")
    with pytest.raises(ArgumentError, match="no-such"):
        rows_in(b"a", "txt", encoding="no-such")


def test_a_pipe_is_read_without_going_back() -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *where: int) -> int:
            raise OSError("a pipe cannot go back")

    table = Table(Pipe("房间\nfine\n".encode()), "pipe", "txt")
    assert [row["text"] for rows in table.blocks(1) for row in rows] == ["房间", "fine"]


@pytest.mark.parametrize(
    ("name", "given", "format"),
    [
        ("a.CSV", None, "csv"),
        ("a.ndjson", None, "jsonl"),
        ("a.pq", None, "parquet"),
        ("a.csv", "txt", "txt"),
        ("a.dat", "csv", "csv"),
    ],
)
def test_format_is_told_by_the_name(name: str, given: str | None, format: str) -> None:
    assert format_of(name, given) == format


@pytest.mark.parametrize("name", ["a.dat", "a", "a.csv.gz"])
def test_name_that_tells_no_format_is_refused(name: str) -> None:
    with pytest.raises(ArgumentError, match="give the format"):
        format_of(name)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"text,text\na,b\n", "2 columns have the name 'text'"),
        (b"id;text\n1;good\n", "only one column, 'id;text'"),
        (b"id\ttext\n1\tgood\n", "only one column"),
    ],
)
def test_columns_that_would_be_lost_are_refused(data: bytes, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        rows_in(data, "csv")


def test_separator_that_is_given_is_believed() -> None:
    assert rows_in(b"a;b\nx\n", "csv", sep=",") == [{"a;b": "x"}]


def test_columns_of_the_texts() -> None:
    rows = [{"id": 1, "text": "a", "other": "b"}]
    assert Columns().examples(rows, "x") == ["a"]
    assert Columns(["text", "other"]).examples(rows, "x") == [("a", "b")]
    assert Columns().examples([{"review": "a"}], "x") == ["a"]
    with pytest.raises(ArgumentError, match="which column"):
        Columns().examples([{"a": 1, "b": 2}], "x")
    with pytest.raises(DataError, match="Did you mean 'text'"):
        Columns(["txt"]).examples(rows, "x")
    with pytest.raises(DataError, match="a column 'probability' already"):
        Columns().examples([*rows, {"text": "b", "probability": 1}], "x")


def test_row_without_the_column_has_no_text() -> None:
    columns = Columns()
    assert columns.examples([{"id": 1}, {"id": 2, "text": "a"}], "x") == [None, "a"]
    assert columns.examples([{"id": 3}], "x") == [None]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.csv.gz", gzip.compress(b"text,n\n007,NA\n", mtime=0)),
        ("x.TSV.bz2", bz2.compress(b"text\tn\n007\tNA\n")),
        ("x.jsonl.xz", lzma.compress(b'{"text": "007", "n": "NA"}\n')),
        ("x.json", b'[{"text": "007",\n "n": "NA"}]'),
        ("x.json", b'{"text": "007", "n": "NA"}\r\n'),
    ],
)
def test_packed_files_and_arrays_are_read(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with opened(tmp_path / name) as table:
        assert list(table.blocks(9)) == [[{"text": "007", "n": "NA"}]]


def test_files_that_are_not_read_say_what_to_do(tmp_path: Path) -> None:
    for name, problem in (
        ("x.xlsx", "spreadsheet"),
        ("x.zip", "unpack it"),
        ("x.csv.gz", "unpacked"),
    ):
        (tmp_path / name).write_bytes(b"PK")
        with pytest.raises(DataError, match=problem), opened(tmp_path / name) as table:
            list(table.blocks(9))


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"), opened(tmp_path / "none.csv"):
        pass


def test_half_a_file_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), whole_file(tmp_path / "new" / "a.csv") as stream:
        stream.write(b"half")
        raise ZeroDivisionError
    assert [path.name for path in tmp_path.rglob("*")] == ["new"]


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_columns_may_turn_up_in_later_rows_of_a_block(format: str) -> None:
    out = io.BytesIO()
    if format == "parquet":
        pytest.importorskip("pyarrow")
    with contextlib.closing(make_writer(out, format, TYPES)) as writer:
        writer.write([{"text": "a"}, {"text": "b", "extra": "x"}])
        with pytest.raises(DataError, match="the column 'other', which the first rows lack"):
            writer.write([{"text": "c", "other": 1}])
    empty = None if format == "parquet" else ""
    assert rows_in(out.getvalue(), format) == [
        {"text": "a", "extra": empty},
        {"text": "b", "extra": "x"},
    ]


def test_parquet_column_that_is_empty_at_first_becomes_text() -> None:
    pytest.importorskip("pyarrow")
    out = io.BytesIO()
    with contextlib.closing(make_writer(out, "parquet", TYPES)) as writer:
        writer.write([{"n": None, "prediction": ["a"]}])
        writer.write([{"n": 7, "prediction": ["b", "c"]}, {"n": "x", "prediction": None}])
    assert rows_in(out.getvalue(), "parquet") == [
        {"n": None, "prediction": '["a"]'},
        {"n": "7", "prediction": '["b", "c"]'},
        {"n": "x", "prediction": None},
    ]


def test_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real" / "a.csv")
    with whole_file(tmp_path / "link") as stream:
        stream.write(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "a.csv").read_bytes() == b"new"
    with pytest.raises(ArgumentError, match="it is a folder"), whole_file(tmp_path / "real"):
        pass


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_pipe_is_written_into(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as readers:
        read = readers.submit(pipe.read_bytes)
        with whole_file(pipe) as stream:
            stream.write(b"rows")
        assert read.result(timeout=10) == b"rows"
    assert pipe.is_fifo()


def test_predictions_of_other_types_become_json() -> None:
    out = io.BytesIO()
    writer = make_writer(out, "csv", TYPES)
    writer.write([{"text": "a", "prediction": [("Ann", "PER", (0, 3))], "probability": None}])
    line = out.getvalue().decode().splitlines()[1]
    assert json.loads(line.split(",", 1)[1].rstrip(",")[1:-1].replace('""', '"')) == [
        ["Ann", "PER", [0, 3]]
    ]


@pytest.mark.parametrize("sep", [",", ";", "\t", "|"])
@pytest.mark.parametrize(
    "text",
    [
        "",
        "1,2\n\n3,4",
        "1\n \t\n\n2,,\n,\n",
        '"a ""b""","c\nd"\r\n"","x"\r\n',
        'a "quote" inside,b\n"stray,c\nd,e"f\n',
        '"never closed,1\nb,2\nc,3\n',
        'NA,007\nnull,1e5\n"NA",""\n',
        "a\u2028b,\x0bc\n ,d \n",
    ],
)
def test_rows_are_those_that_training_reads(text: str, sep: str) -> None:
    text = text.replace(",", sep)
    frame = read_table(text, sep, 2, (0, 1)).frame
    assert read_rows(text, sep, 2) == (frame.to_numpy().tolist(), 0)
