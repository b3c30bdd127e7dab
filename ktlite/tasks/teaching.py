"""Learning from what another model says: the part of a task that knows how to compare with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from ktlite.encodings.targets import IGNORE
from ktlite.errors import ArgumentError
from ktlite.tasks.losses import over_counted

#: Taught and own logits, float [..., outputs], to the loss of each target, [...].
SoftLoss = Callable[[Any, Any], Any]


class Teaching:
    """How far a student's logits are from a teacher's; a task that can say it overrides it."""

    name: ClassVar[str]

    def soft_loss(self, temperature: float) -> SoftLoss:
        """Returns how far logits are from taught ones, in Keras' operations.

        Args:
            temperature: What both are divided by, where they stand for probabilities.

        Raises:
            ArgumentError: If a model of this task cannot be taught by another.
        """
        raise ArgumentError(
            f"a {self.name} task cannot be distilled; those of classes, several labels, numbers "
            "and words can."
        )

    def targets_of(self, logits: np.ndarray) -> np.ndarray:
        """Returns the targets that are most likely by these logits, as `encode` returns them."""
        raise NotImplementedError(f"{self.name}: what a teacher says stands for no targets.")

    def blended(self, outputs: Sequence[np.ndarray]) -> np.ndarray:
        """Returns what several teachers say together: here the mean of what they say.

        Args:
            outputs: Of each teacher, logits of one example, float32 [..., outputs].
        """
        return np.mean(outputs, axis=0).astype("float32")


def of_classes(temperature: float) -> SoftLoss:
    """Returns the soft loss of one class a target (Hinton et al., 2015, arXiv:1503.02531).

    The divergence of the student's probabilities from the teacher's, both at the temperature, times
    its square, so that gradients do not fade with it.
    """
    from keras import ops

    def loss(taught: Any, own: Any) -> Any:
        wanted = ops.log_softmax(taught / temperature)
        return temperature**2 * ops.sum(
            ops.exp(wanted) * (wanted - ops.log_softmax(own / temperature)), axis=-1
        )

    return loss


def of_labels(temperature: float) -> SoftLoss:
    """Returns the soft loss of several labels a target: the mean of those of each, yes or no."""
    from keras import ops

    def loss(taught: Any, own: Any) -> Any:
        yes, mine = taught / temperature, own / temperature
        share = ops.sigmoid(yes)
        apart = share * (ops.log_sigmoid(yes) - ops.log_sigmoid(mine))
        apart += (1 - share) * (ops.log_sigmoid(-yes) - ops.log_sigmoid(-mine))
        return temperature**2 * ops.mean(apart, axis=-1)

    return loss


def of_numbers() -> SoftLoss:
    """Returns the soft loss of numbers: the mean square of the differences."""
    from keras import ops

    return lambda taught, own: ops.mean(ops.square(taught - own), axis=-1)


def packed(
    targets: np.ndarray, labelled: np.ndarray, taught: np.ndarray, counted: bool
) -> np.ndarray:
    """Returns what is true and what is taught of each target as one array.

    Args:
        targets: The loss's, [...] or [..., outputs]; `IGNORE` where a target does not count.
        labelled: bool [rows], whether they are known of a row, and not the teacher's.
        taught: Logits, float [..., outputs].
        counted: Whether `IGNORE` is a target that does not count; of numbers, it is one of them.

    Returns:
        float32 [..., width]: targets, whether these are known, and logits; all `IGNORE` where the
        target does not count, so that as many parts of them do.
    """
    if targets.ndim < taught.ndim:
        targets = targets[..., None]
    known = np.broadcast_to(
        labelled.reshape(-1, *[1] * (taught.ndim - 1)), (*taught.shape[:-1], 1)
    ).astype("float32")
    counts = np.all(targets != IGNORE, axis=-1, keepdims=True) if counted else np.True_
    parts = (targets, np.where(counts, known, IGNORE), np.where(counts, taught, IGNORE))
    return np.concatenate([part.astype("float32") for part in parts], axis=-1)


def _is_packed(y_true: Any, y_pred: Any) -> bool:
    same = len(y_true.shape) == len(y_pred.shape)
    return same and y_true.shape[-1] is not None and y_true.shape[-1] > y_pred.shape[-1]


def _unpacked(y_true: Any, y_pred: Any) -> tuple[Any, Any, Any]:
    """Returns targets, whether they are known, and taught logits."""
    width = y_pred.shape[-1]
    targets, known, taught = (
        y_true[..., : -width - 1],
        y_true[..., -width - 1],
        y_true[..., -width:],
    )
    return targets[..., 0] if targets.shape[-1] == 1 else targets, known, taught


def taught_loss(hard: Any, soft: SoftLoss, alpha: float, counted: bool) -> Any:
    """Returns a Keras loss over what `packed` gives, and over plain targets as in validation.

    Args:
        hard: The Keras loss of the task, over plain targets.
        soft: As `Teaching.soft_loss` returns it.
        alpha: The share of `soft`; the rest is `hard`'s, where targets are known.
        counted: Whether the mean is one over the targets that count, not over rows.
    """
    import keras
    from keras import ops

    class Taught(keras.losses.Loss):
        fn = staticmethod(hard)  # as in the classes that Keras makes of functions

        def call(self, y_true: Any, y_pred: Any) -> Any:
            if not _is_packed(y_true, y_pred):
                return hard.call(y_true, y_pred)
            targets, known, taught = _unpacked(y_true, y_pred)
            there = ops.cast(ops.not_equal(known, IGNORE), y_pred.dtype)
            losses = alpha * soft(taught, y_pred) * there
            losses += (1 - alpha) * hard.call(targets, y_pred) * ops.maximum(known, 0.0)
            return over_counted(losses, there) if counted else losses

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "alpha": alpha}

    return Taught(name="distillation")


def taught_metric(metric: Any) -> Any:
    """Returns a Keras metric, over targets that are known, of `packed` or plain ones."""
    import keras
    from keras import ops

    if not isinstance(metric, keras.metrics.Metric):  # a function, as Keras takes it
        metric = keras.metrics.MeanMetricWrapper(metric, name=metric.__name__)

    class OfLabelled(keras.metrics.Metric):
        def __init__(self) -> None:
            super().__init__(name=metric.name)
            self.metric = metric

        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
            if _is_packed(y_true, y_pred):
                y_true, known, _ = _unpacked(y_true, y_pred)
                known = ops.maximum(ops.cast(known, "float32"), 0.0)
                sample_weight = known if sample_weight is None else sample_weight * known
            return self.metric.update_state(y_true, y_pred, sample_weight=sample_weight)

        def result(self) -> Any:
            return self.metric.result()

        def reset_state(self) -> None:
            self.metric.reset_state()

    return OfLabelled()
