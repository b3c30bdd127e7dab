"""Texts and labels from files, folders, data frames and arrays, as `Examples`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ktlite._logging import logger
from ktlite.data.examples import MISSING_CHOICES, Block, Examples, Name, NaValues, gather
from ktlite.data.files import CsvFile, check_exists, visible
from ktlite.data.table import FrameTable, as_names, check_names, read_table_texts
from ktlite.errors import DataError, Problems, did_you_mean, listing, plural
from ktlite.inputs.decoding import detect_encoding
from ktlite.inputs.input import Input
from ktlite.inputs.texts import Texts

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Examples", "detect_encoding", "read_arrays", "read_csv", "read_folder", "read_frame"]


def read_csv(
    path: str | os.PathLike[str],
    text_column: Name | tuple[Name, Name],
    label_columns: Name | Sequence[Name] = (),
    *,
    sep: str | None = None,
    encoding: str | None = None,
    names: Sequence[Name] | None = None,
    missing: str = "drop",
    na_values: NaValues = (),
) -> Examples:
    r"""Reads texts and labels from a CSV, TSV or similar file.

    Texts and labels are read as they stand: "NA" and "007" are texts, and classes. A column of
    labels is of numbers where all of its cells stand as numbers are written back; see `decided`
    in `labels.py`. Quotes that do not pair are read as they stand and join no lines. A line with
    too many fields counts as missing.

    Args:
        path: The file.
        text_column: The column of the texts, or two columns for pairs of texts.
        label_columns: The label column, or several: then labels are [n, k].
        sep: The one character between fields. Default: a tab in `.tsv` and `.tab` files, else a
            comma.
        encoding: Any that Python knows; None detects it, GB18030 included.
        names: Column names of a file that has no header line.
        missing: "drop" leaves out rows without text or label and warns with their
            number; "error" refuses them.
        na_values: Cells that stand for a missing value, such as `["NA"]`, beside empty ones; or
            a dict of them by column.

    Raises:
        DataError: With everything that is wrong: no such file or column, no rows,
            undecodable bytes, a wrong separator, rows refused by `missing`.

    Example:
        >>> raw = read_csv("reviews.csv", "text", "label")
        >>> raw = read_csv("sst2/train.tsv", "text", "label", sep="\t", names=["text", "label"])
    """
    file = Path(path)
    texts, labels = as_names(text_column), as_names(label_columns)
    problems = Problems(file.name, DataError)
    check_names(problems, texts, labels, missing)
    if sep is not None and (not isinstance(sep, str) or len(sep) != 1 or sep in '"\r\n'):
        problems.add(f"sep={sep!r} is not one character such as ',' ';' '|' or '\\t'.")
    check_exists(problems, file, file.is_file(), "file")
    problems.raise_if_any()
    table = CsvFile(file, sep, encoding, names)
    return read_table_texts(table, texts, labels, missing, na_values)


def read_frame(
    frame: pd.DataFrame,
    text_column: Name | tuple[Name, Name],
    label_columns: Name | Sequence[Name] = (),
    *,
    missing: str = "drop",
    source: str = "DataFrame",
) -> Examples:
    """Takes texts and labels from a pandas DataFrame; its index plays no part.

    Args:
        frame: One row per text.
        text_column: The column of the texts, or two columns for pairs of texts.
        label_columns: The label column, or several: then labels are [n, k].
        missing: "drop" leaves out rows without text or label and warns with their
            number; "error" refuses them.
        source: What to call the frame in messages.

    Raises:
        DataError: With everything that is wrong: no such column, no rows, texts
            that are not str, labels of mixed types, rows refused by `missing`.

    Example:
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"text": ["Good.", "Bad."], "label": ["pos", "neg"]})
        >>> read_frame(frame, "text", "label").labels
        array(['pos', 'neg'], dtype=object)
    """
    import pandas as pd

    if not isinstance(frame, pd.DataFrame):
        raise DataError(f"{source}: expected a pandas DataFrame, got {type(frame).__name__}.")
    texts, labels = as_names(text_column), as_names(label_columns)
    return read_table_texts(FrameTable(frame, source), texts, labels, missing)


def read_folder(
    folder: str | os.PathLike[str],
    classes: Sequence[str] | None = None,
    *,
    encoding: str | None = None,
    missing: str = "drop",
    verbose: int = 1,
    input: type[Input] = Texts,
) -> Examples:
    """Reads one text, or other item, per file; the files of a class lie in a folder of its name.

    Args:
        folder: Holds the class folders. Hidden files and folders are skipped.
        classes: Which class folders to read; None: all. Their order is that of their names, as
            ktrain and scikit-learn's `load_files` have it.
        encoding: Of all files; None detects it file by file.
        missing: "drop" leaves out empty files and warns with their number;
            "error" refuses them.
        verbose: 0 leaves out the log line that counts files, classes and encodings.
        input: What the files hold.

    Returns:
        The texts with labels [n] of class names; `rows` counts the files class by
        class, in each class by file name.

    Raises:
        DataError: With everything that is wrong: no such folder or class, class
            folders without files, undecodable files, files refused by `missing`.

    Example:
        >>> read_folder("aclImdb/train", classes=["pos", "neg"]).class_names
        ('neg', 'pos')
    """
    import pandas as pd

    top = Path(folder)
    problems = Problems(top.name, DataError)
    problems.choice("missing", missing, MISSING_CHOICES)
    check_exists(problems, top, top.is_dir(), "folder")
    problems.raise_if_any()
    found = sorted(p.name for p in visible(top) if p.is_dir())
    names = found if classes is None else sorted(set(classes))
    files = {
        name: sorted(p for p in visible(top / name) if p.is_file() and input.is_file(p))
        for name in names
        if name in found
    }
    for name in names:
        if name not in files:
            problems.add(f"no class folder {name!r}.{did_you_mean(name, found)}")
        elif not files[name]:
            problems.add(f"the class folder {name!r} holds no {input.kind} files.")
    problems.add_unless(
        bool(names), f"no class folders; expected one folder of {input.kind} files for each class."
    )
    problems.raise_if_any()

    places = [f"{name}/{file.name}" for name in names for file in files[name]]
    listed = [file for name in names for file in files[name]]
    items, note = input.of_files(listed, encoding, top.name)
    if verbose:
        logger.info(
            "%s: %s of %s (%s)%s.", top.name, plural(len(places), input.kind),
            plural(len(names), "class folder"), listing(names), note and f", {note}",
        )  # fmt: skip
    labels = np.repeat(np.array(names, object), [len(files[name]) for name in names])
    block = Block(
        pd.DataFrame({input.kind: pd.Series(items, dtype=object)}),
        pd.DataFrame({"label": labels}),
        place=places.__getitem__,
    )
    return gather([block], source=top.name, missing=missing, class_names=tuple(names), input=input)


def read_arrays(
    texts: Any,
    labels: Any = None,
    *,
    missing: str = "drop",
    source: str = "array",
    input: type[Input] = Texts,
) -> Examples:
    """Takes texts, or other items, and labels from lists, arrays or Series, by position.

    Args:
        texts: [n] str, or [n] tuples of two str.
        labels: [n] str, int, float or bool; [n, k] numbers (one-hot, multi-hot or
            k targets), of a data frame with the names of its columns; None: unlabelled.
        missing: "drop" leaves out rows without text or label and warns with their
            number; "error" refuses them.
        source: What to call the arrays in messages.
        input: What the items are.

    Raises:
        DataError: With everything that is wrong: no rows, lengths that differ, texts
            that are not str, labels of mixed types or ragged, rows refused by `missing`.

    Example:
        >>> raw = read_arrays(["Good.", "So so."], [[1, 0], [1, 1]])
        >>> raw.labels.shape
        (2, 2)
    """
    problems = Problems(source, DataError)
    problems.choice("missing", missing, MISSING_CHOICES)
    text_frame = _item_frame(texts, input, problems)
    label_frame = None if labels is None else _label_frame(labels, problems)
    if text_frame is not None and label_frame is not None:
        problems.add_unless(
            len(text_frame) == len(label_frame),
            f"{plural(len(text_frame), input.kind)}, but {plural(len(label_frame), 'label')}; "
            f"expected as many labels as {input.kind}s.",
        )
    problems.raise_if_any()
    columns: tuple[Name, ...] = ()
    if hasattr(labels, "columns") and len(labels.columns) > 1:
        columns = tuple(labels.columns)
    block = Block(text_frame, label_frame)
    return gather([block], source=source, missing=missing, label_columns=columns, input=input)


def _item_frame(values: Any, input: type[Input], problems: Problems) -> pd.DataFrame | None:
    """Returns one column of items, or two of pairs; what is wrong goes into `problems`."""
    import pandas as pd

    # A data set is x and y.
    no_items = isinstance(values, str) or input.is_one(values) or hasattr(values, "encodings")
    if no_items or not isinstance(values, Iterable):
        problems.add(
            f"{input.kind}s must be a sequence of {input.expected}, got {type(values).__name__}."
        )
        return None
    items = input.listed(values)
    paired = [input.has_pairs and isinstance(item, (tuple, list)) for item in items]
    if not any(paired):
        return pd.DataFrame({input.kind: pd.Series(items, dtype=object)})
    pairs = [
        item if is_pair else (item, item) if _is_null(item) else ()
        for item, is_pair in zip(items, paired, strict=True)
    ]
    wrong = [row for row, pair in enumerate(pairs) if len(pair) != 2]
    if wrong:
        problems.add(
            f"row {wrong[0]} of {input.kind}s is {items[wrong[0]]!r:.60}; since others are tuples, "
            f"expected a pair of two {input.expected} ({plural(len(wrong), 'such row')})."
        )
        return None
    names = [f"first {input.kind}", f"second {input.kind}"]
    return pd.DataFrame(pairs, columns=names, dtype=object)


def _is_null(item: Any) -> bool:
    """True for None, NaN and pd.NA."""
    import pandas as pd

    return item is None or item is pd.NA or (isinstance(item, float) and item != item)


def _label_frame(labels: Any, problems: Problems) -> pd.DataFrame | None:
    """Returns one column of labels or several; what is wrong goes into `problems`."""
    import pandas as pd

    if isinstance(labels, (pd.Series, pd.DataFrame)):
        return pd.DataFrame(labels)
    if isinstance(labels, str) or not isinstance(labels, Iterable):
        problems.add(f"labels must be a sequence, got {type(labels).__name__}.")
        return None
    if isinstance(labels, np.ndarray):
        if labels.ndim in (1, 2):
            return pd.DataFrame(labels)
        problems.add(f"labels must be [n] or [n, k], got an array of shape {labels.shape}.")
        return None
    rows = list(labels)
    lists = [isinstance(row, (list, tuple, np.ndarray)) for row in rows]
    names = all(lists) and any(isinstance(item, str) for row in rows for item in row)
    if names or not any(lists):  # names of the classes of each text, or a label each
        return pd.DataFrame({"label": pd.Series(rows, dtype=object)})
    widths = {np.size(row) for row in rows}
    if len(widths) > 1 or 0 in widths:
        problems.add(
            f"the label rows have {listing(sorted(widths))} values. Expected k in each: for "
            "several classes per text give a 0/1 column for each class (multi-hot)."
        )
        return None
    return pd.DataFrame([list(row) for row in rows])
