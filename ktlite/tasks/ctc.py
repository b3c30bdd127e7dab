"""Connectionist temporal classification: the likelihood of a text that frames may say in many ways.

Graves et al., 2006, "Connectionist temporal classification", ICML.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ktlite.encodings.targets import IGNORE
from ktlite.tasks.arrays import log_softmax

#: Above this are the logits of frames that are no padding; `CTCHead` gives those less.
IMPOSSIBLE = -9_000.0
_NEVER = -1e30  # the logarithm of a chance of 0, that can still be added to


def ctc_loss(blank: int, reduction: str = "mean", zero_infinity: bool = True) -> Any:
    """Returns a Keras loss: the negative log-likelihood of each text.

    Not `keras.ops.ctc_loss`: of TensorFlow (2.21), it ends at 707, and has another gradient from
    there on; new models and long sounds get there.

    Args:
        blank: The number of the blank.
        reduction: `"mean"`: divided by the length of the text. `"sum"`: as it is.
        zero_infinity: Whether a text that is longer than its sound has frames has a loss of 0. It
            has no gradient in any case.

    Returns:
        A Keras loss of numbers, int [batch, length], `IGNORE` behind them, and logits, float
        [batch, frames, tokens], below `IMPOSSIBLE` for all but the blank in padding.
    """
    import keras
    from keras import ops

    class CTC(keras.losses.Loss):
        def call(self, y_true: Any, y_pred: Any) -> Any:
            numbers, logits = ops.cast(y_true, "int32"), ops.cast(y_pred, "float32")
            there = ops.not_equal(numbers, IGNORE)
            lengths = ops.sum(ops.cast(there, "int32"), axis=1)
            inside = _inside(logits, blank)
            # Equal ones that follow each other need a blank between them.
            twice = ops.logical_and(there[:, 1:], numbers[:, 1:] == numbers[:, :-1])
            needed = lengths + ops.sum(ops.cast(twice, "int32"), axis=1)
            fits = needed <= ops.sum(ops.cast(inside, "int32"), axis=1)
            losses, slopes = _forward_backward(
                ops.stop_gradient(logits), inside, ops.where(there, numbers, blank), lengths, blank
            )
            slopes = ops.where(fits[:, None, None], slopes, 0.0)
            # Of this value, and of this slope.
            change = ops.sum(slopes * (logits - ops.stop_gradient(logits)), axis=(1, 2))
            losses = ops.where(fits, losses, 0.0 if zero_infinity else float("inf")) + change
            if reduction == "mean":
                losses = losses / ops.cast(ops.maximum(lengths, 1), losses.dtype)
            return losses

        def get_config(self) -> dict[str, Any]:
            said = {"blank": blank, "reduction": reduction, "zero_infinity": zero_infinity}
            return {**super().get_config(), **said}

    return CTC(name="ctc")


def _inside(logits: Any, blank: int) -> Any:
    """Returns which frames are no padding, bool [batch, frames]."""
    from keras import ops

    others = ops.where(ops.arange(ops.shape(logits)[2]) == blank, _NEVER, logits)
    return ops.max(others, axis=2) > IMPOSSIBLE


def _forward_backward(
    logits: Any, inside: Any, numbers: Any, lengths: Any, blank: int
) -> tuple[Any, Any]:
    """Returns the losses, float [batch], and their gradient, float [batch, frames, tokens].

    The sums over beginnings and over ends of texts go through the frames in one loop, the ends in
    reverse. In each frame their largest is taken out, so that digits are left for the others.
    """
    from keras import ops

    from ktlite._scan import scan

    chances = ops.log_softmax(logits, axis=-1)
    tokens = ops.shape(logits)[2]
    places = ops.arange(2 * ops.shape(numbers)[1] + 1)
    odd, last = places % 2 == 1, 2 * lengths[:, None]
    path = ops.repeat(ops.pad(numbers, [[0, 0], [0, 1]]), 2, axis=1)[:, :-1]
    path = ops.where(odd, path, blank)
    said = ops.where(
        (places <= last)[:, None],
        ops.take_along_axis(chances, path[:, None] + ops.zeros_like(chances[..., :1], "int32"), 2),
        _NEVER,
    )
    # From a character to the next one, past the blank between them, unless they are equal.
    skips = ops.logical_and(odd[2:], path[:, 2:] != path[:, :-2])
    skips = ops.concatenate(
        [ops.pad(skips, [[0, 0], [2, 0]]), ops.pad(ops.flip(skips, 1), [[0, 0], [2, 0]])]
    )
    begins = ops.concatenate([places + ops.zeros_like(last), ops.flip(places - last, 1)])
    begins = ops.where(begins == 0, 0.0, _NEVER)

    def step(state: Any, given: Any) -> Any:
        frame, counts = given
        state = state - ops.max(state, axis=1, keepdims=True)
        before = ops.pad(state[:, :-1], [[0, 0], [1, 0]], constant_values=_NEVER)
        skipped = ops.pad(state[:, :-2], [[0, 0], [2, 0]], constant_values=_NEVER)
        skipped = ops.where(skips, skipped, _NEVER)
        found = ops.logaddexp(ops.logaddexp(state, before), skipped) + frame
        return ops.where(counts[:, None], found, state)

    frames = ops.concatenate([said, ops.flip(said, (1, 2))])
    counts = ops.concatenate([inside, ops.flip(inside, 1)])
    sums = scan(step, begins, (ops.transpose(frames, (1, 0, 2)), ops.transpose(counts)))
    ahead, behind = ops.split(ops.transpose(sums, (1, 0, 2)), 2)
    ends = ops.logical_or(places == last, places == last - 1)
    losses = -ops.sum(ops.max(ahead[:, :-1], axis=2), axis=1) - ops.logsumexp(
        ops.where(ends, ahead[:, -1], _NEVER), axis=1
    )
    shares = ops.softmax(ahead + ops.flip(behind, (1, 2)) - said, axis=-1)
    held = ops.matmul(shares, ops.one_hot(path, tokens, dtype=shares.dtype))
    slopes = ops.where(inside[..., None], ops.exp(chances) - held, 0.0)
    return losses, slopes


def negative_log_likelihood(logits: np.ndarray, numbers: np.ndarray, blank: int) -> float:
    """Returns how unlikely a text is, in float64; infinite if the frames are too few for it.

    Args:
        logits: float [frames, tokens].
        numbers: int [characters].
        blank: The number of the blank.
    """
    path = np.full(2 * len(numbers) + 1, blank)
    path[1::2] = numbers
    # From a character to the next one, past the blank between them, unless they are equal.
    skips = np.zeros(len(path), bool)
    skips[2:] = (path[2:] != blank) & (path[2:] != path[:-2])
    state = np.where(np.arange(len(path)) < 1, 0.0, -np.inf)
    for frame in log_softmax(logits)[:, path]:
        before = np.concatenate([[-np.inf], state[:-1]])
        skipped = np.concatenate([[-np.inf] * 2, state])[: len(path)]
        skipped = np.where(skips, skipped, -np.inf)
        state = np.logaddexp(np.logaddexp(state, before), skipped) + frame
    return -float(np.logaddexp.reduce(state[-2:]))
