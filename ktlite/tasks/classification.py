"""One label a text, of two or more classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from ktlite.errors import ArgumentError, DataError, Problems, did_you_mean, listing
from ktlite.tasks.losses import focal_loss, named_loss
from ktlite.tasks.task import Report, Task, log_softmax, plain, softmax

_NUMBERS = (int, float, np.integer, np.floating)


class Classification(Task):
    """Single-label classification.

    Args:
        classes: The labels in the order of the outputs: strings or integers,
            gaps allowed.
        numbered: Integer labels are positions in `classes`, not labels themselves: 0 is
            the first class, whatever it is called.

    Raises:
        DataError: If there are fewer than two classes, or one is listed twice.

    Example:
        >>> task = Classification(["negative", "positive"])
        >>> task.encode(["positive", "negative"])
        array([1, 0], dtype=int32)
        >>> task.decode(np.array([[-2.0, 3.0]]))
        ['positive']
    """

    name = "classification"
    head = "text-classification"
    problem_type = "single_label_classification"

    def __init__(self, classes: Sequence[Any], numbered: bool = False) -> None:
        self._classes = plain(list(classes))
        self.numbered = numbered
        self._index = {label: i for i, label in enumerate(self._classes)}
        if len(self._classes) < 2:
            raise DataError(
                f"classification needs at least two classes, got {listing(self._classes) or 'none'}"
                ". Check that the label column is the right one and that the data is not cut."
            )
        if len(self._index) != len(self._classes):
            raise DataError(f"a class is listed twice: {listing(self._classes)}.")

    @property
    def outputs(self) -> int:
        return len(self._classes)

    @property
    def classes(self) -> list[Any]:
        return list(self._classes)

    def encode(self, labels: Any, source: str = "labels") -> np.ndarray:
        values = np.asarray(labels)
        if values.ndim == 2:
            return self._encode_one_hot(values, source)
        if self.numbered and values.dtype.kind in "iuf":
            return self._encode_positions(values, source)
        keys = plain(values.tolist())
        if not all(key in self._index for key in set(keys)):
            keys = self._as_known(keys, source)
        return np.array([self._index[key] for key in keys], "int32")

    def _encode_positions(self, values: np.ndarray, source: str) -> np.ndarray:
        outside = np.setdiff1d(values, np.arange(self.outputs))
        if outside.size:
            raise DataError(
                f"{source}: integer labels number the classes {listing(self._classes)}, so they "
                f"must be 0 to {self.outputs - 1}; found {listing(outside)}."
            )
        return values.astype("int32")

    def _encode_one_hot(self, values: np.ndarray, source: str) -> np.ndarray:
        fine = values.shape[1] == self.outputs and np.isin(values, (0, 1)).all()
        if not fine or not (values.sum(axis=1) == 1).all():
            raise DataError(
                f"{source}: a label matrix for {self.outputs} classes must be one-hot, "
                f"[texts, {self.outputs}] with a single 1 in each row; got shape "
                f"{list(values.shape)}. Several labels a text: task='multilabel'."
            )
        return values.argmax(axis=1).astype("int32")

    def _as_known(self, keys: list[Any], source: str) -> list[Any]:
        """Accepts 1 for '1' and '1' for 1; anything else is an error."""
        by_text = {str(c): c for c in self._classes}
        unknown = sorted({str(k) for k in keys if str(k) not in by_text})
        if unknown:
            raise DataError(
                f"{source}: labels that are not among the classes {listing(self._classes)}: "
                f"{listing(unknown)}.{did_you_mean(unknown[0], by_text)} Labels that only the "
                "validation data has cannot be learned: add such texts to the training data."
            )
        return [by_text[str(k)] for k in keys]

    def loss(self) -> Any:
        import keras

        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def custom_loss(self, loss: Any = None, label_smoothing: float = 0.0) -> Any:
        if loss is None and not label_smoothing:
            return self.loss()
        known = {"cross_entropy": partial(focal_loss, 0.0), "focal": partial(focal_loss, 2.0)}
        return named_loss(loss, label_smoothing, known, self.name)

    def metrics(self) -> list[Any]:
        import keras

        return [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        return softmax(logits).astype("float32")

    def decode(self, logits: np.ndarray) -> list[Any]:
        return [self._classes[i] for i in logits.argmax(axis=-1)]

    def decode_targets(self, targets: np.ndarray) -> list[Any]:
        return [self._classes[int(t)] for t in targets]

    def example_losses(self, logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
        return -np.take_along_axis(log_softmax(logits), targets[:, None].astype(int), 1)[:, 0]

    def report(self, logits: np.ndarray, targets: np.ndarray) -> Report:
        from sklearn.metrics import (
            accuracy_score,
            classification_report,
            confusion_matrix,
            f1_score,
            matthews_corrcoef,
        )

        predicted, order = logits.argmax(axis=-1), list(range(self.outputs))
        text = classification_report(
            targets,
            predicted,
            labels=order,
            target_names=[str(c) for c in self._classes],
            zero_division=0,
            digits=3,
        )
        metrics = {
            "loss": float(self.example_losses(logits, targets).mean()),
            "accuracy": float(accuracy_score(targets, predicted)),
        }
        for average in ("macro", "micro", "weighted"):
            f1 = f1_score(targets, predicted, labels=order, average=average, zero_division=0)
            metrics[f"f1_{average}"] = float(f1)
        varied = len(np.union1d(targets, predicted)) > 1
        metrics["mcc"] = float(matthews_corrcoef(targets, predicted)) if varied else 0.0
        metrics["roc_auc"] = self._roc_auc(logits, targets)
        return Report(text, metrics, confusion_matrix(targets, predicted, labels=order))

    def _roc_auc(self, logits: np.ndarray, targets: np.ndarray) -> float:
        """Returns the area under the curve, of several classes the mean of each against the rest.

        Not a number where a class does not occur.
        """
        from sklearn.metrics import roc_auc_score

        if len(np.unique(targets)) < self.outputs:
            return float("nan")
        probabilities = softmax(logits)
        if self.outputs == 2:
            return float(roc_auc_score(targets, probabilities[:, 1]))
        return float(roc_auc_score(targets, probabilities, multi_class="ovr"))

    def class_weights(self, weights: Any, targets: np.ndarray) -> dict[int, float]:
        if isinstance(weights, str) and weights == "balanced":
            counts = np.bincount(targets.astype(int), minlength=self.outputs)
            # scikit-learn's rule; a class without examples weighs nothing in any case.
            return {
                i: len(targets) / (self.outputs * count) if count else 1.0
                for i, count in enumerate(counts.tolist())
            }
        if not isinstance(weights, Mapping):
            raise ArgumentError(
                f"class_weight={weights!r}: expected 'balanced' or a dict from class to weight, "
                f"such as {{{self._classes[0]!r}: 2.0}}."
            )
        numbers: dict[Any, int] = dict(self._index)
        if all(isinstance(c, str) for c in self._classes):
            # Positions do as well; where 1 is itself a class, it is no position.
            numbers.update((i, i) for i in range(self.outputs))
        problems = Problems("class_weight")
        by_class = dict.fromkeys(range(self.outputs), 1.0)
        for key, weight in weights.items():
            if key not in numbers:
                problems.add(
                    f"{key!r} is no class; classes are {listing(self._classes)}."
                    f"{did_you_mean(key, self._classes)}"
                )
            elif not isinstance(weight, _NUMBERS) or not 0 <= weight < float("inf"):
                problems.add(f"the weight of {key!r} is {weight!r}; expected a number >= 0.")
            else:
                by_class[numbers[key]] = float(weight)
        problems.raise_if_any()
        return by_class

    def get_config(self) -> dict[str, Any]:
        return {"classes": self.classes, "numbered": self.numbered}
