"""One label a text, of two or more classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from ktlite.errors import ArgumentError, DataError, Problems, did_you_mean, listing
from ktlite.tasks.aims import contrasts
from ktlite.tasks.arrays import log_softmax, plain, softmax
from ktlite.tasks.calibration import Calibration, Reliability
from ktlite.tasks.figures import (
    area_under_curve,
    confusion,
    dense_ranks,
    f1_averages,
    matthews,
)
from ktlite.tasks.losses import focal_loss, named_loss, softmax_divergence
from ktlite.tasks.task import Report, Task
from ktlite.tasks.teaching import SoftLoss, of_classes

_NUMBERS = (int, float, np.integer, np.floating)


class Classification(Task):
    """Single-label classification.

    Args:
        classes: The labels in the order of the outputs: strings or integers,
            gaps allowed.
        numbered: Integer labels are positions in `classes`, not labels themselves: 0 is
            the first class, whatever it is called.
        calibration: What `calibrate` has learned, as `get_config` gives it.

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
    one_answer = True
    divergence = staticmethod(softmax_divergence)

    def __init__(
        self,
        classes: Sequence[Any],
        numbered: bool = False,
        calibration: Mapping[str, Any] | None = None,
    ) -> None:
        self._classes = plain(list(classes))
        self.numbered = numbered
        self.calibration = Calibration.from_config(calibration)
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
                f"{listing(unknown)}.{did_you_mean(unknown[0], by_text)} A model knows the "
                "labels of its training data only: add such texts to it."
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

    def soft_loss(self, temperature: float) -> SoftLoss:
        return of_classes(temperature)

    def targets_of(self, logits: np.ndarray) -> np.ndarray:
        return logits.argmax(axis=-1).astype("int32")

    def blended(self, outputs: Sequence[np.ndarray]) -> np.ndarray:
        """Returns logits of the teachers' mean probabilities."""
        chances: np.ndarray = np.mean([softmax(logits) for logits in outputs], axis=0)
        return np.log(np.maximum(chances, 1e-30)).astype("float32")

    def metrics(self) -> list[Any]:
        import keras

        return [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        return self._probabilities(logits).astype("float32")

    def _probabilities(self, logits: np.ndarray) -> np.ndarray:
        return softmax(logits / self.calibration.temperature)

    def decode(self, logits: np.ndarray) -> list[Any]:
        return [self._classes[i] for i in logits.argmax(axis=-1)]

    def decode_targets(self, targets: np.ndarray) -> list[Any]:
        return [self._classes[int(t)] for t in targets]

    def example_losses(self, logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
        chances = log_softmax(logits / self.calibration.temperature)
        return -np.take_along_axis(chances, targets[:, None].astype(int), 1)[:, 0]

    def target_weights(self) -> np.ndarray:
        return contrasts(self.outputs)

    def measure(self, logits: np.ndarray, targets: np.ndarray) -> dict[str, np.ndarray]:
        return {
            "loss": self.example_losses(logits, targets),
            "true": targets.astype(int),
            "predicted": logits.argmax(axis=-1),
            "rank": dense_ranks(self._probabilities(logits)),
        }

    def figures(self, measured: Mapping[str, np.ndarray]) -> dict[str, float]:
        counts = confusion(measured["true"], measured["predicted"], self.outputs)
        averages = f1_averages(counts.diagonal(), counts.sum(axis=0), counts.sum(axis=1))
        # Of two classes, one curve; of more, the mean of each against the rest.
        curves = range(1, 2) if self.outputs == 2 else range(self.outputs)
        true, ranks = measured["true"], measured["rank"]
        areas = [area_under_curve(ranks[:, i], true == i) for i in curves]
        return {
            "loss": float(measured["loss"].mean()),
            "accuracy": float(counts.trace() / counts.sum()),
            **averages,
            "mcc": matthews(counts),
            "roc_auc": float(np.mean(areas)),
        }

    def report(self, logits: np.ndarray, targets: np.ndarray) -> Report:
        """Compares logits with targets; `roc_auc` is NaN where a class does not occur."""
        from sklearn.metrics import classification_report

        measured = self.measure(logits, targets)
        true, predicted = measured["true"], measured["predicted"]
        text = classification_report(
            true,
            predicted,
            labels=list(range(self.outputs)),
            target_names=[str(c) for c in self._classes],
            zero_division=0,
            digits=3,
        )
        return Report(text, self.figures(measured), confusion(true, predicted, self.outputs))

    def calibrate(self, logits: np.ndarray, targets: np.ndarray) -> None:
        chances = np.take_along_axis(softmax(logits), targets[:, None].astype(int), 1)[:, 0]
        temperature = self.best_temperature(logits, targets)
        self.calibration = Calibration.of_scores(1 - chances, temperature)

    def reliability(self, logits: np.ndarray, targets: np.ndarray) -> Reliability:
        """Compares the probability of the predicted class with how often it is true."""
        right = logits.argmax(axis=-1) == targets
        return Reliability.of(self._probabilities(logits).max(axis=-1), right)

    def sets(self, logits: np.ndarray, coverage: float) -> list[list[Any]]:
        """Returns the labels of each text that may well be true, the most likely first.

        Those above a probability, the same for all texts (Sadinle et al., 2019,
        arXiv:1609.00451), and always the most likely one.
        """
        limit = self.calibration.limit(coverage)
        # Without the temperature, which was fitted to the calibration data: its scores and those
        # of new texts would not be exchangeable.
        chances = softmax(logits)
        order = np.argsort(-chances, axis=-1, kind="stable")
        inside = np.take_along_axis(1 - chances, order, -1) <= limit
        inside[:, 0] = True
        return [
            [self._classes[i] for i in labels[there]]
            for labels, there in zip(order, inside, strict=True)
        ]

    def class_counts(self, targets: np.ndarray) -> np.ndarray:
        return np.bincount(targets.astype(int), minlength=self.outputs)

    def class_weights(self, weights: Any, targets: np.ndarray) -> dict[int, float]:
        if isinstance(weights, str) and weights == "balanced":
            counts = self.class_counts(targets)
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
        return {
            "classes": self.classes,
            "numbered": self.numbered,
            **self.calibration.config(),
        }
