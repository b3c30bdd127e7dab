"""What every task answers about how sure a model is; a task that knows overrides it."""

from __future__ import annotations

import copy
from typing import Any, ClassVar

import numpy as np

from ktlite.errors import ArgumentError
from ktlite.tasks.calibration import TEMPERATURE, Calibration, Reliability, best_temperature


class Certainty:
    """Calibration of probabilities, and sets of predictions that hold the truth."""

    name: ClassVar[str]
    #: What `calibrate` has learned; part of the config where there is anything.
    calibration: Calibration = Calibration()

    def calibrate(self, logits: np.ndarray, targets: np.ndarray) -> None:
        """Learns from other data how sure to be: a temperature, and what `sets` needs.

        Predictions stay the same. `forget_calibration` takes it back.

        Args:
            logits: Of examples that the model was not trained on.
            targets: Of the same.

        Raises:
            ArgumentError: If the task has no certainty to calibrate.
        """
        raise ArgumentError(
            f"a {self.name} task cannot be calibrated; tasks of classes and regression can."
        )

    def forget_calibration(self) -> None:
        """Goes back to the model's own probabilities."""
        self.calibration = Calibration()

    def into_config(self, config: dict[str, Any]) -> None:
        """Puts what other libraries should know of the task into a Hugging Face config.json.

        The labels, and where there is one the temperature: their probabilities are others, and
        logits divided by it give those of this task.
        """
        config.pop(TEMPERATURE, None)
        config.update(self.hf_config())
        if self.calibration.temperature != 1:
            config[TEMPERATURE] = self.calibration.temperature

    def hf_config(self) -> dict[str, Any]:
        """Returns the label fields of the Hugging Face config.json."""
        raise NotImplementedError

    def best_temperature(self, logits: np.ndarray, targets: np.ndarray) -> float:
        """Returns what to divide the model's own logits by for the lowest loss."""
        bare = copy.copy(self)
        bare.calibration = Calibration()
        return best_temperature(lambda t: float(bare.example_losses(logits / t, targets).mean()))

    def reliability(self, logits: np.ndarray, targets: np.ndarray) -> Reliability:
        """Compares how sure predictions are with how often they are right.

        Raises:
            ArgumentError: If the task gives no probabilities of being right.
        """
        raise ArgumentError(f"a {self.name} task gives no probabilities of being right.")

    def sets(self, logits: np.ndarray, coverage: float) -> list[Any]:
        """Returns for each example a set of predictions that holds the truth.

        Args:
            logits: [examples, outputs].
            coverage: How often it has to, 0 to 1.

        Raises:
            ArgumentError: If the task gives no sets, or is not calibrated.
        """
        raise ArgumentError(
            f"predict: coverage={coverage!r}: a {self.name} task gives no sets of predictions; "
            "classification (one label a text) and regression do."
        )

    def example_losses(self, logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Returns the loss of each text, float64 [texts]: of probabilities as they are given.

        A task that can be calibrated divides by its temperature here as in `probabilities`, so
        that a report has one kind of them.
        """
        raise NotImplementedError
