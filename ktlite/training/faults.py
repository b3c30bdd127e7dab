"""What is known of a batch whose loss is no number, in words that lead to its cause."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np

from ktlite.errors import TrainingError, listing
from ktlite.training.feed import Feed
from ktlite.training.freezing import layer_groups
from ktlite.training.stream import Stream

_DATA = (
    "Their inputs, labels or weights hold values that are NaN or infinite. Mend those rows, or "
    "leave them out."
)
_STEPS = (
    "They hold no NaN and no infinity, so the steps were too large. Train with a lower learning "
    "rate (lr_find shows which); with precision='float16', take 'bfloat16'. With the weights as "
    "they are now, the loss of these rows is {loss:.4g}, and the norms of its gradients are: "
    "{norms}."
)
_SPOILT = "These weights were spoilt already; learner.reset_weights() takes back all training."


def not_finite(
    model: Any, train: Feed | Stream, epoch: int, position: int, data_epoch: int, weights: Any
) -> TrainingError:
    """Returns the error for a batch whose loss is NaN or infinite.

    Args:
        model: The model, with sound weights.
        train: The training data.
        epoch: The epoch of this run, from 0.
        position: The batch of the epoch, from 0.
        data_epoch: The epoch's number for `train`.
        weights: Weight of each class, or None.
    """
    lines = [
        f"the loss is NaN or infinite after batch {position + 1} of epoch {epoch + 1}. Training "
        "has stopped; the weights are those that the epoch began with, with a new optimizer, and "
        "the history is kept."
    ]
    if isinstance(train, Feed):
        rows = source_rows(train.data, train.plan(data_epoch)[position])
        lines.append(f"Rows of the batch, by their numbers in the source: {listing(rows, 64)}.")
        batch = next(iter(train.training(data_epoch, train.steps, weights, start=position)))
        if not all(np.isfinite(column).all() for column in keras.tree.flatten(batch)):
            lines.append(_DATA)
        else:
            loss, norms = gradient_norms(model, batch)
            parts = listing((f"{name} {norm:.3g}" for name, norm in norms.items()), 30)
            lines.append(_STEPS.format(loss=loss, norms=parts))
            lines += [] if math.isfinite(loss) else [_SPOILT]
    return TrainingError("\n".join(lines))


def out_of_memory(train: Feed | Stream) -> TrainingError:
    """Returns the error for a step that did not fit into memory."""
    lines = [
        "out of memory in a training step. Training has stopped; the history is kept, and so are "
        "the weights and what is in a checkpoint_folder."
    ]
    if isinstance(train, Feed):
        size, longest = train.batch_size, int(train.data.lengths.max(initial=0))
        half = max(1, size // 2)
        tokens = f", or batch_tokens={half * longest} to make those of long texts smaller"
        lines.append(
            f"A batch has up to {size} rows{f' of {longest} tokens' if longest else ''}. Give "
            f"get_learner batch_size={half}{tokens if longest else ''}; with "
            f"accumulate={-(-size // half)} the optimizer's steps stay as large. remat=True, "
            "precision='bfloat16', lora=8 and a smaller maxlen save memory too, and "
            "learner.find_batch_size() tries what fits."
        )
    return TrainingError("\n".join(lines))


def source_rows(data: Any, rows: np.ndarray) -> list[int]:
    """Returns the numbers in the source of some rows of a data set, each once."""
    example_of = data.example_of
    texts = rows if example_of is None else example_of[rows]
    numbers = data.rows
    return np.unique(texts if numbers is None else np.asarray(numbers)[texts]).tolist()


def gradient_norms(model: Any, batch: tuple[Any, ...]) -> tuple[float, dict[str, float]]:
    """Returns the loss of a batch, without dropout, and the norm of its gradient by layer."""
    import tensorflow as tf

    x, y, weight = keras.utils.unpack_x_y_sample_weight(batch)
    with tf.GradientTape() as tape:
        outputs = model(x, training=False)
        loss = model.compute_loss(x=x, y=y, y_pred=outputs, sample_weight=weight, training=False)
    norms = {}
    trained = [
        (name, [w for layer in layers for w in layer.trainable_weights])
        for name, layers in layer_groups(model)
    ]
    gradients = iter(tape.gradient(loss, [[w.value for w in held] for _, held in trained]))
    for name, _ in trained:
        found = [g for g in next(gradients) if g is not None]
        if found:
            norms[name] = float(tf.linalg.global_norm(found))
    return float(loss), norms
