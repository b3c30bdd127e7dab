"""Any number of labels a text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ktlite.errors import DataError, listing
from ktlite.tasks.task import Report, Task, plain, sigmoid


class MultiLabel(Task):
    """Multi-label classification: each class is there or not, independently.

    Args:
        classes: The labels, in the order of the columns.

    Example:
        >>> MultiLabel(["toxic", "threat"]).decode(np.array([[2.0, -2.0]]))
        [[('toxic', 0.8807970779778825), ('threat', 0.11920292202211755)]]
    """

    name = "multilabel"
    head = "text-classification"
    problem_type = "multi_label_classification"

    def __init__(self, classes: Sequence[Any]) -> None:
        self._classes = plain(list(classes))
        if not self._classes or len(set(self._classes)) != len(self._classes):
            raise DataError(f"expected distinct classes, got {listing(self._classes) or 'none'}.")

    @property
    def outputs(self) -> int:
        return len(self._classes)

    @property
    def classes(self) -> list[Any]:
        return list(self._classes)

    def encode(self, labels: Any, source: str = "labels") -> np.ndarray:
        values = np.asarray(labels)
        if values.ndim != 2 or values.shape[1] != self.outputs or not np.isin(values, (0, 1)).all():
            raise DataError(
                f"{source}: multi-label targets must be a matrix of 0 and 1 of shape "
                f"[texts, {self.outputs}], one column for each of {listing(self._classes)}; got "
                f"{values.dtype} of shape {list(values.shape)}."
            )
        return values.astype("float32")

    def loss(self) -> Any:
        import keras

        return keras.losses.BinaryCrossentropy(from_logits=True)

    def metrics(self) -> list[Any]:
        import keras

        return [keras.metrics.BinaryAccuracy(name="binary_accuracy", threshold=0.0)]

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        return sigmoid(logits).astype("float32")

    def decode(self, logits: np.ndarray) -> list[Any]:
        rows = sigmoid(logits).tolist()
        return [list(zip(self._classes, row, strict=True)) for row in rows]

    def decode_targets(self, targets: np.ndarray) -> list[Any]:
        return [[c for c, on in zip(self._classes, row, strict=True) if on] for row in targets]

    def example_losses(self, logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
        x, t = np.asarray(logits, "float64"), np.asarray(targets, "float64")
        # The form of binary cross-entropy that neither overflows nor takes log(0).
        losses = np.maximum(x, 0) - x * t + np.log1p(np.exp(-np.abs(x)))
        return losses.mean(axis=-1)

    def report(self, logits: np.ndarray, targets: np.ndarray) -> Report:
        from sklearn.metrics import (
            classification_report,
            f1_score,
            multilabel_confusion_matrix,
        )

        truth, predicted = targets.astype(int), (logits > 0).astype(int)
        text = classification_report(
            truth,
            predicted,
            target_names=[str(c) for c in self._classes],
            zero_division=0,
            digits=3,
        )
        metrics = {
            "loss": float(self.example_losses(logits, targets).mean()),
            "binary_accuracy": float((truth == predicted).mean()),
            "f1_micro": float(f1_score(truth, predicted, average="micro", zero_division=0)),
            "f1_macro": float(f1_score(truth, predicted, average="macro", zero_division=0)),
        }
        return Report(text, metrics, multilabel_confusion_matrix(truth, predicted))

    def get_config(self) -> dict[str, Any]:
        return {"classes": self.classes}
