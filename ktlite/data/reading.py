"""New data, read as what a preprocessor was made from: to validate, compare or evaluate on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ktlite.data.dataset import Dataset, joined
from ktlite.data.examples import Examples
from ktlite.data.labels import settled
from ktlite.data.preprocessor import Preprocessor
from ktlite.data.sources import mistaken_texts
from ktlite.data.table import is_tabular
from ktlite.errors import DataError, Problems


def read_for(preproc: Preprocessor, data: Any, *, verbose: int = 0, **options: Any) -> Dataset:
    """Reads and tokenises whatever `get_learner` takes as data, by what a preprocessor knows.

    Args:
        preproc: Of a learner or a predictor.
        data: As for `raw_for`; or a `Dataset`, whole or unpacked into (x, y).
        verbose: 1 shows a progress bar.
        **options: As for `raw_for`.

    Raises:
        ArgumentError: If columns are not known, or the data is of another kind.
        DataError: If the data cannot be read, has no labels, or labels that the task does not
            know.

    Example:
        >>> read_for(learner.preproc, "test.csv").targets
        array([1, 0, 1], dtype=int32)
    """
    data = joined(data)
    if isinstance(data, Dataset):
        return data
    return preproc.dataset(raw_for(preproc, data, **options), verbose=verbose)


def raw_for(
    preproc: Preprocessor,
    data: Any,
    *,
    text_column: Any = None,
    label_columns: Any = None,
    sep: str | None = None,
    encoding: str | None = None,
    names: Sequence[Any] | None = None,
    missing: str = "drop",
    na_values: Any = None,
    source: str = "data",
    where: str = "validate",
) -> Examples:
    """Reads whatever `get_learner` takes as data, by what a preprocessor knows.

    Args:
        preproc: Of a learner or a predictor; it knows the task, the classes, and mostly the
            columns.
        data: A file or several, a pattern, a folder of class folders, a data frame, a
            `datasets.Dataset`, (texts, labels), ... as the task has it.
        text_column: Name of the text column, or names. Default: as the training data was read.
        label_columns: Name or names of the label columns. Default: likewise.
        sep: Column separator of CSV files. Default: likewise.
        encoding: Of the files. Default: likewise.
        names: Column names of CSV files without a header row. Default: likewise.
        missing: `"drop"` leaves out rows without text or label and says how many;
            `"error"` refuses them.
        na_values: Cells that stand for a missing value, as for `get_learner`. Default: as the
            training data was read.
        source: What to call data that has no name of its own.
        where: What was called, for messages.

    Raises:
        ArgumentError: If columns are not known, or the data is of another kind.
        DataError: If the data cannot be read, or has no labels.
    """
    kind = preproc.source
    given = {
        "text_column": text_column,
        "label_columns": label_columns,
        "sep": sep,
        "encoding": encoding,
        "names": names,
        "na_values": na_values,
    }
    known = preproc.reading
    options = {k: known.get(k) if value is None else value for k, value in given.items()}
    problems = Problems(where)
    mistaken = mistaken_texts(data, name="data") if kind.needs_columns else None
    if mistaken:
        problems.add(mistaken)
    elif kind.needs_columns and is_tabular(data):
        for name in ("text_column", "label_columns"):
            problems.add_unless(
                options[name] is not None,
                f"{name} is not given: which column? (Columns of the training data are not known.)",
            )
    problems.choice("missing", missing, ("drop", "error"))
    problems.raise_if_any()
    texts, labels = options.pop("text_column"), options.pop("label_columns")
    if not is_tabular(data):
        options["na_values"] = na_values  # of a table
    raw = kind.read(data, texts, labels, source=source, missing=missing, **options)
    if raw.labels is None:
        raise DataError(f"{raw.source}: there are no labels; name the label_columns.")
    (raw,) = settled(preproc.task, (), raw)
    return raw


def as_given(text_column: Any, label_columns: Any, **options: Any) -> dict[str, Any]:
    """Returns what was said of how to read data, for `Preprocessor.reading`."""
    given = {"text_column": text_column, "label_columns": label_columns, **options}
    return {name: value for name, value in given.items() if value is not None and value != ()}
