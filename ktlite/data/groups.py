"""Pairs and triplets of texts to be compared, with or without scores."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ktlite.data.examples import Examples
from ktlite.data.files import open_table
from ktlite.data.readers import read_frame
from ktlite.data.table import as_names, check_na_values, is_tabular, read_table_texts
from ktlite.errors import DataError, Problems

EXPECTED = (
    "the path of a file (CSV, TSV, JSONL, Parquet), a DataFrame, a datasets.Dataset, a list of "
    "tuples of two or three texts, or a tuple (such a list, scores)"
)
ROLES = ("anchor", "positive", "negative")


def read_groups(data: Any, text_column: Any, label_columns: Any, **options: Any) -> Examples:
    """Reads pairs or triplets of texts from whatever `get_learner(train_data=)` is given.

    Args:
        data: Path of a file (CSV, TSV, JSONL, Parquet), a data frame, a `datasets.Dataset`, a list
            of tuples of two or three texts, or (such a list, scores).
        text_column: Two or three names of columns. Default: "anchor", "positive" and, in a data
            frame that has it, "negative".
        label_columns: The column of the scores; None: there are none.
        **options: `sep`, `encoding`, `names`, `missing`, `na_values`, `source`.

    Returns:
        The texts as tuples. The labels are the scores; without them int64 [n, 2 or 3], the number
        of each text, the same for equal texts.

    Raises:
        DataError: If the data cannot be read.
        ArgumentError: If it is of another kind.
    """
    source, missing = options.pop("source"), options.pop("missing")
    na_values = options.pop("na_values", None) or ()
    problems = Problems("get_learner")
    check_na_values(problems, na_values, is_tabular(data), source)
    problems.raise_if_any()
    if isinstance(data, (list, tuple)):
        scored = len(data) == 2 and not all(map(_is_group, data))
        return read_group_arrays(*(data if scored else (data,)), missing=missing, source=source)
    problems.add_unless(
        is_tabular(data),
        f"{source} is of type {type(data).__name__}; expected {EXPECTED}.",
    )
    if text_column is None:
        has_negative = ROLES[2] in getattr(data, "columns", getattr(data, "column_names", ()))
        text_column = ROLES if has_negative else ROLES[:2]
    problems.add_unless(
        isinstance(text_column, (list, tuple)) and len(text_column) in (2, 3),
        f"text_column={text_column!r}; expected the names of two columns, or of three (anchor, "
        "positive, negative).",
    )
    problems.raise_if_any()
    table = open_table(data, source, **options)
    columns = as_names(text_column), as_names(label_columns)
    return _with_numbers(read_table_texts(table, *columns, missing, na_values))


def read_group_arrays(
    groups: Any, scores: Any = None, *, missing: str = "drop", source: str = "array"
) -> Examples:
    """Takes tuples of two or three texts, and scores if there are any.

    Args:
        groups: [n] tuples, all of the same size.
        scores: [n] numbers, or None.
        missing: `"drop"` leaves out rows without a text or score; `"error"` refuses them.
        source: What to call the data in messages.

    Raises:
        DataError: If they are something else.
    """
    import pandas as pd

    rows = [groups] if isinstance(groups, str) else list(groups)
    sizes = {len(row) if isinstance(row, (tuple, list)) else 1 for row in rows}
    if len(sizes) != 1 or not sizes <= {2, 3}:
        raise DataError(
            f"{source}: expected tuples of two texts, or all of three; got "
            f"{next((r for r in rows if not _is_group(r)), rows[0] if rows else rows)!r:.60}."
        )
    names = ROLES[: sizes.pop()]
    frame = pd.DataFrame(rows, columns=list(names), dtype=object)
    if scores is not None:
        values = list(scores)
        if len(values) != len(rows):
            raise DataError(f"{source}: {len(rows)} groups of texts, but {len(values)} scores.")
        frame["score"] = values
    given = () if scores is None else ("score",)
    return _with_numbers(read_frame(frame, names, given, missing=missing, source=source))


def _with_numbers(raw: Examples) -> Examples:
    """Adds the numbers of texts as labels where there are no scores."""
    if raw.labels is not None:
        return raw
    known: dict[str, int] = {}
    groups: Any = raw.items
    numbers = [[known.setdefault(text, len(known)) for text in group] for group in groups]
    return replace(raw, labels=np.array(numbers, "int64"))


def _is_group(item: Any) -> bool:
    return isinstance(item, (tuple, list)) and all(isinstance(text, str) for text in item)
