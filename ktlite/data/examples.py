"""Examples, and the one place that decides which rows of a source can be used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ktlite._logging import logger
from ktlite.data.labels import joined_labels
from ktlite.data.stored_texts import StoredTexts
from ktlite.encodings.encodings import Encodings
from ktlite.errors import DataError, Problems, plural
from ktlite.inputs.input import Input
from ktlite.inputs.texts import Texts

if TYPE_CHECKING:
    import pandas as pd


Name = Hashable  # of a column: mostly str, but pandas allows any
MISSING_CHOICES = ("drop", "error")
NaValues = Sequence[Any] | Mapping[Any, Sequence[Any]]
SHOWN_ROWS = 5
Place = Callable[[int], str]  # what to call a row in messages


@dataclass(frozen=True, eq=False)
class Examples:
    """Items and labels as read, before any model sees them.

    Attributes:
        items: `n` texts or other items, unchanged; pairs where two text columns or tuples were
            given, or a question and its context; `Words` where each word has a label.
        labels: [n] object (str), int64 or float64; [n, k] int64 or float64 for several
            label columns or one-hot and multi-hot input; [n] object (list of str) for labels
            of words and for names of several classes, (list of `Answer`) for questions; None
            where there are none.
        label_columns: Names of the label columns; empty for arrays and folders.
        class_names: The class folders in order; empty for all other sources.
        source: What to call the data in a message, such as "reviews.csv".
        encodings: The texts' tokens, where they are on disk already; else None.
        written: Whether `labels` [n] come from a file that has no types: `str` of each is what
            stands there. See `ktlite.data.labels.settled`.
        rows: int64 [n], the 0-based row of each text in its source, as pandas counts.

    Example:
        >>> raw = read_arrays(["Good.", "", "Bad."], [1, 0, 0])
        >>> raw.items, raw.labels, raw.rows
        (['Good.', 'Bad.'], array([1, 0]), array([0, 2]))
    """

    items: Sequence[Any]
    labels: np.ndarray | None
    label_columns: tuple[Name, ...] = ()
    class_names: tuple[str, ...] = ()
    source: str = ""
    encodings: Encodings | None = None
    written: bool = False
    rows: np.ndarray = field(kw_only=True)

    def __len__(self) -> int:
        return len(self.items)

    def take(self, index: Any) -> Examples:
        """Returns the texts at `index` (integers, a bool mask or a slice), in its order."""
        picked = np.arange(len(self))[index]
        stored = self.items.take(picked) if isinstance(self.items, StoredTexts) else None
        return replace(
            self,
            items=[self.items[i] for i in picked] if stored is None else stored,
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
        written: Whether the labels are str as they stand in a file that has no types.
        base: The folder of the file that the rows are from; None: they are from none.
    """

    texts: pd.DataFrame
    labels: pd.DataFrame | None = None
    refused: Mapping[str, np.ndarray] = field(default_factory=dict)
    place: Place | None = None
    written: bool = False
    base: Path | None = None


class Sieve:
    """Leaves out the rows that cannot be used, block by block, and says so once.

    A row without a text (missing, empty or only whitespace; in a pair, either one)
    or without a label cannot be used.

    Args:
        source: What to call the data in messages.
        missing: "drop" or "error".
        na_values: Cells that stand for a missing value, too: of all columns, or for each.
        input: What the items are.

    Attributes:
        seen: Rows so far.
        kept: Those that can be used.
    """

    def __init__(
        self, source: str, missing: str, na_values: NaValues = (), input: type[Input] = Texts
    ) -> None:
        self.source = source
        self.input = input
        self.missing = missing
        self._markers = na_values
        self.seen = self.kept = 0
        self.problems = Problems(source, DataError)
        self._left_out: dict[str, list[str]] = {}  # for each reason the first rows, as shown
        self._counts: Counter[str] = Counter()
        self._numbered = True
        self._unreadable = False  # whether there were items that are none

    def keep(self, block: Block) -> tuple[list[Any], pd.DataFrame | None, np.ndarray]:
        """Takes the next rows.

        Returns:
            The texts that can be used, their labels, and their rows in the source, int64.
        """
        texts, labels = block.texts, block.labels
        reasons = dict(block.refused)
        reasons[f"an empty or missing {self.input.kind}"] = _any_missing(texts, self._markers)
        if labels is not None:
            reasons["a missing label"] = _any_missing(labels, self._markers)
        place = block.place or (lambda row: str(self.seen + row))
        self._numbered = block.place is None
        keep = np.ones(len(texts), bool)
        for reason, mask in reasons.items():
            self._leave_out(reason, np.flatnonzero(mask & keep), place)
            keep &= ~mask
        rows = np.flatnonzero(keep)
        columns = self._items(texts, rows, block.base, place)
        bad = self._unusable(columns, rows, place)
        if len(bad):
            left = np.delete(np.arange(len(rows)), bad)
            rows, columns = rows[left], [[column[i] for i in left] for column in columns]
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
            expected = f" The model reads {self.input.kind}s: each is {self.input.expected}."
            raise DataError(f"{self.source}: {facts}{expected if self._unreadable else ''}")
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

    def _leave_out(self, reason: str, rows: np.ndarray, place: Place) -> None:
        self._counts[reason] += len(rows)
        shown = self._left_out.setdefault(reason, [])
        shown += [place(int(row)) for row in rows[: SHOWN_ROWS - len(shown)]]

    def _items(
        self, texts: pd.DataFrame, rows: np.ndarray, base: Path | None, place: Place
    ) -> list[list[Any]]:
        """Returns the items of some rows by column; notes those of another type."""
        used = texts if len(rows) == len(texts) else texts.iloc[rows]
        columns = []
        for number, name in enumerate(texts.columns):
            column = self.input.of_cells(used.iloc[:, number].tolist(), base)
            wrong = [i for i, value in enumerate(column) if not self.input.accepts(value)]
            if wrong:
                first = column[wrong[0]]
                where = self._shown(1, [place(int(rows[wrong[0]]))])
                advice = ", or convert it with .astype(str)" if self.input.expected == "str" else ""
                self.problems.add(
                    f"{plural(len(wrong), 'value')} of {name!r} cannot be a {self.input.kind}: "
                    f"{first!r:.40} ({where}) is of type {type(first).__name__}, expected "
                    f"{self.input.expected}. Choose the column of the {self.input.kind}s{advice}."
                )
                column = [value for i, value in enumerate(column) if i not in set(wrong)]
            columns.append(column)
        return columns

    def _unusable(self, columns: list[list[Any]], rows: np.ndarray, place: Place) -> list[int]:
        """Returns the numbers of rows with an item that cannot be used; notes why."""
        if self.problems.found:
            return []
        found: dict[int, str] = {}
        for column in columns:
            for number, problem in enumerate(self.input.problems(column)):
                if problem is not None:
                    found.setdefault(number, problem)
        self._unreadable = self._unreadable or bool(found)
        for problem in dict.fromkeys(found.values()):
            hit = [number for number, other in found.items() if other == problem]
            self._leave_out(problem, rows[hit], place)
        return sorted(found)


def gather(
    blocks: Iterable[Block],
    *,
    source: str,
    missing: str,
    label_columns: tuple[Name, ...] = (),
    class_names: tuple[str, ...] = (),
    na_values: NaValues = (),
    input: type[Input] = Texts,
) -> Examples:
    """Makes Examples of all rows that can be used.

    Args:
        blocks: The rows.
        source: What to call the data in messages.
        missing: "drop" or "error".
        label_columns: See `Examples`.
        class_names: See `Examples`.
        na_values: See `Sieve`.
        input: See `Sieve`.

    Raises:
        DataError: No rows, or none that can be used; `missing` is "error" and there
            are unusable ones; a text is not a str; labels have no usable type.
    """
    sieve = Sieve(source, missing, na_values, input)
    texts: list[Any] = []
    labels, written, rows = [], [], []
    for block in blocks:
        kept, of_kept, found = sieve.keep(block)
        texts += kept
        rows.append(found)
        if of_kept is not None:
            labels.append(of_kept)
            written.append(block.written)
    values, as_written = None, False
    if texts and labels:
        values, as_written = joined_labels(labels, written, sieve.problems)
    sieve.finish()
    found = np.concatenate(rows)
    if values is not None and values.ndim == 2 and values.shape[1] != len(label_columns):
        label_columns = ()  # one of lists: its name is none of a label
    return Examples(
        texts, values, label_columns, class_names, source, written=as_written, rows=found
    )


def _any_missing(frame: pd.DataFrame, na_values: NaValues) -> np.ndarray:
    """Returns bool [n]: rows with a cell that is None, NaN, pd.NA, only whitespace or marked so."""
    found = frame.isna().to_numpy().any(axis=1)
    for i, name in enumerate(frame.columns):
        column = frame.iloc[:, i]
        if column.dtype.kind == "O":  # numbers and the like cannot be blank
            cells = column.tolist()
            found |= np.array([isinstance(v, str) and (not v or v.isspace()) for v in cells], bool)
        listed = na_values.get(name, ()) if isinstance(na_values, Mapping) else na_values
        if listed:
            marked = column.isin({*listed, *map(str, listed)})
            found |= marked.to_numpy(dtype=bool, na_value=False)
    return found
