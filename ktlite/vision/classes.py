"""ktrain's `preprocess_csv`: several classes in one cell to a column for each."""

from __future__ import annotations

import os

from ktlite._arguments import check_paths, checked
from ktlite.data.files import open_table
from ktlite.data.table import check_columns
from ktlite.errors import Problems


@checked
def preprocess_csv(
    csv_in: str | os.PathLike[str],
    csv_out: str | os.PathLike[str],
    x_col: str = "filename",
    y_col: str | None = None,
    sep: str = ",",
    label_sep: str = " ",
    suffix: str = "",
    split_by: str | None = None,
) -> list[str]:
    """Writes a table with a column of 0 and 1 for each class that a cell of another one names.

    Args:
        csv_in: The file to read.
        csv_out: The file to write: `x_col`, and a column for each class.
        x_col: The column of paths.
        y_col: The column of classes, such as "sunny hot".
        sep: Between columns, of both files.
        label_sep: Between classes.
        suffix: Put behind each path, such as `".jpg"`.
        split_by: Not here: leave it out, and split the table with pandas.

    Returns:
        The classes, by name: `label_columns` of `images_from_csv`.

    Raises:
        DataError: If the file or a column is not there.
        ArgumentError: If `y_col` is not given, or `split_by` is.

    Example:
        >>> labels = vision.preprocess_csv("tags.csv", "classes.csv", "image_name", "tags")
        >>> train, val, preproc = vision.images_from_csv("classes.csv", "image_name", labels)
    """
    import pandas as pd

    check_paths("preprocess_csv", csv_in=csv_in, csv_out=csv_out)
    problems = Problems("preprocess_csv")
    problems.add_unless(
        y_col is not None,
        "y_col is not given: which column has the classes? (images_from_csv has suffix= itself.)",
    )
    problems.add_unless(split_by is None, f"split_by={split_by!r}: split the table with pandas.")
    problems.add_unless(
        isinstance(label_sep, str) and bool(label_sep),
        f"label_sep={label_sep!r}; expected what stands between classes.",
    )
    problems.raise_if_any()
    table = open_table(csv_in, "csv_in", sep=sep, encoding=None, names=None)
    check_columns(table, (x_col,), (y_col,))
    blocks = list(table.blocks((x_col,), (y_col,)))
    paths = pd.concat([block.texts[x_col] for block in blocks], ignore_index=True)
    cells = pd.concat([block.labels[y_col] for block in blocks], ignore_index=True)  # type: ignore[index]
    named = [
        {part for part in str(cell).split(label_sep) if part.strip()} for cell in cells.fillna("")
    ]
    classes = sorted(set().union(*named))
    rows = {name: [int(name in found) for found in named] for name in classes}
    frame = pd.DataFrame({x_col: [f"{path}{suffix}" for path in paths], **rows})
    frame.to_csv(csv_out, sep=sep, index=False)
    return classes
