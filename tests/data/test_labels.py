"""Labels of files stand for what is written there: one decision for all data that goes together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ktlite import text
from ktlite.data.examples import Examples
from ktlite.data.labels import as_written, settled
from ktlite.data.readers import read_arrays, read_csv, read_frame
from ktlite.data.reading import read_for
from ktlite.data.sources import read_any, source_of
from ktlite.errors import ArgumentError, DataError
from ktlite.tasks import Classification, MultiLabel, Regression
from ktlite.text import Preprocessor

READING = {"sep": None, "encoding": None, "names": None, "missing": "drop"}


def file(folder: Path, labels: list[str], name: str = "x.csv", column: str = "label") -> Path:
    frame = pd.DataFrame({"text": [f"text {i}" for i in range(len(labels))], column: labels})
    frame.to_csv(folder / name, index=False)
    return folder / name


def written(folder: Path, labels: list[str], name: str = "x.csv") -> Examples:
    return read_csv(file(folder, labels, name), "text", "label")


def typed(labels: list[Any]) -> Examples:
    return read_arrays(["t"] * len(labels), labels)


@pytest.mark.parametrize(
    ("train", "val", "expected"),
    [
        (["1", "2"], ["1", "2"], [1, 2, 1, 2]),
        (["1", "2"], ["01", "2"], ["1", "2", "01", "2"]),
        (["01", "02", "x"], ["1", "2"], ["01", "02", "x", "1", "2"]),
        (["true", "false", "unsure"], ["true"], ["true", "false", "unsure", "true"]),
        (["1.0", "2.0"], ["1", "2"], ["1.0", "2.0", "1", "2"]),
        (["1.0", "2.0"], ["2.0"], ["1.0", "2.0", "2.0"]),
        (["NA", "EU"], ["EU"], ["NA", "EU", "EU"]),
    ],
)
def test_training_and_validation_files_are_decided_together(
    tmp_path: Path, train: list[str], val: list[str], expected: list[Any]
) -> None:
    raws = written(tmp_path, train, "a.csv"), written(tmp_path, val, "b.csv")
    for task in (None, "classification"):
        found = settled(task, (), *raws)
        assert [label for raw in found for label in raw.labels.tolist()] == expected
        cells = [cell for raw in found for cell in as_written(raw).tolist()]
        assert cells == train + val
    files = [tmp_path / "a.csv", tmp_path / "b.csv"]
    together = read_any(files, "text", "label", source="x", **READING)
    (settled_together,) = settled(None, (), together)
    assert settled_together.labels.tolist() == expected


@pytest.mark.parametrize(
    ("beside", "cells", "expected"),
    [
        ([1, 2], ["1", "2"], [1, 2]),
        ([1.0, 2.0], ["1.0", "2.0"], [1, 2]),  # a frame's column that had gaps
        ([1, 2], ["1.0", "2"], [1, 2]),
        ([1, 2], ["01", "2"], ["01", "2"]),
        (["1", "2"], ["1", "2"], ["1", "2"]),
    ],
)
def test_values_with_types_decide_for_those_without(
    tmp_path: Path, beside: list[Any], cells: list[str], expected: list[Any]
) -> None:
    _, found = settled("classification", (), typed(beside), written(tmp_path, cells))
    assert found.labels.tolist() == expected


@pytest.mark.parametrize(
    ("names", "cells", "expected"),
    [
        (["neg", "pos"], ["0", "1"], [0, 1]),
        (["neg", "pos"], ["0.0", "1.0"], [0, 1]),
        (["neg", "pos"], ["pos", "neg"], ["pos", "neg"]),
        (["1", "2"], ["1", "2"], ["1", "2"]),
        (["1.0", "2.0"], ["1.0", "2.0"], ["1.0", "2.0"]),
        ([3, 4], ["3", "4"], [3, 4]),
    ],
)
def test_class_names_decide(
    tmp_path: Path, names: list[Any], cells: list[str], expected: list[Any]
) -> None:
    (found,) = settled(None, names, written(tmp_path, cells))
    assert found.labels.tolist() == expected
    preproc = Preprocessor(None, 9, class_names=names)
    preproc.learn_task(found)
    assert preproc.get_classes() == names


def test_a_known_task_takes_its_classes_as_they_are_written(
    tmp_path: Path, tiny_checkpoint: Path
) -> None:
    def targets(task: Any, cells: list[str]) -> list[Any]:
        preproc = Preprocessor(tiny_checkpoint, 9, task)
        data = read_for(preproc, file(tmp_path, cells), text_column="text", label_columns="label")
        assert data.targets is not None
        return data.targets.tolist()

    assert targets(Classification(["1.0", "2.0", "x"]), ["2.0", "1.0"]) == [1, 0]
    assert targets(Classification(["01", "02"]), ["02", "01"]) == [1, 0]
    assert targets(Classification([1, 2]), ["2", "1"]) == [1, 0]
    assert targets(Classification(["neg", "pos"], numbered=True), ["1", "0"]) == [1, 0]
    assert targets(Classification(["NA", "b"]), ["NA", "b"]) == [0, 1]
    assert targets(Regression(), ["1.50", "+2", "1e1"]) == [1.5, 2, 10]
    with pytest.raises(DataError, match="not among the classes 1, 2: 01"):
        targets(Classification([1, 2]), ["01", "2"])


@pytest.mark.parametrize(
    ("labels", "asks"),
    [
        (["1.5", "2.5"], True),
        (["1", "0.5", "2"], True),
        ([f"{i / 2:.2f}" for i in range(30)], True),
        ([f"{i}.0" for i in range(30)], True),
        (["3.9", "3.10", "3.11"], False),
        (["1.0", "2.0"], False),
        ([f"{i:03d}" for i in range(300)], False),
        (["1e5", "2e5"], False),
    ],
)
def test_what_may_be_classes_or_quantities_is_asked(
    tmp_path: Path, labels: list[str], asks: bool
) -> None:
    raw = written(tmp_path, labels)
    if asks:
        with pytest.raises(DataError, match="may be quantities or classes .*task='regression'"):
            settled(None, (), raw)
    else:
        assert settled(None, (), raw)[0].labels.tolist() == labels
    (named,) = settled("classification", (), raw)
    assert named.labels.tolist() == labels
    (numbers,) = settled("regression", (), raw)
    assert Regression().encode(numbers.labels).tolist() == pytest.approx([*map(float, labels)])


def test_loaders_decide_so(tmp_path: Path) -> None:
    files = [file(tmp_path, ["01", "02", "x"] * 4, "a.csv"), file(tmp_path, ["01"] * 4, "b.csv")]
    _, val, preproc = text.texts_from_csv(files[0], "text", "label", files[1], verbose=0)
    assert preproc.get_classes() == ["01", "02", "x"]
    assert val.y.tolist() == [0] * 4


# Numbers in columns that are of numbers


@pytest.mark.parametrize(
    ("cell", "problem"),
    [
        ("1,234.5", "without a separator of thousands"),
        ("3,5", "with a point before the decimals, such as 1234.5"),
        ("1 000", "separator of thousands"),
        ("NA", r"'NA' is no number. If .* missing value, say so: na_values=\['NA'\]"),
        ("inf", "not finite"),
        ("1_000", "is no number"),
        ("0x10", "is no number"),
        ("5%", "is no number"),
    ],
)
def test_numbers_are_refused_with_a_word(tmp_path: Path, cell: str, problem: str) -> None:
    raw = written(tmp_path, ["1", cell])
    with pytest.raises(DataError, match=problem):
        Regression().encode(raw.labels, raw.source)
    (tmp_path / "two.csv").write_text(f'text,x,y\na,1,0\nb,0,"{cell}"\n')
    with pytest.raises(DataError, match=f"label column 'y': .*{problem}"):
        read_csv(tmp_path / "two.csv", "text", ["x", "y"])


def test_flags_may_be_spelled(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("text,x,y\na,True,1.0\nb,false,0\nc,1,00\n")
    raw = read_csv(tmp_path / "x.csv", "text", ["x", "y"])
    assert raw.labels.tolist() == [[1, 1], [0, 0], [1, 0]]
    assert MultiLabel(["x", "y"]).encode(raw.labels).tolist() == raw.labels.tolist()


# Missing values


@pytest.mark.parametrize("kind", ["csv", "jsonl", "frame"])
def test_markers_of_missing_values_are_those_that_are_named(tmp_path: Path, kind: str) -> None:
    frame = pd.DataFrame({"text": ["a", "NA", "c", "d"], "label": ["NA", "x", "-1", "y"]})
    frame.to_csv(tmp_path / "x.csv", index=False)
    frame.to_json(tmp_path / "x.jsonl", orient="records", lines=True)
    data = frame if kind == "frame" else tmp_path / f"x.{kind}"

    def rows(na_values: Any) -> list[int]:
        options = {**READING, "na_values": na_values, "source": "x"}
        return read_any(data, "text", "label", **options).rows.tolist()

    assert rows(()) == rows(None) == [0, 1, 2, 3]
    assert rows(["NA"]) == [2, 3]
    assert rows({"label": ["NA", -1]}) == [1, 3]
    assert rows({"text": ["NA"]}) == [0, 2, 3]
    with pytest.raises(ArgumentError, match="na_values='NA'; expected a list"):
        rows("NA")


def test_numbers_may_stand_for_missing_values() -> None:
    frame = pd.DataFrame({"text": ["a", "b", "c"], "n": pd.array([1, -9, None], "Int64")})
    options = {**READING, "na_values": [-9], "source": "x"}
    assert read_any(frame, "text", "n", **options).rows.tolist() == [0]
    for task, data in (
        (None, (["a", "b"], [1, 2])),
        ("token-classification", ([["a"]], [["B"]])),
        ("question-answering", [{"question": "a", "context": "b", "answers": "b"}]),
        ("sentence-similarity", [("a", "b")]),
    ):
        with pytest.raises(ArgumentError, match="another kind of data: leave it out"):
            source_of(task).read(data, None, None, **options)


# Several labels in one column


@pytest.mark.parametrize(
    "cells",
    [
        ["[1, 0, 1]", "[0, 0, 1]"],
        ["[1.0,0.0,1.0]", "[0.0,0.0,1.0]"],
        ["[True, False, True]", "[False, False, True]"],
        ["[1 0 1]", "[0 0 1]"],  # as NumPy writes them
        [[1, 0, 1], [0, 0, 1]],
        [(1, 0, 1), (0, 0, 1)],
        [np.array([1, 0, 1]), np.array([0, 0, 1])],
    ],
)
def test_a_column_of_flags_is_several_labels(tmp_path: Path, cells: list[Any]) -> None:
    if isinstance(cells[0], str):
        raw = written(tmp_path, cells)
    else:
        raw = read_frame(pd.DataFrame({"text": ["a", "b"], "label": cells}), "text", "label")
    assert raw.labels.tolist() == [[1, 0, 1], [0, 0, 1]]


@pytest.mark.parametrize("kind", ["csv", "csv of JSON", "frame", "arrays"])
def test_lists_of_names_are_several_labels(tmp_path: Path, kind: str) -> None:
    rows = [["b", "a"], [], ["c"], ["a"]]
    texts = ["t", "u", "v", "w"]
    raw = {
        "csv": lambda: written(tmp_path, [str(row) for row in rows]),
        "csv of JSON": lambda: written(tmp_path, [str(row).replace("'", '"') for row in rows]),
        "frame": lambda: read_frame(pd.DataFrame({"t": texts, "y": rows}), "t", "y"),
        "arrays": lambda: read_arrays(texts, rows),
    }[kind]()
    assert raw.labels.tolist() == rows
    preproc = Preprocessor(None, 9)
    preproc.learn_task(raw)
    assert isinstance(preproc.task, MultiLabel)
    assert preproc.get_classes() == ["a", "b", "c"]
    expected = [[1, 1, 0], [0, 0, 0], [0, 0, 1], [1, 0, 0]]
    assert preproc.task.encode(raw.labels).tolist() == expected
    with pytest.raises(DataError, match="not among the classes a, b: c"):
        MultiLabel(["a", "b"]).encode(raw.labels)
    with pytest.raises(DataError, match="task='multilabel', not 'classification'"):
        Preprocessor(None, 9, task_name="classification").learn_task(raw)


def test_other_lists_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="lists of 1, 2 values .int.*names of each text's classes"):
        written(tmp_path, ["[1]", "[1, 2]"])
    raw = written(tmp_path, ["[a]", "[b]", "x"])
    assert raw.labels.tolist() == ["[a]", "[b]", "x"]
