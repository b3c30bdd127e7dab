"""Any number of labels a text."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ktlite._arguments import checked
from ktlite.errors import DataError, did_you_mean, listing
from ktlite.tasks.arrays import plain, sigmoid
from ktlite.tasks.calibration import Calibration, Reliability
from ktlite.tasks.figures import area_under_curve, dense_ranks, f1_averages
from ktlite.tasks.losses import named_loss, sigmoid_divergence
from ktlite.tasks.task import Report, Task
from ktlite.tasks.teaching import SoftLoss, of_labels


class MultiLabel(Task):
    """Multi-label classification: each class is there or not, independently.

    Args:
        classes: The labels, in the order of the columns.
        thresholds: The probability from which on each class counts as there. Default: 0.5.
            `Learner.tune_thresholds` sets them.
        calibration: What `calibrate` has learned, as `get_config` gives it.

    Example:
        >>> MultiLabel(["toxic", "threat"]).decode(np.array([[2.0, -2.0]]))
        [[('toxic', 0.8807970779778825), ('threat', 0.11920292202211755)]]
    """

    name = "multilabel"
    head = "text-classification"
    problem_type = "multi_label_classification"
    one_answer = True
    divergence = staticmethod(sigmoid_divergence)

    def __init__(
        self,
        classes: Sequence[Any],
        thresholds: Sequence[float] | None = None,
        calibration: Mapping[str, Any] | None = None,
    ) -> None:
        self._classes = plain(list(classes))
        self.calibration = Calibration.from_config(calibration)
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
        if values.dtype == object and values.ndim == 1 and isinstance(values[0], (list, tuple)):
            values = self._flags(values, source)
        if values.ndim != 2 or values.shape[1] != self.outputs or not np.isin(values, (0, 1)).all():
            raise DataError(
                f"{source}: multi-label targets must be a matrix of 0 and 1 of shape "
                f"[texts, {self.outputs}], one column for each of {listing(self._classes)}; got "
                f"{values.dtype} of shape {list(values.shape)}."
            )
        return values.astype("float32")

    def _flags(self, names: np.ndarray, source: str) -> np.ndarray:
        """Returns the matrix of 0 and 1 for lists of the names of classes."""
        index = {str(name): number for number, name in enumerate(self._classes)}
        unknown = sorted({str(name) for row in names for name in row} - {*index})
        if unknown:
            raise DataError(
                f"{source}: labels that are not among the classes {listing(self._classes)}: "
                f"{listing(unknown)}.{did_you_mean(unknown[0], index)}"
            )
        flags = np.zeros((len(names), self.outputs), int)
        for text, row in enumerate(names):
            flags[text, [index[str(name)] for name in row]] = 1
        return flags

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

    def soft_loss(self, temperature: float) -> SoftLoss:
        return of_labels(temperature)

    def targets_of(self, logits: np.ndarray) -> np.ndarray:
        return (logits > 0).astype("float32")

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
        logits = np.log(self.thresholds) - np.log1p(-self.thresholds)
        return np.asarray(logits * self.calibration.temperature)

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
        return self._probabilities(logits).astype("float32")

    def _probabilities(self, logits: np.ndarray) -> np.ndarray:
        return sigmoid(np.asarray(logits) / self.calibration.temperature)

    def decode(self, logits: np.ndarray) -> list[Any]:
        rows = self._probabilities(logits).tolist()
        return [list(zip(self._classes, row, strict=True)) for row in rows]

    def decode_targets(self, targets: np.ndarray) -> list[Any]:
        return [[c for c, on in zip(self._classes, row, strict=True) if on] for row in targets]

    def example_losses(self, logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
        x, t = np.asarray(logits, "float64"), np.asarray(targets, "float64")
        x = x / self.calibration.temperature
        # The form of binary cross-entropy that neither overflows nor takes log(0).
        losses = np.maximum(x, 0) - x * t + np.log1p(np.exp(-np.abs(x)))
        return losses.mean(axis=-1)

    def measure(self, logits: np.ndarray, targets: np.ndarray) -> dict[str, np.ndarray]:
        return {
            "loss": self.example_losses(logits, targets),
            "true": targets.astype(int),
            "predicted": self._there(logits),
            "rank": dense_ranks(logits),
        }

    def figures(self, measured: Mapping[str, np.ndarray]) -> dict[str, float]:
        true, predicted = measured["true"], measured["predicted"]
        # Of the classes that some texts have and others do not.
        told = np.flatnonzero(true.any(axis=0) & ~true.all(axis=0))
        areas = [area_under_curve(measured["rank"][:, i], true[:, i] == 1) for i in told]
        return {
            "loss": float(measured["loss"].mean()),
            "binary_accuracy": float((true == predicted).mean()),
            **f1_averages((true & predicted).sum(0), predicted.sum(0), true.sum(0)),
            "roc_auc": float(np.mean(areas)) if areas else float("nan"),
        }

    def report(self, logits: np.ndarray, targets: np.ndarray) -> Report:
        """Compares logits with targets; `roc_auc` is the mean over classes."""
        from sklearn.metrics import classification_report, multilabel_confusion_matrix

        measured = self.measure(logits, targets)
        true, predicted = measured["true"], measured["predicted"]
        text = classification_report(
            true,
            predicted,
            target_names=[str(c) for c in self._classes],
            zero_division=0,
            digits=3,
        )
        return Report(text, self.figures(measured), multilabel_confusion_matrix(true, predicted))

    def calibrate(self, logits: np.ndarray, targets: np.ndarray) -> None:
        """Learns one temperature for all classes. Thresholds move with the probabilities."""
        self._set_temperature(self.best_temperature(logits, targets))

    def forget_calibration(self) -> None:
        if self.calibration != Calibration():
            self._set_temperature(1.0)

    def _set_temperature(self, temperature: float) -> None:
        decided = self._least_logits()
        self.calibration = Calibration(temperature)
        self.thresholds = np.clip(self._probabilities(decided), 1e-6, 1 - 1e-6)

    def reliability(self, logits: np.ndarray, targets: np.ndarray) -> Reliability:
        """Compares the probability of each class with how often it is there."""
        return Reliability.of(self._probabilities(logits).ravel(), targets.ravel() == 1)

    @property
    def chance_loss(self) -> float:
        return math.log(2)

    def class_counts(self, targets: np.ndarray) -> np.ndarray:
        return targets.astype(int).sum(axis=0)

    def tune_thresholds(self, logits: np.ndarray, targets: np.ndarray) -> None:
        """Sets the threshold of each class to that of its highest F1.

        A class that no text has keeps its threshold.
        """
        from sklearn.metrics import precision_recall_curve

        for i in np.flatnonzero(targets.any(axis=0)):
            scores = self._probabilities(logits[:, i])
            precision, recall, cuts = precision_recall_curve(targets[:, i], scores)
            f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
            best = int(f1[:-1].argmax())
            # Half way to the next lower score: no threshold is the score of a text.
            lower = scores[scores < cuts[best]].max(initial=0.0)
            self.thresholds[i] = np.clip((cuts[best] + lower) / 2, 1e-6, 1 - 1e-6)

    def get_config(self) -> dict[str, Any]:
        return {
            "classes": self.classes,
            "thresholds": self.thresholds.tolist(),
            **self.calibration.config(),
        }
