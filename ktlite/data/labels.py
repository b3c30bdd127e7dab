"""Labels of a source as arrays, and whether what stands in a file is a number or a name."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ktlite.errors import DataError, Problems, listing
from ktlite.tasks import Classification, Regression, Similarity, Task, find_task
from ktlite.tasks.arrays import ragged
from ktlite.tasks.infer import FEW_INTEGERS
from ktlite.tasks.spelling import SPELLING, spelled_numbers

if TYPE_CHECKING:
    import pandas as pd

    from ktlite.data.examples import Examples

# What pandas.api.types.infer_dtype calls the values that are numbers.
INTEGERS = frozenset({"integer"})
_PLAIN = ("int64", "float64", "bool")
NUMBERS = INTEGERS | {"floating", "mixed-integer-float", "decimal"}

_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,18}")
_LIST = re.compile(r"\s*\[.*\]\s*", re.DOTALL)
_SPACED = re.compile(r"(?<=[0-9.])\s+(?=[0-9.])")  # as NumPy writes arrays: [0 1 1]
_TRUTH = {"true": "1", "false": "0"}


def joined_labels(
    frames: Sequence[pd.DataFrame], written: Sequence[bool], problems: Problems
) -> tuple[np.ndarray | None, bool]:
    """Makes one array of the labels of several blocks.

    Args:
        frames: The labels of each, in the same columns.
        written: For each, whether its cells are str as they stand in a file of text.
        problems: Takes what is wrong.

    Returns:
        The labels, None after adding a problem: [n] object (str), int64 or float64, or object
        (list of str) for names of several classes; [n, k] int64 or float64 for k columns, or for
        one of lists of k numbers. And whether they are as written: `str` of each is its cell.
    """
    import pandas as pd

    as_text = all(written)
    if any(written) and not as_text:  # beside values with types, numbers are numbers
        frames = [
            frame.map(_number_or_text) if is_text else frame
            for frame, is_text in zip(frames, written, strict=True)
        ]
    joined = frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)
    if joined.shape[1] > 1:
        return _matrix(joined, as_text, problems), False
    values = _values(joined.iloc[:, 0])
    lists = _lists(values)
    if lists is not None:
        return _of_lists(lists, problems), False
    return (decided(values), True) if as_text else (_column(values, problems), False)


def decided(cells: np.ndarray) -> np.ndarray:
    """Returns numbers where all cells stand as numbers are written back; else the cells.

    Whole numbers are int64, those with a point float64. `007`, `3.10`, `1e5` and `+1` would be
    written otherwise, and stay what they are.

    Args:
        cells: [n] object (str).

    Example:
        >>> decided(np.array(["1", "20"], object)), decided(np.array(["1", "02"], object))
        (array([ 1, 20]), array(['1', '02'], dtype=object))
    """
    import pandas as pd

    codes, distinct = pd.factorize(cells)
    if all(_WHOLE.fullmatch(cell) for cell in distinct):
        whole = [int(cell) for cell in distinct]
        fit = all(-(2**63) <= number < 2**63 for number in whole)
        return np.array(whole, "int64")[codes] if fit else cells
    if all(map(_is_float, distinct)):
        return np.array([float(cell) for cell in distinct])[codes]
    return cells


def as_written(raw: Examples) -> np.ndarray | None:
    """Returns the labels as they stand in a file, [n] object (str); None where they have types."""
    if not raw.written or raw.labels is None:
        return None
    if raw.labels.dtype == object:
        return raw.labels
    return np.array([str(value) for value in raw.labels.tolist()], object)


def settled(
    task: str | Task | None, class_names: Sequence[Any], *raws: Examples
) -> tuple[Examples, ...]:
    """Decides once, for data that goes together, whether labels as written are numbers or names.

    Args:
        task: The task, as far as it is known.
        class_names: Names that are given for the classes.
        *raws: The training data and the validation data; or new data for a known task.

    Returns:
        The same data, its labels of one type.

    Raises:
        DataError: If they may be classes or quantities, and nothing tells.
    """
    cells = [as_written(raw) for raw in raws]
    columns = [column for column in cells if column is not None]
    kind = type(task) if isinstance(task, Task) else None if task is None else find_task(task)
    if kind is not None and kind.labels_are_texts:
        return tuple(
            raw if column is None else replace(raw, labels=column)
            for raw, column in zip(raws, cells, strict=True)
        )
    if not columns or (kind is not None and issubclass(kind, (Regression, Similarity))):
        return raws  # quantities are read in all spellings
    distinct = {cell for column in columns for cell in set(column.tolist())}
    types = {raw.labels.dtype.kind for raw in raws if raw.labels is not None}
    names = {name for name in class_names if isinstance(name, str)}
    numbered = len(class_names) > 0
    if isinstance(task, Classification):
        names, numbered = {str(name) for name in task.classes}, task.numbered
    typed = {raw.labels.dtype.kind for raw in raws if raw.labels is not None and not raw.written}
    change: Callable[[np.ndarray], np.ndarray] | None = None
    if names and distinct <= names:
        change = _names
    elif (numbered or typed == {"i"}) and all(map(_is_whole, distinct)):
        change = _whole_numbers
    elif types != {"i"}:
        change = _names
        if task is None and not names:
            _ask(distinct, raws[0].source)
    if change is None:
        return raws
    return tuple(
        raw if column is None else replace(raw, labels=change(column))
        for raw, column in zip(raws, cells, strict=True)
    )


def _names(cells: np.ndarray) -> np.ndarray:
    return cells


def _whole_numbers(cells: np.ndarray) -> np.ndarray:
    return np.array([int(float(cell)) if "." in cell else int(cell) for cell in cells], "int64")


def _ask(distinct: set[str], source: str) -> None:
    """Raises if what are names as they stand may well be quantities."""
    if not all(SPELLING.fullmatch(cell.strip()) for cell in distinct):
        return
    if any(re.match(r"[+-]?0[0-9]", cell.strip()) for cell in distinct):
        return  # no quantity begins so
    plain = all(_WHOLE.fullmatch(cell) or _is_float(cell) for cell in distinct)
    parts = not all(float(cell).is_integer() for cell in distinct)
    if len(distinct) > FEW_INTEGERS or (plain and parts):
        raise DataError(
            f"{source}: labels such as {listing(sorted(distinct), 4)} may be quantities or classes "
            f"({len(distinct):,} different ones). Pass task='regression' to predict numbers, or "
            "task='classification' for classes that are named as it is written."
        )


def _is_float(cell: str) -> bool:
    """Says whether a cell is a float as it is written back: 1.5, 2.0, 1e-05."""
    return bool(SPELLING.fullmatch(cell)) and repr(float(cell)) == cell


def _is_whole(cell: str) -> bool:
    """Says whether a cell is a whole number, which may have been made a float: 1, 1.0."""
    return bool(_WHOLE.fullmatch(cell.removesuffix(".0")))


def _number_or_text(cell: Any) -> Any:
    if not isinstance(cell, str):
        return cell
    if _WHOLE.fullmatch(cell):
        return int(cell)
    return float(cell) if _is_float(cell) else cell


def _lists(values: np.ndarray) -> list[list[Any]] | None:
    """Returns a column of lists, in a file of text also as Python writes them; None: it is none."""
    if not len(values) or values.dtype != object:
        return None
    if isinstance(values[0], (list, tuple, np.ndarray)):
        rows = [v.tolist() if isinstance(v, np.ndarray) else v for v in values]
        return [list(row) if isinstance(row, (list, tuple)) else [row] for row in rows]
    if not all(isinstance(value, str) and _LIST.fullmatch(value) for value in values):
        return None
    found = [_parsed(value.strip()) for value in values]
    return found if all(isinstance(row, list) for row in found) else None


def _parsed(text: str) -> Any:
    for text_or_array in (text, _SPACED.sub(", ", text)):
        for parse in (json.loads, ast.literal_eval):
            try:
                return parse(text_or_array)
            except (ValueError, SyntaxError):
                continue
    return None


def _of_lists(rows: list[list[Any]], problems: Problems) -> np.ndarray | None:
    """Returns numbers as [n, k], names as [n] object (list of str)."""
    items = [item for row in rows for item in row]
    sizes = {len(row) for row in rows}
    if items and all(isinstance(item, str) for item in items):
        return ragged(rows)
    if all(isinstance(item, (bool, int, float)) for item in items) and len(sizes) == 1 and items:
        return _whole_or_float(np.array(rows, "float64"))
    kinds = _types(np.array(items, object)) or "nothing"
    problems.add(
        f"the labels are lists of {listing(sorted(sizes), 4)} values ({kinds}). Expected lists of "
        "the names of each text's classes, or as many numbers in each: 0 or 1 for each class."
    )
    return None


def _column(values: np.ndarray, problems: Problems) -> np.ndarray | None:
    """Returns a column of values that have types."""
    from pandas.api.types import infer_dtype

    kind = infer_dtype(values, skipna=False)
    if kind in NUMBERS:
        return _numbers(values, [kind], problems)
    if kind in ("string", "boolean"):
        return np.array([str(value) for value in values], dtype=object)
    problems.add(
        f"the labels are of type {kind} ({_types(values)}); expected all str, all integers or all "
        "floats."
    )
    return None


def _matrix(labels: pd.DataFrame, written: bool, problems: Problems) -> np.ndarray | None:
    """Returns several columns, which have to be of numbers."""
    from pandas.api.types import infer_dtype

    columns, kinds = [], []
    for i, name in enumerate(labels.columns):
        values, kind = _values(labels.iloc[:, i]), ""
        try:
            values = _spelled(values) if written else values
            kind = infer_dtype(values, skipna=False)
        except ValueError as error:
            problems.add(
                f"label column {name!r}: {error}. With several label columns each must hold "
                "numbers (0 and 1 for classes)."
            )
            return None
        if kind not in NUMBERS and kind != "boolean":
            problems.add(
                f"label column {name!r} holds {_types(values)}; with several label columns each "
                "must hold numbers (0 and 1 for classes)."
            )
            return None
        columns.append(values)
        kinds.append(kind)
    return _numbers(np.stack(columns, axis=1), kinds, problems)


def _spelled(cells: np.ndarray) -> np.ndarray:
    """Returns the numbers of cells, in whatever spelling; true is 1."""
    import pandas as pd

    codes, distinct = pd.factorize(cells)
    plain = [_TRUTH.get(cell.strip().lower(), cell) for cell in distinct]
    if all(map(_WHOLE.fullmatch, plain)):
        return np.array([int(cell) for cell in plain], object)[codes]
    return np.asarray(spelled_numbers(plain)[codes])


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
    return _whole_or_float(values.astype(np.float64))


def _whole_or_float(floats: np.ndarray) -> np.ndarray:
    whole = np.isfinite(floats) & (floats == np.rint(floats)) & (np.abs(floats) < 2**53)
    return floats.astype(np.int64) if whole.all() else floats


def _types(column: np.ndarray) -> str:
    return ", ".join(sorted({type(value).__name__ for value in column}))
