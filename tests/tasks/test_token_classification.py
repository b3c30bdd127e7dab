"""Tags of words: what they are learned from, aligned with, and read as."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ktlite.errors import ArgumentError, DataError
from ktlite.inputs.tokenizer import Tokenizer
from ktlite.inputs.words import as_words
from ktlite.tasks import TokenClassification
from ktlite.tasks.arrays import ragged
from ktlite.tasks.losses import IGNORE

TASK = TokenClassification(["O", "B-PER", "I-PER", "B-LOC"])


def logits_for(tags: str, probability: float = 0.9) -> np.ndarray:
    """Logits [words, tags] that give each of the tags the same probability."""
    rest = (1 - probability) / (TASK.outputs - 1)
    rows = np.full((len(tags.split()), TASK.outputs), rest)
    for row, tag in zip(rows, tags.split(), strict=True):
        row[TASK.classes.index(tag)] = probability
    return np.log(rows)


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ([["B-PER", "I-PER", "O"], ["B-LOC"]], ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]),
        ([["I-PER", "O"], ["I-LOC"]], ["O", "I-LOC", "I-PER"]),
        ([["S-X", "B-X", "I-X", "E-X"], ["S-Y", "O"]],
         ["O", "B-X", "I-X", "S-X", "E-X", "B-Y", "I-Y", "S-Y", "E-Y"]),
        ([["VERB", "NOUN"], ["O"]], ["O", "NOUN", "VERB"]),
        ([[3, 1], [2]], ["1", "2", "3"]),
    ],
)  # fmt: skip
def test_tags_are_learned_and_completed(labels: Any, classes: list[str]) -> None:
    assert TokenClassification.from_labels(labels).classes == classes


def test_tags_may_be_numbers() -> None:
    task = TokenClassification.from_labels([[3, 1], [2]])
    assert task.encode([[2, np.int64(3)], ["1"]])[0].tolist() == [1, 2]


def test_tags_in_the_users_order() -> None:
    order = ["I-PER", "O", "B-PER"]
    assert TokenClassification.from_labels([["O", "B-PER"]], order).classes == order


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (["O"], "at least two tags, got O"),
        (["O", "B-PER", "O"], "listed twice"),
        (["O", "B-PER", "LOC"], "no known scheme: LOC without prefix beside B-PER"),
        (["O", "B-PER", "X-PER"], "no known scheme: X-PER"),
    ],
)
def test_tags_of_no_scheme_are_refused(classes: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        TokenClassification(classes)
    with pytest.raises(DataError, match=rf"^train\.txt: .*({message.split(',')[0]}|twice|two)"):
        TokenClassification.from_labels([classes[:1]], classes, source="train.txt")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            [["O"], ["O", "B-ORG"]],
            r"valid\.txt: tags that are not among .*: B-ORG, first in text 1",
        ),
        (["O", "B-PER"], "expected a list of tags for each text"),
        ([1, 2], "expected a list of tags for each text"),
    ],
)
def test_labels_that_are_no_known_tags_are_refused(labels: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        TASK.encode(labels, "valid.txt")


@pytest.mark.parametrize("all_subwords", [False, True])
def test_the_first_sub_word_has_the_label(tiny_checkpoint: Path, all_subwords: bool) -> None:
    task = TokenClassification(TASK.classes, label_all_subwords=all_subwords)
    words = [["the", "xyz", "good"], ["bad"]]
    encodings = task.tokenize(words, Tokenizer(tiny_checkpoint, 16))
    targets = task.encode([["O", "B-PER", "I-PER"], ["B-LOC"]])
    rest = 1 if all_subwords else IGNORE
    aligned = task.align(targets, encodings, np.array([1, 0]))
    assert aligned.dtype == np.int32
    assert aligned.shape == encodings.batch(np.array([1, 0]))["input_ids"].shape
    assert aligned[0].tolist() == [IGNORE, 3, *[IGNORE] * (aligned.shape[1] - 2)]
    # [CLS] the x ##y ##z good [SEP]
    assert aligned[1, :7].tolist() == [IGNORE, 0, 1, rest, rest, 2, IGNORE]


@pytest.mark.parametrize("maxlen", [4, 9, 64])
def test_outputs_of_windows_become_those_of_words(tiny_checkpoint: Path, maxlen: int) -> None:
    words = [["good", "xyz", "the"] * 7, [], ["bad"], ["a\u200b", "\u200b"]]
    encodings = TASK.tokenize(words, Tokenizer(tiny_checkpoint, maxlen))
    rows = np.arange(len(encodings))
    inputs = encodings.batch(rows)
    # The "logits" of a token are the numbers of its row, of its place and of its id.
    ids = inputs["input_ids"]
    places = np.arange(ids.shape[1])
    outputs = np.stack([*np.broadcast_arrays(rows[:, None], places), ids], axis=-1)
    joined = TASK.join(TASK.reduce(outputs, None, inputs)[0], encodings)
    assert [len(part) for part in joined] == [len(w) for w in words]
    tokenizer = Tokenizer(tiny_checkpoint, 64)
    for part, text in zip(joined, words, strict=True):
        first = [int(tokenizer.encode_words([[word]]).ids[1]) for word in text]
        assert part[:, 2].astype(int).tolist() == first
        places = [tuple(row) for row in part[:, :2]]
        assert places == sorted(set(places))
    # What the loss sees is what is joined: each word once, at the same place.
    targets = ragged([np.zeros(len(w), "int32") for w in words])
    counted = np.argwhere(TASK.align(targets, encodings, rows) != IGNORE)
    assert counted.tolist() == [row[:2].astype(int).tolist() for part in joined for row in part]


def predict(examples: Any, tags: str | list[str], **options: Any) -> Any:
    each = [tags] if isinstance(tags, str) else tags
    return TASK.predict(examples, lambda texts: ragged([logits_for(t) for t in each]), **options)


TEXT, TAGS = "Mary Ann  is in Rome.", "B-PER I-PER O O B-LOC O"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [("Mary", "B-PER"), ("Rome", "B-LOC")]),
        ({"return_offsets": True}, [("Mary", "B-PER", (0, 4)), ("Rome", "B-LOC", (16, 20))]),
        ({"return_proba": True}, [("Mary", "B-PER", 0.9), ("Rome", "B-LOC", 0.9)]),
        (
            {"return_proba": True, "return_offsets": True},
            [("Mary", "B-PER", 0.9, (0, 4)), ("Rome", "B-LOC", 0.9, (16, 20))],
        ),
    ],
)
def test_predictions_of_words(options: dict[str, bool], expected: list[Any]) -> None:
    found = predict(TEXT, TAGS, **options)
    assert len(found) == 6
    for item, wanted in zip((found[0], found[4]), expected, strict=True):
        assert item == tuple(pytest.approx(w) if isinstance(w, float) else w for w in wanted)
    assert predict([TEXT], [TAGS], **options) == [found]


def test_predictions_of_entities() -> None:
    assert predict(TEXT, TAGS, merge_tokens=True) == [
        ("Mary Ann", "PER", (0, 8)),
        ("Rome", "LOC", (16, 20)),
    ]
    text, kind, probability, span = predict(TEXT, TAGS, merge_tokens=True, return_proba=True)[0]
    assert (text, kind, span) == ("Mary Ann", "PER", (0, 8))
    assert probability == pytest.approx(0.9)


def test_words_may_be_given_or_cut_by_the_caller() -> None:
    words = ["Mary Ann", "is", "in", "Rome"]
    tags = "B-PER O O B-LOC"
    expected = [("Mary Ann", "PER", (0, 8)), ("Rome", "LOC", (15, 19))]
    assert predict([words], [tags], merge_tokens=True) == [expected]
    assert predict(as_words(words), tags, merge_tokens=True) == expected
    assert predict("a-b", "O B-LOC", custom_tokenizer=lambda text: text.split("-")) == [
        ("a", "O"),
        ("b", "B-LOC"),
    ]


def test_texts_without_words_have_no_predictions() -> None:
    assert predict("", "", merge_tokens=True, return_proba=True) == []
    assert predict([], []) == []


def test_pairs_and_unknown_options_are_refused() -> None:
    with pytest.raises(DataError, match="a pair of texts"):
        predict(("a", "b"), "O")
    with pytest.raises(ArgumentError, match="'merge_token'. Did you mean 'merge_tokens'"):
        predict("a", "O", merge_token=True)


def test_the_report_of_plain_tags_is_scikit_learns() -> None:
    from sklearn.metrics import classification_report

    task = TokenClassification(["DET", "NOUN", "VERB"])
    true, predicted = [["DET", "NOUN"], ["VERB"]], [["DET", "VERB"], ["VERB"]]
    logits = ragged([np.eye(3)[row] * 9 for row in task.encode(predicted)])
    report = task.report(logits, task.encode(true))
    assert report.text == classification_report(
        sum(true, []), sum(predicted, []), zero_division=0, digits=3
    )
    assert report.result == pytest.approx(2 / 3)


def test_wrong_words_are_described() -> None:
    summary, lines = TASK.describe(as_words("Mary is in Rome"), ["B-PER", "O", "O", "B-LOC"],
                                   ["B-PER", "O", "O", "O"])  # fmt: skip
    assert summary == "1 of 4 words wrong"
    assert lines == ["Mary is in Rome", "Rome: B-LOC, predicted O"]
