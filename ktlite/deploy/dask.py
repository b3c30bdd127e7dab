"""A predictor over a Dask DataFrame, on one machine or a cluster."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ktlite.deploy.frames import Scorer, needs
from ktlite.deploy.scoring import PREDICTION, PROBABILITY
from ktlite.errors import ArgumentError, Problems, did_you_mean, listing

if TYPE_CHECKING:
    import pandas as pd


def predict_frame(
    frame: Any,
    path: str | os.PathLike[str],
    text_column: str | Sequence[str] = "text",
    *,
    batch_size: int = 32,
    **options: Any,
) -> Any:
    """Adds the columns `prediction` and `probability` to a Dask DataFrame.

    Nothing is computed before the result is written or asked for. A process loads the predictor
    once; in each partition, texts of like length are batched.

    Args:
        frame: A `dask.dataframe.DataFrame`.
        path: The folder of a saved predictor, at the same place on every worker.
        text_column: The column of the texts, or two for pairs.
        batch_size: Texts a batch.
        **options: As `Predictor.predict` takes them.

    Returns:
        The DataFrame, with two columns more; both are missing where there is no text.

    Raises:
        PredictorError: If there is no predictor.
        ArgumentError: If there is no such column, one that is added is there already, or Dask is
            not installed.

    Example:
        >>> reviews = dask.dataframe.read_parquet("reviews")
        >>> predict_frame(reviews, "/shared/reviews-predictor").to_parquet("scored")
    """
    try:
        import dask.dataframe as dd
    except ImportError:
        raise needs("dask", "dask") from None
    import pandas as pd

    if not isinstance(frame, dd.DataFrame):
        raise ArgumentError(
            f"predict_frame: expected a dask.dataframe.DataFrame, got {type(frame).__name__}."
        )
    names = [text_column] if isinstance(text_column, str) else list(text_column)
    problems = Problems("predict_frame")
    for name in names:
        problems.add_unless(
            name in frame.columns,
            f"there is no column {name!r}; columns are {listing(frame.columns)}."
            f"{did_you_mean(name, frame.columns)}",
        )
    for name in (PREDICTION, PROBABILITY):
        problems.add_unless(
            name not in frame.columns,
            f"there is a column {name!r} already, and it would be overwritten; rename it.",
        )
    problems.raise_if_any()
    scorer = Scorer.of(path, batch_size, options)
    empty = {name: pd.array([], dtype=scorer.dtype(name)) for name in scorer.types}
    meta = frame._meta.assign(**empty)
    return frame.map_partitions(_with_predictions, scorer, names, meta=meta)


def _with_predictions(part: pd.DataFrame, scorer: Scorer, names: Sequence[str]) -> pd.DataFrame:
    found = scorer.columns([part[name] for name in names])
    return part.assign(**{name: found[name] for name in scorer.types})
