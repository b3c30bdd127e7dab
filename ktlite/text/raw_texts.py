"""RawTexts, and the one place that decides which rows of a source can be used."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ktlite._logging import logger
from ktlite.errors import DataError, Problems, plural
from ktlite.tasks.words import Words

if TYPE_CHECKING:
    import pandas as pd


Texts = list[str] | list[tuple[str, str]] | list[Words]
Name = Hashable  # of a column: mostly str, but pandas allows any
MISSING_CHOICES = ("drop", "error")
SHOWN_ROWS = 5

# What pandas.api.types.infer_dtype calls the values that are numbers.
INTEGERS = frozenset({"integer"})
NUMBERS = INTEGERS | {"floating", "mixed-integer-float", "decimal"}


@dataclass(frozen=True, eq=False)
class RawTexts:
    """Texts and labels as read, before any model sees them.

    Attributes:
        texts: `n` texts, unchanged; pairs where two text columns or tuples were given, or a
            question and its context; `Words` where each word has a label.
        labels: [n] object (str), int64 or float64; [n, k] int64 or float64 for several
            label columns or one-hot and multi-hot input; [n] object (list of str) for labels
            of words, (list of `Answer`) for questions; None where there are none.
        label_columns: Names of the label columns; empty for arrays and folders.
        class_names: The class folders in order; empty for all other sources.
        source: What to call the data in a message, such as "reviews.csv".
        rows: int64 [n], the 0-based row of each text in its source, as pandas counts.

    Example:
        >>> raw = read_arrays(["Good.", "", "Bad."], [1, 0, 0])
        >>> raw.texts, raw.labels, raw.rows
        (['Good.', 'Bad.'], array([1, 0]), array([0, 2]))
    """

    texts: Texts
    labels: np.ndarray | None
    label_columns: tuple[Name, ...] = ()
    class_names: tuple[str, ...] = ()
    source: str = ""
    rows: np.ndarray = field(kw_only=True)

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, index: Any) -> RawTexts:
        """Returns the texts at `index` (integers, a bool mask or a slice), in its order."""
        picked = np.arange(len(self))[index]
        return RawTexts(
            [self.texts[i] for i in picked],
            None if self.labels is None else self.labels[picked],
            self.label_columns,
            self.class_names,
            self.source,
            rows=self.rows[picked],
        )


def usable_texts(
    texts: pd.DataFrame,
    labels: pd.DataFrame | None,
    *,
    source: str,
    missing: str,
    refused: Mapping[str, np.ndarray] | None = None,
    places: Sequence[str] | None = None,
    label_columns: tuple[Name, ...] = (),
    class_names: tuple[str, ...] = (),
) -> RawTexts:
    """Leaves out the rows that cannot be used, says so, and makes the rest RawTexts.

    A row without a text (missing, empty or only whitespace; in a pair, either one)
    or without a label cannot be used.

    Args:
        texts: One column, or two for pairs.
        labels: One column or several, as many rows as `texts`.
        source: What to call the data in messages.
        missing: "drop" or "error".
        refused: More reasons, each with a bool mask [n] of the rows that it hits.
        places: What to call each row in messages; None: its number.
        label_columns: See `RawTexts`.
        class_names: See `RawTexts`.

    Raises:
        DataError: No rows, or none that can be used; `missing` is "error" and there
            are unusable ones; a text is not a str; labels have no usable type.
    """
    problems = Problems(source, DataError)
    problems.add_unless(len(texts) > 0, "there are no rows.")
    problems.raise_if_any()
    reasons = dict(refused or {})
    reasons["an empty or missing text"] = _any_missing(texts)
    if labels is not None:
        reasons["a missing label"] = _any_missing(labels)

    keep = np.ones(len(texts), bool)
    facts = []
    for reason, mask in reasons.items():
        hit = np.flatnonzero(mask & keep)
        keep &= ~mask
        if hit.size:
            facts.append(f"{hit.size:,} with {reason} ({_shown(hit, places)})")
    size = f"{(~keep).sum():,} of {plural(len(texts), 'row')}"
    why = ", ".join(facts) + ("." if places else ". Rows count from 0.")
    if not keep.any():
        raise DataError(f"{source}: {size} cannot be used, so none is left: {why}")
    if facts and missing == "error":
        problems.add(
            f"{size} cannot be used: {why} Mend them, or pass missing='drop' to leave them out."
        )
    rows = np.flatnonzero(keep)
    columns = [texts.iloc[rows, i].tolist() for i in range(texts.shape[1])]
    for name, column in zip(texts.columns, columns, strict=True):
        _check_are_str(problems, name, column, rows, places)
    values = None if labels is None else _label_array(labels.iloc[rows], problems)
    problems.raise_if_any()
    if facts:
        logger.warning("%s: left out %s: %s", source, size, why)
    kept = columns[0] if len(columns) == 1 else list(zip(*columns, strict=True))
    return RawTexts(kept, values, label_columns, class_names, source, rows=rows)


def _any_missing(frame: pd.DataFrame) -> np.ndarray:
    """Returns bool [n]: rows with a cell that is None, NaN, pd.NA or a str of whitespace."""
    found = frame.isna().to_numpy().any(axis=1)
    for i in range(frame.shape[1]):
        column = frame.iloc[:, i]
        if column.dtype.kind == "O":  # numbers and the like cannot be blank
            found |= [isinstance(value, str) and not value.strip() for value in column]
    return found


def _shown(rows: np.ndarray, places: Sequence[str] | None) -> str:
    """Returns `"rows 3, 7, 9, 12, 20, ..."`, or the places of these rows."""
    names = ", ".join(str(row) if places is None else places[row] for row in rows[:SHOWN_ROWS])
    noun = "" if places is not None else "row " if rows.size == 1 else "rows "
    return f"{noun}{names}{', ...' if rows.size > SHOWN_ROWS else ''}"


def _check_are_str(
    problems: Problems,
    name: Name,
    column: list[Any],
    rows: np.ndarray,
    places: Sequence[str] | None,
) -> None:
    wrong = [i for i, value in enumerate(column) if not isinstance(value, str)]
    if wrong:
        first = column[wrong[0]]
        problems.add(
            f"{plural(len(wrong), 'value')} of {name!r} cannot be a text: {first!r:.40} "
            f"({_shown(rows[wrong[:1]], places)}) is of type {type(first).__name__}, expected str. "
            "Choose the column of the texts, or convert it with .astype(str)."
        )


def _label_array(labels: pd.DataFrame, problems: Problems) -> np.ndarray | None:
    """Returns [n] for one column, [n, k] for k; None after adding a problem."""
    from pandas.api.types import infer_dtype

    columns = [labels.iloc[:, i].to_numpy(dtype=object) for i in range(labels.shape[1])]
    kinds = [infer_dtype(column, skipna=False) for column in columns]
    if len(columns) == 1:
        if kinds[0] in NUMBERS:
            return _numbers(columns[0], kinds)
        if kinds[0] in ("string", "boolean"):
            return np.array([str(value) for value in columns[0]], dtype=object)
        problems.add(
            f"the labels are of type {kinds[0]} ({_types(columns[0])}); expected all str, all "
            "integers or all floats."
        )
        return None
    wrong = [i for i, kind in enumerate(kinds) if kind not in NUMBERS and kind != "boolean"]
    if wrong:
        first = columns[wrong[0]]
        problems.add(
            f"label column {labels.columns[wrong[0]]!r} holds {_types(first)}; with several label "
            "columns each must hold numbers (0 and 1 for classes)."
        )
        return None
    return _numbers(np.stack(columns, axis=1), kinds)


def _numbers(values: np.ndarray, kinds: list[str]) -> np.ndarray:
    """Returns int64 if all values are whole (missing rows had made them floats), else float64."""
    if INTEGERS.issuperset(kinds):
        return values.astype(np.int64)
    floats = values.astype(np.float64)
    whole = np.isfinite(floats) & (floats == np.rint(floats)) & (np.abs(floats) < 2**53)
    return floats.astype(np.int64) if whole.all() else floats


def _types(column: np.ndarray) -> str:
    return ", ".join(sorted({type(value).__name__ for value in column}))
