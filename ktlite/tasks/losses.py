"""Losses of classes that Keras does not have over class numbers and logits; and its own."""

from __future__ import annotations

from typing import Any

from ktlite.encodings.targets import IGNORE
from ktlite.errors import ArgumentError, Problems

# Keras' losses that are made of sums over all of a batch, or compare its rows.
_OF_BATCHES = ("dice", "tversky", "circle")

__all__ = [
    "IGNORE",
    "check_smoothing",
    "counted_accuracy",
    "counted_cross_entropy",
    "focal_loss",
    "is_mean_of_rows",
    "keras_loss",
    "named_loss",
    "over_counted",
    "scored_accuracy",
    "scored_cross_entropy",
    "sigmoid_divergence",
    "softmax_divergence",
]


def focal_loss(gamma: float = 2.0, label_smoothing: float = 0.0) -> Any:
    """Returns a cross-entropy that looks less at what the model is sure of already.

    Lin et al., 2017, arXiv:1708.02002: `-(1 - p) ** gamma * log(p)`, with `p` the probability
    of the right class. Label smoothing: Szegedy et al., 2015, arXiv:1512.00567.

    Args:
        gamma: How much less; 0 is the cross-entropy.
        label_smoothing: Share of the target that is spread over all classes, 0 to below 1.

    Returns:
        A Keras loss of class numbers, int [batch], and logits, float [batch, classes].

    Raises:
        ArgumentError: If `gamma` or `label_smoothing` is out of range.

    Example:
        >>> ktlite.get_learner(name, train_data=df, text_column="text", label_columns="label",
        ...                    loss=ktlite.tasks.focal_loss(gamma=1))
    """
    import keras
    from keras import ops

    problems = Problems("focal_loss")
    problems.add_unless(
        isinstance(gamma, (int, float)) and 0 <= gamma < float("inf"),
        f"gamma={gamma!r}; expected 0 or more.",
    )
    check_smoothing(problems, label_smoothing)
    problems.raise_if_any()

    class Focal(keras.losses.Loss):
        def call(self, y_true: Any, y_pred: Any) -> Any:
            log_p = ops.log_softmax(ops.cast(y_pred, "float32"))
            classes = log_p.shape[-1]
            right = ops.one_hot(ops.reshape(ops.cast(y_true, "int32"), (-1,)), classes)
            target = right * (1 - label_smoothing) + label_smoothing / classes
            attention = ops.power(1 - ops.exp(log_p), gamma) if gamma else 1.0
            return -ops.sum(target * attention * log_p, axis=-1)

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "gamma": gamma, "label_smoothing": label_smoothing}

    return Focal(name="focal_loss" if gamma else "cross_entropy")


def check_smoothing(problems: Problems, label_smoothing: Any) -> None:
    """Records a problem unless this is a share, and not everything."""
    problems.add_unless(
        isinstance(label_smoothing, (int, float)) and 0 <= label_smoothing < 1,
        f"label_smoothing={label_smoothing!r}; expected 0 to below 1.",
    )


def named_loss(loss: Any, label_smoothing: float, known: dict[str, Any], task: str) -> Any:
    """Returns the loss that a user asks for by name, or a Keras loss as it is.

    Args:
        loss: A name, None for the first of `known`, or a Keras loss or function.
        label_smoothing: As for `focal_loss`.
        known: Name -> what makes the loss of a label smoothing.
        task: For messages.

    Raises:
        ArgumentError: If the name is not known, or the loss cannot be smoothed.
    """
    problems = Problems("loss")
    check_smoothing(problems, label_smoothing)
    name = next(iter(known)) if loss is None else loss
    if isinstance(name, str):
        problems.choice("loss", name, list(known))
    problems.raise_if_any()
    if isinstance(name, str):
        return known[name](label_smoothing)
    if label_smoothing:
        raise ArgumentError(
            f"label_smoothing={label_smoothing!r} goes with the losses of a {task} task: "
            f"{', '.join(known)}. Build it into your own loss."
        )
    return name


def keras_loss(loss: Any) -> Any:
    """Returns a Keras loss by its name, or what is given where that can be called.

    Raises:
        ArgumentError: If Keras has none of the name.
    """
    import keras

    try:
        return keras.losses.get(loss)
    except ValueError as error:
        raise ArgumentError(f"loss={loss!r}: Keras knows no such loss.") from error


def is_mean_of_rows(loss: Any) -> bool:
    """Says whether a loss is known to be a mean over rows that do not know of each other.

    Args:
        loss: A Keras loss or function. What a user has written is not known.
    """
    inner = getattr(loss, "fn", None)  # what a class takes the mean of
    if inner is not None and not is_mean_of_rows(inner):
        return False
    home = getattr(loss, "__module__", None) or type(loss).__module__
    config = loss.get_config() if hasattr(loss, "get_config") else {}
    return (
        home.split(".")[0] in ("keras", "ktlite")
        and getattr(loss, "__name__", None) not in _OF_BATCHES
        and config.get("reduction", "sum_over_batch_size") in ("mean", "sum_over_batch_size")
        and config.get("ignore_class") is None
    )


def counted_cross_entropy() -> Any:
    """Returns a Keras loss: the mean cross-entropy of logits over the targets that count."""
    import keras

    # Keras' mean leaves the ignored targets out.
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=IGNORE)


def counted_accuracy() -> Any:
    """Returns a Keras metric: the share of right classes among the targets that count."""
    import keras

    class Accuracy(keras.metrics.Mean):
        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
            # As one row: of several, Keras would take each row's mean, however many count in it.
            y_true = keras.ops.reshape(keras.ops.cast(y_true, "int32"), (-1,))
            guess = keras.ops.reshape(keras.ops.argmax(y_pred, axis=-1), (-1,))
            right = keras.ops.equal(y_true, keras.ops.cast(guess, "int32"))
            return super().update_state(right, sample_weight=keras.ops.not_equal(y_true, IGNORE))

    return Accuracy("accuracy")


def over_counted(losses: Any, counted: Any) -> Any:
    """Returns losses whose mean over all targets is that of `losses` over those that count.

    For `Loss.call`: the mean is Keras' to take, with weights, and of a device's share in a batch.

    Args:
        losses: float [...], 0 where a target does not count.
        counted: float [...], 1 where it does.
    """
    from keras import ops

    share = ops.sum(counted) / ops.cast(ops.size(counted), counted.dtype)
    return losses / ops.maximum(share, 1e-9)


def scored_cross_entropy() -> Any:
    """Returns a Keras loss over what `ktlite._token_scores` returns: the mean of what counts."""
    import keras
    from keras import ops

    class Scored(keras.losses.Loss):
        def call(self, y_true: Any, y_pred: Any) -> Any:
            counted = ops.cast(ops.not_equal(y_true, IGNORE), y_pred.dtype)
            return over_counted(y_pred[..., 0] * counted, counted)

    return Scored(name="cross_entropy")


def scored_accuracy() -> Any:
    """Returns a Keras metric over the same: the share of targets that are the likeliest."""
    import keras
    from keras import ops

    class Accuracy(keras.metrics.Mean):
        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
            counted = ops.reshape(ops.not_equal(y_true, IGNORE), (-1,))
            return super().update_state(ops.reshape(y_pred[..., 1], (-1,)), sample_weight=counted)

    return Accuracy("accuracy")


def softmax_divergence(one: Any, two: Any) -> Any:
    """Returns the mean of both Kullback-Leibler divergences of classes, float32 [batch].

    Args:
        one: Logits, float [batch, classes].
        two: Likewise.
    """
    from keras import ops

    p, q = (ops.log_softmax(ops.cast(logits, "float32")) for logits in (one, two))
    return ops.sum((ops.exp(p) - ops.exp(q)) * (p - q), axis=-1) / 2


def sigmoid_divergence(one: Any, two: Any) -> Any:
    """Returns the same of several labels, each there or not: the mean over them."""
    from keras import ops

    p, q = (ops.cast(logits, "float32") for logits in (one, two))
    return ops.mean((ops.sigmoid(p) - ops.sigmoid(q)) * (p - q), axis=-1) / 2
