"""Files, patterns, lists of files and data sets: the same rows as from a CSV file."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import re
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ktlite.data.csv_table import split_records
from ktlite.data.examples import Examples
from ktlite.data.files import open_table
from ktlite.data.sources import read_any
from ktlite.errors import ArgumentError, DataError

# The Chinese one has frequent characters: by these GB18030 is told, and not by a guess.
TEXTS = ["Fine, really.", "这里有两行\n文字", 'He said "no".', "Dull"]
LABELS = ["pos", "pos", "neg", "neg"]
ROWS = [{"text": text, "label": label} for text, label in zip(TEXTS, LABELS, strict=True)]
FRAME = pd.DataFrame(ROWS)


class Slices:
    """What of `datasets.Dataset` is used, and nothing else."""

    def __init__(self, columns: dict[str, list[Any]], classes: Sequence[str] = ()) -> None:
        self.columns_ = columns
        self.column_names = list(columns)
        self.features = {"label": SimpleNamespace(names=list(classes))} if classes else {}

    def __len__(self) -> int:
        return len(next(iter(self.columns_.values())))

    def __getitem__(self, rows: slice) -> dict[str, list[Any]]:
        return {name: values[rows] for name, values in self.columns_.items()}


def read(data: Any, **options: Any) -> Examples:
    options = {"sep": None, "encoding": None, "names": None, "missing": "drop", **options}
    columns = {"text_column": "text", "label_columns": "label"}
    return read_any(data, **{**columns, **options}, source="train_data")


def json_lines(path: Path, rows: list[Any] = ROWS, encoding: str = "utf-8") -> Path:
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_bytes("\n".join(lines).encode(encoding))
    return path


def csv_file(path: Path, rows: list[Any] = ROWS, **options: Any) -> Path:
    pd.DataFrame(rows).to_csv(path, index=False, **options)
    return path


def parquet(path: Path, frame: pd.DataFrame = FRAME, **options: Any) -> Path:
    pytest.importorskip("pyarrow")
    frame.to_parquet(path, index=False, **options)
    return path


def array(path: Path, **options: Any) -> Path:
    path.write_text("\n" + json.dumps(ROWS, **options), encoding="utf-8")
    return path


def packed(library: Any, path: Path, end: str) -> Path:
    done = path.with_name(path.name + end)
    done.write_bytes(library.compress(path.read_bytes()))
    path.unlink()
    return done


def halves(folder: Path) -> list[Path]:
    return [csv_file(folder / "a.csv", ROWS[:2]), json_lines(folder / "b.jsonl", ROWS[2:])]


KINDS = {
    "csv": lambda folder: csv_file(folder / "x.csv"),
    "tsv": lambda folder: csv_file(folder / "x.tsv", sep="\t"),
    "TSV, in capitals": lambda folder: csv_file(folder / "X.TSV", sep="\t"),
    "jsonl": lambda folder: json_lines(folder / "x.jsonl"),
    "ndjson": lambda folder: json_lines(folder / "x.ndjson"),
    "jsonl in GB18030": lambda folder: json_lines(folder / "x.jsonl", ROWS * 9, "gb18030"),
    "CSV, packed": lambda folder: packed(gzip, csv_file(folder / "x.csv"), ".gz"),
    "TSV, packed": lambda folder: packed(bz2, csv_file(folder / "x.tsv", sep="\t"), ".bz2"),
    "jsonl, packed": lambda folder: packed(lzma, json_lines(folder / "x.jsonl"), ".xz"),
    "CSV in UTF-16, packed": lambda folder: packed(
        gzip, csv_file(folder / "x.csv", encoding="utf-16"), ".GZ"
    ),
    "json": lambda folder: json_lines(folder / "x.json"),
    "array": lambda folder: array(folder / "x.json"),
    "array over lines": lambda folder: array(folder / "x.json", indent=2),
    "array, packed": lambda folder: packed(gzip, array(folder / "x.json"), ".gz"),
    "parquet": lambda folder: parquet(folder / "x.parquet"),
    "list of files": halves,
    "tuple of files": lambda folder: tuple(map(str, halves(folder))),
    "pattern": lambda folder: halves(folder) and folder / "*.*",
    "data set": lambda folder: Slices({"text": TEXTS, "label": LABELS}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_texts_and_labels_are_those_that_were_written(tmp_path: Path, kind: str) -> None:
    raw = read(KINDS[kind](tmp_path))
    times = len(raw) // 4
    assert list(raw.items) == TEXTS * times
    assert raw.labels.tolist() == LABELS * times
    assert raw.rows.tolist() == list(range(4 * times))
    assert raw.label_columns == ("label",)


@pytest.mark.parametrize("part", [3, 40, 1000])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if "packed" in kind or "array" in kind])
def test_packed_files_and_arrays_in_parts_are_the_same(
    tmp_path: Path, kind: str, part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ktlite.data.files._PART", part)
    raw = in_parts(KINDS[kind](tmp_path), ("text",), ("label",))
    times = len(raw) // 4
    assert list(raw.items) == TEXTS * times
    assert raw.labels.tolist() == LABELS * times


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet", "data set", "frame"])
def test_missing_values_are_counted_by_row(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [*ROWS, {"text": None, "label": "pos"}, {"text": "x", "label": None}, *ROWS]
    frame = pd.DataFrame(rows)
    data = {
        "csv": lambda: csv_file(tmp_path / "x.csv", rows),
        "jsonl": lambda: json_lines(tmp_path / "x.jsonl", rows),
        "parquet": lambda: parquet(tmp_path / "x.parquet", frame),
        "data set": lambda: Slices({n: [row[n] for row in rows] for n in ("text", "label")}),
        "frame": lambda: frame,
    }[kind]()
    raw = read(data)
    assert raw.rows.tolist() == [0, 1, 2, 3, 6, 7, 8, 9]
    assert (
        "left out 2 of 10 rows: 1 with an empty or missing text (row 4), 1 with a missing label "
        "(row 5). Rows count from 0."
    ) in caplog.text
    with pytest.raises(DataError, match="2 of 10 rows cannot be used"):
        read(data, missing="error")


def test_rows_of_several_files_are_named_by_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = [
        csv_file(tmp_path / "a.csv"),
        csv_file(tmp_path / "b.csv", [*ROWS, {"text": "", "label": "x"}]),
    ]
    assert len(read(files)) == 8
    assert "2 files (a.csv, b.csv): left out 1 of 9 rows" in caplog.text
    assert "(row 4 of b.csv)" in caplog.text
    csv_file(files[1], [{"txt": "a", "label": "b"}])
    with pytest.raises(DataError, match="b.csv: .*no column is 'text'. Did you mean 'txt'"):
        read(files)


def test_numbers_of_classes_take_the_data_sets_names() -> None:
    raw = read(Slices({"text": TEXTS, "label": [1, 1, -1, 0]}, ["neg", "pos"]))
    assert raw.class_names == ("neg", "pos")
    assert raw.labels.tolist() == [1, 1, 0]
    assert raw.rows.tolist() == [0, 1, 3]  # -1: there is no label


@pytest.mark.parametrize(
    ("values", "expected", "kind"),
    [
        ([1, 0, 3], [1, 0, 3], "i"),
        ([1.5, 0.0, 3.0], [1.5, 0.0, 3.0], "f"),
        ([True, False, True], ["True", "False", "True"], "O"),
        ([2**53 + 1, None, 1], [2**53 + 1, 1], "i"),
    ],
)
@pytest.mark.parametrize("kind_of_file", ["jsonl", "parquet", "data set"])
def test_labels_keep_their_type_and_value(
    tmp_path: Path, values: list[Any], expected: list[Any], kind: str, kind_of_file: str
) -> None:
    rows = [{"text": "a", "label": value} for value in values]
    if kind_of_file == "jsonl":
        data: Any = json_lines(tmp_path / "x.jsonl", rows)
    elif kind_of_file == "parquet":
        whole = all(v is None or type(v) is int for v in values)
        frame = pd.DataFrame({"text": "a", "label": pd.array(values, "Int64" if whole else None)})
        data = parquet(tmp_path / "x.parquet", frame)
    else:
        data = Slices({"text": ["a"] * len(values), "label": values})
    raw = read(data)
    assert raw.labels.tolist() == expected
    assert raw.labels.dtype.kind == kind


def test_pairs_and_several_labels(tmp_path: Path) -> None:
    rows = [{"q": "a", "p": "b", "x": 1, "y": 0}, {"q": "c", "p": "d", "x": 1, "y": 1}]
    for data in (json_lines(tmp_path / "x.jsonl", rows), csv_file(tmp_path / "x.csv", rows)):
        raw = read(data, text_column=["q", "p"], label_columns=["x", "y"])
        assert list(raw.items) == [("a", "b"), ("c", "d")]
        assert raw.labels.tolist() == [[1, 0], [1, 1]]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.jsonl", '{"text": "a", "label": 1}\n{"text"', "x.jsonl: line 2: not valid JSON"),
        ("x.jsonl", '\n["a"]', "line 2: expected an object"),
        ("x.jsonl", '{"text": "a", "text": "b", "label": 1}', "the name 'text' is there twice"),
        ("x.jsonl", '{"txt": "a", "label": 1}', "no column is 'text'. Did you mean 'txt'"),
        ("x.jsonl", '{"text": 7, "label": 1}', r"cannot be a text: 7 \(row 0\) is of type int"),
        ("x.jsonl", '{"text": "a", "label": 1}\n{"text": "b", "label": "c"}', "mixed-integer"),
        ("x.jsonl", "", "no column is 'text'"),
        ("x.json", "[]", "no column is 'text'"),
        ("x.json", '[{"text": "a"}, 7]', "object 1: expected an object"),
        ("x.json", '[{"text": "a", "label": 1}', "the array does not end"),
        ("x.json", '[{"text": "a"}] {}', "something comes after the array"),
        ("x.json", '[{"text": nope}]', "object 0: not valid JSON"),
        ("x.json", '{\n"text": "a"}', "line 1: not valid JSON.* Expected an array of objects, or"),
        ("x.csv.gz", "text,label\na,b\n", "x.csv.gz: it cannot be unpacked"),
        ("x.csv.bz2", "text,label\na,b\n", "it cannot be unpacked"),
        ("x.csv.xz", "text,label\na,b\n", "it cannot be unpacked"),
        ("x.csv.gz", gzip.compress(b"text,label\n" * 99, mtime=0)[:-9], "it cannot be unpacked"),
        ("x.xlsx", "PK", r"a spreadsheet: save it as CSV, or pass pandas.read_excel"),
        ("x.feather", "ARROW", r"pass pandas.read_feather"),
        ("x.zip", "PK", "an archive: unpack it first"),
        ("x.jsonl", b'{"text": "\xff\xfe\x01"}', "no text in a known encoding|utf"),
        ("x.tsv", "text,label\na,b\n", "The separator is probably ','"),
        ("nothing-*.csv", None, "no file has a name like"),
        ("y.jsonl", None, "there is no file .*y.jsonl"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(
    tmp_path: Path, name: str, content: str | bytes | None, message: str
) -> None:
    if content is not None:
        data = content if isinstance(content, bytes) else content.encode()
        (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=message):
        read(tmp_path / name)


def test_damaged_parquet_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    (tmp_path / "x.parquet").write_bytes(b"text,label\n")
    with pytest.raises(DataError, match="no Parquet file, or damaged"):
        read(tmp_path / "x.parquet")


def test_parquet_without_pyarrow_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    (tmp_path / "x.parquet").write_bytes(b"")
    with pytest.raises(ArgumentError, match=re.escape('pip install "ktlite[parquet]"')):
        read(tmp_path / "x.parquet")


def test_lists_of_numbers_of_classes_take_the_data_sets_names() -> None:
    data = Slices({"text": TEXTS, "label": [[0, 2], [], None, [1]]})
    data.features = {"label": SimpleNamespace(feature=SimpleNamespace(names=["p", "q", "r"]))}
    raw = read(data)
    assert raw.labels.tolist() == [["p", "r"], [], ["q"]]
    assert raw.rows.tolist() == [0, 1, 3]


def test_a_dict_of_data_sets_is_refused() -> None:
    class Splits(dict[str, Any]):
        column_names = {"train": ["text", "label"]}

    with pytest.raises(ArgumentError, match="train_data is of type Splits"):
        read(Splits())


def test_a_real_data_set_is_read() -> None:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])}
    )
    columns = {"text": TEXTS, "label": [1, 1, 0, -1]}
    data = datasets.Dataset.from_dict(columns, features=features)
    many = datasets.Features(
        {"text": features["text"], "label": datasets.Sequence(features["label"])}
    )
    lists = datasets.Dataset.from_dict({"text": TEXTS, "label": [[1], [0, 1], [], [0]]}, many)
    assert read(lists).labels.tolist() == [["pos"], ["neg", "pos"], [], ["neg"]]
    for made in (data, data.with_format("numpy"), data.with_format("pandas")):
        raw = read(made)
        assert list(raw.items) == TEXTS[:3]
        assert raw.labels.tolist() == [1, 1, 0]
        assert raw.class_names == ("neg", "pos")


# Files that are read part by part


@pytest.fixture(params=[7, 64, 1000])
def small_parts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ktlite.data.files._PART", request.param)


def in_parts(path: Path, texts: Any, labels: Any, **options: Any) -> Examples:
    """Reads a file part by part into memory."""
    from ktlite.data.table import read_table_texts

    options = {"sep": None, "encoding": None, "names": None, **options}
    return read_table_texts(open_table(path, "data", whole=False, **options), texts, labels, "drop")


CONTENTS = {
    "plain": "text,label\n" + "".join(f"text number {i},{i % 3}\n" for i in range(50)),
    "quoted lines": "text,label\n" + '"two\r\nlines, ""quoted""",1\r\n"b\n",0\r\n' * 20,
    "no last line end": 'text,label\n"a\nb",1\nc,0',
    "old Mac": "text,label\ra b,1\rc d,0\r",
    "stray quotes": "text,label\n" + '"never closed,1\nfine,0\n5" tall,1\n"a"b,0\n' * 5,
    "blank lines": "\n\ntext,label\n\na,1\n\n\nb,0\n",
    "one column too many": "text,label\na,b,1\nc,0\nd,e,f\n",
}


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("name", CONTENTS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-8-sig"])
def test_parts_make_the_same_rows_as_the_whole(tmp_path: Path, name: str, encoding: str) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(CONTENTS[name].encode(encoding))
    whole = read(path)
    parts = in_parts(path, ("text",), ("label",))
    assert list(parts.items) == list(whole.items)
    assert parts.labels.tolist() == whole.labels.tolist()
    assert parts.labels.dtype == whole.labels.dtype
    assert parts.rows.tolist() == whole.rows.tolist()


@pytest.mark.usefixtures("small_parts")
def test_json_lines_in_parts_are_the_same(tmp_path: Path) -> None:
    path = json_lines(tmp_path / "x.jsonl", ROWS * 10)
    parts = in_parts(path, ("text",), ("label",))
    assert list(parts.items) == TEXTS * 10
    assert parts.labels.tolist() == LABELS * 10


@pytest.mark.usefixtures("small_parts")
def test_bytes_that_do_not_fit_are_named_by_offset(tmp_path: Path) -> None:
    content = ("text,label\n" + "fine text,1\n" * 100).encode() + b"caf\xe9,0\n"
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(DataError, match=f"byte 0xe9 at offset {content.index(0xE9):,} does not"):
        in_parts(tmp_path / "x.csv", ("text",), ("label",), encoding="utf-8")


def test_records_are_cut_where_they_end() -> None:
    text = 'a,1\n"two\nlines, ""and"" more",2\nstray " quote,3\n"open,4\nb,5\n'
    for size in range(1, len(text) + 1):
        parts = [text[i : i + size] for i in range(0, len(text), size)]
        found = list(split_records(parts, ","))
        assert "".join(found) == text
        assert all(part.endswith("\n") for part in found)
        assert not any(part.endswith('"two\n') for part in found)


def test_a_quote_that_nothing_closes_takes_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ktlite.data.csv_table.LONGEST_RECORD", 100)
    parts = ['"never closed\n', *["a line\n"] * 100]
    assert max(map(len, split_records(parts, ","))) < 120


def test_row_numbers_run_on_over_blocks() -> None:
    count = 25_000
    data = Slices({"text": ["a", ""] * (count // 2), "label": list(range(count))})
    raw = read(data)
    np.testing.assert_array_equal(raw.rows, np.arange(0, count, 2))
    np.testing.assert_array_equal(raw.labels, np.arange(0, count, 2))
