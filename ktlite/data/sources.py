"""What the data of a task is, and which readers read it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ktlite.data import continued, groups, squad
from ktlite.data.examples import Name
from ktlite.data.files import open_table
from ktlite.data.packed import suffix_of
from ktlite.data.readers import Examples, read_arrays, read_folder
from ktlite.data.spans import read_spans
from ktlite.data.table import (
    Table,
    as_names,
    check_columns,
    check_na_values,
    is_tabular,
    read_table_texts,
)
from ktlite.data.tagged import (
    TAG,
    WORD,
    read_columns,
    read_conllu,
    read_tag_arrays,
    read_tag_frame,
    read_tag_table,
)
from ktlite.errors import Problems
from ktlite.inputs.input import Input
from ktlite.inputs.texts import Texts
from ktlite.tasks import Task, find_task

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Source:
    """The readers of one kind of data.

    Args:
        expected: What `get_learner(train_data=)` may be, for messages.
        needs_columns: Whether files and frames are read by names of columns that must be given.
        read: Reads any of these: takes (data, text_column, label_columns, *, source, **options)
            with the options of `get_learner` that load data.
        arrays: Reads (texts, labels) that are in memory; labels may be None.
        items: Whether an example is an item, or a pair of them, with its labels a row: then the
            reader takes `kind=`, and `arrays` takes `input=`.
        in_memory: What is given for `train_data` where texts are in lists, for messages.
    """

    expected: str
    needs_columns: bool
    read: Callable[..., Examples]
    arrays: Callable[..., Examples]
    items: bool = False
    in_memory: str = "(texts, labels)"


def read_any(data: Any, text_column: Any, label_columns: Any, **options: Any) -> Examples:
    """Reads items, a label each, from whatever `get_learner(train_data=)` is given.

    Args:
        data: Path of a file (CSV, TSV, JSONL, Parquet), a pattern or a list of them, the path of
            a folder of class folders, a data frame, a `datasets.Dataset`, or (texts, labels).
        text_column: Name of the text column, or two names.
        label_columns: Name or names of the label columns.
        **options: `sep`, `encoding`, `names`, `missing`, `na_values`, `source`; `kind` of item,
            which returns it when columns are known to be there; `store`, a `TokenStore` that reads
            the data and tokenises it to disk.

    Raises:
        DataError: If the data cannot be read.
        ArgumentError: If it is of another kind, or columns are not named.
    """
    source, store = options.pop("source"), options.pop("store", None)
    kind: Callable[[], type[Input]] = options.pop("kind", lambda: Texts)
    missing, na_values = options.pop("missing"), options.pop("na_values", None) or ()
    tabular = is_tabular(data)
    problems = Problems("get_learner")
    problems.add_unless(
        store is None or tabular,
        f"cache_folder= keeps the tokens of a file, a DataFrame or a Dataset; {source} is another "
        "kind of data: leave cache_folder out.",
    )
    check_na_values(problems, na_values, tabular, source)
    if not tabular:
        problems.raise_if_any()
        input = kind()
        if isinstance(data, (tuple, list)) and len(data) == 2:
            return read_arrays(data[0], data[1], missing=missing, source=source, input=input)
        if isinstance(data, (str, os.PathLike)):
            encoding = options["encoding"]
            return read_folder(data, encoding=encoding, missing=missing, input=input)
        problems.add(f"{source} is of type {type(data).__name__}; expected {expected(input)}.")
    problems.add_unless(text_column is not None, "text_column is not given: which column?")
    problems.add_unless(
        not isinstance(text_column, (list, tuple)) or len(text_column) < 3,
        f"text_column={text_column!r}; expected one name or two (pairs of texts).",
    )
    problems.add_unless(label_columns is not None, "label_columns is not given: which column?")
    problems.raise_if_any()
    texts, labels = as_names(text_column), as_names(label_columns)
    table = open_table(data, source, whole=store is None, **options)
    if store is not None:
        stored: Examples = store.read(table, texts, labels, missing, na_values)
        return stored
    return read_table_texts(table, texts, labels, missing, na_values, kind)


def expected(input: type[Input]) -> str:
    """Says what data of items, a label each, may be."""
    return (
        "the path of a CSV file (or TSV, JSONL, Parquet; or a list of paths) or of a folder of "
        f"class folders, a DataFrame, a datasets.Dataset, or a tuple ({input.kind}s, labels)"
    )


# Files of tables that can hold lists; and those that may hold annotated characters instead.
_OF_LISTS = (".parquet", ".pq", ".json")
_OF_LINES = (".jsonl", ".ndjson")


def _whole(table: Table, words: Name, tags: Name) -> pd.DataFrame:
    import pandas as pd

    blocks = table.blocks((words,), (tags,))
    return pd.concat([pd.concat([b.texts, b.labels], axis=1) for b in blocks], ignore_index=True)


def read_any_tagged(data: Any, text_column: Any, label_columns: Any, **options: Any) -> Examples:
    """Reads tagged words from whatever `get_learner(train_data=)` is given.

    The name of a file says what it is: `.jsonl` annotated characters, or, if columns are named,
    lists of words and of tags a line, as `.json` and `.parquet` have them; `.conllu` CoNLL-U;
    `.csv` a table with a word a row; any other, columns.

    Args:
        data: Path of a file, a data frame or a `datasets.Dataset`, or (words, tags).
        text_column: Column of the words: a name, or in a file of columns a number.
        label_columns: Column of the tags, likewise.
        **options: `sep`, `encoding`, `source`.

    Raises:
        DataError: If the data cannot be read.
        ArgumentError: If it is of another kind.
    """
    source, encoding = options["source"], options["encoding"]
    problems = Problems("get_learner")
    check_na_values(problems, options.get("na_values"), False, source)
    problems.raise_if_any()
    if isinstance(data, (tuple, list)) and len(data) == 2:
        return read_tag_arrays(*data, source=source)
    given = {"word_column": text_column, "tag_column": label_columns}
    columns = {name: value for name, value in given.items() if value is not None}
    if hasattr(data, "columns") and hasattr(data, "iloc"):
        return read_tag_frame(data, **columns, source=source)
    is_file = isinstance(data, (str, os.PathLike))
    problems.add_unless(
        is_file or hasattr(data, "column_names"),
        f"{source} is of type {type(data).__name__}; expected {SOURCES['tagged'].expected}.",
    )
    problems.raise_if_any()
    suffix = suffix_of(data) if is_file else ""
    if not is_file or suffix in _OF_LISTS or (columns and suffix in _OF_LINES):
        table = open_table(data, source, encoding=encoding)
        names = (columns.get("word_column", WORD), columns.get("tag_column", TAG))
        check_columns(table, names[:1], names[1:])
        frame = _whole(table, *names)
        annotated = suffix in _OF_LINES and len(frame) and isinstance(frame[names[0]].iloc[0], str)
        if not annotated:
            return read_tag_frame(frame, *names, source=table.source)
    if suffix in _OF_LINES:
        return read_spans(data, encoding=encoding)
    if suffix == ".csv":
        return read_tag_table(data, **columns, sep=options["sep"] or ",", encoding=encoding)
    if suffix == ".conllu":
        columns.pop("word_column", None)
        return read_conllu(data, **columns, encoding=encoding)
    for name, value in columns.items():
        argument = "text_column" if name == "word_column" else "label_columns"
        problems.add_unless(
            isinstance(value, int),
            f"{argument}={value!r}; in a file of columns without names, expected its number.",
        )
    problems.raise_if_any()
    return read_columns(data, **columns, encoding=encoding)


SOURCES: dict[str, Source] = {
    "texts": Source(
        expected(Texts),  # type: ignore[type-abstract]
        needs_columns=True,
        read=read_any,
        arrays=read_arrays,
        items=True,
    ),
    "tagged": Source(
        "the path of a file with a word and its tag a line (CoNLL, WNUT), of a CoNLL-U, CSV, JSON "
        "or Parquet file, a DataFrame, a datasets.Dataset, or a tuple (lists of words, lists of "
        "tags)",
        needs_columns=False,
        read=read_any_tagged,
        arrays=read_tag_arrays,
    ),
    "questions": Source(
        squad.EXPECTED,
        needs_columns=False,
        read=squad.read_any_questions,
        arrays=squad.read_question_arrays,
    ),
    "continued": Source(
        continued.EXPECTED,
        needs_columns=False,
        read=continued.read_any_continued,
        arrays=continued.read_continued_arrays,
        in_memory="(texts, None)",
    ),
    "groups": Source(
        groups.EXPECTED,
        needs_columns=False,
        read=groups.read_groups,
        arrays=groups.read_group_arrays,
    ),
}


def mistaken_texts(
    data: Any, other: Any = None, name: str = "train_data", in_memory: str = "(texts, labels)"
) -> str | None:
    """Says what is wrong where texts were given in the place of files; None where they were not.

    Args:
        data: What was given as data.
        other: What `get_learner` was given as `val_data`.
        name: What the caller's argument for data is called.
        in_memory: As of a `Source`.
    """
    pair = f"{name}={in_memory}"
    if is_tabular(other) and not isinstance(other, (list, tuple)):
        other = None  # a file or a frame, no labels
    if _are_no_files(data) and _count(other) == len(data):
        return f"train_data and val_data are texts and their labels, it seems; pass both as {pair}."
    if isinstance(data, (list, tuple)) and _are_no_files(data):
        return (
            f"{name} is a {type(data).__name__} of strings, which are taken for paths, and "
            f"there is no file {data[0]!r:.60}. Texts come with their labels, in lists: {pair}."
        )
    return None


def _count(labels: Any) -> int | None:
    """Returns how many labels there are, if they are in a list, an array or a Series."""
    if isinstance(labels, (str, os.PathLike, Mapping)) or getattr(labels, "ndim", 1) != 1:
        return None
    return len(labels) if hasattr(labels, "__len__") else None


def _are_no_files(data: Any) -> bool:
    """Says whether data is a list, an array or a Series of strings, and none of them a file's."""
    if (is_tabular(data) and not isinstance(data, (list, tuple))) or not _count(data):
        return False  # a frame or a data set has rows, which are not to be read here
    items = list(data)
    if not all(isinstance(item, str) for item in items) or any(map(_exists, items)):
        return False
    # One that could be a path ("It cost 3.50", "5* hotel") does not make the others paths.
    return not all(map(_could_be_path, items))


def _exists(text: str) -> bool:
    try:
        return os.path.exists(text)
    except ValueError:  # a null character
        return False


def _could_be_path(text: str) -> bool:
    suffix = Path(text).suffix.strip(".")
    return "*" in text or bool(suffix and not any(map(str.isspace, suffix)))


def source_of(task: str | Task | None, input: type[Input] = Texts) -> Source:
    """Returns the source of a task's data.

    Args:
        task: Its name, or the task itself; None for items with a label each.
        input: What the items are.

    Raises:
        ArgumentError: If there is no such task, or it is none of such items.
    """
    chosen = task if isinstance(task, Task) else None if task is None else find_task(task)
    reads = "texts" if chosen is None else chosen.reads
    problems = Problems("task" if chosen is None else f"task {chosen.name!r}")
    problems.choice("reads", reads, list(SOURCES))
    problems.raise_if_any()
    found = SOURCES[reads]
    if input.kind == Texts.kind:
        return found
    problems.add_unless(found.items, f"it is of texts; this model reads {input.kind}s.")
    problems.raise_if_any()
    return replace(
        found,
        expected=expected(input),
        read=partial(found.read, kind=lambda: input),
        arrays=partial(found.arrays, input=input),
    )


def reader_of(task: str | Task | None, kind: Callable[[], type[Input]]) -> Callable[..., Examples]:
    """Returns what reads a task's data, for a checkpoint that is not known yet.

    Args:
        task: As for `source_of`.
        kind: Returns what the checkpoint reads. It takes Keras, and perhaps a download, so it is
            asked when the columns are known to be there.

    Raises:
        ArgumentError: As `source_of`.
    """
    source = source_of(task)
    return partial(source.read, kind=kind) if source.items else source_of(task, kind()).read
