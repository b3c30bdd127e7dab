"""Metrics by name for training, right over a model's logits, batches and devices."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import ops

from ktlite.errors import ArgumentError, Problems, did_you_mean
from ktlite.tasks import Classification, MultiLabel, Regression, Task

# Names that scikit-learn's scorers have: the function, and its arguments.
_AVERAGED = {
    f"{score}_{average}": (f"{score}_score", {"average": average, "zero_division": 0})
    for score in ("f1", "precision", "recall", "jaccard")
    for average in ("macro", "micro", "weighted")
}
SCORES: dict[str, tuple[str, dict[str, Any]]] = {
    **_AVERAGED,
    "balanced_accuracy": ("balanced_accuracy_score", {}),
    "matthews_corrcoef": ("matthews_corrcoef", {}),
    "mcc": ("matthews_corrcoef", {}),
    "cohen_kappa": ("cohen_kappa_score", {}),
}
# Functions of scikit-learn that depend on nothing but how often each class is taken for each.
_OF_LABELS = (
    "accuracy_score", "balanced_accuracy_score", "cohen_kappa_score", "f1_score", "hamming_loss",
    "jaccard_score", "matthews_corrcoef", "precision_score", "recall_score", "zero_one_loss",
)  # fmt: skip
USUAL = ("mae", "mse", "rmse", "r2", "spearman", "pearson")  # of regression


def as_metric(metric: Any, task: Task) -> Any:
    """Returns what Keras takes for a metric that a user asks for.

    Args:
        metric: A name: of the task's own metrics, of `SCORES`, `"roc_auc"` (from 200
            thresholds, as Keras has it; `Learner.metrics` has the exact one), and for regression
            of any of Keras' functions. A function of `sklearn.metrics` that compares labels. Or
            what Keras takes, over targets and the model's outputs: a metric, a function.
        task: What the model learns.

    Raises:
        ArgumentError: If a score of classes is asked of another task, or a name is not known.
    """
    if getattr(metric, "__module__", "").startswith("sklearn."):
        return _of_scikit_learn(metric, task)
    if not isinstance(metric, str):
        return metric
    own = {item.name: item for item in task.metrics()}
    if metric in own:
        return own[metric]
    if metric in SCORES:
        import sklearn.metrics

        function, arguments = SCORES[metric]
        if metric in _AVERAGED:  # over classes that do not occur, too
            arguments = {**arguments, "labels": range(task.outputs)}
        score = partial(getattr(sklearn.metrics, function), **arguments)
        return _label_score(score, metric, task)
    if metric.lower() in ("roc_auc", "auc") and isinstance(task, (Classification, MultiLabel)):
        return _area(metric.lower(), task)
    if isinstance(task, Regression):
        return _in_units(metric, task)
    if isinstance(task, (Classification, MultiLabel)):
        # Keras' own of that name would take logits for probabilities, and give a wrong number.
        known = [*own, "roc_auc", *(SCORES if isinstance(task, Classification) else ())]
        problems = Problems("metrics")
        problems.choice("metric", metric, known)
        problems.raise_if_any()
    return metric


def _of_scikit_learn(function: Callable[..., float], task: Task) -> Any:
    """Returns the metric of a function of scikit-learn that compares labels.

    Those that take scores would be given labels for them, and tell a wrong number.
    """
    name = function.__name__
    if name == "roc_auc_score" and isinstance(task, (Classification, MultiLabel)):
        return _area("roc_auc", task)
    if name not in _OF_LABELS:
        raise ArgumentError(
            f"metrics: {name!r} is none that compares labels ({', '.join(_OF_LABELS)}). After "
            "training, call it with learner.ground_truth() and learner.predict()."
        )
    return _label_score(function, name, task)


def _area(name: str, task: Classification | MultiLabel) -> keras.metrics.AUC:
    if isinstance(task, MultiLabel):
        return keras.metrics.AUC(
            name=name, from_logits=True, multi_label=True, num_labels=task.outputs
        )
    if task.outputs > 2:
        raise ArgumentError(
            f"metrics: {name!r} is for two classes during training; of {task.outputs}, "
            "learner.metrics() gives it."
        )

    class AreaOfTwo(keras.metrics.AUC):
        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
            second = ops.sigmoid(y_pred[:, 1] - y_pred[:, 0])
            return super().update_state(y_true, second, sample_weight)

    return AreaOfTwo(name=name)


def _in_units(name: str, task: Regression) -> Any:
    """Returns Keras' metric of a name over the targets' units."""
    try:
        found = keras.metrics.get(name)
    except ValueError as error:
        raise ArgumentError(f"metrics: Keras knows no {name!r}.{did_you_mean(name, USUAL)}") from (
            error
        )
    function = getattr(found, "_fn", found)
    if isinstance(function, keras.metrics.Metric):
        raise ArgumentError(
            f"metrics: {name!r} is no mean over examples; learner.metrics() gives "
            f"{', '.join(USUAL)}."
        )

    def of_values(y_true: Any, y_pred: Any) -> Any:
        return function(ops.reshape(y_true, ops.shape(y_pred)), task.in_units(y_pred))

    return keras.metrics.MeanMetricWrapper(of_values, name=name)


def _label_score(score: Callable[..., float], name: str, task: Task) -> LabelScore:
    if not isinstance(task, Classification):
        raise ArgumentError(
            f"metrics: {name!r} compares one class a text; of a {task.name} task, validate() gives "
            "scikit-learn's figures. Or pass Keras' metrics over the logits."
        )
    return LabelScore(score, task.outputs, name)


class LabelScore(keras.metrics.Metric):
    """A score of scikit-learn that compares true and predicted classes.

    All that such a score depends on is how often each class was taken for each, so the metric
    keeps these counts, and has scikit-learn score every pair of classes with its count as the
    weight.

    Args:
        score: Takes (true, predicted, sample_weight=).
        classes: How many there are.
        name: In Keras' logs.
    """

    def __init__(self, score: Callable[..., float], classes: int, name: str) -> None:
        super().__init__(name=name)
        self.score, self.classes = score, classes
        self.counts = self.add_variable((classes, classes), "zeros", name="counts")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        true = ops.one_hot(ops.reshape(ops.cast(y_true, "int32"), (-1,)), self.classes)
        guess = ops.one_hot(ops.argmax(y_pred, axis=-1), self.classes)
        if sample_weight is not None:
            true = true * ops.reshape(ops.cast(sample_weight, "float32"), (-1, 1))
        self.counts.assign_add(ops.matmul(ops.transpose(true), guess))

    def result(self) -> Any:
        import tensorflow as tf

        value = tf.numpy_function(self._result, [ops.convert_to_tensor(self.counts)], "float32")
        value.set_shape(())
        return value

    def _result(self, counts: np.ndarray) -> np.float32:
        true, guess = np.nonzero(counts)
        if not len(true):
            return np.float32(0)
        return np.float32(self.score(true, guess, sample_weight=counts[true, guess]))
