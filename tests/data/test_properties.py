"""Whatever the dialect, encoding, or type of labels: texts and labels come out as they went in."""

from __future__ import annotations

import codecs
import csv
import io
import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("hypothesis")
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from ktlite.data.csv_table import RARE_IN_PROSE
from ktlite.data.examples import Examples
from ktlite.data.files import CsvFile
from ktlite.data.labels import settled
from ktlite.data.readers import read_arrays, read_csv, read_frame
from ktlite.data.sources import read_any
from ktlite.data.table import read_table_texts
from ktlite.data.token_store import TokenStore
from ktlite.errors import DataError
from ktlite.inputs.tokenizer import Tokenizer
from ktlite.tasks import Task, infer_task

settings.register_profile(
    "ktlite",
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("ktlite")


@pytest.fixture(scope="module")
def store(golden: Path, tmp_path_factory: pytest.TempPathFactory) -> TokenStore:
    tokenizer = Tokenizer(golden / "tiny-tokenizer", 16)
    return TokenStore(tmp_path_factory.mktemp("tokens"), tokenizer, verbose=0)


# Text as people have it, and what trips parsers. No lone carriage returns: they end lines.
TRICKY = [
    '"',
    '""',
    ",",
    ";",
    "\t",
    "|",
    "\n",
    "\r\n",
    " ",
    "'",
    "NA",
    "null",
    "007",
    "1e5",
    "\ufeff",
]
WORDS = st.one_of(
    st.sampled_from([*TRICKY, "房间", "很好", "Привет", "café", "naïve", "😀", "a", "b c"]),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=6),
)
TEXT = st.lists(WORDS, min_size=1, max_size=6).map("".join).filter(str.strip)
CLASS = st.text(st.characters(categories=["L", "N"], max_codepoint=0x4FFF), min_size=1, max_size=5)


def written(rows: list[tuple[Any, ...]], quoting: Any = csv.QUOTE_MINIMAL, **options: Any) -> str:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, quoting=quoting, **options).writerows([("text", "label"), *rows])
    return buffer.getvalue()


def two_readings(texts: list[str], sep: str) -> bool:
    """True if each line of a quoted text is also a row by itself: a file cannot say which it is.

    ktlite takes the lines, where separators are rare in prose (`csv_table.RARE_IN_PROSE`).
    """
    lines = [f"{text}{sep}".split("\n") for text in texts if "\n" in text]
    return sep in RARE_IN_PROSE and any({one.count(sep) for one in text} == {1} for text in lines)


def both_ways(path: Path, sep: str, encoding: str | None, part: int) -> list[Examples]:
    """Reads a file whole, and part by part."""
    whole = read_csv(path, "text", "label", sep=sep, encoding=encoding)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ktlite.data.files._PART", part)
        table = CsvFile(path, sep, encoding, None, whole=False)
        return [whole, read_table_texts(table, ("text",), ("label",), "drop")]


@given(
    texts=st.lists(TEXT, min_size=2, max_size=8),
    sep=st.sampled_from([",", ";", "|"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    end=st.sampled_from(["\n", "\r\n"]),
    mark=st.booleans(),
    part=st.integers(20, 200),
    data=st.data(),
)
def test_texts_of_any_csv_dialect_come_back(
    tmp_path: Path,
    texts: list[str],
    sep: str,
    quoting: Any,
    end: str,
    mark: bool,
    part: int,
    data: st.DataObject,
) -> None:
    assume(not two_readings(texts, sep))
    labels = data.draw(st.lists(st.sampled_from("pqr"), min_size=len(texts), max_size=len(texts)))
    content = written(
        list(zip(texts, labels, strict=True)), quoting, delimiter=sep, lineterminator=end
    )
    path = tmp_path / "x.csv"
    path.write_bytes(content.encode("utf-8-sig" if mark else "utf-8"))
    for raw in both_ways(path, sep, None, part):
        assert list(raw.items) == texts
        assert raw.labels.tolist() == labels


ENCODINGS = [
    "big5", "cp1251", "gb18030", "latin-1", "shift_jis", "utf-16", "utf-16-le", "utf-32",
]  # fmt: skip


@given(
    words=st.lists(WORDS, min_size=2, max_size=12),
    encoding=st.sampled_from(ENCODINGS),
    part=st.integers(20, 200),
)
def test_texts_of_any_named_encoding_come_back(
    tmp_path: Path, words: list[str], encoding: str, part: int
) -> None:
    kept = [w for w in words if w.encode(encoding, "ignore").decode(encoding, "ignore") == w]
    texts = ["x" + word for word in kept]
    if len(texts) < 1:
        return
    path = tmp_path / "x.csv"
    path.write_bytes(written([(text, "k") for text in texts]).encode(encoding))
    for raw in both_ways(path, ",", encoding, part):
        assert list(raw.items) == texts


@given(
    chinese=st.text(
        st.sampled_from("的一是不了在人有我他这们个中来上大为和国地到以说时要就出会可也"),
        min_size=8,
    ),
    encoding=st.sampled_from(["utf-8", "utf-16", "utf-8-sig", "gb18030"]),
)
def test_chinese_in_an_encoding_that_nobody_named_comes_back(
    tmp_path: Path, chinese: str, encoding: str
) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(f"text,label\n{chinese},好\n".encode(encoding))
    for raw in both_ways(path, ",", None, 50):
        assert list(raw.items) == [chinese]
        assert raw.labels.tolist() == ["好"]


# What guesses of types lose: markers of missing values, zeros in front and behind, exponents.
CODES = [
    "NA", "None", "null", "NaN", "nan", "N/A", "#N/A", "<NA>", "-", "inf", "-inf", "Infinity",
    "true", "True", "FALSE", "007", "010", "100", "1", "2", "3", "-1", "+1", "-0", "0", "0.0",
    "1.0", "2.0", "1.5", "0.5", ".5", "5.", "3.9", "3.10", "1e5", "1E5", "1e-05", "1_000", "1,000",
    "0x10", "1.", " 1", "1 ", "12345678901234567890", "9007199254740993", "2024-01-31", "12:30",
    "1/2", "50%", "$5", "\u0661", "\u00bd", "a\nb", 'say "no"', "it's", "x;y", "x|y", "x\ty", "好",
]  # fmt: skip
NUMBERS = ["0", "1", "2", "10", "-3", "1.5", "-0.25", "2.5", "1e-05"]


@settings(max_examples=200)
@given(
    rows=st.lists(st.tuples(TEXT, st.sampled_from(CODES)), min_size=2, max_size=12)
    | st.lists(st.tuples(TEXT, st.sampled_from(NUMBERS)), min_size=2, max_size=12),
    sep=st.sampled_from([",", ";", "|", "\t"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    end=st.sampled_from(["\n", "\r\n"]),
    mark=st.booleans(),
    part=st.integers(20, 200),
    data=st.data(),
)
def test_columns_of_files_are_what_the_csv_module_reads(
    tmp_path: Path,
    store: TokenStore,
    rows: list[tuple[str, str]],
    sep: str,
    quoting: Any,
    end: str,
    mark: bool,
    part: int,
    data: st.DataObject,
) -> None:
    """Over two files of a data set, or a file and its validation file; also tokenised to disk."""
    assume(not two_readings([text for text, _ in rows], sep))
    cut = data.draw(st.integers(1, len(rows) - 1))
    paths = [tmp_path / "a.csv", tmp_path / "b.csv"]
    expected: list[list[str]] = []
    for path, half in zip(paths, (rows[:cut], rows[cut:]), strict=True):
        content = written(half, quoting, delimiter=sep, lineterminator=end)
        path.write_bytes(content.encode("utf-8-sig" if mark else "utf-8"))
        _, *found = csv.reader(io.StringIO(content, newline=""), delimiter=sep)
        expected += found
    options = {"sep": sep, "encoding": None, "names": None, "missing": "error", "source": "x"}
    whole, *halves = (read_any(file, "text", "label", **options) for file in (paths, *paths))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ktlite.data.files._PART", part)
        stored = read_any(paths, "text", "label", store=store, **options)
    shutil.rmtree(store.folder)
    for raws in ([whole], [stored], list(settled("classification", (), *halves))):
        found = [pair for raw in raws for pair in zip(raw.items, raw.labels, strict=True)]
        assert [[text, str(label)] for text, label in found] == expected
        assert len({raw.labels.dtype for raw in raws}) == 1


def round_trip(raw: Examples, task: str | None = None) -> list[Any]:
    """Returns labels as a task learns and gives them back."""
    learned: Task = infer_task(raw.labels, task)
    return learned.decode_targets(learned.encode(raw.labels))


LABELS = {
    "strings": st.lists(CLASS.filter(lambda name: not name.isnumeric()), min_size=2, max_size=12),
    "integers": st.lists(st.integers(-(2**62), 2**62), min_size=2, max_size=12),
    "bools": st.lists(st.booleans(), min_size=2, max_size=12),
}


@given(kind=st.sampled_from(sorted(LABELS)), data=st.data())
def test_classes_come_back_from_every_source(
    tmp_path: Path, kind: str, data: st.DataObject
) -> None:
    labels = data.draw(LABELS[kind].filter(lambda found: len(set(found)) > 1))
    expected = [str(label) for label in labels] if kind == "bools" else labels
    texts = [f"t{i}" for i in range(len(labels))]
    frame = pd.DataFrame({"text": texts, "label": labels})
    path, lines = tmp_path / "x.csv", tmp_path / "x.jsonl"
    path.write_text(written(list(zip(texts, labels, strict=True))), encoding="utf-8")
    rows = [{"text": text, "label": label} for text, label in zip(texts, labels, strict=True)]
    lines.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    options = {"sep": None, "encoding": None, "names": None, "missing": "drop"}
    for raw in (
        read_csv(path, "text", "label"),
        read_frame(frame, "text", "label"),
        read_arrays(texts, labels),
        read_arrays(texts, np.array(labels)),
        read_any(lines, "text", "label", source="x", **options),
    ):
        assert raw.labels.tolist() == expected
        assert round_trip(raw, "classification") == expected


@given(
    numbers=st.lists(
        st.floats(allow_nan=False, allow_infinity=False, min_value=-1e15, max_value=1e15),
        min_size=2,
        max_size=12,
    )
)
def test_numbers_come_back_to_the_last_bit(tmp_path: Path, numbers: list[float]) -> None:
    texts = [f"t{i}" for i in range(len(numbers))]
    path = tmp_path / "x.csv"
    path.write_text(written([(t, repr(n)) for t, n in zip(texts, numbers, strict=True)]))
    frame = pd.DataFrame({"text": texts, "label": numbers})
    for raw in (
        read_arrays(texts, numbers),
        read_frame(frame, "text", "label"),
        read_csv(path, "text", "label"),
    ):
        assert raw.labels.tolist() == numbers


@given(
    matrix=st.integers(2, 5).flatmap(
        lambda width: st.lists(
            st.lists(st.integers(0, 1), min_size=width, max_size=width), min_size=2, max_size=9
        )
    )
)
def test_flags_come_back(tmp_path: Path, matrix: list[list[int]]) -> None:
    names = [f"c{i}" for i in range(len(matrix[0]))]
    frame = pd.DataFrame(matrix, columns=names).assign(text=[f"t{i}" for i in range(len(matrix))])
    frame.to_csv(tmp_path / "x.csv", index=False)
    for raw in (
        read_frame(frame, "text", names),
        read_csv(tmp_path / "x.csv", "text", names),
        read_arrays(frame["text"], matrix),
    ):
        assert raw.labels.tolist() == matrix
        task = infer_task(raw.labels, "multilabel")
        assert task.encode(raw.labels).tolist() == matrix


MISSING = st.sampled_from([None, math.nan, pd.NA, "", "  ", "\n"])


@given(rows=st.lists(st.tuples(TEXT | MISSING, st.sampled_from("pq") | st.none()), min_size=1))
@example([(None, "p"), ("a", None), ("NA", "q")])
def test_only_rows_with_text_and_label_are_kept(
    tmp_path: Path, rows: list[tuple[Any, Any]]
) -> None:
    whole = [
        (i, text, label)
        for i, (text, label) in enumerate(rows)
        if isinstance(text, str) and text.strip() and label is not None
    ]
    frame = pd.DataFrame(rows, columns=["text", "label"], dtype=object)
    path = tmp_path / "x.csv"
    clean = [(t if isinstance(t, str) else "", "" if k is None else k) for t, k in rows]
    path.write_text(written(clean, csv.QUOTE_ALL), encoding="utf-8", newline="")
    for read in (
        lambda: read_frame(frame, "text", "label"),
        lambda: read_arrays([t for t, _ in rows], [k for _, k in rows]),
        lambda: read_csv(path, "text", "label", encoding="utf-8"),
    ):
        if not whole:
            with pytest.raises(DataError, match="none is left"):
                read()
            continue
        raw = read()
        found = list(zip(raw.rows.tolist(), raw.items, raw.labels.tolist(), strict=True))
        assert found == whole


@given(content=st.binary(max_size=200))
@example(codecs.BOM_UTF16_LE + b"a")
@example(b'text,label\n"a')
def test_any_bytes_are_read_or_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    for head in (b"", b"text,label\n"):
        path.write_bytes(head + content)
        for whole in (True, False):
            try:
                table = CsvFile(path, ",", None, None, whole)
                raw = read_table_texts(table, ("text",), ("label",), "drop")
            except DataError:
                continue
            assert all(isinstance(text, str) for text in raw.items)
