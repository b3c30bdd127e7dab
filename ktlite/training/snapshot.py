"""An exact copy of a model's state in memory."""

from __future__ import annotations

import random
from types import TracebackType
from typing import Any

import numpy as np

from ktlite.errors import ArgumentError
from ktlite.training.optimizers import strategy_scope
from ktlite.training.state import copy, variables


class Snapshot:
    """Copies everything that training changes, and puts it back bit by bit.

    That is: weights, states of the random number generators of layers (dropout),
    metrics, the optimizer's variables (moments, iterations, learning rate, loss scale;
    an optimizer that has not been used yet is built), and the global random states of
    Python and NumPy. The copy is held in main memory: about three times the
    weights with Adam. The model, its optimizer and its compiled functions stay the
    same objects.

    Args:
        model: A Keras model that has its weights.

    Raises:
        ArgumentError: If the model has no weights yet.

    Example:
        >>> with Snapshot(model):
        ...     model.fit(x, y)     # leaves no trace
    """

    def __init__(self, model: Any) -> None:
        if not model.built:
            raise ArgumentError(
                f"the model {model.name!r} has no weights yet, so there is nothing to copy. Give "
                "it a keras.Input as its first layer, or call it once on a batch: model(x[:1])."
            )
        self.model = model
        self._python_random = random.getstate()
        self._numpy_random = np.random.get_state()
        optimizer = getattr(model, "optimizer", None)
        if optimizer is not None and not optimizer.built:
            with strategy_scope(model):
                optimizer.build(model.trainable_variables)
        self._values = [(v, copy(v)) for v in variables(model).values()]

    def restore(self) -> None:
        """Puts everything back as it was; can be called again."""
        # Metrics may have been built since: those start empty.
        self.model.reset_metrics()
        for variable, value in self._values:
            variable.assign(value)
        random.setstate(self._python_random)
        np.random.set_state(self._numpy_random)

    def __enter__(self) -> Snapshot:
        return self

    def __exit__(
        self,
        error: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.restore()
