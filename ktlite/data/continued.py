"""What a model learns to write: texts as they are, prompts with what follows, or chats."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from ktlite._logging import logger
from ktlite.data.documents import read_documents
from ktlite.data.examples import Examples
from ktlite.data.files import open_table
from ktlite.data.packed import suffix_of
from ktlite.data.readers import read_arrays
from ktlite.data.table import (
    Names,
    Table,
    as_names,
    check_columns,
    check_na_values,
    is_tabular,
    read_table_texts,
)
from ktlite.errors import DataError, Problems, listing, plural
from ktlite.inputs.chats import ASSISTANT, CONTENT, ROLE, checked_chat, is_chat

EXPECTED = (
    "the path of a CSV, TSV, JSONL or Parquet file (or a list of paths), of a .txt file with a "
    "text a paragraph or a line, a DataFrame, a datasets.Dataset, or a tuple (texts, None), "
    "(prompts, what follows) or (chats, None)"
)
# Names of columns that are taken where none are given, as Hugging Face's data sets have them.
TEXT, MESSAGES, PROMPT, COMPLETION = "text", "messages", "prompt", "completion"


def read_any_continued(
    data: Any, text_column: Any = None, label_columns: Any = None, **options: Any
) -> Examples:
    """Reads texts to be written from whatever `get_learner(train_data=)` is given.

    Args:
        data: Path of a file, a list of paths, a frame, a data set, or (texts, what follows).
        text_column: Column of the texts, of the prompts, or of chats, lists of messages. Default:
            `"messages"`, or `"prompt"` with `"completion"` beside it, or `"text"`.
        label_columns: Column of what follows the prompts. Default: the texts stand by themselves.
        **options: `sep`, `encoding`, `names`, `missing`, `na_values`, `source`.

    Returns:
        Texts or prompts; as labels what follows, "" where a text stands by itself.

    Raises:
        DataError: If the data cannot be read.
        ArgumentError: If it is of another kind, or there are several columns to choose from.
    """
    source, missing = options.pop("source"), options.pop("missing", "drop")
    na_values = options.pop("na_values", None) or ()
    options.pop("kind", None)
    tabular = is_tabular(data)
    problems = Problems("get_learner")
    check_na_values(problems, na_values, tabular, source)
    pair = isinstance(data, (tuple, list)) and len(data) == 2 and not tabular
    problems.add_unless(
        tabular or pair, f"{source} is of type {type(data).__name__}; expected {EXPECTED}."
    )
    problems.raise_if_any()
    if not tabular:
        return read_continued_arrays(*data, missing=missing, source=source)
    if isinstance(data, (str, os.PathLike)) and suffix_of(data) == ".txt":
        documents = read_documents(data, encoding=options.get("encoding"), source=source)
        texts = ["\n".join(document) for document in documents]
        return replace(read_continued_arrays(texts), source=str(data))
    table = open_table(data, source, **options)
    given, follows = as_names(text_column), as_names(label_columns)
    if not given:
        usual = ((MESSAGES,), (PROMPT, COMPLETION), (TEXT,))
        found = next((names for names in usual if {*names} <= {*table.columns}), ())
        problems.add_unless(
            bool(found),
            "text_column is not given: which column? The columns are "
            f"{listing(map(repr, table.columns))}.",
        )
        given, follows = found[:1], follows or found[1:]
    for name, columns in (("text_column", given), ("label_columns", follows)):
        problems.add_unless(
            len(columns) < 2, f"{name}={list(columns)}; expected one name for text-generation."
        )
    problems.raise_if_any()
    if not follows:
        check_columns(table, given, ())
        if _are_chats(_cells(table, given)):  # known at the first that is there
            return _read_chats(_cells(table, given), missing, table.source)
    return _standing_alone(read_table_texts(table, given, follows, missing, na_values))


def read_continued_arrays(
    texts: Any, follows: Any = None, *, missing: str = "drop", source: str = "array"
) -> Examples:
    """Takes texts, or prompts and what follows each, or chats.

    Raises:
        DataError: If they are something else, or not equally many.
    """
    if follows is None and not isinstance(texts, str) and _are_chats(texts):
        return _read_chats(texts, missing, source)
    return _standing_alone(read_arrays(texts, follows, missing=missing, source=source))


def _cells(table: Table, columns: Names) -> Iterator[Any]:
    (name,) = columns
    return (item for block in table.blocks(columns, ()) for item in block.texts[name])


def _are_chats(items: Iterable[Any]) -> bool:
    """Says whether the first item that is there is a list of messages."""
    first: Any = next((item for item in items if not _is_missing(item)), None)
    return is_chat(first.tolist() if hasattr(first, "tolist") else first)


def _is_missing(item: Any) -> bool:
    import pandas as pd

    return bool(pd.isna(item)) if pd.api.types.is_scalar(item) else not len(item)


def _read_chats(items: Iterable[Any], missing: str, source: str) -> Examples:
    """Takes chats apart: what is there before the assistant's last message, and this message.

    Raises:
        DataError: If one is no chat, or, unless these are to be left out, is not there or has no
            such message.
    """
    chats, replies, rows, without = [], [], [], []
    for row, item in enumerate(items):
        chat = [] if _is_missing(item) else checked_chat(item, f"{source}: row {row}")
        last = max((i for i, one in enumerate(chat) if one[ROLE] == ASSISTANT), default=0)
        if not last or not chat[last][CONTENT]:
            without.append(row)
            continue
        chats.append(chat[:last])
        replies.append(chat[last][CONTENT])
        rows.append(row)
    if without:
        what = f"{source}: {plural(len(without), 'chat')} without a reply of the assistant, such as"
        if missing == "error" or not chats:
            raise DataError(f"{what} row {without[0]}.")
        logger.warning("%s row %d; left out.", what, without[0])
    labels = np.array([*replies, None], object)[:-1]
    return Examples(chats, labels, source=source, rows=np.array(rows, "int64"))


def _standing_alone(raw: Examples) -> Examples:
    """Says of texts without anything behind them that they stand by themselves."""
    if raw.labels is not None:
        return raw
    return replace(raw, labels=np.full(len(raw), "", object))
