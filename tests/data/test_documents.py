"""Documents from files, tables and lists."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ktlite.data.documents import find_files, read_documents
from ktlite.errors import DataError

LINES = "First film.\nSecond film.\n"
BLANK = "First film.\nIts second paragraph.\n\nSecond film.\n\n\n"


def written(folder: Path, name: str, text: str, encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize(
    ("text", "documents"),
    [
        (LINES, [["First film."], ["Second film."]]),
        (BLANK, [["First film.", "Its second paragraph."], ["Second film."]]),
        ("\n\n" + LINES, [[""], [""], ["First film."], ["Second film."]]),
        ("no line end", [["no line end"]]),
        ("a\r\n \r\nb", [["a"], ["b"]]),
    ],
    ids=["lines", "blank lines", "only leading blank lines", "one line", "Windows"],
)
def test_blank_lines_separate_documents_where_there_are_any(
    tmp_path: Path, text: str, documents: list[list[str]]
) -> None:
    path = written(tmp_path, "a.txt", text)
    assert list(read_documents(path)) == documents


def test_each_file_is_looked_at_by_itself(tmp_path: Path) -> None:
    written(tmp_path, "a.txt", LINES)
    written(tmp_path, "b.txt", BLANK)
    assert len(list(read_documents(tmp_path))) == 4


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_the_encoding_is_detected(tmp_path: Path, encoding: str) -> None:
    text = "房间很好，我很喜欢这个地方。\n服务也很好，下次还会来的。\n"
    path = written(tmp_path, "a.txt", text, encoding)
    assert [d[0] for d in read_documents(path)] == text.split()


def test_a_file_larger_than_the_head_is_read_to_its_end(tmp_path: Path) -> None:
    line = "房间很好，我很喜欢这个地方。" * 10
    path = written(tmp_path, "a.txt", f"{line}\n" * 4000)  # 1.7 MB
    assert sum(d == [line] for d in read_documents(path)) == 4000


@pytest.mark.parametrize(
    "make",
    [
        lambda texts, folder: texts,
        lambda texts, folder: (text for text in texts),
        lambda texts, folder: pd.Series(texts),
        lambda texts, folder: [written(folder, f"{i}.txt", t) for i, t in enumerate(texts)],
        lambda texts, folder: (
            [written(folder, f"{i}.txt", t) for i, t in enumerate(texts)] and str(folder / "*.txt")
        ),
    ],
    ids=["list", "generator", "Series", "paths", "pattern"],
)
def test_all_kinds_of_texts_give_the_same_documents(
    tmp_path: Path, make: Callable[[list[str], Path], Any]
) -> None:
    assert list(read_documents(make(["One film.", "Two films."], tmp_path))) == [
        ["One film."],
        ["Two films."],
    ]


def test_tables_give_a_document_a_row(tmp_path: Path) -> None:
    frame = pd.DataFrame({"review": ["One.\nTwo.", "Three."], "stars": [1, 2]})
    path = tmp_path / "r.csv"
    frame.to_csv(path, index=False)
    expected = [["One.", "Two."], ["Three."]]
    assert list(read_documents(frame, "review")) == expected
    assert list(read_documents(path, "review")) == expected


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("corpus/revews.txt", "there is no file"),
        ("nowhere/*.txt", "there is no file"),
        (7, "train_data is of type int"),
        ({"text": ["a"]}, "train_data is of type dict"),
        ("It was a film. " * 30, "is no path.* pass it in a list"),
    ],
)
def test_what_cannot_be_read_is_said_at_once(data: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_documents(data)


def test_a_misspelt_name_is_answered_with_the_nearest(tmp_path: Path) -> None:
    written(tmp_path, "reviews.txt", LINES)
    with pytest.raises(DataError, match="Did you mean 'reviews.txt'"):
        find_files(tmp_path / "revews.txt", "train_data")


def test_a_table_needs_its_column() -> None:
    with pytest.raises(DataError, match="name its column"):
        read_documents(pd.DataFrame({"a": ["b"]}))


def test_a_folder_without_texts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no \.txt files"):
        read_documents(tmp_path)


def test_what_is_no_text_is_named_with_its_row() -> None:
    with pytest.raises(DataError, match="text 1 is None of type NoneType"):
        list(read_documents(["fine", None]))


def test_damaged_bytes_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("房间很好。\n".encode() * 200_000 + b"\xff\xfe\n")
    with pytest.raises(DataError, match=r"a\.txt: byte 0xff"):
        list(read_documents(path))
