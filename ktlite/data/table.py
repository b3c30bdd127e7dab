"""Tables of named columns, whole or some rows at a time: frames, data sets, several files."""

from __future__ import annotations

import abc
import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ktlite.data.examples import MISSING_CHOICES, Block, Examples, Name, NaValues, gather
from ktlite.errors import DataError, Problems, did_you_mean, listing, plural
from ktlite.inputs.input import Input
from ktlite.inputs.texts import Texts

if TYPE_CHECKING:
    import pandas as pd

AT_ONCE = 10_000  # rows a block
Names = tuple[Name, ...]


class Table(abc.ABC):
    """Rows of named columns, which can be read more than once.

    Attributes:
        source: What to call the table in messages.
        columns: Their names.
        hint: What else may be wrong where there is only one column.
        problems: What is wrong with the table as a whole.
    """

    source: str
    columns: list[Name]
    hint: str = ""
    problems: Sequence[str] = ()

    @abc.abstractmethod
    def blocks(self, texts: Names, labels: Names) -> Iterator[Block]:
        """Yields all rows, some at a time, with these columns."""

    @abc.abstractmethod
    def state(self, wanted: Names) -> Any:
        """Returns JSON values that change when these columns do; None: nothing tells."""

    def identity(self) -> Any:
        """Returns JSON values that say which table this is, whatever its content."""
        return self.source

    def class_names(self, labels: Names) -> tuple[str, ...]:
        """Returns the names of the classes, where the table has them for numbers."""
        return ()

    def size(self) -> int | None:
        """Returns the number of rows; None where only reading would tell."""
        return None


def read_table_texts(
    table: Table,
    texts: Names,
    labels: Names,
    missing: str,
    na_values: NaValues = (),
    kind: Callable[[], type[Input]] = lambda: Texts,
) -> Examples:
    """Reads the whole of a table into memory.

    Args:
        table: The table.
        texts: Its columns of texts, or other items.
        labels: Its columns of labels.
        missing: "drop" or "error".
        na_values: Cells that stand for a missing value.
        kind: Returns what the items are; asked when the columns are known to be there.

    Raises:
        DataError: With everything that is wrong: no such column, no rows, texts
            that are not str, labels of mixed types, rows refused by `missing`.
    """
    check_columns(table, texts, labels, missing)
    return gather(
        table.blocks(texts, labels),
        source=table.source,
        missing=missing,
        label_columns=labels,
        class_names=table.class_names(labels),
        na_values=na_values,
        input=kind(),
    )


class FrameTable(Table):
    """A pandas DataFrame; its index plays no part."""

    def __init__(self, frame: pd.DataFrame, source: str) -> None:
        self.frame = frame
        self.source = source
        self.columns = list(frame.columns)

    def blocks(self, texts: Names, labels: Names) -> Iterator[Block]:
        for start in range(0, max(len(self.frame), 1), AT_ONCE):
            part = self.frame.iloc[start : start + AT_ONCE]
            yield as_block(part, texts, labels)

    def state(self, wanted: Names) -> Any:
        import pandas as pd

        digest = hashlib.sha256()
        for name in wanted:
            column = self.frame[name]
            # 1 and "1", or None and "None", are different only by their types.
            kinds = column.astype(object).map(lambda value: type(value).__name__)
            for values in (column.astype(str), kinds):
                digest.update(pd.util.hash_pandas_object(values, index=False).to_numpy())
        return digest.hexdigest()

    def size(self) -> int:
        return len(self.frame)


class DatasetTable(Table):
    """A `datasets.Dataset`, or what has its `column_names` and slices to lists as it does.

    The names of a `ClassLabel` are the classes; its -1 stands for a missing label.
    """

    def __init__(self, dataset: Any, source: str) -> None:
        self.dataset = dataset
        self.source = source
        self.columns = list(dataset.column_names)

    def blocks(self, texts: Names, labels: Names) -> Iterator[Block]:
        import pandas as pd

        wanted = [*texts, *labels]
        select = getattr(self.dataset, "select_columns", None)
        # As plain lists, whatever format the data set was given.
        data = self.dataset if select is None else _undecoded(select(wanted).with_format(None))
        for start in range(0, max(len(data), 1), AT_ONCE):
            rows = data[start : start + AT_ONCE]
            part = pd.DataFrame(
                {name: pd.Series(list(rows[name]), dtype=object) for name in wanted}
            )
            for name in labels:
                if self._names(name):
                    part[name] = part[name].where(part[name] != -1, None)
                several = self._names_of_several(name)
                if several:
                    part[name] = part[name].map(
                        lambda row, names=several: row and [names[number] for number in row]
                    )
            yield as_block(part, texts, labels)

    def state(self, wanted: Names) -> Any:
        return getattr(self.dataset, "_fingerprint", None)

    def class_names(self, labels: Names) -> tuple[str, ...]:
        return self._names(labels[0]) if len(labels) == 1 else ()

    def size(self) -> int:
        return len(self.dataset)

    def _names(self, column: Name) -> tuple[str, ...]:
        return _class_names(self._feature(column))

    def _names_of_several(self, column: Name) -> tuple[str, ...]:
        """Returns the names of a column of lists of the numbers of classes."""
        return _class_names(getattr(self._feature(column), "feature", None))

    def _feature(self, column: Name) -> Any:
        return (getattr(self.dataset, "features", None) or {}).get(column)


def _undecoded(dataset: Any) -> Any:
    """Returns a data set whose images and sounds come as they are stored, not as arrays."""
    for name, feature in dataset.features.items():
        if getattr(feature, "decode", False):
            dataset = dataset.cast_column(name, replace(feature, decode=False))
    return dataset


def _class_names(feature: Any) -> tuple[str, ...]:
    return tuple(getattr(feature, "names", None) or ())


class JoinedTable(Table):
    """Several tables of the same columns, one after the other."""

    def __init__(self, parts: Sequence[Table]) -> None:
        self.parts = parts
        self.source = f"{plural(len(parts), 'file')} ({listing((p.source for p in parts), 3)})"
        first = parts[0]
        self.columns = first.columns
        self.hint = first.hint
        self.problems = [f"{p.source}: {problem}" for p in parts for problem in p.problems]

    def blocks(self, texts: Names, labels: Names) -> Iterator[Block]:
        for part in self.parts:
            check_columns(part, texts, labels)
            start = 0
            for block in part.blocks(texts, labels):
                yield replace(block, place=_place(part.source, start))
                start += len(block.texts)

    def state(self, wanted: Names) -> Any:
        return [part.state(wanted) for part in self.parts]

    def identity(self) -> Any:
        return [part.identity() for part in self.parts]

    def size(self) -> int | None:
        sizes = [part.size() for part in self.parts]
        return None if None in sizes else sum(cast("list[int]", sizes))


def _place(source: str, start: int) -> Callable[[int], str]:
    return lambda row: f"row {start + row} of {source}"


def as_block(frame: pd.DataFrame, texts: Names, labels: Names, base: Path | None = None) -> Block:
    """Returns some columns of a frame as a block; `base` is the folder of the frame's file."""
    return Block(frame[list(texts)], frame[list(labels)] if labels else None, base=base)


def is_tabular(data: Any) -> bool:
    """Says whether data has named columns: a file or several, a data frame, a `Dataset`."""
    if isinstance(data, (list, tuple)):
        return len(data) > 0 and all(isinstance(item, (str, os.PathLike)) for item in data)
    if isinstance(data, (str, os.PathLike)):
        return not Path(data).is_dir()
    is_frame = hasattr(data, "columns") and hasattr(data, "iloc")
    return is_frame or (
        isinstance(getattr(data, "column_names", None), (list, tuple)) and hasattr(data, "__len__")
    )


def as_names(columns: Any) -> Names:
    """Returns one name, or several, as a tuple."""
    if columns is None:
        return ()
    return tuple(columns) if isinstance(columns, (list, tuple)) else (columns,)


def check_columns(table: Table, texts: Names, labels: Names, missing: str = "drop") -> None:
    """Raises DataError with all that is wrong with a table and the columns asked for."""
    problems = Problems(table.source, DataError)
    check_names(problems, texts, labels, missing)
    problems.found += table.problems
    _check_are_there(problems, table, texts, labels)
    problems.raise_if_any()


def check_names(problems: Problems, texts: Names, labels: Names, missing: str) -> None:
    """Records what is wrong with the names themselves."""
    problems.choice("missing", missing, MISSING_CHOICES)
    if not 1 <= len(texts) <= 3:
        problems.add(f"text_column must be one to three names, got {list(texts)}.")
    for name, count in Counter((*texts, *labels)).items():
        if count > 1:
            problems.add(f"column {name!r} is asked for {count} times, as a text or a label.")


def check_na_values(problems: Problems, na_values: Any, tabular: bool, source: str) -> None:
    """Records what is wrong with the cells that are said to stand for a missing value."""
    if not na_values:
        return
    listed = list(na_values.values()) if isinstance(na_values, Mapping) else [na_values]
    problems.add_unless(
        all(isinstance(cells, (list, tuple, set)) for cells in listed),
        f"na_values={na_values!r}; expected a list of cells that stand for a missing value, such "
        "as ['NA'], or a dict of such lists by column.",
    )
    problems.add_unless(
        tabular,
        f"na_values= goes with tables of texts and labels; {source} is another kind of data: leave "
        "it out.",
    )


def _check_are_there(problems: Problems, table: Table, texts: Names, labels: Names) -> None:
    columns, absent = table.columns, []
    for argument, names in (("text_column", texts), ("label_columns", labels)):
        for name in names:
            if name not in columns:
                absent.append(f"{argument}: no column is {name!r}.{did_you_mean(name, columns)}")
            elif columns.count(name) > 1:
                problems.add(f"{argument}: {columns.count(name)} columns have the name {name!r}.")
    if absent and table.hint:
        problems.add(f"there is only one column, {columns[0]!r}.{table.hint}")
    elif absent:
        absent[-1] += f" The columns are {listing(repr(c) for c in columns)}."
        problems.found += absent
