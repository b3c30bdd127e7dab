"""Whether a model's certainty, and the data that it is measured on, can be trusted."""

from __future__ import annotations

from typing import Any

import numpy as np

from ktlite._logging import logger, results
from ktlite.cards.facts import fingerprint
from ktlite.encodings.indexed import items_of
from ktlite.errors import plural
from ktlite.evaluation.outputs import Outputs
from ktlite.tasks import Task

_FEW = 100


def calibrate(task: Task, outputs: Outputs) -> dict[str, float]:
    """Calibrates a task; says what has become better, and returns it."""
    task.forget_calibration()
    before = calibration_error(outputs) if task.predicts_classes else {}
    task.calibrate(outputs.logits, outputs.known_targets())
    count = len(outputs.logits)
    found: dict[str, float] = {"examples": count}
    changes = ""
    if task.predicts_classes:
        found |= {"temperature": task.calibration.temperature, **calibration_error(outputs)}
        changes = f": temperature {found['temperature']:.3g}; " + ", ".join(
            f"{name} {value:.4f} -> {found[name]:.4f}" for name, value in before.items()
        )
        changes += " (in-sample: of these examples; on others a little worse)"
    results.info("calibrated on %s%s", outputs.on or plural(count, "example"), changes)
    if count < _FEW:
        logger.warning("so few examples calibrate roughly; some hundreds do better.")
    return found


def calibration_error(outputs: Outputs) -> dict[str, float]:
    """Returns `ece` and `loss`, as `Learner.calibration_error` does."""
    task, targets = outputs.task, outputs.known_targets()
    error = task.reliability(outputs.logits, targets).error
    losses = task.example_losses(outputs.logits, targets)
    return {"ece": error, "loss": float(losses.mean())}


def shared(data: Any, other: Any) -> float:
    """Returns the share of `data` that is in `other` too; of data without texts, 0 or 1."""
    texts, others = items_of(data), items_of(other)
    if texts is None or others is None:
        digest = fingerprint(data).get("sha256")
        same = digest is not None and digest == fingerprint(other).get("sha256")
        return float(data is other or same)
    key = data.preproc.input.key
    known = set(map(key, others))
    return sum(key(text) in known for text in texts) / max(len(texts), 1)


def warn_if_constant(outputs: Outputs) -> None:
    """Warns where a classifier says the same for every example."""
    task, targets = outputs.task, outputs.known_targets()
    if getattr(outputs.logits, "ndim", 0) != 2 or not _one_class(task, targets):
        return
    predicted = outputs.logits.argmax(axis=-1)
    if len(targets) > 1 and (predicted == predicted[0]).all() and np.ptp(targets) > 0:
        logger.warning(
            "constant predictions: every one of %s is taken for %r, and the model has learned "
            "nothing yet. Train for more epochs, with a lower rate (lr_find shows one), and if "
            'one class is much more frequent, with class_weight="balanced".',
            plural(len(targets), "example"),
            task.classes[int(predicted[0])],
        )


def _one_class(task: Task, targets: np.ndarray) -> bool:
    """Says whether targets are class numbers, one an example."""
    return task.predicts_classes and targets.ndim == 1 and targets.dtype.kind == "i"
