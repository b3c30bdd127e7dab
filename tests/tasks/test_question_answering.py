"""Question answering: targets, the likeliest answers, and what is reported of them."""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np
import pytest

from ktlite.encodings.tokens import ContextEncodings
from ktlite.errors import ArgumentError, DataError
from ktlite.inputs.words import inside_word, split_words
from ktlite.tasks import Answer, QuestionAnswering
from ktlite.tasks.answers import AnswerLogits, Guess, answer_places, answer_tokens
from ktlite.tasks.arrays import ragged
from ktlite.tasks.losses import IGNORE
from ktlite.tasks.question_answering import as_question

CONTEXT = "In May Ann Lee wrote it; Bob read it."


def spans_of(text: str) -> np.ndarray:
    return np.array(split_words(text).spans, "int64").reshape(-1, 2)


def item(
    starts: dict[str, float],
    ends: dict[str, float] | None = None,
    none: float = 0.0,
    context: str = CONTEXT,
) -> AnswerLogits:
    """Logits of one window: [CLS], the question "?", [SEP], a token a word, [SEP]."""
    words = split_words(context).words
    logits = np.full((len(words) + 4, 2), -5.0, "float32")
    logits[0] = none / 2
    for column, given in enumerate((starts, starts if ends is None else ends)):
        for word, value in given.items():
            logits[3 + words.index(word), column] = value
    window = np.array([[0, len(words), 3]])
    return AnswerLogits(context, spans_of(context), window, [logits])


# Words that are not to be cut


@pytest.mark.parametrize(
    ("text", "cuts"),
    [
        ("Ann's", "Ann|'|s"),
        ("1990s", "1990s"),
        ("a Franco-German", "a| |Franco|-|German"),
        ("3.5, 10,000.", "3.5|,| |10,000|."),
        ("U.S.A.", "U|.|S|.|A|."),
        ("房间好", "房|间|好"),
        ("東京タワー", "東|京|タ|ワ|ー"),
        ("서울은", "서|울|은"),  # a name and its particle
        ("Zoe\u0308!", "Zoe\u0308|!"),
        ("x\u200by", "x|\u200b|y"),
        ("ab$5", "ab|$|5"),
    ],
)
def test_where_an_answer_may_begin_or_end(text: str, cuts: str) -> None:
    parts, position, expected = cuts.split("|"), 0, set()
    for part in parts:
        expected |= {position, position + len(part)}
        position += len(part)
    assert {at for at in range(len(text) + 1) if not inside_word(text, at)} == expected


# Targets


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer("Ann Lee", 7), (2, 3)),
        (Answer("In", 0), (0, 0)),
        (Answer(".", 36), (10, 10)),
        (Answer("nn L", 8), (2, 3)),  # tokens are taken whole
        (Answer("n", 9), (2, 2)),
    ],
)
def test_tokens_of_an_answer(answer: Answer, expected: tuple[int, int]) -> None:
    spans = spans_of(CONTEXT)
    assert len(spans) == 11
    assert answer_tokens(answer, spans) == expected


def test_an_answer_that_no_token_is_of_has_none() -> None:
    first, last = answer_tokens(Answer("b", 2), np.array([(0, 1), (4, 5)]))
    assert first > last
    window = np.array([0, 2, 3])
    assert answer_places([Answer("b", 2)], np.array([(0, 1), (4, 5)]), window) == (0, 0)


@pytest.mark.parametrize(
    ("window", "expected"),
    [((0, 10, 3), (5, 6)), ((2, 4, 5), (5, 6)), ((0, 3, 3), (0, 0)), ((3, 9, 3), (0, 0)),
     ((5, 9, 3), (0, 0))],
)  # fmt: skip
def test_a_window_has_the_whole_answer_or_none(
    window: tuple[int, int, int], expected: tuple[int, int]
) -> None:
    answers = [Answer("Ann Lee", 7), Answer("Bob", 25)]  # the first one is learned
    assert answer_places(answers, spans_of(CONTEXT), np.array(window)) == expected
    assert answer_places([], spans_of(CONTEXT), np.array(window)) == (0, 0)


def test_targets_mark_start_and_end_and_leave_padding_out() -> None:
    encodings = ContextEncodings(
        ids=np.arange(20, dtype="int32"),
        offsets=np.array([0, 9, 14, 20]),
        type_ids=None,
        max_length=16,
        example_of=np.array([0, 0, 1]),
        contexts=[CONTEXT, "Bob?"],
        spans=[spans_of(CONTEXT), spans_of("Bob?")],
        windows=np.array([[0, 5, 3], [4, 6, 2], [0, 2, 3]]),
    )
    task = QuestionAnswering()
    targets = task.encode([[Answer("Ann Lee", 7)], [Answer("Bob", 0)]])
    found = task.align(targets, encodings, np.array([2, 0, 1]))
    assert found.shape == (3, 2, 10)
    assert found.dtype == np.int32
    assert [[np.flatnonzero(line == 1).tolist() for line in row] for row in found] == [
        [[3], [3]],
        [[5], [6]],
        [[0], [0]],
    ]
    assert (found == IGNORE).sum(axis=2).tolist() == [[4, 4], [1, 1], [5, 5]]
    outputs = ragged([np.zeros((n, 2), "float32") for n in (9, 5, 6)])
    joined = task.join(outputs, encodings)
    assert [len(one.logits) for one in joined] == [2, 1]
    assert joined[0].context == CONTEXT
    assert joined[0].windows.tolist() == [[0, 5, 3], [4, 6, 2]]
    assert np.asarray(joined[0]).shape == (14, 2)


@pytest.mark.parametrize("labels", [["Ann"], [[("Ann", 0)]], [None], [3.5]])
def test_labels_of_another_form_are_refused(labels: Any) -> None:
    with pytest.raises(DataError, match=r"^mine: question 0 has .* expected a list of"):
        QuestionAnswering().encode(labels, "mine")


# The likeliest answers


def test_the_best_answer_has_the_largest_sum_and_ends_after_its_start() -> None:
    logits = item({"Ann": 4, "Bob": 6}, {"Lee": 5, "May": 9})
    # May would be best, but is before Ann and Bob.
    assert logits.best(30) == Guess("Ann Lee", 9.0, (7, 14))


def test_answers_have_a_longest_number_of_tokens() -> None:
    logits = item({"In": 9}, {"In": 1, "Lee": 5, ".": 9})
    assert logits.best(30).text == CONTEXT
    assert logits.best(9).text == "In May Ann Lee"
    assert logits.best(3).text == "In"


@pytest.mark.parametrize("seed", range(5))
def test_every_answer_is_looked_at(seed: int) -> None:
    """Against all pairs of tokens in all windows, by plain loops."""
    random = np.random.default_rng(seed)
    text = "An é 3.5-fold, 房间 in-between x" + "yz" * seed
    spans = np.array([(i, i + 1) for i in range(len(text))])
    windows = np.array([[0, 12, 4], [9, 21, 4], [18, len(text), 4]])
    rows = [random.normal(size=(last - first + 5, 2)).astype("float32")
            for first, last, _ in windows]  # fmt: skip
    logits = AnswerLogits(text, spans, windows, rows)
    expected: dict[tuple[int, int], float] = {}
    for (first, last, place), row in zip(windows.tolist(), rows, strict=True):
        for i, j in itertools.combinations_with_replacement(range(first, last), 2):
            whole = text[i : j + 1].strip() == text[i : j + 1]
            cut = inside_word(text, i) or inside_word(text, j + 1)
            if j - i < 7 and whole and not cut and text[i : j + 1].strip():
                score = float(row[i - first + place, 0]) + float(row[j - first + place, 1])
                expected[i, j + 1] = max(score, expected.get((i, j + 1), -np.inf))
    # White space alone is no token of an answer: `trimmed` makes it empty.
    logits = AnswerLogits(
        text, np.array([(i, i + (not text[i].isspace())) for i in range(len(text))]), windows, rows
    )
    found = logits.guesses(logits.scores(7), 10_000)
    assert {guess.span: guess.score for guess in found} == pytest.approx(expected)
    assert [g.score for g in found] == sorted((g.score for g in found), reverse=True)
    assert all(guess.text == text[slice(*guess.span)] for guess in found)


def test_no_answer_counts_where_it_is_least_likely() -> None:
    window = np.array([[0, 5, 3], [5, 10, 3]])
    rows = [np.zeros((9, 2), "float32") for _ in range(2)]
    rows[0][0], rows[1][0] = 4, (1, 2)
    assert AnswerLogits(CONTEXT, spans_of(CONTEXT), window, rows).no_answer == 3.0


@pytest.mark.parametrize(
    ("threshold", "expected"), [(None, "Bob"), (0.0, ""), (2.9, ""), (3.0, "Bob"), (3.1, "Bob")]
)
def test_the_threshold_decides_whether_there_is_an_answer(
    threshold: float | None, expected: str
) -> None:
    task = QuestionAnswering(threshold)
    logits = ragged([item({"Bob": 2}, none=7)])  # the odds are 7 - 4
    assert task.decode(logits) == [expected]
    assert task.chosen(logits[0]).text == expected
    assert task.predict(("?", CONTEXT), lambda examples: logits) == expected


def test_probabilities_are_of_all_answers_and_none() -> None:
    logits = item({"Bob": 2, "May": 1}, none=1)
    task = QuestionAnswering(threshold=0.5, max_answer_length=1)
    guesses = task.guesses(logits, 10_000)
    assert sum(probability for _, probability in guesses) == pytest.approx(1)
    assert [g.text for g, _ in guesses[:2]] == ["Bob", "May"]
    by_text = {g.text: p for g, p in guesses}
    assert by_text[""] / by_text["Bob"] == pytest.approx(np.exp(1 - 0.5 - 4))
    assert task.probabilities(ragged([logits])) == pytest.approx([by_text["Bob"]])
    assert "" not in [g.text for g, _ in QuestionAnswering(None).guesses(logits, 10_000)]
    assert sum(p for _, p in QuestionAnswering().guesses(logits, 10_000)) == pytest.approx(1)


def test_tokens_of_one_character_stand_for_one_answer() -> None:
    spans = np.array([(0, 1), (0, 1), (2, 3)])  # a letter of two bytes, and another
    rows = [np.array([[0, 0], [3, 2], [2, 3], [1, 1]], "float32")]
    logits = AnswerLogits("é b", spans, np.array([[0, 3, 1]]), rows)
    assert [g.text for g in logits.guesses(logits.scores(3), 9)] == ["é", "é b", "b"]


def test_a_context_without_words_has_no_answer() -> None:
    rows = [np.zeros((4, 2), "float32")]
    logits = AnswerLogits("\u200b", np.zeros((0, 2), "int64"), np.array([[0, 0, 3]]), rows)
    for task in (QuestionAnswering(), QuestionAnswering(None)):
        assert task.decode(ragged([logits])) == [""]
        assert task.guesses(logits) == [(Guess("", 0.0, (0, 0)), 1.0)]


# What predict gives


def run(examples: Any) -> np.ndarray:
    return ragged([item({"Bob": 2, "May": 1}) for _ in examples])


def test_forms_of_predictions() -> None:
    task = QuestionAnswering(None, max_answer_length=1)
    one = ("Who?", CONTEXT)
    assert task.predict(one, run) == "Bob"
    assert task.predict([one, one], run) == ["Bob", "Bob"]
    assert task.predict({"question": "Who?", "context": CONTEXT}, run) == "Bob"
    assert task.predict(one, run, return_offsets=True) == ("Bob", (25, 28))
    text, chance = task.predict(one, run, True)
    assert text == "Bob"
    assert 0 < chance < 1
    assert task.predict(one, run, True, return_offsets=True) == ("Bob", chance, (25, 28))
    assert task.predict(one, run, n_best=2) == ["Bob", "May"]
    best = task.predict([one], run, return_offsets=True, n_best=2)
    assert best == [[("Bob", (25, 28)), ("May", (3, 6))]]
    assert task.predict([], run) == []


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        ("Who?", r"takes a tuple \(question, context\)"),
        (["Who?", CONTEXT], "text 0: expected a tuple"),
        ([("Who?", CONTEXT), ("", CONTEXT)], "text 1: the question is empty"),
        (("Who?", " \n"), "text 0: the context is empty"),
        ({"question": "Who?"}, "expected a tuple"),
        ([("Who?", CONTEXT, "x")], "expected a tuple"),
        (3, "predict takes"),
    ],
)
def test_examples_of_another_kind_are_refused(examples: Any, message: str) -> None:
    task = QuestionAnswering()

    def checked_run(given: Any) -> Any:
        task.tokenize(given, None)

    with pytest.raises(DataError, match=message):
        task.predict(examples, checked_run)


def test_json_gives_lists_for_pairs() -> None:
    for example in QuestionAnswering.golden_examples:
        assert as_question(json.loads(json.dumps(example))) == example


@pytest.mark.parametrize(
    "given",
    [{"threshold": "x"}, {"max_answer_length": 0}, {"max_answer_length": 1.5}, {"stride": -1}],
)
def test_arguments_that_cannot_work(given: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError, match=f"QuestionAnswering: {next(iter(given))}="):
        QuestionAnswering(**given)
    with pytest.raises(ArgumentError, match="n_best=0"):
        QuestionAnswering().predict(("Who?", CONTEXT), run, n_best=0)


def test_the_task_learns_whether_questions_go_without_answers() -> None:
    first = QuestionAnswering.from_labels([[Answer("Bob", 25)]])
    second = QuestionAnswering.from_labels([[Answer("Bob", 25)], []])
    assert (first.get_config()["threshold"], second.get_config()["threshold"]) == (None, 0.0)


# The report


def test_the_report_of_1_1() -> None:
    logits = ragged([item({"Bob": 9}), item({"Ann": 9}, {"Lee": 9})])
    task = QuestionAnswering(None)
    report = task.report(logits, task.encode([[Answer("Bob", 25)], [Answer("Ann", 7)]]))
    assert report.result == [("exact_match", 50.0), ("f1", pytest.approx(250 / 3))]
    assert set(report.metrics) == {"loss", "accuracy", "exact_match", "f1"}
    assert report.metrics["accuracy"] == 0.75  # Lee is a wrong end
    assert report.text.splitlines()[1].split() == ["all", "50.00", "83.33", "2"]


def test_the_report_of_2_0_and_the_best_threshold() -> None:
    logits = ragged([
        item({"Bob": 2}, none=5),   # right, where it is said: the odds are 1
        item({"May": 2}, none=2),   # wrong: -2
        item({"Ann": 2}, none=6),   # there is none: 2
        item({"In": 2}, none=8),    # 4
    ])  # fmt: skip
    task = QuestionAnswering()
    targets = task.encode([[Answer("Bob", 25)], [Answer("Lee", 11)], [], []])
    metrics = task.report(logits, targets).metrics
    assert metrics["exact_match"] == metrics["f1"] == 50.0
    assert metrics["exact_match_answerable"] == 0.0
    assert metrics["f1_unanswerable"] == 100.0
    assert metrics["best_f1"] == 75.0
    assert metrics["best_exact_match_threshold"] == metrics["best_f1_threshold"] == 1.0
    task.tune_thresholds(logits, targets)
    assert task.threshold == 1.0
    assert task.report(logits, targets).metrics["f1"] == 75.0
    assert QuestionAnswering(**json.loads(json.dumps(task.get_config()))).threshold == 1.0


def test_without_unanswerable_questions_there_is_no_threshold_to_tune() -> None:
    task = QuestionAnswering()
    with pytest.raises(ArgumentError, match="every question of this data has an answer"):
        task.tune_thresholds(ragged([item({"Bob": 2})]), task.encode([[Answer("Bob", 25)]]))


def test_the_loss_is_the_mean_of_start_and_end_over_the_windows() -> None:
    spans, windows = spans_of("a b"), np.array([[0, 2, 1], [1, 2, 1]])
    rows = [np.array([[0, 0], [1, 2], [0, 0]], "float32"), np.array([[3, 0], [0, 0]], "float32")]
    logits = ragged([AnswerLogits("a b", spans, windows, rows)])
    start = np.log(np.exp([0, 1, 0]).sum()) - 1
    end = np.log(np.exp([0, 2, 0]).sum()) - 2
    none = np.array([np.log(np.exp(3) + 1) - 3, np.log(2)])
    expected = (np.mean([start, end]) + none.mean()) / 2
    task = QuestionAnswering()
    targets = task.encode([[Answer("a", 0)]])
    assert task.example_losses(logits, targets) == pytest.approx([expected])
    assert task.report(logits, targets).metrics["loss"] == pytest.approx(expected)
