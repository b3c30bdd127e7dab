"""Questions and answers from files, frames and lists."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ktlite.data.squad import located, read_any_questions, read_question_arrays, read_squad
from ktlite.errors import ArgumentError, DataError
from ktlite.tasks import Answer

CONTEXT = "The book was written by Ann Lee in 1999. Ann lives in Rome."
QAS = [
    {"id": "q1", "question": "Who wrote it?",
     "answers": [{"text": "Ann Lee", "answer_start": 24}, {"text": "Ann", "answer_start": 41}]},
    {"id": "q2", "question": "Who sold it?", "answers": [], "is_impossible": True},
]  # fmt: skip
PAIRS = [("Who wrote it?", CONTEXT), ("Who sold it?", CONTEXT)]
LABELS = [[Answer("Ann Lee", 24), Answer("Ann", 41)], []]


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, Any], Path]:
    def file(name: str, content: Any) -> Path:
        path = tmp_path / name
        text = content if isinstance(content, str) else json.dumps(content)
        path.write_text(text, encoding="utf-8")
        return path

    return file


def squad(qas: list[Any], context: str = CONTEXT) -> dict[str, Any]:
    return {"version": "v2.0",
            "data": [{"title": "x", "paragraphs": [{"context": context, "qas": qas}]}]}  # fmt: skip


def read(data: Any, text_column: Any = None, label_columns: Any = None) -> Any:
    return read_any_questions(data, text_column, label_columns, source="train_data", missing="drop")


ROWS = [{"question": q, "context": c, "answers": a}
        for (q, c), a in zip(PAIRS, ([*QAS[0]["answers"]], []), strict=True)]  # fmt: skip


def test_squad_file(write: Callable[[str, Any], Path]) -> None:
    raw = read_squad(write("dev.json", squad(QAS)))
    assert raw.items == PAIRS
    assert raw.labels is not None
    assert raw.labels.tolist() == LABELS
    assert raw.source == "dev.json"
    assert raw.rows.tolist() == [0, 1]
    assert raw.take([1]).items == PAIRS[1:]


def test_impossible_questions_have_no_answers_whatever_the_file_says(
    write: Callable[[str, Any], Path],
) -> None:
    wrong = {**QAS[0], "is_impossible": True}
    raw = read_squad(write("dev.json", squad([wrong])))
    assert raw.labels is not None
    assert raw.labels[0] == []


@pytest.mark.parametrize("kind", ["jsonl", "json", "dicts", "frame", "arrays"])
def test_rows_are_read_from_all_their_forms(kind: str, write: Callable[[str, Any], Path]) -> None:
    data: Any = {
        "jsonl": lambda: write("a.jsonl", "\n".join(map(json.dumps, ROWS)) + "\n"),
        "json": lambda: write("a.json", ROWS),
        "dicts": lambda: ROWS,
        "frame": lambda: pd.DataFrame(ROWS, index=[7, 9]),
        "arrays": lambda: (PAIRS, LABELS),
    }[kind]()
    raw = read(data)
    assert raw.items == PAIRS
    assert raw.labels.tolist() == LABELS


@pytest.mark.parametrize(
    "answers",
    [
        {"text": ["Ann Lee", "Ann"], "answer_start": [24, 41]},
        {"text": np.array(["Ann Lee", "Ann"], object), "answer_start": np.array([24, 41])},
        [{"text": "Ann Lee", "answer_start": 24}, {"text": "Ann", "answer_start": 41}],
        [("Ann Lee", 24), ("Ann", 41)],
        np.array([{"text": "Ann Lee", "answer_start": 24}, ("Ann", 41)], object),
    ],
)
def test_answers_in_the_forms_of_several_libraries(answers: Any) -> None:
    raw = read_question_arrays(PAIRS[:1], [answers])
    assert raw.labels is not None
    assert raw.labels[0] == LABELS[0]


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ("Ann", [Answer("Ann", 24)]),  # the first place
        (["Rome", "Ann Lee"], [Answer("Rome", 54), Answer("Ann Lee", 24)]),
        ({"text": "Ann", "answer_start": 41}, [Answer("Ann", 41)]),
        ({"text": " Ann Lee ", "answer_start": 23}, [Answer("Ann Lee", 24)]),
        ({"text": [], "answer_start": []}, []),
        (None, []),
        (float("nan"), []),
        ("", []),
        ([], []),
        ({}, []),
    ],
)
def test_answers_with_and_without_a_start(answers: Any, expected: list[Answer]) -> None:
    raw = read_question_arrays(PAIRS[:1], [answers])
    assert raw.labels is not None
    assert raw.labels[0] == expected


@pytest.mark.parametrize(
    ("columns", "given"),
    [
        ({"answer": ["Rome", None]}, {}),
        ({"answer_text": ["Rome", None]}, {}),
        ({"answer_text": ["Rome", None], "answer_start": [54, None]}, {}),
        ({"a": ["Rome", ""], "s": [54, 0]}, {"label_columns": ("a", "s")}),
        ({"a": ["Rome", None]}, {"label_columns": "a"}),
    ],
)
def test_columns_of_a_frame(columns: dict[str, Any], given: dict[str, Any]) -> None:
    frame = pd.DataFrame({"question": ["Where?", "Why?"], "context": [CONTEXT] * 2, **columns})
    raw = read(frame, **given)
    assert raw.labels.tolist() == [[Answer("Rome", 54)], []]
    raw = read(frame.rename(columns={"question": "q", "context": "c"}), ("q", "c"), **given)
    assert raw.items[0] == ("Where?", CONTEXT)


def test_without_answers_there_are_no_labels() -> None:
    raw = read_question_arrays(PAIRS)
    assert raw.labels is None
    assert raw.items == PAIRS


@pytest.mark.parametrize(
    ("text", "start", "message"),
    [
        ("Ann Lee", 20, r"'Ann Lee' is not at character 20 of the context, where there is "
                        r"' by Ann'; the nearest is at 24"),
        ("Ann", 38, "where there is '9. '; the nearest is at 41"),
        ("Ann", -3, "not at character -3"),
        ("Bob", 3, "it is nowhere in it"),
        ("ann lee", 24, r"where there is 'Ann Lee'; it is nowhere in it \(It has 'Ann Lee' at 24"),
        ("ann lee", None, r"'ann lee' is not in the context. \(It has 'Ann Lee' at 24"),
        ("Ann", 5000, "where there is ''; the nearest is at 41"),
        ("  ", 0, "an answer is empty"),
    ],
)  # fmt: skip
def test_an_answer_that_is_not_there(text: str, start: int | None, message: str) -> None:
    with pytest.raises(DataError, match=message):
        located(CONTEXT, text, start)


def test_all_wrong_rows_are_named_up_to_five() -> None:
    with pytest.raises(DataError, match="3 problems") as error:
        read_question_arrays(
            [("Who?", CONTEXT), ("", CONTEXT), ("Who?", " "), ("Who?", CONTEXT)],
            ["Bob", "Ann", "Ann", "Ann"],
            source="mine",
        )
    lines = str(error.value).splitlines()
    assert lines[0] == "mine: 3 problems"
    assert "row 0: the answer 'Bob' is not in the context" in lines[1]
    assert "row 1: the question is empty" in lines[2]
    assert "row 2: the context is empty" in lines[3]
    with pytest.raises(DataError, match="5 problems"):
        read_question_arrays([("Who?", CONTEXT)] * 9, ["Bob"] * 9)


def test_a_wrong_answer_in_a_file_is_named_by_its_question(
    write: Callable[[str, Any], Path],
) -> None:
    wrong = {**QAS[0], "answers": [{"text": "Ann Lee", "answer_start": 3}]}
    with pytest.raises(DataError, match=r"^dev\.json: question 'q1': the answer 'Ann Lee' is not"):
        read_squad(write("dev.json", squad([wrong])))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", "{", r"a\.json: it is not JSON .*JSONL is to be named \.jsonl"),
        ("a.json", {"version": "1.1"}, r"not of SQuAD's form \(KeyError: 'data'\)"),
        ("a.json", {"data": [{"paragraphs": [{"qas": [{"id": 1}]}]}]}, "not of SQuAD's form"),
        ("a.json", "3", "not of SQuAD's form"),
        ("a.json", squad([]), "there are no questions"),
        ("a.json", ["x"], "row 0 is 'x'; expected an object"),
        ("a.jsonl", json.dumps(ROWS[0]) + "\nnot so", r"a\.jsonl: line 2 is not JSON"),
        ("a.jsonl", '{"question": "Who?", "text": "x", "answers": []}', "there is no 'context'"),
        ("a.jsonl", '{"question": "Who?", "context": 3, "answers": []}', "line 1: expected"),
        ("a.jsonl", '{"question": "Who?", "context": "x", "answers": 3}', "line 1: its answer is"),
    ],
)  # fmt: skip
def test_files_of_something_else(
    name: str, content: Any, message: str, write: Callable[[str, Any], Path]
) -> None:
    with pytest.raises(DataError, match=message):
        read(write(name, content))


def test_missing_columns_are_all_named_with_their_nearest() -> None:
    frame = pd.DataFrame({"questions": ["Who?"], "context": ["x"], "answr": ["x"]})
    with pytest.raises(DataError, match="2 problems") as error:
        read(frame)
    assert "no 'question'. Did you mean 'questions'?" in str(error.value)
    assert "no 'answers'. Did you mean 'answr'?" in str(error.value)


@pytest.mark.parametrize("data", [3, {"question": "x"}, [], [("Who?", CONTEXT)]])
def test_data_of_another_kind_is_refused(data: Any) -> None:
    with pytest.raises(DataError, match="train_data is of type"):
        read(data)


def test_columns_of_another_number_are_refused() -> None:
    with pytest.raises(ArgumentError, match="2 problems"):
        read(pd.DataFrame(ROWS), "question", ("a", "b", "c"))


def test_questions_and_answers_of_unequal_number_are_refused() -> None:
    with pytest.raises(DataError, match="array: 2 questions, but 1 answers"):
        read_question_arrays(PAIRS, ["Ann"])
