"""Any number of labels a text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ktlite._arguments import checked
from ktlite.errors import DataError, listing
from ktlite.tasks.losses import named_loss
from ktlite.tasks.task import Report, Task, plain, sigmoid


class MultiLabel(Task):
    """Multi-label classification: each class is there or not, independently.

    Args:
        classes: The labels, in the order of the columns.
        thresholds: The probability from which on each class counts as there. Default: 0.5.
            `Learner.tune_thresholds` sets them.

    Example:
        >>> MultiLabel(["toxic", "threat"]).decode(np.array([[2.0, -2.0]]))
        [[('toxic', 0.8807970779778825), ('threat', 0.11920292202211755)]]
    """

    name = "multilabel"
    head = "text-classification"
    problem_type = "multi_label_classification"

    def __init__(self, classes: Sequence[Any], thresholds: Sequence[float] | None = None) -> None:
        self._classes = plain(list(classes))
        if not self._classes or len(set(self._classes)) != len(self._classes):
            raise DataError(f"expected distinct classes, got {listing(self._classes) or 'none'}.")
        given = [0.5] * self.outputs if thresholds is None else thresholds
        self.thresholds = np.array(given, "float64")
        in_range = np.all((self.thresholds > 0) & (self.thresholds < 1))
        if self.thresholds.shape != (self.outputs,) or not in_range:
            raise DataError(
                f"thresholds={listing(given)}: expected a probability above 0 and below 1 for each "
                f"of {self.outputs} classes."
            )

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
        return self.custom_loss()

    def custom_loss(self, loss: Any = None, label_smoothing: float = 0.0) -> Any:
        import keras

        def cross_entropy(smoothing: float) -> Any:
            return keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=smoothing)

        def focal(smoothing: float) -> Any:
            return keras.losses.BinaryFocalCrossentropy(from_logits=True, label_smoothing=smoothing)

        known = {"binary_cross_entropy": cross_entropy, "focal": focal}
        return named_loss(loss, label_smoothing, known, self.name)

    def metrics(self) -> list[Any]:
        import keras
        from keras import ops

        least = self._least_logits().astype("float32")

        def right(y_true: Any, y_pred: Any) -> Any:
            there = ops.cast(ops.greater_equal(y_pred, least), "float32")
            return ops.mean(ops.cast(ops.equal(there, y_true), "float32"), axis=-1)

        return [keras.metrics.MeanMetricWrapper(right, name="binary_accuracy")]

    def _least_logits(self) -> np.ndarray:
        """Returns the thresholds as logits, float64 [classes]."""
        return np.log(self.thresholds) - np.log1p(-self.thresholds)

    def _there(self, logits: np.ndarray) -> np.ndarray:
        """Returns int [texts, classes], 1 for classes that are there."""
        return (np.asarray(logits) >= self._least_logits().astype("float32")).astype(int)

    @checked
    def predict(
        self,
        examples: Any,
        run: Callable[[Sequence[Any]], np.ndarray],
        return_proba: bool = False,
        *,
        return_labels: bool = False,
    ) -> Any:
        """Predicts one text or many.

        Args:
            examples: What the caller gave.
            run: As in `Task.predict`.
            return_proba: Give probabilities alone, float32 [classes] a text.
            return_labels: Give the classes that are there, by their thresholds, in place of
                (class, probability) of each class.
        """
        if return_proba or not return_labels:
            return super().predict(examples, run, return_proba)
        many, single = self.as_list(examples)
        labels = self.decode_targets(self._there(run(many)))
        return labels[0] if single else labels

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
            roc_auc_score,
        )

        truth, predicted = targets.astype(int), self._there(logits)
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
        }
        for average in ("micro", "macro", "weighted"):
            f1 = f1_score(truth, predicted, average=average, zero_division=0)
            metrics[f"f1_{average}"] = float(f1)
        # Of the classes that some texts have and others do not.
        told = truth.any(axis=0) & ~truth.all(axis=0)
        areas = [roc_auc_score(truth[:, i], logits[:, i]) for i in np.flatnonzero(told)]
        metrics["roc_auc"] = float(np.mean(areas)) if areas else float("nan")
        return Report(text, metrics, multilabel_confusion_matrix(truth, predicted))

    def tune_thresholds(self, logits: np.ndarray, targets: np.ndarray) -> None:
        """Sets the threshold of each class to that of its highest F1.

        A class that no text has keeps its threshold.
        """
        from sklearn.metrics import precision_recall_curve

        for i in np.flatnonzero(targets.any(axis=0)):
            scores = sigmoid(logits[:, i])
            precision, recall, cuts = precision_recall_curve(targets[:, i], scores)
            f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
            best = int(f1[:-1].argmax())
            # Half way to the next lower score: no threshold is the score of a text.
            lower = scores[scores < cuts[best]].max(initial=0.0)
            self.thresholds[i] = np.clip((cuts[best] + lower) / 2, 1e-6, 1 - 1e-6)

    def get_config(self) -> dict[str, Any]:
        return {"classes": self.classes, "thresholds": self.thresholds.tolist()}
