"""A predictor as a function of Spark."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from ktlite.deploy.frames import Scorer, needs


def predict_udf(path: str | os.PathLike[str], *, batch_size: int = 32, **options: Any) -> Any:
    """Returns a `pandas_udf` that predicts columns of texts.

    A worker of Spark loads the predictor once. Spark hands it the rows of a partition in parts of
    `spark.sql.execution.arrow.maxRecordsPerBatch`, in which texts of like length are batched.

    Args:
        path: The folder of a saved predictor, at the same place on every worker (a shared file
            system, or part of their image).
        batch_size: Texts a batch.
        **options: As `Predictor.predict` takes them.

    Returns:
        A function of a column of texts, or of two columns for pairs. It gives a column of structs
        with `prediction` (a label, a number, or JSON) and `probability`; both are null where there
        is no text.

    Raises:
        PredictorError: If there is no predictor.
        ArgumentError: If pyspark is not installed.

    Example:
        >>> predict = predict_udf("/shared/reviews-predictor")
        >>> scored = df.withColumn("scored", predict("text")).select("*", "scored.*")
    """
    try:
        from pyspark.sql.functions import pandas_udf
    except ImportError:
        raise needs("pyspark", "spark") from None
    import pandas as pd

    scorer = Scorer.of(path, batch_size, options)

    def predict(batches):  # type: ignore[no-untyped-def]
        for columns in batches:
            yield scorer.columns(columns if isinstance(columns, tuple) else (columns,))

    # Spark reads the kind of function off its types, and cannot look up the names of strings.
    predict.__annotations__ = {
        "batches": Iterator[tuple[pd.Series, ...]],
        "return": Iterator[pd.DataFrame],
    }
    return pandas_udf(predict, ", ".join(f"{name} {type}" for name, type in scorer.types.items()))
