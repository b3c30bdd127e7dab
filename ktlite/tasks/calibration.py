"""How far a model's certainty can be trusted: temperatures, calibration errors, prediction sets."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ktlite._arguments import between_0_and_1
from ktlite.errors import ArgumentError, Problems, plural

BINS = 15  # of equal width, as Guo et al. (2017) have them
TEMPERATURE = "calibration_temperature"  # the field of config.json
KEPT = 1000  # scores of a large calibration set are thinned to so many
_TEMPERATURES = (0.05, 20.0)


@dataclass(frozen=True)
class Calibration:
    """What calibration data has taught about a model's certainty.

    Args:
        temperature: What logits are divided by before they become probabilities (Guo et al.,
            2017, arXiv:1706.04599).
        scores: How far the model was from the truth, ascending: of each calibration example, or
            of `KEPT` of them at equal distances.
        count: How many calibration examples there were; 0 before `Task.calibrate`.

    Example:
        >>> Calibration.of_scores([0.1, 0.4, 0.2, 0.3]).limit(0.8)
        0.4
    """

    temperature: float = 1.0
    scores: tuple[float, ...] = ()
    count: int = 0

    @classmethod
    def of_scores(cls, scores: Any, temperature: float = 1.0) -> Calibration:
        """Keeps what `limit` needs of the scores of all calibration examples."""
        ordered = np.sort(np.asarray(scores, "float64"))
        kept = ordered[_ranks(len(ordered)) - 1]
        return cls(temperature, tuple(kept.tolist()), len(ordered))

    @classmethod
    def from_config(cls, config: Mapping[str, Any] | None) -> Calibration:
        """Makes it again from what `config` holds; from None, that of an uncalibrated task."""
        if config is None:
            return cls()
        return cls(**{**config, "scores": tuple(config["scores"])})

    def config(self) -> dict[str, Any]:
        """Returns the argument `calibration` of a task's config; nothing without calibration."""
        if self == Calibration():
            return {}
        config = {"temperature": self.temperature, "scores": list(self.scores)}
        return {"calibration": {**config, "count": self.count}}

    def limit(self, coverage: float) -> float:
        """Returns the score that a new example stays within with this probability.

        It is the ceil((n + 1) coverage)-th smallest of n scores: split conformal prediction (Vovk
        et al., 2005; Lei et al., 2018, arXiv:1604.04173).

        Raises:
            ArgumentError: If there are no scores, or too few for this coverage.
        """
        problems = Problems("predict")
        between_0_and_1(problems, coverage=coverage)
        problems.raise_if_any()
        if not self.count:
            raise ArgumentError(
                "predict: coverage= needs a predictor that is calibrated. Call learner.calibrate() "
                "after the training, then get_predictor()."
            )
        rank = math.ceil((self.count + 1) * coverage - 1e-9)
        if rank > self.count:
            raise ArgumentError(
                f"predict: coverage={coverage} takes at least "
                f"{plural(math.ceil(coverage / (1 - coverage) - 1e-9), 'calibration example')}; "
                f"this predictor was calibrated on {self.count:,}."
            )
        # The next higher of those that are kept: sets may grow a little, never shrink.
        return self.scores[int(np.searchsorted(_ranks(self.count), rank))]


def _ranks(count: int) -> np.ndarray:
    """Returns which of so many ascending scores are kept, counted from 1."""
    kept = min(count, KEPT)
    return -(-np.arange(1, kept + 1) * count // max(kept, 1))


def best_temperature(loss: Callable[[float], float]) -> float:
    """Returns the temperature of the lowest loss.

    Args:
        loss: The mean negative log-likelihood at a temperature; convex in its inverse.
    """
    from scipy.optimize import minimize_scalar

    bounds = np.log(_TEMPERATURES)
    found = minimize_scalar(lambda log: loss(math.exp(log)), bounds=bounds, method="bounded")
    return float(math.exp(found.x))


@dataclass(frozen=True)
class Reliability:
    """How often predictions are right, by how sure they are of it.

    Args:
        confidence: float64 [bins], the mean probability of each bin's predictions; NaN where
            there are none.
        accuracy: float64 [bins], the share of them that is right.
        counts: int64 [bins].

    Example:
        >>> Reliability.of(np.array([0.9, 0.7]), np.array([True, False])).error
        0.4
    """

    confidence: np.ndarray
    accuracy: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> Reliability:
        """Sorts predictions into bins of equal width.

        Args:
            confidence: float [predictions], the probability of being right.
            right: bool [predictions].
            bins: How many there are from 0 to 1; a bin holds its upper end.
        """
        numbers = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
        counts = np.bincount(numbers, minlength=bins)
        sums = [np.bincount(numbers, values, bins) for values in (confidence, right)]
        with np.errstate(invalid="ignore"):
            means = [total / counts for total in sums]
        return cls(means[0], means[1], counts)

    @property
    def error(self) -> float:
        """The expected calibration error: the mean distance of confidence and accuracy."""
        there = self.counts > 0
        gaps = np.abs(self.confidence - self.accuracy)[there]
        return float(np.average(gaps, weights=self.counts[there]))
