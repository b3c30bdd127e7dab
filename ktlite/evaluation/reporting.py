"""The report of a validation, the same wherever it comes from: figures, and what they are of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ktlite.evaluation.bootstrap import confidence_intervals, interval_table
from ktlite.evaluation.outputs import Outputs
from ktlite.tasks import Report


def report_of(
    outputs: Outputs, class_names: Sequence[str] = (), level: float | None = None, note: str = ""
) -> Report:
    """Returns the task's report, below what it was measured on.

    Args:
        outputs: Of a model, with targets.
        class_names: Names to show in place of the classes.
        level: Of confidence intervals of all figures; None shows none.
        note: What else to say of them.

    Raises:
        ArgumentError: If there are no labels, or class names do not fit.
    """
    task = outputs.task.renamed(class_names) if len(class_names) else outputs.task
    report = task.report(outputs.logits, outputs.known_targets())
    head = [outputs.on and f"on {outputs.on}", note]
    parts = ["\n".join(line for line in head if line), report.text]
    if level is not None:
        intervals = confidence_intervals(outputs, level)
        parts.append(interval_table(report.metrics, intervals, level))
    return replace(report, text="\n\n".join(part for part in parts if part))


def figures_of(outputs: Outputs) -> dict[str, float]:
    """Returns the task's figures.

    Raises:
        ArgumentError: If there are no labels.
    """
    return outputs.task.report(outputs.logits, outputs.known_targets()).metrics


def with_intervals(
    figures: dict[str, float], outputs: Outputs, level: float | None
) -> dict[str, float]:
    """Adds the ends of confidence intervals, `accuracy_low` and `accuracy_high`; None: none."""
    if level is None:
        return figures
    ends = confidence_intervals(outputs, level)
    named = {
        f"{name}_{end}": value
        for name, pair in ends.items()
        for end, value in zip(("low", "high"), pair, strict=True)
    }
    return {**figures, **named}
