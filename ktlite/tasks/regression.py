"""A number a text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ktlite.errors import DataError
from ktlite.tasks.task import Report, Task


class Regression(Task):
    """Regression of one number a text, by mean squared error.

    Example:
        >>> Regression().encode([1, 2.5])
        array([1. , 2.5], dtype=float32)
    """

    name = "regression"
    head = "text-classification"
    problem_type = "regression"

    @classmethod
    def from_labels(
        cls, labels: Any, class_names: Sequence[Any] = (), source: str = "labels"
    ) -> Task | None:
        return cls() if len(labels) else None

    @property
    def outputs(self) -> int:
        return 1

    def encode(self, labels: Any, source: str = "labels") -> np.ndarray:
        try:
            values = np.asarray(labels, "float64")
        except (TypeError, ValueError) as error:
            raise DataError(f"{source}: regression needs numbers as labels: {error}.") from error
        if values.ndim == 2 and values.shape[1] == 1:
            values = values[:, 0]
        if values.ndim != 1:
            raise DataError(
                f"{source}: regression takes one number a text, got labels of shape "
                f"{list(values.shape)}."
            )
        if not np.isfinite(values).all():
            rows = np.flatnonzero(~np.isfinite(values))
            raise DataError(f"{source}: label of text {rows[0]} is {values[rows[0]]}.")
        return values.astype("float32")

    def loss(self) -> Any:
        import keras

        return keras.losses.MeanSquaredError()

    def metrics(self) -> list[Any]:
        import keras

        return [keras.metrics.MeanAbsoluteError(name="mae")]

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        raise DataError("a regression has no probabilities; predict() gives the numbers.")

    def decode(self, logits: np.ndarray) -> list[Any]:
        return np.asarray(logits).reshape(-1).astype("float64").tolist()

    def decode_targets(self, targets: np.ndarray) -> list[Any]:
        return np.asarray(targets).reshape(-1).astype("float64").tolist()

    def example_losses(self, logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
        difference = np.asarray(logits, "float64").reshape(-1) - targets.reshape(-1)
        return difference**2

    def report(self, logits: np.ndarray, targets: np.ndarray) -> Report:
        from scipy.stats import spearmanr
        from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

        predicted, truth = logits.reshape(-1), targets.reshape(-1)
        varied = len(truth) > 1 and np.ptp(predicted) > 0 and np.ptp(truth) > 0
        metrics = {
            "mae": float(mean_absolute_error(truth, predicted)),
            "rmse": float(np.sqrt(mean_squared_error(truth, predicted))),
            "r2": float(r2_score(truth, predicted)) if len(truth) > 1 else float("nan"),
            "spearman": float(spearmanr(truth, predicted).statistic) if varied else float("nan"),
        }
        text = "\n".join(f"{name:>10} {value:10.4f}" for name, value in metrics.items())
        return Report(text, metrics, list(metrics.items()))

    def get_config(self) -> dict[str, Any]:
        return {}
