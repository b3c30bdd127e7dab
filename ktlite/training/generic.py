"""Reads off a compiled Keras model which task it does, so that any model can be validated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from ktlite.errors import ArgumentError, listing
from ktlite.tasks import Classification, MultiLabel, Regression, Task
from ktlite.training.feed import class_numbers

_TINY = 1e-7


@dataclass(frozen=True)
class Reading:
    """How to read a model's outputs and targets.

    Args:
        task: The task.
        logits: Turns the model's outputs into logits [rows, outputs].
        targets: Turns the data's targets into the task's.
        single: Whether the outputs are one number a row that stands for two classes.
    """

    task: Task
    logits: Callable[[np.ndarray], np.ndarray]
    targets: Callable[[np.ndarray], np.ndarray]
    single: bool = False


def read_model(model: Any, outputs: int) -> Reading:
    """Returns how to read a model that was compiled with a usual loss.

    Args:
        model: A compiled Keras model with one output.
        outputs: Size of the last axis of that output.

    Raises:
        ArgumentError: If the loss says nothing about the task, or the outputs do not fit it.
    """
    if not model.compiled:
        raise ArgumentError("the model is not compiled; call model.compile(...) first.")
    if isinstance(model.loss, (dict, list, tuple)):
        raise ArgumentError("validation reads models with one output, [rows, outputs].")
    loss = keras.losses.get(model.loss)
    # Keras' classes wrap a function, whose name stays when a user names the loss anew.
    function = getattr(loss, "fn", loss)
    name = getattr(function, "__name__", type(function).__name__)
    config = loss.get_config() if hasattr(loss, "get_config") else {}
    from_logits = bool(config.get("from_logits", False))
    if name in ("sparse_categorical_crossentropy", "categorical_crossentropy"):
        return Reading(Classification(range(outputs)), _softmax_logits(from_logits), class_numbers)
    if name == "binary_crossentropy" and outputs == 1:
        return Reading(Classification([0, 1]), _two_logits(from_logits), class_numbers, True)
    if name == "binary_crossentropy":
        return Reading(MultiLabel(range(outputs)), _sigmoid_logits(from_logits), _matrix)
    if name in ("mean_squared_error", "mean_absolute_error", "huber", "log_cosh"):
        if outputs == 1:
            return Reading(Regression(), lambda x: x, lambda y: y.reshape(-1))
        return Reading(Regression(range(outputs)), lambda x: x, lambda y: y)
    known = ("(sparse_)categorical_crossentropy", "binary_crossentropy", "mean_squared_error")
    raise ArgumentError(
        f"validation needs to know what the outputs mean, and the loss {name!r} does not tell; "
        f"losses that do: {listing(known)}. Pass task= to get_learner."
    )


def _matrix(targets: np.ndarray) -> np.ndarray:
    return targets.astype("float32")


def _softmax_logits(from_logits: bool) -> Callable[[np.ndarray], np.ndarray]:
    return (lambda x: x) if from_logits else (lambda p: np.log(np.maximum(p, _TINY)))


def _sigmoid_logits(from_logits: bool) -> Callable[[np.ndarray], np.ndarray]:
    def of_probabilities(p: np.ndarray) -> np.ndarray:
        p = np.clip(p, _TINY, 1 - _TINY)
        return np.log(p) - np.log1p(-p)

    return (lambda x: x) if from_logits else of_probabilities


def _two_logits(from_logits: bool) -> Callable[[np.ndarray], np.ndarray]:
    """One sigmoid output is a softmax over (0, that output)."""
    of_outputs = _sigmoid_logits(from_logits)

    def both(outputs: np.ndarray) -> np.ndarray:
        logit = of_outputs(outputs.reshape(-1).astype("float64"))
        return np.stack([np.zeros_like(logit), logit], axis=-1)

    return both
