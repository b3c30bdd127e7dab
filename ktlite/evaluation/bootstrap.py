"""How much of a figure is luck: confidence intervals by resampling the examples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from ktlite._arguments import between_0_and_1
from ktlite.errors import Problems
from ktlite.evaluation.outputs import Outputs

RESAMPLES = 1000
SEED = 42
LEVEL = 0.95

Intervals = dict[str, tuple[float, float]]


def level_of(where: str, ci: bool | float) -> float | None:
    """Returns the level that an argument `ci` asks for: True is 0.95, False none.

    Raises:
        ArgumentError: If it is not between 0 and 1.
    """
    if isinstance(ci, bool):
        return LEVEL if ci else None
    problems = Problems(where)
    between_0_and_1(problems, ci=ci)
    problems.raise_if_any()
    return ci


def draws(count: int) -> Iterator[np.ndarray]:
    """Yields `RESAMPLES` samples of `count` row numbers, with replacement; always the same."""
    generator = np.random.default_rng(SEED)
    for _ in range(RESAMPLES):
        yield generator.integers(count, size=count)


def rows_of(measured: Mapping[str, np.ndarray], rows: np.ndarray) -> dict[str, np.ndarray]:
    """Returns what `Task.measure` gave for some examples."""
    return {name: values[rows] for name, values in measured.items()}


def confidence_intervals(outputs: Outputs, level: float = LEVEL) -> Intervals:
    """Returns (low, high) of each figure of the report.

    They are percentiles of the figures of 1,000 samples of the examples, drawn with replacement
    (Efron and Tibshirani, 1993, chapter 13). They say how far other examples of the same kind
    could move a figure; not how far another training could. Samples in which a figure is not
    defined do not count for it.

    Args:
        outputs: Of a model, with targets.
        level: How often such an interval holds the figure of all examples there could be.
    """
    task = outputs.task
    measured = task.measure(outputs.logits, outputs.known_targets())
    samples = [task.figures(rows_of(measured, rows)) for rows in draws(len(outputs.logits))]
    found = {}
    for name in task.figures(measured):
        values = np.array([sample.get(name, np.nan) for sample in samples])
        found[name] = interval(values, level)
    return found


def interval(values: np.ndarray, level: float) -> tuple[float, float]:
    """Returns the percentiles between which the share `level` of values lies."""
    values = values[~np.isnan(values)]
    if not len(values):
        return (float("nan"), float("nan"))
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def interval_table(figures: Mapping[str, float], intervals: Intervals, level: float) -> str:
    """Returns a line for each figure, with its interval."""
    width = max(map(len, figures))
    lines = [f"{100 * level:g} % confidence intervals ({RESAMPLES:,} bootstrap samples)"]
    for name, value in figures.items():
        low, high = intervals[name]
        lines.append(f"{name:>{width}} {value:9.4f}  [{low:.4f}, {high:.4f}]")
    return "\n".join(lines)
