"""The whole state of a model in training, as arrays by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from ktlite.errors import CheckpointError
from ktlite.training.optimizers import inner


def variables(model: Any) -> dict[str, keras.Variable]:
    """Returns weights, states of random generators, metrics and the optimizer's variables."""
    optimizer = getattr(model, "optimizer", None)
    groups = {
        "model": model.variables,
        "metrics": model.metrics_variables,
        "optimizer": [] if optimizer is None else optimizer.variables,
    }
    return {f"{group}/{i}": v for group, held in groups.items() for i, v in enumerate(held)}


def copy(variable: keras.Variable) -> np.ndarray:
    """Returns a variable's value, as an array of its own."""
    return np.array(keras.ops.convert_to_numpy(variable), copy=True)


def copies(model: Any) -> dict[str, np.ndarray]:
    """Returns the values of `variables`."""
    return {name: copy(variable) for name, variable in variables(model).items()}


def assign(model: Any, tensors: Mapping[str, np.ndarray], groups: tuple[str, ...]) -> None:
    """Puts values back.

    Args:
        model: A model whose variables exist.
        tensors: What `copies` returned, maybe in another process.
        groups: Which of `"model"`, `"metrics"` and `"optimizer"`.

    Raises:
        CheckpointError: If the variables are others than those that were copied.
    """
    held = {n: v for n, v in variables(model).items() if n.split("/")[0] in groups}
    wrong = [
        name
        for name, variable in held.items()
        if name not in tensors or tensors[name].shape != tuple(variable.shape)
    ]
    if wrong:
        raise CheckpointError(
            f"the checkpoint is of another model: {len(wrong)} of {len(held)} variables are not "
            "in it, or of another shape."
        )
    for name, variable in held.items():
        variable.assign(tensors[name])


def averages(model: Any) -> list[tuple[keras.Variable, keras.Variable]]:
    """Returns (weight, its moving average) of all weights that the optimizer averages."""
    optimizer = inner(model.optimizer)
    held = getattr(optimizer, "_model_variables_moving_average", ())
    pairs = zip(optimizer._trainable_variables, held, strict=False)
    return [(weight, average) for weight, average in pairs if average is not None]


def average_names(model: Any) -> dict[str, str]:
    """Returns the names of the weights that have an average, and of their averages."""
    names = {id(variable): name for name, variable in variables(model).items()}
    return {names[id(weight)]: names[id(average)] for weight, average in averages(model)}
