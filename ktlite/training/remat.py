"""Computes activations a second time in place of keeping them: less memory, more time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras

from ktlite.errors import Problems
from ktlite.models.core.attention import Seen
from ktlite.models.towers import towers_of
from ktlite.training.distribution import seed_states


def check_remat(problems: Problems, remat: Any) -> None:
    """Records a problem if `remat=` makes no sense."""
    problems.choice("remat", remat, (True, False))
    problems.add_unless(
        remat is not True or keras.backend.backend() == "tensorflow",
        f"remat=True with Keras' {keras.backend.backend()} backend; it is for TensorFlow's.",
    )


def rematerialise(model: Any) -> None:
    """Makes training keep what goes into each block, and nothing inside it.

    The backward pass computes each block again when it comes to it, with the same dropout:
    memory grows with one block's activations and not with all of them, for about a third more
    time (Chen et al., 2016, arXiv:1604.06174). The gradients are the same.

    Args:
        model: A `TransformerModel`.

    Example:
        >>> model = ktlite.load_model("my-bert")
        >>> rematerialise(model)
    """
    for tower in towers_of(model):
        tower.stack.run_block = _run_again


def rematerialises(model: Any) -> bool:
    """Says whether `rematerialise` was called for a model."""
    return any(tower.stack.run_block is _run_again for tower in towers_of(model))


def _run_again(block: Any, x: Any, seen: Seen, training: Any = None) -> Any:
    if not training:
        return block(x, seen=seen, training=training)
    import tensorflow as tf

    trained, seeds = block.trainable_weights, seed_states(block)
    drawn = [tf.convert_to_tensor(seed) for seed in seeds]
    states: list[Any] = []

    # What has a gradient has to be an argument.
    given = {name: getattr(seen, name) for name in ("relative", "memory")}
    names = [name for name, value in given.items() if value is not None]

    def run(weights: list[Any], x: Any, *values: Any) -> Any:
        # A function of its arguments alone: the second run must not draw other random numbers.
        known = replace(seen, **dict(zip(names, values, strict=True)))
        pairs = zip([*trained, *seeds], [*weights, *drawn], strict=True)
        with keras.StatelessScope(pairs) as scope:
            hidden = block(x, seen=known, training=True)
        states[:] = states or [scope.get_current_value(seed) for seed in seeds]
        return hidden

    weights = [tf.convert_to_tensor(weight) for weight in trained]
    hidden = tf.recompute_grad(run)(weights, x, *(given[name] for name in names))
    for seed, state in zip(seeds, states, strict=True):
        seed.assign(state)
    return hidden
