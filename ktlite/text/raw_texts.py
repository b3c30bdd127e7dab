"""RawTexts, and the one place that decides which rows of a source can be used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ktlite._logging import logger
from ktlite.batching import Encodings
from ktlite.errors import DataError, Problems, plural
from ktlite.text.stored_texts import StoredTexts

if TYPE_CHECKING:
    import pandas as pd


Texts = Sequence[Any]  # of str, of tuples of str, or of Words
Name = Hashable  # of a column: mostly str, but pandas allows any
MISSING_CHOICES = ("drop", "error")
SHOWN_ROWS = 5

# What pandas.api.types.infer_dtype calls the values that are numbers.
INTEGERS = frozenset({"integer"})
_PLAIN = ("int64", "float64", "bool")
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
        encodings: The texts' tokens, where they are on disk already; else None.
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
    encodings: Encodings | None = None
    rows: np.ndarray = field(kw_only=True)

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, index: Any) -> RawTexts:
        """Returns the texts at `index` (integers, a bool mask or a slice), in its order."""
        picked = np.arange(len(self))[index]
        stored = self.texts.take(picked) if isinstance(self.texts, StoredTexts) else None
        return replace(
            self,
            texts=[self.texts[i] for i in picked] if stored is None else stored,
            labels=None if self.labels is None else self.labels[picked],
            encodings=None if self.encodings is None else self.encodings.take(picked),
            rows=self.rows[picked],
        )


@dataclass(frozen=True, eq=False)
class Block:
    """Some rows of a source, as they stand there.

    Args:
        texts: One column, or two for pairs.
        labels: One column or several, as many rows as `texts`; None: unlabelled.
        refused: Reasons not to use rows, each with a bool mask of those that it hits.
        place: What to call a row of this block in messages; None: its number in the source.
    """

    texts: pd.DataFrame
    labels: pd.DataFrame | None = None
    refused: Mapping[str, np.ndarray] = field(default_factory=dict)
    place: Callable[[int], str] | None = None


class Sieve:
    """Leaves out the rows that cannot be used, block by block, and says so once.

    A row without a text (missing, empty or only whitespace; in a pair, either one)
    or without a label cannot be used.

    Args:
        source: What to call the data in messages.
        missing: "drop" or "error".

    Attributes:
        seen: Rows so far.
        kept: Those that can be used.
    """

    def __init__(self, source: str, missing: str) -> None:
        self.source = source
        self.missing = missing
        self.seen = self.kept = 0
        self.problems = Problems(source, DataError)
        self._left_out: dict[str, list[str]] = {}  # for each reason the first rows, as shown
        self._counts: Counter[str] = Counter()
        self._numbered = True

    def keep(self, block: Block) -> tuple[list[Any], pd.DataFrame | None, np.ndarray]:
        """Takes the next rows.

        Returns:
            The texts that can be used, their labels, and their rows in the source, int64.
        """
        texts, labels = block.texts, block.labels
        reasons = dict(block.refused)
        reasons["an empty or missing text"] = _any_missing(texts)
        if labels is not None:
            reasons["a missing label"] = _any_missing(labels)
        place = block.place or (lambda row: str(self.seen + row))
        self._numbered = block.place is None
        keep = np.ones(len(texts), bool)
        for reason, mask in reasons.items():
            hit = np.flatnonzero(mask & keep)
            keep &= ~mask
            self._counts[reason] += hit.size
            shown = self._left_out.setdefault(reason, [])
            shown += [place(int(row)) for row in hit[: SHOWN_ROWS - len(shown)]]
        rows = np.flatnonzero(keep)
        columns = [texts.iloc[rows, i].tolist() for i in range(texts.shape[1])]
        for name, column in zip(texts.columns, columns, strict=True):
            self._check_are_str(name, column, rows, place)
        kept = columns[0] if len(columns) == 1 else list(zip(*columns, strict=True))
        found = rows + self.seen
        self.seen += len(texts)
        self.kept += len(rows)
        return kept, None if labels is None else labels.iloc[rows], found

    def check(self) -> None:
        """Raises `DataError` if rows were met that are not to be left out."""
        if self.kept < self.seen and self.missing == "error":
            self.problems.add(
                f"{self._facts()} Mend them, or pass missing='drop' to leave them out."
            )
        self.problems.raise_if_any()

    def finish(self) -> str:
        """Says what was left out, in a warning that it also returns.

        Raises:
            DataError: If there were no rows, or there is none that can be used.
        """
        self.problems.add_unless(self.seen > 0, "there are no rows.")
        if self.seen and not self.kept:
            facts = self._facts().replace("used:", "used, so none is left:", 1)
            raise DataError(f"{self.source}: {facts}")
        self.check()
        if self.kept == self.seen:
            return ""
        warning = f"{self.source}: left out {self._facts().replace(' cannot be used', '', 1)}"
        logger.warning("%s", warning)
        return warning

    def _facts(self) -> str:
        why = [
            f"{count:,} with {reason} ({self._shown(count, self._left_out[reason])})"
            for reason, count in self._counts.items()
            if count
        ]
        size = f"{self.seen - self.kept:,} of {plural(self.seen, 'row')}"
        end = " Rows count from 0." if self._numbered else ""
        return f"{size} cannot be used: {', '.join(why)}.{end}"

    def _shown(self, count: int, places: list[str]) -> str:
        """Returns `"rows 3, 7, 9, 12, 20, ..."`, or the places of these rows."""
        noun = "" if not self._numbered else "row " if count == 1 else "rows "
        return f"{noun}{', '.join(places)}{', ...' if count > SHOWN_ROWS else ''}"

    def _check_are_str(
        self, name: Name, column: list[Any], rows: np.ndarray, place: Callable[[int], str]
    ) -> None:
        wrong = [i for i, value in enumerate(column) if not isinstance(value, str)]
        if wrong:
            first = column[wrong[0]]
            where = self._shown(1, [place(int(rows[wrong[0]]))])
            self.problems.add(
                f"{plural(len(wrong), 'value')} of {name!r} cannot be a text: {first!r:.40} "
                f"({where}) is of type {type(first).__name__}, expected str. "
                "Choose the column of the texts, or convert it with .astype(str)."
            )


def gather(
    blocks: Iterable[Block],
    *,
    source: str,
    missing: str,
    label_columns: tuple[Name, ...] = (),
    class_names: tuple[str, ...] = (),
) -> RawTexts:
    """Makes RawTexts of all rows that can be used.

    Args:
        blocks: The rows.
        source: What to call the data in messages.
        missing: "drop" or "error".
        label_columns: See `RawTexts`.
        class_names: See `RawTexts`.

    Raises:
        DataError: No rows, or none that can be used; `missing` is "error" and there
            are unusable ones; a text is not a str; labels have no usable type.
    """
    import pandas as pd

    sieve = Sieve(source, missing)
    texts: list[Any] = []
    labels, rows = [], []
    for block in blocks:
        kept, of_kept, found = sieve.keep(block)
        texts += kept
        rows.append(found)
        if of_kept is not None:
            labels.append(of_kept)
    values = None
    if texts and labels:
        joined = labels[0] if len(labels) == 1 else pd.concat(labels, ignore_index=True)
        values = label_array(joined, sieve.problems)
    sieve.finish()
    return RawTexts(texts, values, label_columns, class_names, source, rows=np.concatenate(rows))


def _any_missing(frame: pd.DataFrame) -> np.ndarray:
    """Returns bool [n]: rows with a cell that is None, NaN, pd.NA or a str of whitespace."""
    found = frame.isna().to_numpy().any(axis=1)
    for i in range(frame.shape[1]):
        column = frame.iloc[:, i]
        if column.dtype.kind == "O":  # numbers and the like cannot be blank
            blank = (isinstance(value, str) and not value.strip() for value in column)
            found |= np.fromiter(blank, bool, len(column))
    return found


def label_array(labels: pd.DataFrame, problems: Problems) -> np.ndarray | None:
    """Returns [n] for one column, [n, k] for k; None after adding a problem."""
    from pandas.api.types import infer_dtype

    columns = [_values(labels.iloc[:, i]) for i in range(labels.shape[1])]
    kinds = [infer_dtype(column, skipna=False) for column in columns]
    if len(columns) == 1:
        if kinds[0] in NUMBERS:
            return _numbers(columns[0], kinds, problems)
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
    return _numbers(np.stack(columns, axis=1), kinds, problems)


def _values(column: pd.Series) -> np.ndarray:
    """Returns a column as NumPy's own numbers, or else as objects."""
    return column.to_numpy(dtype=None if column.dtype in _PLAIN else object)


def _numbers(values: np.ndarray, kinds: list[str], problems: Problems) -> np.ndarray | None:
    """Returns int64 if all values are whole (missing rows had made them floats), else float64."""
    if INTEGERS.issuperset(kinds):
        try:
            return values.astype(np.int64)
        except OverflowError:
            problems.add("a label is a whole number of more than 64 bits; give these as strings.")
            return None
    floats = values.astype(np.float64)
    whole = np.isfinite(floats) & (floats == np.rint(floats)) & (np.abs(floats) < 2**53)
    return floats.astype(np.int64) if whole.all() else floats


def _types(column: np.ndarray) -> str:
    return ", ".join(sorted({type(value).__name__ for value in column}))
