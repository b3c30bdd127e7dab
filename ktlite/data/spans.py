"""Texts with annotated characters, a JSON object a line, as doccano and others write them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from ktlite.data.examples import Examples
from ktlite.data.tagged import SHOWN, file_content, tagged
from ktlite.errors import DataError, Problems
from ktlite.inputs.words import Span, Words, split_words
from ktlite.tasks.entities import OUTSIDE

_LISTS = ("label", "labels", "entities", "spans")
_STARTS, _ENDS, _KINDS = ("start", "start_offset"), ("end", "end_offset"), ("label", "type")

Annotation = tuple[int, int, str]  # first character, the one after the last, type


def read_spans(path: str | os.PathLike[str], *, encoding: str | None = None) -> Examples:
    """Reads annotated characters from a JSONL file, and turns them into BIO tags of words.

    A line is `{"text": "...", "label": [[start, end, "PER"], ...]}`. The list may be called
    `label`, `labels`, `entities` or `spans`, and hold objects with `start` (or `start_offset`),
    `end` (`end_offset`) and `label` (`type`). Where an annotation begins or ends inside of a
    word, the word is cut there.

    Args:
        path: The file.
        encoding: Any that Python knows; None detects it.

    Raises:
        DataError: With the lines that are wrong: no JSON object, no text, annotations that
            leave the text, overlap, or cover white space only.
    """
    name, content = file_content(path, encoding)
    problems = Problems(name, DataError)
    texts, labels, lines = [], [], []
    for number, line in enumerate(content.split("\n"), 1):
        if not line.strip() or len(problems.found) == SHOWN:
            continue
        try:
            words, tags = tag_spans(*_parsed(line))
        except DataError as error:
            problems.add(f"line {number}: {error}")
            continue
        texts.append(words)
        labels.append(tags)
        lines.append(number)
    problems.raise_if_any()
    return tagged(texts, labels, name, lambda text, word: f"line {lines[text]}, word {word}")


def tag_spans(text: str, annotations: Sequence[Annotation]) -> tuple[Words, list[str]]:
    """Returns the words of a text, cut where annotations begin and end, and their BIO tags.

    Raises:
        DataError: If annotations leave the text, overlap, or cover white space only.

    Example:
        >>> words, tags = tag_spans("In Berlin-Mitte.", [(3, 9, "LOC")])
        >>> words.words, tags
        (['In', 'Berlin', '-Mitte', '.'], ['O', 'B-LOC', 'O', 'O'])
    """
    found = sorted(annotations)
    position = 0
    for start, end, kind in found:
        if not 0 <= start < end <= len(text):
            raise DataError(
                f"({start}, {end}, {kind!r}) is no part of the text, which has {len(text)} "
                "characters; expected 0 <= start < end, where end is not included."
            )
        if start < position:
            raise DataError(
                f"({start}, {end}, {kind!r}) overlaps with another one. A word has one tag: keep "
                "the outer or the inner ones."
            )
        position = end
    edges = sorted({edge for start, end, _ in found for edge in (start, end)})
    spans = [part for span in split_words(text).spans for part in _cut(span, edges)]
    tags = [OUTSIDE] * len(spans)
    for start, end, kind in found:
        inside = [i for i, (first, last) in enumerate(spans) if start <= first and last <= end]
        if not inside:
            raise DataError(f"({start}, {end}, {kind!r}) covers no word: {text[start:end]!r}.")
        for i in inside:
            tags[i] = f"{'B' if i == inside[0] else 'I'}-{kind}"
    return Words(text, tuple(spans)), tags


def _cut(span: Span, edges: Sequence[int]) -> list[Span]:
    inner = [span[0], *(edge for edge in edges if span[0] < edge < span[1]), span[1]]
    return list(zip(inner, inner[1:], strict=False))


def _parsed(line: str) -> tuple[str, list[Annotation]]:
    try:
        fields = json.loads(line)
    except ValueError as error:
        raise DataError(f"it is not JSON ({error}).") from None
    if not isinstance(fields, Mapping) or not isinstance(fields.get("text"), str):
        raise DataError('expected an object such as {"text": "...", "label": [[0, 4, "PER"]]}.')
    names = [name for name in _LISTS if isinstance(fields.get(name), list)]
    if not names:
        raise DataError(f"expected a list of annotations, named {' or '.join(_LISTS)}.")
    return fields["text"], [_annotation(item) for item in fields[names[0]]]


def _annotation(item: Any) -> Annotation:
    if isinstance(item, Mapping):
        item = [
            next((item[name] for name in names if name in item), None)
            for names in (_STARTS, _ENDS, _KINDS)
        ]
    fine = isinstance(item, list) and len(item) == 3 and isinstance(item[2], str)
    if not fine or not all(type(edge) is int for edge in item[:2]):
        raise DataError(f'{item!r:.60} is no annotation; expected such as [0, 4, "PER"].')
    return item[0], item[1], item[2]
