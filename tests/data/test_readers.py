"""Files, folders, frames and arrays become the same Examples, and no row is lost in silence."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ktlite.data.readers import (
    Examples,
    detect_encoding,
    read_arrays,
    read_csv,
    read_folder,
    read_frame,
)
from ktlite.errors import DataError

CHINESE = "房间很小，但是服务很好，我们很喜欢这个酒店的早餐"
RUSSIAN = "Это очень хороший фильм, и мне он понравился. Рекомендую всем посмотреть его. "


@pytest.fixture(autouse=True)
def capture_info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="ktlite")


def write(folder: Path, content: str | bytes, name: str = "data.csv") -> Path:
    file = folder / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


def infos(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "INFO"]


def assert_labels(raw: Examples, expected: Any, dtype: Any) -> None:
    assert raw.labels is not None
    assert raw.labels.dtype == dtype
    assert raw.labels.tolist() == expected
    if dtype is object:
        assert {type(label) for label in raw.labels} == {str}


# CSV: values


def test_csv_texts_stand_as_they_are(tmp_path: Path) -> None:
    texts = ["NA", "null", "007", "1.50", "True", " padded ", 'say ""hi""', "a, b", "two\r\nlines"]
    rows = "".join(f'"{text}",1\n' for text in texts)
    raw = read_csv(write(tmp_path, f"text,label\n{rows}"), "text", "label")
    assert raw.items == [text.replace('""', '"') for text in texts]
    assert raw.rows.tolist() == list(range(9))
    assert raw.rows.dtype == np.int64
    assert raw.label_columns == ("label",)
    assert raw.source == "data.csv"


@pytest.mark.parametrize(
    ("cells", "expected", "dtype"),
    [
        (["1", "0", "5"], [1, 0, 5], np.int64),
        (["1", "", "5"], [1, 5], np.int64),
        (["-1", "0", f"{2**63 - 1}"], [-1, 0, 2**63 - 1], np.int64),
        (["1.0", "0.5", ""], [1.0, 0.5], np.float64),
        (["1.0", "0.0", "1.0"], [1.0, 0.0, 1.0], np.float64),
        (["-1.5", "1e-05", "0.1"], [-1.5, 1e-05, 0.1], np.float64),
        # All else is what stands there: something of it would be lost as a number.
        *(
            (cells, cells, object)
            for cells in (
                ["pos", "neg", "7"],
                ["True", "False", "True"],
                ["true", "false", "TRUE"],
                ["007", "010", "100"],
                ["3.9", "3.10", "3.11"],
                ["1e5", "2e5", "3e5"],
                ["+1", "2", "3"],
                ["-0", "0", "1"],
                ["1", "0.5", "2"],
                ["1_000", "2_000", "1"],
                ["inf", "-inf", "nan"],
                ["NA", "None", "null"],
                ["NaN", "N/A", "#N/A"],
                ["2024-01-31", "2024-02-01", "2024-03-01"],
                [" 1", "1 ", "1"],
                ["\u0661", "\u0662", "\u0663"],  # digits, but not ours
                [f"{2**63}", "1", "2"],
                [f"{2**53 + 1}.0", "1.5", "2.5"],
                ["0x10", "1", "2"],
            )
        ),
    ],
)
def test_csv_labels_are_numbers_where_these_write_back_as_they_stood(
    tmp_path: Path, cells: list[str], expected: list[Any], dtype: Any
) -> None:
    file = write(tmp_path, "text,label\n" + "".join(f"t,{cell}\n" for cell in cells))
    assert_labels(read_csv(file, "text", "label"), expected, dtype)


def test_csv_pairs_and_several_labels(tmp_path: Path) -> None:
    file = write(tmp_path, "no;b;a;x;y\n1;who?;me;0;1\n2;why?;so;1;1\n")
    raw = read_csv(file, ("a", "b"), ["x", "y"], sep=";")
    assert raw.items == [("me", "who?"), ("so", "why?")]
    assert_labels(raw, [[0, 1], [1, 1]], np.int64)
    assert raw.label_columns == ("x", "y")


def test_csv_of_one_label_in_a_list_is_one_column(tmp_path: Path) -> None:
    raw = read_csv(write(tmp_path, "text,label\na,1\nb,0\n"), "text", ["label"])
    assert_labels(raw, [1, 0], np.int64)


def test_csv_without_labels(tmp_path: Path) -> None:
    raw = read_csv(write(tmp_path, "text\nGood.\n\nBad.\n"), "text")
    assert raw.items == ["Good.", "Bad."]
    assert raw.labels is None


def test_csv_without_header_takes_names(tmp_path: Path) -> None:
    file = write(tmp_path, '"quoted" film\t1\nplain\t0\n')
    raw = read_csv(file, "text", "label", sep="\t", names=["text", "label"])
    assert raw.items == ['"quoted" film', "plain"]
    assert_labels(raw, [1, 0], np.int64)


def test_text_may_be_longer_than_the_csv_module_allows(tmp_path: Path) -> None:
    text = "word, " * 30_000
    file = write(tmp_path, f'"{text}",1\n')
    assert read_csv(file, "text", "label", names=["text", "label"]).items == [text]


def test_csv_rows_count_as_pandas_counts_them(tmp_path: Path) -> None:
    file = write(tmp_path, '\n\ntext,label\n\na,1\n   \n"b\nc",0\n,1\n\nd,0\n')
    raw = read_csv(file, "text", "label")
    frame = pd.read_csv(file)
    assert raw.rows.tolist() == [0, 1, 3]
    assert frame["text"].iloc[raw.rows].tolist() == raw.items == ["a", "b\nc", "d"]


def test_csv_header_may_be_quoted(tmp_path: Path) -> None:
    file = write(tmp_path, '"the ""text"", as\r\nit is",,"label"\r\na,x,1\r\n')
    raw = read_csv(file, 'the "text", as\r\nit is', "label")
    assert raw.items == ["a"]
    assert_labels(raw, [1], np.int64)


# CSV: quotes and bad lines


@pytest.mark.parametrize("sep", [",", "|", "\t", ";"])
def test_csv_stray_quote_joins_no_lines(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, sep: str
) -> None:
    lines = ['"open', "plain", 'the "best" one', '"closed" early', 'ends here"', '"fair"', "last"]
    file = write(tmp_path, "".join(f"{line}{sep}{i}\n" for i, line in enumerate(lines)))
    raw = read_csv(file, "text", "label", sep=sep, names=["text", "label"])
    assert raw.items == [line if line != '"fair"' else "fair" for line in lines]
    assert_labels(raw, list(range(7)), np.int64)
    assert infos(caplog) == ["data.csv: quotes do not pair in 2 lines; read as they stand."]


def test_tab_separated_lines_are_rows_even_if_quotes_pair_across_them(tmp_path: Path) -> None:
    file = write(tmp_path, 'text\tlabel\n"one\t1\ntwo"\t0\nthree\t1\n')
    assert len(pd.read_csv(file, sep="\t")) == 2  # what happens without care
    raw = read_csv(file, "text", "label", sep="\t")
    assert raw.items == ['"one', 'two"', "three"]
    assert_labels(raw, [1, 0, 1], np.int64)


def test_one_bad_quote_spoils_no_multi_line_field(tmp_path: Path) -> None:
    sound = [f"line {i}\nstill {i}, really" for i in range(5)]
    rows = "".join(f'"{text}",1\n' for text in sound)
    raw = read_csv(write(tmp_path, f'text,label\n{rows}"open,0\n{rows}'), "text", "label")
    assert raw.items == [*sound, '"open', *sound]


def test_csv_as_written_by_python_is_read_back_whole(tmp_path: Path) -> None:
    alphabet = ["a", "b", '"', ",", "\n", "|", " "]
    words = np.random.default_rng(0).choice(alphabet, size=(300, 8))
    texts = [f"x{''.join(word)}" for word in words]
    file = tmp_path / "data.csv"
    with file.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("text", "label"), *((text, 1) for text in texts)])
    assert read_csv(file, "text", "label", missing="error").items == texts


def test_line_with_too_many_fields_is_counted_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = write(tmp_path, 'text|label\n"a\nb"|1\n\n:-|| ok|0\nc|0\n |1\nd\n')
    raw = read_csv(file, "text", "label", sep="|")
    assert raw.items == ["a\nb", "c"]
    assert_labels(raw, [1, 0], np.int64)  # the words in the label column of line 5 do not count
    assert warnings(caplog) == [
        "data.csv: left out 3 of 5 rows: 1 with more than 2 fields, first on line 5 (row 1), "
        "1 with an empty or missing text (row 3), 1 with a missing label (row 4). "
        "Rows count from 0."
    ]
    with pytest.raises(DataError, match="3 of 5 rows cannot be used: .*first on line 5"):
        read_csv(file, "text", "label", sep="|", missing="error")


def test_trailing_separators_are_no_bad_lines(tmp_path: Path) -> None:
    raw = read_csv(write(tmp_path, "text,label\na,1,\nb,0\n"), "text", "label")
    assert raw.items == ["a", "b"]


# CSV: errors


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        ("text,label\na,1\n", {"text_column": "txt"}, "no column is 'txt'. Did you mean 'text'"),
        ("text,label\na,1\n", {"label_columns": ["lable"]}, "Did you mean 'label'"),
        ("text,text,label\na,b,1\n", {}, "2 columns have the name 'text'"),
        ("text;label\na;1\n", {}, "only one column, 'text;label'.*probably ';'"),
        ("text\tlabel\na\t1\n", {}, r"probably '\\t': pass sep='\\t'"),
        ("text,label\na,1\n", {"sep": "||"}, "is not one character"),
        ("text,label\na,1\n", {"label_columns": "text"}, "'text' is asked for 2 times"),
        ("text,label\na,1\n", {"text_column": ["a", "b", "c", "d"]}, "one to three names"),
        ("text,label\na,1\n", {"missing": "ignore"}, "expected one of 'drop', 'error'"),
        ("a,1\n", {"names": ["text", "label", "x"]}, "names has 3 names.* has 2 fields"),
        ("a\t1\n", {"names": ["text", "label"]}, r"has 1 field .*probably '\\t'"),
        ("", {}, "the file is empty"),
        ("\n \n", {}, "the file is empty"),
        ("text,label\n", {}, "there are no rows"),
        ("text,label\n,1\nb,\n", {}, "2 of 2 rows cannot be used, so none is left"),
        ("text,label\nb,\xe9\n".encode("latin-1"), {"encoding": "utf-8"}, "byte 0xe9 at offset 13"),
        ("text,label\na,1\n", {"encoding": "gb1803"}, "not known.*Did you mean 'gb18030'"),
    ],
)
def test_csv_error_says_what_is_wrong(
    tmp_path: Path, content: str | bytes, arguments: dict[str, Any], message: str
) -> None:
    call = {"text_column": "text", "label_columns": "label", **arguments}
    with pytest.raises(DataError, match=message):
        read_csv(write(tmp_path, content), **call)


def test_errors_of_a_call_come_together(tmp_path: Path) -> None:
    write(tmp_path, "text,label\n", "reviews.csv")
    with pytest.raises(DataError) as caught:
        read_csv(tmp_path / "review.csv", "text", "text", sep="", missing="no")
    for part in ("4 problems", "missing='no'", "2 times", "sep=''", "Did you mean 'reviews.csv'?"):
        assert part in str(caught.value)
    with pytest.raises(DataError, match="'txt'.*\n.*'lbl'.* The columns are 'text', 'label'"):
        read_csv(tmp_path / "reviews.csv", "txt", "lbl")


def test_folder_is_no_file_and_file_no_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected a file, but .* is a folder"):
        read_csv(tmp_path, "text")
    with pytest.raises(DataError, match="expected a folder, but .* is a file"):
        read_folder(write(tmp_path, "text"))
    with pytest.raises(DataError, match="there is no folder .*nowhere"):
        read_csv(tmp_path / "nowhere" / "x.csv", "text")


# Encodings


@pytest.mark.parametrize(
    ("text", "encoding", "expected"),
    [
        ("plain", "ascii", "utf-8"),
        ("naïve 房间", "utf-8", "utf-8"),
        ("naïve", "utf-8-sig", "utf-8-sig"),
        ("naïve 房间", "utf-16", "utf-16"),
        ("naïve 房间", "utf-32", "utf-32"),
        (CHINESE, "gb18030", "gb18030"),
        (CHINESE, "gb2312", "gb18030"),
        ("這個酒店的服務很好，我們還會來", "gb18030", "gb18030"),
        ("這是一部非常好的電影，我很喜歡。酒店服務很好", "big5", "big5"),
        ("정말 좋은 영화였습니다. 다시 보고 싶어요.", "euc_kr", "cp949"),
        ("これは素晴らしい映画です。とても面白かった。", "shift_jis", "cp932"),
        (RUSSIAN, "cp1251", "cp1251"),
        ("Der Film war schön, aber die Länge störte mich ein bißchen.", "cp1252", "cp1252"),
        ("O filme é muito bom, mas o final não me agradou.", "cp1252", "cp1252"),
        ("plain text\n" * 5000 + "It’s a café – naïve, isn’t it?\n", "cp1252", "cp1252"),
    ],
)
def test_encoding_is_detected(text: str, encoding: str, expected: str) -> None:
    data = text.encode(encoding)
    assert detect_encoding(data) == expected
    assert data.decode(expected) == text


def test_damaged_utf8_is_not_taken_for_another_encoding() -> None:
    data = (CHINESE * 10).encode()
    with pytest.raises(DataError, match=r"damaged at offset 30 \(byte 0xff\)"):
        detect_encoding(data[:30] + b"\xff" + data[30:])


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(DataError, match="Is this a text file"):
        detect_encoding(bytes(range(256)) * 8)


@pytest.mark.parametrize("encoding", ["gb18030", "utf-16", "utf-8-sig"])
@pytest.mark.parametrize("given", [True, False])
def test_csv_in_any_encoding(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, encoding: str, given: bool
) -> None:
    file = write(tmp_path, f"text,label\n{CHINESE},1\n".encode(encoding))
    raw = read_csv(file, "text", "label", encoding=encoding if given else None)
    assert raw.items == [CHINESE]
    said = [] if given or encoding == "utf-8-sig" else [f"data.csv: read as {encoding}."]
    assert infos(caplog) == said


def test_byte_order_mark_is_no_part_of_the_first_column_name(tmp_path: Path) -> None:
    file = write(tmp_path, "text,label\na,1\n".encode("utf-8-sig"))
    assert read_csv(file, "text", encoding="utf-8").items == ["a"]


def test_wrong_encoding_names_the_offset_and_the_right_one(tmp_path: Path) -> None:
    file = write(tmp_path, f"text\n{CHINESE}\n".encode("gb18030"))
    with pytest.raises(DataError, match="byte 0xb7 at offset 5 .*'utf-8'.*looks like 'gb18030'"):
        read_csv(file, "text", encoding="utf-8")


# Frames


@pytest.mark.parametrize(
    ("labels", "expected", "dtype"),
    [
        (pd.Series([1, 0, 2]), [1, 0, 2], np.int64),
        (pd.Series([1, None, 2]), [1, 2], np.int64),
        (pd.Series([1, pd.NA, 2], dtype="Int64"), [1, 2], np.int64),
        (pd.Series([1.5, np.nan, 2]), [1.5, 2.0], np.float64),
        (pd.Series([np.inf, 1.0, 2.0]), [np.inf, 1.0, 2.0], np.float64),
        (pd.Series([True, False, True]), ["True", "False", "True"], object),
        (pd.Series([True, pd.NA, False], dtype="boolean"), ["True", "False"], object),
        (pd.Series(["p", None, "n"]), ["p", "n"], object),
        (pd.Series(["p", " ", "n"], dtype=object), ["p", "n"], object),
        (pd.Series(["p", pd.NA, "n"], dtype="string"), ["p", "n"], object),
        (pd.Series(["p", None, "n"], dtype="category"), ["p", "n"], object),
        (pd.Series([3, 4, 3], dtype="category"), [3, 4, 3], np.int64),
    ],
)
def test_frame_label_column_gets_its_natural_dtype(
    labels: pd.Series, expected: list[Any], dtype: Any
) -> None:
    frame = pd.DataFrame({"text": ["a", "b", "c"], "label": labels})
    assert_labels(read_frame(frame, "text", "label"), expected, dtype)


@pytest.mark.parametrize("nothing", [None, np.nan, pd.NA, "", "  \n\u3000"])
@pytest.mark.parametrize("dtype", [object, "string", "category", None])
def test_frame_rows_without_text_are_left_out(
    caplog: pytest.LogCaptureFixture, nothing: Any, dtype: Any
) -> None:
    texts = pd.Series(["a"] + [nothing] * 7 + ["b"], dtype=dtype)
    frame = pd.DataFrame({"text": texts, "label": [0, 1, 1, 1, 1, 1, 1, None, 1]})
    frame.index = pd.Index([7] * 9)  # plays no part
    raw = read_frame(frame, "text", "label", source="my frame")
    assert raw.items == ["a", "b"]
    assert raw.rows.tolist() == [0, 8]
    assert_labels(raw, [0, 1], np.int64)
    assert warnings(caplog) == [
        "my frame: left out 7 of 9 rows: 7 with an empty or missing text "
        "(rows 1, 2, 3, 4, 5, ...). Rows count from 0."
    ]


def test_missing_value_stays_missing_after_astype_str() -> None:
    column = pd.Series(["a", np.nan, "b"]).astype(str)
    if not column.isna().any():
        pytest.skip("pandas before 3 makes the word 'nan' of it")
    raw = read_frame(pd.DataFrame({"text": column, "label": column}), "text", "label")
    assert raw.items == ["a", "b"]
    assert_labels(raw, ["a", "b"], object)


def test_pair_with_a_missing_part_is_left_out() -> None:
    frame = pd.DataFrame({"a": ["x", None, "y"], "b": ["1", "2", " "]})
    assert read_frame(frame, ["a", "b"]).items == [("x", "1")]


def test_several_label_columns_of_flags_become_numbers() -> None:
    frame = pd.DataFrame({"t": ["a", "b", "c"], "x": [True, False, True], "y": [0, 1, None]})
    assert_labels(read_frame(frame, "t", ["x", "y"]), [[1, 0], [0, 1]], np.int64)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"text": ["a", 12], "label": [0, 1]}, r"1 value of 'text' .* 12 \(row 1\) is of type int"),
        ({"text": [None, 1.5], "label": [0, 1]}, r"1\.5 \(row 1\) is of type float, expected str"),
        ({"text": ["a", "b"], "label": [0, "x"]}, r"labels are of type .*\(int, str\)"),
        ({"text": ["a", "b"], "label": pd.to_datetime(["2020", "2021"])}, "labels are of type"),
        ({"text": [], "label": []}, "there are no rows"),
        ({"text": ["a"], "lable": [0]}, "Did you mean 'lable'"),
    ],
)
def test_frame_error_says_what_is_wrong(columns: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_frame(pd.DataFrame(columns), "text", "label")


def test_several_label_columns_must_be_numbers() -> None:
    frame = pd.DataFrame({"text": ["a"], "x": [1], "y": ["pos"]})
    with pytest.raises(DataError, match="label column 'y' holds str"):
        read_frame(frame, "text", ["x", "y"])


def test_frame_must_be_a_frame() -> None:
    with pytest.raises(DataError, match="expected a pandas DataFrame, got str"):
        read_frame("reviews.csv", "text")  # type: ignore[arg-type]


def test_missing_error_refuses_with_the_facts() -> None:
    frame = pd.DataFrame({"text": ["a", None, "c"], "label": [1, 0, None]})
    expected = r"2 of 3 rows .*1 with an empty or missing text \(row 1\), 1 with a missing label"
    with pytest.raises(DataError, match=expected):
        read_frame(frame, "text", "label", missing="error")


# Folders


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in {
        "pos/2.txt": "good",
        "pos/1.txt": CHINESE.encode("gb18030"),
        "neg/b.txt": " bad\n",
        "neg/a.txt": "\n",
        "neg/.hidden": "no",
        ".git/x.txt": "no",
        "readme.txt": "no",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write(tmp_path, content, name)
    return tmp_path


def test_folder_names_are_the_labels(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    raw = read_folder(folder)
    assert raw.items == [" bad\n", CHINESE, "good"]
    assert_labels(raw, ["neg", "pos", "pos"], object)
    assert raw.class_names == ("neg", "pos")
    assert raw.rows.tolist() == [1, 2, 3]
    assert infos(caplog) == [
        f"{folder.name}: 4 texts of 2 class folders (neg, pos), encodings: utf-8 (3), gb18030 (1)."
    ]
    left_out = f"{folder.name}: left out 1 of 4 rows: 1 with an empty or missing text (neg/a.txt)."
    assert warnings(caplog) == [left_out]


def test_folder_classes_are_in_the_order_of_their_names(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    raw = read_folder(folder, ["pos", "neg"], encoding="gb18030", verbose=0)
    assert raw.class_names == ("neg", "pos")
    assert_labels(raw, ["neg", "pos", "pos"], object)
    assert infos(caplog) == []


def test_folder_errors_come_together(folder: Path) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(DataError) as caught:
        read_folder(folder, ["poss", "empty"])
    assert "no class folder 'poss'. Did you mean 'pos'?" in str(caught.value)
    assert "the class folder 'empty' holds no text files" in str(caught.value)
    with pytest.raises(DataError, match="pos/1.txt: byte 0xb7 at offset 0"):
        read_folder(folder, ["neg", "pos"], encoding="utf-8")
    with pytest.raises(DataError, match="no class folders; expected one folder"):
        read_folder(folder / "pos")


# Arrays


@pytest.mark.parametrize(
    ("labels", "expected", "dtype"),
    [
        (None, None, None),
        ([1, 0], [1, 0], np.int64),
        (["p", "n"], ["p", "n"], object),
        (np.array(["p", "n"]), ["p", "n"], object),
        (np.array([True, False]), ["True", "False"], object),
        (np.array([1, 0], np.uint8), [1, 0], np.int64),
        (np.array([0.5, 2], np.float32), [0.5, 2.0], np.float64),
        (np.array([[1.0], [0.0]]), [1, 0], np.int64),
        (pd.Series([1, 0], index=[9, 3]), [1, 0], np.int64),
        ([[1, 0], [0, 1]], [[1, 0], [0, 1]], np.int64),
        (np.array([[True, False], [True, True]]), [[1, 0], [1, 1]], np.int64),
        (np.array([[0.5, 1], [0, 1]]), [[0.5, 1.0], [0.0, 1.0]], np.float64),
        (pd.DataFrame({"x": [1, 0], "y": [1.5, 0]}), [[1.0, 1.5], [0.0, 0.0]], np.float64),
    ],
)
def test_array_labels(labels: Any, expected: Any, dtype: Any) -> None:
    raw = read_arrays(["a", "b"], labels)
    if labels is None:
        assert raw.labels is None
    else:
        assert_labels(raw, expected, dtype)


@pytest.mark.parametrize(
    "texts",
    [
        ["a", None, "b"],
        ("a", " ", "b"),
        np.array(["a", "", "b"]),
        np.array(["a", None, "b"], dtype=object),
        pd.Series(["a", np.nan, "b"], index=[5, 1, 0]),
    ],
)
def test_array_texts_are_plain_str(texts: Any) -> None:
    raw = read_arrays(texts, [3, 4, 5])
    assert raw.items == ["a", "b"]
    assert {type(text) for text in raw.items} == {str}
    assert_labels(raw, [3, 5], np.int64)


@pytest.mark.parametrize(
    "texts",
    [
        [("a", "1"), ("b", "2"), ("c", None), None, ("", "3")],
        [["a", "1"], ["b", "2"]],
        np.array([["a", "1"], ["b", "2"]]),
        [("a", "1"), ("b", "2"), np.nan, pd.NA],
    ],
)
def test_array_of_tuples_is_pairs(texts: Any) -> None:
    assert read_arrays(texts).items == [("a", "1"), ("b", "2")]


@pytest.mark.parametrize(
    ("texts", "labels", "message"),
    [
        (["a", "b", "c"], [1, 0], "3 texts, but 2 labels"),
        ([], [], "there are no rows"),
        ("a text", None, "sequence of str, got str"),
        (5, None, "sequence of str, got int"),
        (["a", 5, 6], None, r"2 values of 'text' .*: 5 \(row 1\) is of type int"),
        ([("a", "b"), "c"], None, "row 1 of texts is 'c'.*pair of two str"),
        ([("a", "b", "c")], None, r"row 0 of texts is \('a', 'b', 'c'\)"),
        (["a"], "b", "labels must be a sequence, got str"),
        (["a", "b"], [[1], [1, 2]], "label rows have 1, 2 values.*multi-hot"),
        (["a", "b"], [["x", "y"], ["z", 1]], "lists of 2 values .int, str.*names of each text's"),
        (["a"], np.zeros((1, 2, 3)), r"array of shape \(1, 2, 3\)"),
        (["a", "b"], [1, "x"], r"\(int, str\)"),
    ],
)
def test_array_error_says_what_is_wrong(texts: Any, labels: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_arrays(texts, labels)


# Examples


def test_labels_beyond_64_bits_are_refused() -> None:
    with pytest.raises(DataError, match="more than 64 bits"):
        read_arrays(["a", "b"], [2**70, 1])


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (np.array([2, 0]), [2, 0]),
        ([1], [1]),
        (np.array([True, False, True]), [0, 2]),
        (slice(1, None), [1, 2]),
    ],
)
def test_take_keeps_texts_labels_and_rows_together(index: Any, expected: list[int]) -> None:
    raw = read_arrays(["", "a", "b", "c"], [[9, 9], [0, 1], [1, 0], [1, 1]])
    taken = raw.take(index)
    assert len(taken) == len(expected)
    assert taken.items == [raw.items[i] for i in expected]
    assert taken.labels is not None and raw.labels is not None
    assert taken.labels.tolist() == [raw.labels[i].tolist() for i in expected]
    assert taken.rows.tolist() == [i + 1 for i in expected]
    assert taken.source == raw.source
