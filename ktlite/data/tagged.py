"""Tagged words from data frames, arrays and files, as `Examples`."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ktlite._logging import logger
from ktlite.data.examples import Examples
from ktlite.data.packed import read_bytes
from ktlite.errors import DataError, Problems, did_you_mean, listing, plural
from ktlite.inputs.decoding import decode
from ktlite.inputs.words import Words, as_words
from ktlite.tasks.entities import OUTSIDE, first_mixed, has_prefix

SHOWN = 5
CONLLU = ("ID", "FORM", "LEMMA", "UPOS", "XPOS", "FEATS", "HEAD", "DEPREL", "DEPS", "MISC")
WORD, TAG = "Word", "Tag"
SENTENCE_COLUMNS = ("SentenceID", "Sentence #")  # of ktrain, and of the GMB corpus

Place = int  # the line of a file, or the row of a table
Token = tuple[Place, str, str]  # where it is, word, tag


def read_columns(
    path: str | os.PathLike[str],
    word_column: int = 0,
    tag_column: int = -1,
    *,
    encoding: str | None = None,
) -> Examples:
    """Reads a file with a word a line, and an empty line between sentences (CoNLL, WNUT).

    Columns are separated by tabs, or else by spaces. Lines that start with `-DOCSTART-` count
    as empty.

    Args:
        path: The file.
        word_column: Number of the column of the words.
        tag_column: Number of the column of the tags; -1 is the last.
        encoding: Any that Python knows; None detects it.

    Returns:
        The sentences as `Words`, and labels [sentences], each a list of tags.

    Raises:
        DataError: With the lines that are wrong: no tag, more or fewer columns than the first
            line has, tags of two schemes.

    Example:
        >>> raw = read_columns("conll2003/train.txt")
        >>> raw.items[0].words[:3], raw.labels[0][:3]
        (['EU', 'rejects', 'German'], ['B-ORG', 'O', 'B-MISC'])
    """

    def parse(lines: list[str], problems: Problems) -> Iterator[list[Token]]:
        sentence: list[Token] = []
        columns = 0
        for number, line in enumerate(lines, 1):
            if not line or line.startswith("-DOCSTART-"):
                yield sentence
                sentence = []
                continue
            # Not line.split(): a no-break space may be a word.
            fields = line.split("\t" if "\t" in line else " ")
            if "" in fields:
                fields = [field for field in fields if field]
            if not columns:
                columns = len(fields)
                if not all(-columns <= column < columns for column in (word_column, tag_column)):
                    problems.add(f"there is no column {word_column} or {tag_column}: line {number} "
                                 f"has {columns}, which count from 0.")  # fmt: skip
                    return
            if len(fields) < 2:
                problems.add(f"line {number} has no tag: {line!r:.60}. Expected a word and its "
                             "tag, with a tab or spaces between.")  # fmt: skip
            elif len(fields) != columns:
                problems.add(f"line {number} has {plural(len(fields), 'column')}, the first line "
                             f"has {columns}: {line!r:.60}")  # fmt: skip
            else:
                sentence.append((number, fields[word_column], fields[tag_column]))
        yield sentence

    return _read_file(path, encoding, parse)


def read_conllu(
    path: str | os.PathLike[str], tag_column: str = "UPOS", *, encoding: str | None = None
) -> Examples:
    """Reads a CoNLL-U file (https://universaldependencies.org/format.html).

    Multiword tokens (`1-2`) and empty nodes (`1.1`) are skipped; their words are read.

    Args:
        path: The file.
        tag_column: What to predict: `"UPOS"`, `"XPOS"`, `"DEPREL"`, ...
        encoding: Any that Python knows; None detects it.

    Raises:
        DataError: With the lines that are wrong; or if there is no such column.
    """
    problems = Problems(Path(path).name, DataError)
    problems.choice("tag_column", tag_column, CONLLU)
    problems.raise_if_any()
    tag_number = CONLLU.index(tag_column)

    def parse(lines: list[str], problems: Problems) -> Iterator[list[Token]]:
        sentence: list[Token] = []
        for number, line in enumerate(lines, 1):
            if not line:
                yield sentence
                sentence = []
            elif not line.startswith("#"):
                fields = line.split("\t")
                if len(fields) != len(CONLLU):
                    problems.add(f"line {number} has {plural(len(fields), 'column')}; CoNLL-U has "
                                 f"10, with tabs between: {line!r:.60}")  # fmt: skip
                elif fields[0].isdigit():
                    tag = "" if fields[tag_number] == "_" else fields[tag_number]
                    sentence.append((number, fields[1], tag))
        yield sentence

    return _read_file(path, encoding, parse)


def read_tag_table(
    path: str | os.PathLike[str],
    word_column: str = WORD,
    tag_column: str = TAG,
    sentence_column: str | None = None,
    *,
    sep: str = ",",
    encoding: str | None = None,
) -> Examples:
    """Reads a CSV file with a word a row, such as the GMB corpus has.

    Args:
        path: The file; its first line names the columns.
        word_column: The column of the words.
        tag_column: The column of the tags.
        sentence_column: The column that numbers the sentences; where it is empty, a row goes on
            with the sentence above. Default: `SentenceID` or `Sentence #`.
        sep: The character between columns.
        encoding: Any that Python knows; None detects it.
    """
    name, text = file_content(path, encoding)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=sep)
    header = next(reader, [])
    rows = [(reader.line_num, row) for row in reader if row]
    problems = Problems(name, DataError)
    for line, row in rows:
        if len(row) != len(header):
            problems.add(f"line {line} has {plural(len(row), 'column')}, the first line has "
                         f"{len(header)}.")  # fmt: skip
    _raise_first(problems)
    chosen = _columns(header, word_column, tag_column, sentence_column, name)
    words, tags, numbers = ([row[header.index(column)] for _, row in rows] for column in chosen)
    return _raw(_grouped([line for line, _ in rows], words, tags, numbers), name, "line")


def read_tag_frame(
    frame: Any,
    word_column: Any = WORD,
    tag_column: Any = TAG,
    sentence_column: Any = None,
    *,
    source: str = "DataFrame",
) -> Examples:
    """Takes tagged words from a DataFrame: a word a row, or lists of words and tags a row.

    Args:
        frame: The DataFrame.
        word_column: The column of the words.
        tag_column: The column of the tags.
        sentence_column: The column that numbers the sentences; where it is missing, a row goes
            on with the sentence above. Default: `SentenceID` or `Sentence #`.
        source: What to call the frame in messages.
    """
    columns = list(frame.columns)
    if word_column in columns and tag_column in columns and len(frame):
        cells = frame[word_column].tolist()
        if not isinstance(cells[0], str):
            return read_tag_arrays(cells, frame[tag_column].tolist(), source=source)
    chosen = _columns(columns, word_column, tag_column, sentence_column, source)
    missing = frame[chosen].isna().to_numpy()
    words, tags, numbers = (
        ["" if empty else value for value, empty in zip(frame[column], missing[:, i], strict=True)]
        for i, column in enumerate(chosen)
    )
    return _raw(_grouped(range(len(frame)), words, tags, numbers), source, "row")


def read_tag_arrays(x: Any, y: Any = None, *, source: str = "array") -> Examples:
    """Takes tagged words from lists.

    Args:
        x: Lists of words, or `Words`. Without tags, strings as well.
        y: As many lists of tags; None without.
        source: What to call them in messages.

    Raises:
        DataError: With the sentences that are wrong.
    """
    texts, problems = [], Problems(source, DataError)
    for number, item in enumerate(x):
        if y is not None and isinstance(item, str):
            problems.add(f"text {number} is a string: {item!r:.60}. To learn from, expected a list "
                         "of its words, with a tag for each.")  # fmt: skip
            break
        try:
            texts.append(as_words(item.tolist() if hasattr(item, "tolist") else item))
        except DataError as error:
            problems.add(f"text {number}: {error}")
            break
    problems.raise_if_any()
    if y is None:
        return Examples(texts, None, source=source, rows=np.arange(len(texts)))
    labels = [tags if isinstance(tags, str) else list(tags) for tags in y]
    problems.add_unless(
        len(labels) == len(texts),
        f"{plural(len(texts), 'text')}, but {plural(len(labels), 'list')} of tags.",
    )
    for number, (words, tags) in enumerate(zip(texts, labels, strict=False)):
        if isinstance(tags, str) or len(words) != len(tags):
            problems.add(f"text {number} has {plural(len(words), 'word')}, but "
                         f"{plural(len(tags), 'tag')}.")  # fmt: skip
    _raise_first(problems)
    return tagged(texts, labels, source, lambda text, word: f"text {text}, word {word}")


def tagged(
    texts: Sequence[Words],
    labels: Sequence[Sequence[Any]],
    source: str,
    place: Callable[[int, int], str],
) -> Examples:
    """Checks tags and makes them Examples.

    Args:
        texts: The sentences.
        labels: As many tags for each.
        source: What to call the data in messages.
        place: Says where a word is, by the numbers of its text and of the word.

    Raises:
        DataError: If there are none, a word has no tag, or the tags are of two schemes.
    """
    problems = Problems(source, DataError)
    problems.add_unless(bool(texts), "there are no words.")
    for number, (words, tags) in enumerate(zip(texts, labels, strict=True)):
        for i, (word, tag) in enumerate(zip(words.words, tags, strict=True)):
            if not isinstance(tag, (str, int, np.integer)) or tag == "":
                problems.add(f"{place(number, i)} has no tag: {word!r:.40} with {tag!r:.40}.")
            if word == "":
                problems.add(f"{place(number, i)} has no word.")
    _raise_first(problems)
    known = {str(tag) for tags in labels for tag in tags}
    mixed = None
    if all(tag == OUTSIDE or has_prefix(tag) for tag in known):
        mixed = first_mixed(labels)
    if mixed:
        tag = labels[mixed[0]][mixed[1]]
        other = "B" if tag.startswith("I") else "I"
        raise DataError(
            f"{source}: {place(*mixed)} begins an entity with {tag!r}, but most begin with "
            f"'{other}-'. Expected one scheme throughout: BIO (B- begins each entity) or IOB1 (I- "
            "does, and B- only after an entity of the same type)."
        )
    rows = np.fromiter((list(tags) for tags in labels), object, len(labels))
    return Examples(list(texts), rows, source=source, rows=np.arange(len(texts)))


def _read_file(
    path: str | os.PathLike[str],
    encoding: str | None,
    parse: Callable[[list[str], Problems], Iterable[list[Token]]],
) -> Examples:
    name, text = file_content(path, encoding)
    problems = Problems(name, DataError)
    # Not splitlines: it would cut at characters that may be words.
    lines = [line.strip(" \t\r") for line in text.split("\n")]
    sentences = list(parse(lines, problems))
    _raise_first(problems)
    return _raw(sentences, name, "line")


def file_content(path: str | os.PathLike[str], encoding: str | None) -> tuple[str, str]:
    """Returns name and text of a file.

    Raises:
        DataError: If there is none, or it is no text.
    """
    file = Path(path)
    if not file.is_file():
        near = did_you_mean(file.name, os.listdir(file.parent)) if file.parent.is_dir() else ""
        raise DataError(f"there is no file {str(file)!r}.{near}")
    text, used = decode(read_bytes(file), encoding, file.name)
    if encoding is None and not used.startswith("utf-8"):
        logger.info("%s: read as %s.", file.name, used)
    return file.name, text


def _raw(sentences: Iterable[list[Token]], source: str, noun: str) -> Examples:
    full = [sentence for sentence in sentences if sentence]
    return tagged(
        [Words.of([word for _, word, _ in sentence]) for sentence in full],
        [[tag for _, _, tag in sentence] for sentence in full],
        source,
        lambda text, word: f"{noun} {full[text][word][0]}",
    )


def _columns(columns: Sequence[Any], word: Any, tag: Any, sentence: Any, source: str) -> list[Any]:
    """Returns the names of the columns of words, tags and sentences."""
    usual = [name for name in SENTENCE_COLUMNS if name in columns]
    problems = Problems(source, DataError)
    for argument, name in (("word_column", word), ("tag_column", tag)):
        problems.add_unless(name in columns, f"{argument}: no column is {name!r}."
                            f"{did_you_mean(name, columns)}")  # fmt: skip
    chosen = sentence if sentence is not None else usual[0] if usual else None
    if chosen not in columns:
        what = f"sentence_column: no column is {sentence!r}" if sentence is not None else (
            f"no column is named {' or '.join(map(repr, SENTENCE_COLUMNS))}; which one numbers the "
            "sentences? text.entities_from_df takes sentence_column"
        )  # fmt: skip
        problems.add(f"{what}.")
    if problems.found:
        problems.found[-1] += f" The columns are {listing(map(repr, columns))}."
    problems.raise_if_any()
    return [word, tag, chosen]


def _grouped(
    places: Iterable[Place], words: Sequence[str], tags: Sequence[str], numbers: Sequence[Any]
) -> list[list[Token]]:
    """Returns the rows of each sentence; a row without a number goes on with the one above."""
    sentences: dict[Any, list[Token]] = {}
    current: Any = None
    for place, word, tag, number in zip(places, words, tags, numbers, strict=True):
        current = current if number == "" else number
        sentences.setdefault(current, []).append((place, word, tag))
    return list(sentences.values())


def _raise_first(problems: Problems) -> None:
    """Raises the first problems: a wrong file has as many as lines."""
    more = len(problems.found) - SHOWN
    if more > 0:
        del problems.found[SHOWN:]
        problems.add(f"and {plural(more, 'more such line')}.")
    problems.raise_if_any()
