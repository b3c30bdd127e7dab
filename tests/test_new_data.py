"""Figures on new data: of learners and predictors, from whatever `get_learner` takes as data."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, mean_absolute_error

import ktlite
from ktlite.cli.main import main
from ktlite.errors import ArgumentError, DataError
from ktlite.learner import Learner
from ktlite.predictor import Predictor

TEXTS = ["a fine film", "dull, really", "fine fine", "so dull", "a dull film", "really fine"]
LABELS = ["pos", "neg", "pos", "neg", "neg", "pos"]
NEW = ["dull dull", "fine film", "a film", "really", "so fine, so fine"]
TRUTH = ["neg", "pos", "pos", "neg", "pos"]
COLUMNS = {"text_column": "review", "label_columns": "verdict"}
FRAME = pd.DataFrame({"review": NEW, "verdict": TRUTH})


class Rows:
    """What of `datasets.Dataset` is used."""

    features: dict[str, Any] = {}

    def __init__(self, frame: pd.DataFrame) -> None:
        self.frame, self.column_names = frame, list(frame)

    def __len__(self) -> int:
        return len(self.frame)

    def __getitem__(self, rows: slice) -> dict[str, list[Any]]:
        return {name: column.tolist() for name, column in self.frame[rows].items()}


@pytest.fixture(scope="module")
def learner(tiny_checkpoint: Path) -> Learner:
    """Of a data frame, trained a little so that predictions differ. To be read only."""
    frame = pd.DataFrame({"review": TEXTS * 2, "verdict": LABELS * 2})
    made = ktlite.get_learner(
        tiny_checkpoint, frame, frame[:4], **COLUMNS, maxlen=16, batch_size=4, verbose=0,
        check=False,
    )  # fmt: skip
    made.fit(5e-3, 4, verbose=0)
    return made


def as_csv(folder: Path) -> Any:
    FRAME.to_csv(folder / "test.csv", index=False)
    return str(folder / "test.csv")


def as_folder(folder: Path) -> Any:
    for number, (text, label) in enumerate(zip(NEW, TRUTH, strict=True)):
        file = folder / "classes" / label / f"{number}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder / "classes"


def as_lines(folder: Path) -> Any:
    FRAME.to_json(folder / "test.jsonl", orient="records", lines=True)
    return folder / "test.jsonl"


KINDS: dict[str, Callable[[Path], Any]] = {
    "csv": as_csv,
    "several files": lambda folder: [as_csv(folder)],
    "jsonl": as_lines,
    "frame": lambda folder: FRAME,
    "arrays": lambda folder: (NEW, TRUTH),
    "Series": lambda folder: (FRAME["review"], FRAME["verdict"]),
    "folder": as_folder,
    "datasets.Dataset": lambda folder: Rows(FRAME),
}


@pytest.mark.parametrize("kind", KINDS)
def test_learner_and_predictor_take_what_get_learner_takes(
    kind: str, learner: Learner, tmp_path: Path
) -> None:
    data = KINDS[kind](tmp_path)
    predictor = learner.get_predictor()
    expected = confusion_matrix(TRUTH, predictor.predict(NEW), labels=["neg", "pos"])
    np.testing.assert_array_equal(learner.validate(data, print_report=False), expected)
    np.testing.assert_array_equal(learner.evaluate(data, print_report=False), expected)
    np.testing.assert_array_equal(predictor.evaluate(data, print_report=False), expected)
    accuracy = expected.trace() / expected.sum()
    assert learner.metrics(data)["accuracy"] == pytest.approx(accuracy)
    assert predictor.metrics(data)["accuracy"] == pytest.approx(accuracy)
    # Files of a folder come in the order of their classes.
    assert sorted(learner.ground_truth(data)) == [0, 0, 1, 1, 1]
    # A string is a text to predict, and a list of them texts: a file is a Path.
    found = learner.predict(tmp_path / "test.csv" if "csv" in kind or "files" in kind else data)
    order = np.argsort(TRUTH, kind="stable") if kind == "folder" else np.arange(5)
    np.testing.assert_allclose(found, predictor.predict_proba(NEW)[order], atol=1e-5)
    losses = -np.log(found[np.arange(5), np.array([0, 1, 1, 0, 1])[order]])
    row, loss, *_ = learner.top_losses(1, data)[0]
    assert (row, loss) == (losses.argmax(), pytest.approx(losses.max(), rel=1e-4))
    assert learner.plot_calibration(data, return_fig=True) is not None


def test_report_says_what_it_is_of_and_is_on_standard_output(
    learner: Learner, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, predictor = as_csv(tmp_path), learner.get_predictor()
    capsys.readouterr()
    for evaluate in (learner.validate, predictor.evaluate):
        evaluate(data, ci=True, save_path=tmp_path / "report.txt")
        said = capsys.readouterr()
        assert said.out.startswith("on 5 examples of new data (test.csv)\n")
        assert "95 % confidence intervals" in said.out
        assert said.out == (tmp_path / "report.txt").read_text()
        assert said.err == ""
    predictor.evaluate(learner.train_data)
    assert capsys.readouterr().out.startswith("on 12 examples of training data\n")
    assert learner.card.metrics == {}  # of new data: not the card's
    low, high = (predictor.metrics(data, ci=0.9)[f"accuracy_{end}"] for end in ("low", "high"))
    assert low <= predictor.metrics(data)["accuracy"] <= high


def test_command_line_gives_the_same_report(
    learner: Learner, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    learner.get_predictor().save(tmp_path / "predictor")
    predictor = ktlite.load_predictor(tmp_path / "predictor")
    data = as_csv(tmp_path)
    predictor.evaluate(data)  # the columns are those of the training data, which it knows
    expected = capsys.readouterr().out
    command = ["evaluate", str(tmp_path / "predictor"), "--data", data, "--quiet"]
    assert main(command) == 0
    assert capsys.readouterr().out == expected
    assert main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["on"] == "5 examples of new data (test.csv)"
    assert found["metrics"] == pytest.approx(predictor.metrics(data))


def test_columns_of_another_name_are_named(learner: Learner, tmp_path: Path) -> None:
    other = FRAME.rename(columns={"review": "text", "verdict": "label"})
    named = {"text_column": "text", "label_columns": "label"}
    expected = learner.validate(FRAME, print_report=False)
    for evaluate in (learner.validate, learner.get_predictor().evaluate):
        found = evaluate(other, print_report=False, **named)
        np.testing.assert_array_equal(found, expected)
        with pytest.raises((ArgumentError, DataError), match="review"):
            evaluate(other, print_report=False)
        with pytest.raises(DataError, match="not among the classes|unknown"):
            evaluate((NEW, ["neg"] * 4 + ["odd"]), print_report=False)
    assert learner.metrics(other, **named) == pytest.approx(learner.metrics(FRAME))


@pytest.mark.parametrize(("ours", "theirs"), [("validate", "evaluate"), ("metrics", "metrics")])
def test_learner_and_predictor_take_the_same(ours: str, theirs: str) -> None:
    """But for the data: a learner has some of its own."""

    def taken(function: Any) -> list[Any]:
        found = list(inspect.signature(function).parameters.values())[2:]
        return [(one.name, one.kind, one.default) for one in found]

    assert taken(getattr(Learner, ours)) == taken(getattr(Predictor, theirs))


def test_files_of_another_layout_are_read_as_is_said(learner: Learner, tmp_path: Path) -> None:
    file = tmp_path / "other.csv"
    rows = [*zip(NEW, FRAME["verdict"], strict=True), ("no verdict", "?")]
    file.write_text("".join(f"{text};{label}\n" for text, label in rows), encoding="utf-16")
    layout = {"sep": ";", "encoding": "utf-16", "names": list(FRAME), "na_values": ["?"]}
    for judge in (learner, learner.get_predictor()):
        found = judge.metrics(file, batch_size=2, **layout)
        assert found == pytest.approx(learner.metrics(FRAME), rel=1e-5)
        with pytest.raises(DataError, match="1 of 6 rows cannot be used"):
            judge.metrics(file, missing="error", **layout)
    np.testing.assert_array_equal(
        learner.validate(file, print_report=False, **layout),
        learner.validate(FRAME, print_report=False),
    )


def test_texts_are_still_texts(learner: Learner) -> None:
    predictor = learner.get_predictor()
    assert learner.predict("test.csv") == predictor.predict("test.csv")
    assert learner.predict(NEW) == predictor.predict(NEW)


def test_numbers(tiny_checkpoint: Path, tmp_path: Path) -> None:
    frame = pd.DataFrame({"review": TEXTS, "stars": [4.5, 1.0, 5.0, 1.5, 2.0, 4.0]})
    made = ktlite.get_learner(
        tiny_checkpoint, frame, frame, text_column="review", label_columns="stars", maxlen=16,
        task="regression", verbose=0, check=False,
    )  # fmt: skip
    frame[::-1].to_csv(tmp_path / "test.csv", index=False)
    expected = mean_absolute_error(frame["stars"], made.get_predictor().predict(TEXTS))
    assert dict(made.validate(tmp_path / "test.csv", print_report=False))["mae"] == pytest.approx(
        expected, rel=1e-5
    )
    assert made.get_predictor().metrics(frame)["mae"] == pytest.approx(expected, rel=1e-5)


def test_tagged_words(tiny_checkpoint: Path, tmp_path: Path) -> None:
    words = [["a", "fine", "film"], ["so", "dull"]] * 4
    tags = [["O", "B-X", "I-X"], ["O", "B-X"]] * 4
    made = ktlite.get_learner(
        tiny_checkpoint, (words, tags), (words, tags), task="token-classification", maxlen=16,
        verbose=0, check=False,
    )  # fmt: skip
    file = tmp_path / "test.conll"
    file.write_text("a O\nfilm B-X\n\nso O\ndull B-X\nfilm I-X\n")
    found = made.get_predictor().predict([["a", "film"], ["so", "dull", "film"]])
    predicted = [tag for text in found for _, tag in text]
    expected = accuracy_score(["O", "B-X", "O", "B-X", "I-X"], predicted)
    assert made.metrics(file)["accuracy"] == pytest.approx(expected)
    assert made.get_predictor().metrics(file)["accuracy"] == pytest.approx(expected)
    assert made.validate(file, print_report=False) == pytest.approx(made.metrics(file)["f1"])


def test_questions(tiny_checkpoint: Path, tmp_path: Path) -> None:
    def squad(name: str, context: str, start: int, answer: str) -> Path:
        answers = [{"text": answer, "answer_start": start}]
        question = {"id": "q", "question": "which film?", "answers": answers}
        paragraphs = [{"context": context, "qas": [question]}]
        file = tmp_path / name
        file.write_text(json.dumps({"version": "1.1", "data": [{"paragraphs": paragraphs}]}))
        return file

    train = squad("train.json", "a fine film", 2, "fine")
    made = ktlite.get_learner(
        tiny_checkpoint, train, train, task="question-answering", maxlen=24, verbose=0,
        check=False,
    )  # fmt: skip
    test = squad("test.json", "so dull a film", 3, "dull")
    exact = float(made.get_predictor().predict(("which film?", "so dull a film")) == "dull")
    assert made.metrics(test)["exact_match"] == pytest.approx(exact)
    assert made.get_predictor().metrics(test)["exact_match"] == pytest.approx(exact)


def test_pairs_with_scores(tiny_checkpoint: Path, tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": TEXTS, "b": TEXTS[::-1], "score": [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]})
    columns = {"text_column": ["a", "b"], "label_columns": "score"}
    made = ktlite.get_learner(
        tiny_checkpoint, frame, frame, **columns, task="sentence-similarity", maxlen=16,
        verbose=0, check=False,
    )  # fmt: skip
    frame.to_csv(tmp_path / "test.csv", index=False)
    assert made.metrics(str(tmp_path / "test.csv")) == pytest.approx(made.metrics(), rel=1e-4)
    assert made.get_predictor().metrics(frame) == pytest.approx(made.metrics(), rel=1e-4)
