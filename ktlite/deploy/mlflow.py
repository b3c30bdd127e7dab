"""Predictors as MLflow models: the predictor's folder, with no pickle in it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ktlite._version import __version__
from ktlite.deploy.frames import Scorer, needs
from ktlite.errors import ArgumentError

if TYPE_CHECKING:
    import pandas as pd


def save_model(
    predictor: str | os.PathLike[str], path: str | os.PathLike[str], **options: Any
) -> None:
    """Writes an MLflow model, which `mlflow.pyfunc.load_model` loads and `mlflow` serves.

    Args:
        predictor: The folder of a saved predictor, which is copied.
        path: The folder to write; it must not be there.
        **options: More arguments of `mlflow.pyfunc.save_model`.

    Raises:
        PredictorError: If there is no predictor.
        ArgumentError: If MLflow is not installed.

    Example:
        >>> save_model("reviews-predictor", "reviews-mlflow")
        >>> mlflow.pyfunc.load_model("reviews-mlflow").predict(["Fine!"])
          prediction  probability
        0   positive         0.98
    """
    _pyfunc().save_model(path=os.fspath(path), **_arguments(predictor, options))


def log_model(predictor: str | os.PathLike[str], name: str = "model", **options: Any) -> Any:
    """Logs an MLflow model to the active run; see `save_model`.

    Args:
        predictor: The folder of a saved predictor.
        name: Of the model in the run.
        **options: More arguments of `mlflow.pyfunc.log_model`.

    Returns:
        MLflow's `ModelInfo`.
    """
    return _pyfunc().log_model(name, **_arguments(predictor, options))


def _pyfunc() -> Any:
    try:
        from mlflow import pyfunc
    except ImportError:
        raise needs("mlflow-skinny or mlflow", "mlflow") from None
    return pyfunc


def _arguments(predictor: str | os.PathLike[str], options: dict[str, Any]) -> dict[str, Any]:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    outputs = Schema([ColSpec(type, name) for name, type in Scorer.of(predictor).types.items()])
    return {
        "loader_module": __name__,
        "data_path": os.fspath(predictor),
        "pip_requirements": [f"ktlite=={__version__}"],
        "signature": ModelSignature(outputs=outputs),
        **options,
    }


def _load_pyfunc(path: str) -> _Model:
    """What MLflow calls to load the model."""
    return _Model(path)


class _Model:
    """What MLflow calls to predict."""

    def __init__(self, path: str) -> None:
        self.scorer = Scorer.of(path)

    def predict(self, data: Any, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Predicts texts.

        Args:
            data: A list or array of texts, a Series, or a DataFrame with a column of texts, of
                pairs two.
            params: As `Predictor.predict` takes them.
        """
        import pandas as pd

        frame = data if isinstance(data, pd.DataFrame) else pd.DataFrame({"text": list(data)})
        if not 1 <= frame.shape[1] <= 2:
            raise ArgumentError(
                f"expected one column of texts, or two for pairs, got {list(frame.columns)}."
            )
        scorer = Scorer.of(self.scorer.path, options=params) if params else self.scorer
        return scorer.columns([frame[name] for name in frame.columns])
