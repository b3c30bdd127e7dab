"""What a task must know: labels in, head, loss and metrics, logits back to something readable."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np


@dataclass(frozen=True)
class Report:
    """The outcome of a validation.

    Args:
        text: The report to read.
        metrics: Name -> value.
        result: What `Learner.validate` returns, in ktrain's form: the confusion
            matrix, or a list of (metric, value).
    """

    text: str
    metrics: dict[str, float]
    result: Any = field(default=None)


class Task(abc.ABC):
    """The one place that knows what a label means.

    `Learner` and `Predictor` ask the task; they never ask which task it is.
    A task is plain data: `get_config` gives JSON, `from_config` the task again.
    """

    #: The name in saved files and in `task=` arguments.
    name: ClassVar[str]
    #: The Hugging Face task name, which selects the model's head.
    head: ClassVar[str]
    #: Hugging Face's `problem_type` in config.json.
    problem_type: ClassVar[str | None] = None

    @property
    @abc.abstractmethod
    def outputs(self) -> int:
        """The number of outputs of the head."""

    @property
    def classes(self) -> list[Any]:
        """The labels, in the order of the outputs; empty where there are none."""
        return []

    @abc.abstractmethod
    def encode(self, labels: Any, source: str = "labels") -> np.ndarray:
        """Turns labels into the loss's targets, one row a text.

        Raises:
            DataError: If a label is not of this task.
        """

    @abc.abstractmethod
    def loss(self) -> Any:
        """Returns a new Keras loss over the head's logits."""

    @abc.abstractmethod
    def metrics(self) -> list[Any]:
        """Returns new Keras metrics over the head's logits."""

    def reduce(self, outputs: Any, targets: Any) -> tuple[np.ndarray, np.ndarray]:
        """Keeps of a batch's outputs and targets what the methods below need.

        All of them by default. A task whose outputs are too large to keep for a whole data
        set (a vocabulary for each token), or of several parts, overrides it.

        Args:
            outputs: The head's logits, or a dict of them.
            targets: The loss's targets, or a dict of them.

        Returns:
            The `logits` and `targets` of the methods below, a row each example.
        """
        return outputs, targets

    @abc.abstractmethod
    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Turns logits [texts, outputs] into what `predict_proba` returns."""

    @abc.abstractmethod
    def decode(self, logits: np.ndarray) -> list[Any]:
        """Turns logits [texts, outputs] into what `predict` returns, one item a text."""

    @abc.abstractmethod
    def decode_targets(self, targets: np.ndarray) -> list[Any]:
        """Turns targets back into labels as a person reads them."""

    @abc.abstractmethod
    def example_losses(self, logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Returns the loss of each text, float64 [texts]."""

    @abc.abstractmethod
    def report(self, logits: np.ndarray, targets: np.ndarray) -> Report:
        """Compares logits with targets."""

    def class_weights(self, weights: Any, targets: np.ndarray) -> dict[int, float]:
        """Turns a `class_weight` argument into weights by output number.

        Raises:
            ArgumentError: If this task cannot weight classes.
        """
        from ktlite.errors import ArgumentError

        raise ArgumentError(f"class_weight={weights!r}: a {self.name} task cannot weight classes.")

    @abc.abstractmethod
    def get_config(self) -> dict[str, Any]:
        """Returns what makes this task again, as JSON values."""

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Task:
        return cls(**config)

    def hf_config(self) -> dict[str, Any]:
        """Returns the label fields of the Hugging Face config.json."""
        labels = [str(c) for c in self.classes] or [f"LABEL_{i}" for i in range(self.outputs)]
        fields: dict[str, Any] = {
            "id2label": {str(i): label for i, label in enumerate(labels)},
            "label2id": {label: i for i, label in enumerate(labels)},
        }
        if self.problem_type:
            fields["problem_type"] = self.problem_type
        return fields


def softmax(logits: np.ndarray) -> np.ndarray:
    """Softmax over the last axis, in float64."""
    shifted = np.asarray(logits, "float64") - np.max(logits, axis=-1, keepdims=True)
    powers = np.exp(shifted)
    return powers / powers.sum(axis=-1, keepdims=True)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Logarithm of softmax over the last axis, in float64."""
    shifted = np.asarray(logits, "float64") - np.max(logits, axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Logistic function, in float64, in a form that does not overflow."""
    return np.exp(-np.logaddexp(0.0, -np.asarray(logits, "float64")))


def plain(values: Sequence[Any]) -> list[Any]:
    """Turns NumPy scalars into Python ones, which JSON can hold."""
    return [v.item() if isinstance(v, np.generic) else v for v in values]
