"""The report: whole, self-contained, and safe whatever the texts hold."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ktlite
from ktlite.errors import ArgumentError
from ktlite.report import Section, bars, confusion_table, page, table

VOID = {"meta", "br", "img", "use", "path"}
EVIL = '<img src="http://evil.test/x" onerror="alert(1)">'


def _answer(text: str, start: int) -> dict[str, Any]:
    return {"text": [text], "answer_start": [start]}


class Tree(HTMLParser):
    """Reads a page: open elements, headings and attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.tags: set[str] = set()
        self.values: list[tuple[str, str]] = []
        self.headings: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)
        self.values += [(name, value or "") for name, value in attrs]
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)
        self.values += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)


def check_page(text: str) -> Tree:
    """Checks what every page has to be: closed, without scripts, assets and doubled ids."""
    tree = Tree(text)
    assert not tree.open
    assert len(tree.ids) == len(set(tree.ids))
    assert not tree.tags & {"script", "link", "iframe", "img", "object"}
    for name, value in tree.values:
        assert not name.startswith("on")
        if name in ("href", "src", "xlink:href"):
            assert value.startswith("#")
    assert not re.search(r"url\((?!#)", text)
    assert "default-src 'none'" in text
    return tree


@pytest.fixture(scope="module")
def report(still_checkpoint: Path, texts: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    labels = [EVIL if label == "ham" else label for label in texts[1]]
    evil = [f"{text} {EVIL} </p>" for text in texts[0]]
    learner = ktlite.get_learner(
        still_checkpoint, (evil, labels), maxlen=24, batch_size=8, val_pct=0.3, verbose=0
    )
    learner.lr_find(verbose=0)
    learner.fit_onecycle(1e-4, 2, verbose=0)
    path = tmp_path_factory.mktemp("report") / "report.html"
    assert learner.report(path, n_worst=2) == path
    accuracy = learner.metrics()["accuracy"]
    text = path.read_text(encoding="utf-8")
    assert f'<div class="value">{accuracy:.3f}</div>' in text
    return text


def test_report_has_all_sections(report: str) -> None:
    assert check_page(report).headings == [
        "Figures",
        "Confusions",
        "Calibration",
        "Learning rate",
        "Training",
        "Data",
        "Checks",
        "Worst examples",
        "Run",
    ]


def test_report_shows_texts_and_labels_as_text(report: str) -> None:
    assert "<img" not in report
    assert "&lt;img src=&quot;http://evil.test/x&quot;" in report


def test_worst_examples_are_explained(report: str) -> None:
    assert report.count('class="ktlite-explanation"') == 2


def test_plots_take_the_colours_of_the_page(report: str) -> None:
    assert report.count("<svg") >= 5
    assert "var(--blue)" in report
    drawings = re.findall(r"<svg.*?</svg>", report, flags=re.DOTALL)
    assert not any(re.search("#0072b2|#222222|#ffffff", drawing) for drawing in drawings)


def test_report_before_any_training(small_learner: Callable[..., Any], tmp_path: Path) -> None:
    small_learner().report(tmp_path / "a.html", explain=False)
    tree = check_page((tmp_path / "a.html").read_text())
    assert "Training" not in tree.headings
    assert {"Figures", "Checks", "Run"} <= set(tree.headings)


def test_report_without_validation_data(small_learner: Callable[..., Any], tmp_path: Path) -> None:
    learner = small_learner(val=False)
    learner.fit(1e-3, 1, verbose=0)
    learner.report(tmp_path / "a.html")
    tree = check_page((tmp_path / "a.html").read_text())
    assert "Figures" not in tree.headings
    assert "Training" in tree.headings


@pytest.mark.parametrize(
    ("task", "train"),
    [
        ("regression", (["a b", "c d", "e f", "g"] * 3, np.linspace(0, 1, 12))),
        ("multilabel", (["a b", "c d", "e f", "g"] * 3, np.eye(2, dtype=int).repeat(6, 0))),
        (
            "token-classification",
            ([["a", "b"], ["c", "d", "e"]] * 6, [["O", "B-PER"], ["O", "O", "B-PER"]] * 6),
        ),
        (
            "question-answering",
            [
                {"question": "who", "context": "a b c", "answers": _answer("b", 2)},
                {"question": "why", "context": "d e f", "answers": _answer("f", 4)},
            ]
            * 4,
        ),
        ("sentence-similarity", [("a b", "a c"), ("d e", "d f"), ("g h", "h g")] * 3),
    ],
)  # fmt: skip
def test_every_task_has_a_report(
    still_checkpoint: Path, tmp_path: Path, task: str, train: Any
) -> None:
    learner = ktlite.get_learner(
        still_checkpoint, train, train, task=task, maxlen=24, batch_size=4, verbose=0
    )
    learner.report(tmp_path / "a.html", n_worst=1)
    tree = check_page((tmp_path / "a.html").read_text())
    assert {"Figures", "Data", "Checks", "Worst examples", "Run"} <= set(tree.headings)


def test_a_folder_is_refused(small_learner: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="is a folder"):
        small_learner().report(tmp_path)


def test_of_many_classes_the_most_frequent_confusions_are_listed() -> None:
    counts = np.eye(20, dtype=int) * 9
    counts[3, 4], counts[7, 1] = 5, 2
    names = [f"class {i}" for i in range(20)]
    text = confusion_table(counts, names)
    assert text.index("class 3") < text.index("class 7")
    assert "class 9" not in text
    assert "15 with" not in bars(names, {"training": np.arange(20)})


def test_pieces_escape() -> None:
    assert "<b>" not in table(("<b>",), [("<b>",)])
    assert "<b>" not in page("<b>", "<b>", [Section("<b>", [])], "<b>")
