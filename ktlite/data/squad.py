"""Questions, contexts and answers from SQuAD files, JSONL, data frames and lists."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from ktlite.data.examples import Examples
from ktlite.data.packed import suffix_of
from ktlite.data.table import check_na_values
from ktlite.data.tagged import SHOWN, file_content
from ktlite.errors import DataError, Problems, did_you_mean, listing
from ktlite.inputs.contexts import as_question
from ktlite.tasks.answers import Answer

QUESTION, CONTEXT = "question", "context"
ANSWERS = ("answers", "answer", "answer_text")  # columns, the first that is there
START = "answer_start"
_TEXTS = ("text", "answer_text")
EXPECTED = (
    "the path of a SQuAD file (.json) or of a JSONL file, a DataFrame or a list of rows with "
    "question, context and answers, or a tuple (pairs of question and context, answers)"
)


class Row(NamedTuple):
    """A question as it was found: where, the question, its context, its answers."""

    place: str
    question: Any
    context: Any
    answers: Any


def read_any_questions(data: Any, text_column: Any, label_columns: Any, **options: Any) -> Examples:
    """Reads questions from whatever `get_learner(train_data=)` is given.

    Answers are `{"text": [...], "answer_start": [...]}`, as in Hugging Face's data sets; a list
    of `{"text", "answer_start"}`, as in SQuAD's files, or of (text, start); or a text, for its
    first place in the context. None, "" and empty lists stand for no answer.

    Args:
        data: Path of a SQuAD file (1.1 or 2.0), or of a JSONL file with a row a line; a
            DataFrame, or a list of dicts, of such rows; or (pairs, answers).
        text_column: The two columns of question and context. Default: these names.
        label_columns: The column of the answers, or the two of their texts and starts. Default:
            `"answers"`, or `"answer"` or `"answer_text"` with `"answer_start"` if it is there.
        **options: `encoding`, `source`.

    Returns:
        Pairs (question, context), and for each a list of `Answer`s as its label.

    Raises:
        DataError: If the data cannot be read; the message names the rows that are wrong.
    """
    source, encoding = options["source"], options.get("encoding")
    problems = Problems("get_learner")
    check_na_values(problems, options.get("na_values"), False, source)
    problems.raise_if_any()
    columns = _Columns.of(text_column, label_columns)
    if isinstance(data, (str, os.PathLike)):
        return read_squad(data, columns, encoding=encoding)
    if hasattr(data, "columns") and hasattr(data, "iloc"):
        records = data.to_dict("records")
        return _raw(_of_records(records, columns, source, "row", data.columns), source)
    if isinstance(data, list) and data and isinstance(data[0], Mapping):
        return _raw(_of_records(data, columns, source, "row"), source)
    if isinstance(data, (tuple, list)) and len(data) == 2:
        return read_question_arrays(*data, source=source)
    raise DataError(f"{source} is of type {type(data).__name__}; expected {EXPECTED}.")


def read_question_arrays(x: Any, y: Any = None, *, source: str = "array") -> Examples:
    """Takes pairs (question, context), and the answers of each.

    Args:
        x: The pairs.
        y: As many answers, as `read_any_questions` takes them; None without.
        source: What to call them in messages.

    Raises:
        DataError: With the rows that are wrong.

    Example:
        >>> raw = read_question_arrays([("Who?", "It was Ann Lee.")], ["Ann Lee"])
        >>> raw.labels[0]
        [Answer(text='Ann Lee', start=7)]
    """
    pairs = list(x)
    if y is None:
        texts = [as_question(pair, f"{source}: text {i}") for i, pair in enumerate(pairs)]
        return Examples(texts, None, source=source, rows=np.arange(len(texts)))
    answers = list(y)
    if len(answers) != len(pairs):
        raise DataError(f"{source}: {len(pairs)} questions, but {len(answers)} answers.")
    rows = []
    for number, (pair, given) in enumerate(zip(pairs, answers, strict=True)):
        two = isinstance(pair, (tuple, list)) and len(pair) == 2
        question, context = pair if two else (pair, None)
        rows.append(Row(f"row {number}", question, context, given))
    return _raw(rows, source)


def read_squad(
    path: str | os.PathLike[str],
    columns: _Columns | None = None,
    *,
    encoding: str | None = None,
) -> Examples:
    """Reads a SQuAD file, 1.1 or 2.0 (https://rajpurkar.github.io/SQuAD-explorer/), or JSONL.

    Args:
        path: The file. By its name it is JSONL (`.jsonl`) or else JSON: SQuAD, or a list of
            rows.
        columns: What the fields of rows are called.
        encoding: Any that Python knows; None detects it.

    Raises:
        DataError: If it is no such file, or with the questions that are wrong.

    Example:
        >>> raw = read_squad("train-v2.0.json")
        >>> raw.items[0][0], raw.labels[0]
        ('When did Beyonce start becoming popular?', [Answer(text='in the late 1990s', start=269)])
    """
    columns = columns or _Columns.of(None, None)
    name, content = file_content(path, encoding)
    if suffix_of(path) in (".jsonl", ".ndjson"):
        return _raw(_of_records(_lines(content, name), columns, name, "line", first=1), name)
    try:
        fields = json.loads(content)
    except ValueError as error:
        raise DataError(
            f"{name}: it is not JSON ({error}). JSONL is to be named .jsonl; pass other tables as "
            "a DataFrame."
        ) from None
    if isinstance(fields, list):
        return _raw(_of_records(fields, columns, name, "row"), name)
    return _raw(_of_squad(fields, name), name)


class _Columns(NamedTuple):
    """Names of the columns; answers None: the first of `ANSWERS`."""

    question: str
    context: str
    answers: Any
    start: Any

    @classmethod
    def of(cls, texts: Any, labels: Any) -> _Columns:
        """Reads `text_column` and `label_columns`."""
        problems = Problems("get_learner")
        two = isinstance(texts, (tuple, list)) and len(texts) == 2
        problems.add_unless(
            texts is None or two,
            f"text_column={texts!r}; expected the two columns of question and context.",
        )
        several = isinstance(labels, (tuple, list))
        problems.add_unless(
            not several or len(labels) in (1, 2),
            f"label_columns={labels!r}; expected the column of the answers, or those of their "
            "texts and of their starts.",
        )
        problems.raise_if_any()
        question, context = texts if two else (QUESTION, CONTEXT)
        answers, *start = labels if several else [labels]
        return cls(question, context, answers, start[0] if start else None)

    def fields(self, names: Iterable[Any], source: str) -> _Columns:
        """Returns the columns that rows with some fields have.

        Raises:
            DataError: If one is missing.
        """
        names = list(names)
        usual = [name for name in ANSWERS if name in names] if self.answers is None else []
        answers = usual[0] if usual else ANSWERS[0] if self.answers is None else self.answers
        start = START if usual and self.start is None and START in names else self.start
        problems = Problems(source, DataError)
        for name in (self.question, self.context, answers, *([] if start is None else [start])):
            problems.add_unless(
                name in names,
                f"there is no {name!r}.{did_you_mean(name, names)} There is "
                f"{listing(map(repr, names)) or 'nothing'}.",
            )
        problems.raise_if_any()
        return self._replace(answers=answers, start=start)


def _of_records(
    records: Iterable[Any],
    columns: _Columns,
    source: str,
    noun: str,
    names: Iterable[Any] | None = None,
    first: int = 0,
) -> Iterator[Row]:
    """Yields the questions of dicts; the first of them tells which fields there are."""
    chosen = None if names is None else columns.fields(names, source)
    for number, record in enumerate(records, first):
        place = f"{noun} {number}"
        if not isinstance(record, Mapping):
            raise DataError(
                f"{source}: {place} is {record!r:.60}; expected an object with question, context "
                "and answers."
            )
        chosen = chosen or columns.fields(record, f"{source}: {place}")
        answers = record.get(chosen.answers)
        if chosen.start is not None and not _nothing(answers):
            answers = {"text": answers, START: record.get(chosen.start)}
        yield Row(place, record.get(chosen.question), record.get(chosen.context), answers)


def _of_squad(fields: Any, source: str) -> Iterator[Row]:
    """Yields the questions of a SQuAD file."""
    try:
        for article in fields["data"]:
            for paragraph in article["paragraphs"]:
                for item in paragraph["qas"]:
                    answers = [] if item.get("is_impossible") else item["answers"]
                    place = f"question {item.get('id')!r}"
                    yield Row(place, item["question"], paragraph["context"], answers)
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{source}: it is not of SQuAD's form ({type(error).__name__}: {error}). Expected "
            '{"data": [{"paragraphs": [{"context": "...", "qas": [{"question": "...", "answers": '
            '[{"text": "...", "answer_start": 0}]}]}]}]}, or a list of rows with question, '
            "context and answers."
        ) from None


def _lines(content: str, source: str) -> Iterator[Any]:
    for number, line in enumerate(content.rstrip("\n").split("\n"), 1):
        try:
            yield json.loads(line)
        except ValueError as error:
            raise DataError(f"{source}: line {number} is not JSON ({error}).") from None


def _raw(rows: Iterable[Row], source: str) -> Examples:
    """Checks questions and answers and makes them Examples."""
    problems = Problems(source, DataError)
    texts: list[tuple[str, str]] = []
    labels: list[list[Answer]] = []
    for row in rows:
        try:
            texts.append(as_question((row.question, row.context)))
            labels.append([
                located(row.context, *answer) for answer in _answers(row.answers)
            ])  # fmt: skip
        except DataError as error:
            problems.add(f"{row.place}: {error}")
            if len(problems.found) == SHOWN:
                break
    problems.raise_if_any()
    if not texts:
        raise DataError(f"{source}: there are no questions.")
    targets = np.fromiter(labels, object, len(labels))
    return Examples(texts, targets, source=source, rows=np.arange(len(texts)))


def located(context: str, text: str, start: int | None) -> Answer:
    """Returns an answer, without white space at its ends.

    Args:
        context: The text that it is in.
        text: The answer.
        start: Its first character; None: it is where the context first has it.

    Raises:
        DataError: If it is not there; the message says what is, and where it is.
    """
    bare = text.strip()
    if not bare:
        raise DataError("an answer is empty. Expected no answer at all where there is none.")
    if start is not None:
        start += len(text) - len(text.lstrip())
    places = [match.start() for match in re.finditer(re.escape(bare), context)]
    if start is None and places:
        return Answer(bare, places[0])
    if start in places:
        return Answer(bare, start)
    if start is None:
        raise DataError(f"the answer {bare!r:.60} is not in the context.{_other(context, bare)}")
    found = context[max(start, 0) : max(start, 0) + len(bare)]
    where = f"the nearest is at {min(places, key=lambda at: abs(at - start))}" if places else (
        f"it is nowhere in it{_other(context, bare)}")  # fmt: skip
    raise DataError(
        f"the answer {bare!r:.60} is not at character {start} of the context, where there is "
        f"{found!r:.60}; {where}."
    )


def _other(context: str, text: str) -> str:
    """Returns a hint where the context has the text in other capitals."""
    at = context.lower().find(text.lower())
    return "" if at < 0 else f" (It has {context[at : at + len(text)]!r:.60} at {at}.)"


def _answers(value: Any) -> list[tuple[str, int | None]]:
    """Returns (text, start) of each answer, from all the forms that there are."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if _nothing(value):
        return []
    if isinstance(value, str):
        return [(value, None)]
    if isinstance(value, Mapping):
        texts = _listed(next((value[name] for name in _TEXTS if name in value), None))
        starts = _listed(value.get(START))
        if isinstance(texts, list):
            starts = [None] * len(texts) if starts is None else starts
            if isinstance(starts, list) and len(starts) == len(texts):
                return [_answer(value, *pair) for pair in zip(texts, starts, strict=True)]
        return [_answer(value, texts, starts)]
    if isinstance(value, (tuple, list)) and len(value) == 2 and isinstance(value[1], int):
        return [_answer(value, *value)]
    if isinstance(value, (tuple, list)):
        return [answer for item in value for answer in _answers(item)]
    return [_answer(value, value, None)]


def _listed(value: Any) -> Any:
    """Returns arrays and tuples as lists."""
    if isinstance(value, tuple):
        return list(value)
    return value.tolist() if hasattr(value, "tolist") else value


def _answer(given: Any, text: Any, start: Any) -> tuple[str, int | None]:
    """Checks the parts of an answer."""
    if isinstance(start, float) and start.is_integer():  # of a column with missing values
        start = int(start)
    if not isinstance(text, str) or not isinstance(start, (int, type(None))):
        raise DataError(
            f"its answer is {given!r:.80}; expected a text, or a text with its start, such as "
            '{"text": "Ann Lee", "answer_start": 29}.'
        )
    return text, start


def _nothing(value: Any) -> bool:
    """Says whether this stands for no answer."""
    if isinstance(value, (str, list, tuple, dict)):
        return not value
    return value is None or value != value  # NaN
