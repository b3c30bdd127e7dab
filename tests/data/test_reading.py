"""Whatever get_learner takes as data is read again by what the preprocessor knows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import ktlite
from ktlite import text
from ktlite.data.reading import read_for
from ktlite.errors import ArgumentError, DataError
from ktlite.tasks import Classification, Regression
from ktlite.text import Preprocessor

TEXTS = ["a fine film", "dull, really", "fine fine"]
LABELS = ["pos", "neg", "pos"]
FRAME = pd.DataFrame({"review": TEXTS, "verdict": LABELS})
COLUMNS = {"text_column": "review", "label_columns": "verdict"}


@pytest.fixture
def preproc(tiny_checkpoint: Path) -> Preprocessor:
    made = Preprocessor(tiny_checkpoint, 20, Classification(["neg", "pos"]))
    made.reading = dict(COLUMNS)
    return made


class Rows:
    """What of `datasets.Dataset` is used."""

    def __init__(self, columns: dict[str, list[Any]], classes: list[str] | None = None) -> None:
        self.columns_ = columns
        self.column_names = list(columns)
        self.features = {"verdict": SimpleNamespace(names=classes)}

    def __len__(self) -> int:
        return len(self.columns_["verdict"])

    def __getitem__(self, rows: slice) -> dict[str, list[Any]]:
        return {name: values[rows] for name, values in self.columns_.items()}


def csv(folder: Path, **options: Any) -> Path:
    FRAME.to_csv(folder / "test.csv", index=False, **options)
    return folder / "test.csv"


def json_lines(folder: Path) -> Path:
    FRAME.to_json(folder / "test.jsonl", orient="records", lines=True)
    return folder / "test.jsonl"


def class_folders(folder: Path) -> Path:
    for number, (words, label) in enumerate(zip(TEXTS, LABELS, strict=True)):
        (folder / "test" / label).mkdir(parents=True, exist_ok=True)
        (folder / "test" / label / f"{number}.txt").write_text(words)
    return folder / "test"


DATA: dict[str, Callable[[Path], Any]] = {
    "CSV": csv,
    "str": lambda folder: str(csv(folder)),
    "JSONL": json_lines,
    "list": lambda folder: [csv(folder)],
    "pattern": lambda folder: str(csv(folder).with_name("t*.csv")),
    "frame": lambda folder: FRAME,
    "arrays": lambda folder: (TEXTS, LABELS),
    "folder": class_folders,
    "data set": lambda folder: Rows({"review": TEXTS, "verdict": LABELS}),
    # Numbered the other way round than the task has them.
    "numbered data set": lambda folder: Rows(
        {"review": TEXTS, "verdict": [0, 1, 0]}, ["pos", "neg"]
    ),
}


@pytest.mark.parametrize("kind", DATA)
def test_every_kind_of_data_is_read(preproc: Preprocessor, tmp_path: Path, kind: str) -> None:
    data = read_for(preproc, DATA[kind](tmp_path))
    assert data.targets is not None
    found = dict(zip(data.items, data.targets.tolist(), strict=True))
    assert found == {"a fine film": 1, "dull, really": 0, "fine fine": 1}
    assert data.preproc is preproc
    assert read_for(preproc, data) is data


def test_what_is_given_goes_before_what_is_known(preproc: Preprocessor, tmp_path: Path) -> None:
    preproc.reading = {"text_column": "words", "sep": "|"}
    given = read_for(preproc, csv(tmp_path, sep=";"), sep=";", **COLUMNS)
    known = read_for(preproc, csv(tmp_path, sep="|"), **COLUMNS)
    assert list(given.items) == list(known.items) == TEXTS
    file = tmp_path / "bare.csv"
    file.write_text("pos;a fine film\nneg;dull, really\n")
    bare = read_for(preproc, file, sep=";", names=["verdict", "review"], **COLUMNS)
    assert list(bare.items) == TEXTS[:2]


def test_what_cannot_be_read_is_refused(preproc: Preprocessor, tmp_path: Path) -> None:
    other = pd.DataFrame({"review": TEXTS, "verdict": ["pos", "meh", "pos"]})
    with pytest.raises(DataError, match="not among the classes neg, pos: meh"):
        read_for(preproc, other)
    with pytest.raises(DataError, match="no column is 'review'"):
        read_for(preproc, other.rename(columns={"review": "text"}))
    with pytest.raises(DataError, match="there are no labels"):
        read_for(preproc, (TEXTS, None))
    with pytest.raises(DataError, match="label 2 is none of the 2 classes"):
        read_for(preproc, Rows({"review": TEXTS, "verdict": [0, 1, 2]}, ["pos", "neg"]))
    preproc.reading = {}
    problem = r"evaluate: (?s:.*)text_column is not given(?s:.*)label_columns is not given"
    with pytest.raises(ArgumentError, match=problem):
        read_for(preproc, FRAME, where="evaluate")


def test_numbers_of_a_data_set_stay_numbers_where_classes_are(tiny_checkpoint: Path) -> None:
    rows = Rows({"review": TEXTS, "verdict": [0, 1, 0]}, ["pos", "neg"])
    for task, expected in (
        (Classification([0, 1]), [0, 1, 0]),
        (Regression(), [0.0, 1.0, 0.0]),
        (Classification(["pos", "neg"], numbered=True), [0, 1, 0]),
        (Classification(["neg", "pos"], numbered=True), [1, 0, 1]),
    ):
        read = read_for(Preprocessor(tiny_checkpoint, 20, task), rows, **COLUMNS)
        assert read.targets is not None
        assert read.targets.tolist() == expected


@pytest.mark.parametrize(
    ("task", "train", "test", "columns"),
    [
        (
            "token-classification",
            pd.DataFrame({"w": [["Ann", "sat"], ["Bo", "ran"]], "t": [["B-P", "O"]] * 2}),
            pd.DataFrame({"w": [["Cy", "lay"]], "t": [["B-P", "O"]]}),
            {"text_column": "w", "label_columns": "t"},
        ),
        (
            "question-answering",
            [{"q": "Who?", "c": "It was Ann.", "answers": "Ann"}] * 4,
            [{"q": "Who?", "c": "It was Bo.", "answers": "Bo"}],
            {"text_column": ["q", "c"]},
        ),
        (
            "sentence-similarity",
            pd.DataFrame({"a": ["x", "y", "z", "w"], "b": ["p", "q", "r", "s"]}),
            pd.DataFrame({"a": ["x"], "b": ["p"]}),
            {"text_column": ["a", "b"]},
        ),
        (
            "regression",
            pd.DataFrame({"t": ["x", "y", "z", "w"], "n": [1.5, 2.5, 3.0, 4.0]}),
            pd.DataFrame({"t": ["x"], "n": [7.5]}),
            {"text_column": "t", "label_columns": "n"},
        ),
    ],
)
def test_a_learner_and_its_predictor_know_the_columns(
    tiny_checkpoint: Path, tmp_path: Path, task: str, train: Any, test: Any, columns: dict[str, Any]
) -> None:
    learner = ktlite.get_learner(
        tiny_checkpoint, train, task=task, maxlen=24, val_pct=0.5, verbose=0, **columns
    )
    learner.get_predictor().save(tmp_path / "predictor")
    loaded = ktlite.load_predictor(tmp_path / "predictor")
    for known in (learner.preproc, loaded.preproc):
        assert known.reading == columns
        data = read_for(known, test)
        assert len(data.items) == 1
        assert data.targets is not None


def test_ktrains_loaders_remember_how_they_read(tiny_checkpoint: Path, tmp_path: Path) -> None:
    file = csv(tmp_path, sep=";")
    mode = {"preprocess_mode": tiny_checkpoint, "maxlen": 20, "verbose": 0}
    for made in (
        text.texts_from_csv(file, "review", "verdict", file, sep=";", **mode),
        text.texts_from_df(FRAME, "review", "verdict", FRAME, **mode),
    ):
        assert list(read_for(made[2], file, sep=";").items) == TEXTS


def test_names_that_json_does_not_keep_are_not_kept(tiny_checkpoint: Path, tmp_path: Path) -> None:
    made = Preprocessor(tiny_checkpoint, 20, Classification(["a", "b"]))
    made.reading = {"text_column": ("x", "y"), "label_columns": 3, "names": [("x", 1), "y"]}
    facts = json.loads(json.dumps(made.save(tmp_path)))
    assert facts["reading"] == {"text_column": ["x", "y"], "label_columns": 3}
    assert Preprocessor.load(tmp_path, facts).reading == facts["reading"]
    older = {name: value for name, value in facts.items() if name != "reading"}
    assert Preprocessor.load(tmp_path, older).reading == {}
    assert np.array_equal(
        made.encode(["a"]).ids, Preprocessor.load(tmp_path, older).encode(["a"]).ids
    )
