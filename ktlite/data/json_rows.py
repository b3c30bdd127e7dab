"""Objects of JSON files: one a line, or an array of them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator
from typing import Any

from ktlite.errors import DataError

Row = dict[str, Any]


def json_rows(parts: Iterable[str], source: str, *, arrays: bool = False) -> Iterator[list[Row]]:
    """Yields the objects of text that comes in parts, some at a time.

    Args:
        parts: The decoded file, cut anywhere.
        source: What to call it in messages.
        arrays: Whether it may be an array, `[{...}, {...}]`, in place of an object a line.

    Raises:
        DataError: At the first that is no object.
    """
    stream = iter(parts)
    head = ""
    for part in stream:
        head += part
        if head.strip():
            break
    whole = itertools.chain([head], stream)
    if arrays and head.lstrip().startswith("["):
        return _of_array(whole, source)
    return _of_lines(whole, source, arrays)


def _of_lines(parts: Iterable[str], source: str, arrays: bool) -> Iterator[list[Row]]:
    number, rest = 0, ""
    for part in itertools.chain(parts, ["\n"]):
        *lines, rest = (rest + part).split("\n")
        found = []
        for line in lines:
            number += 1
            if line.strip():
                found.append(json_row(line, f"{source}: line {number}", arrays))
        if found:
            yield found


def json_row(text: str, where: str, arrays: bool = False) -> Row:
    """Returns the object that a line is.

    Args:
        text: The line.
        where: What to call it in messages.
        arrays: Whether the file could have been an array.

    Raises:
        DataError: If it is none.
    """
    try:
        record = json.loads(text, object_pairs_hook=_once_each)
    except (ValueError, RecursionError) as error:
        hint = " Expected an array of objects, or an object a line." if arrays else ""
        raise DataError(f"{where}: not valid JSON: {error}.{hint}") from error
    return _checked(record, where, text)


def _of_array(parts: Iterable[str], source: str) -> Iterator[list[Row]]:
    decoder = json.JSONDecoder(object_pairs_hook=_once_each)
    stream = itertools.chain(parts, [None])
    text, number, begun = "", 0, False
    for part in stream:
        text += part or ""
        found: list[Row] = []
        at = 0
        while True:
            at = _after(text, at)
            if at == len(text):
                break
            if not begun:
                begun, at = True, at + 1  # the bracket
                continue
            if text[at] == "]":
                if text[at + 1 :].strip():
                    raise DataError(f"{source}: something comes after the array.")
                break
            if text[at] == ",":
                at += 1
                continue
            try:
                record, end = decoder.raw_decode(text, at)
            except (ValueError, RecursionError) as error:
                if part is not None and isinstance(error, ValueError):
                    break  # the rest of it may be to come
                where = f"{source}: object {number}"
                raise DataError(f"{where}: not valid JSON: {error}.") from error
            found.append(_checked(record, f"{source}: object {number}", text[at:end]))
            number += 1
            at = end
        text = text[at:]
        if found:
            yield found
    if not text.lstrip().startswith("]"):
        raise DataError(f"{source}: not valid JSON: the array does not end.")


def _after(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at


def _checked(record: Any, where: str, text: str) -> Row:
    if not isinstance(record, dict):
        raise DataError(f'{where}: expected an object such as {{"text": "..."}}, got {text:.60}.')
    return record


def _once_each(pairs: list[tuple[str, Any]]) -> Row:
    record = dict(pairs)
    if len(record) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {twice!r} is there twice")
    return record
