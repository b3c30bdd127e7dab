"""Computes activations a second time in place of keeping them: less memory, more time."""

from __future__ import annotations

from typing import Any

import keras

from ktlite.errors import Problems
from ktlite.training.distribution import seed_states


def check_remat(problems: Problems, remat: Any) -> None:
    """Records a problem if `remat=` makes no sense."""
    problems.choice("remat", remat, (True, False))
    problems.add_unless(
        remat is not True or keras.backend.backend() == "tensorflow",
        f"remat=True with Keras' {keras.backend.backend()} backend; it is for TensorFlow's.",
    )


def rematerialise(model: Any) -> None:
    """Makes training keep what goes into each block of the encoder, and nothing inside it.

    The backward pass computes each block again when it comes to it, with the same dropout:
    memory grows with one block's activations and not with all of them, for about a third more
    time (Chen et al., 2016, arXiv:1604.06174). The gradients are the same.

    Args:
        model: A `TransformerModel`.

    Example:
        >>> model = ktlite.load_model("my-bert")
        >>> rematerialise(model)
    """
    model.encoder.run_block = _run_again


def _run_again(
    block: Any, x: Any, visible: Any, relative: Any, first_only: bool = False, training: Any = None
) -> Any:
    if not training:
        return block(x, visible, relative, first_only=first_only, training=training)
    import tensorflow as tf

    trained, seeds = block.trainable_weights, seed_states(block)
    drawn = [tf.convert_to_tensor(seed) for seed in seeds]
    states: list[Any] = []

    def run(weights: list[Any], x: Any, *tables: Any) -> Any:
        # A function of its arguments alone: the second run must not draw other random numbers.
        relative = tables[0] if tables else None
        pairs = zip([*trained, *seeds], [*weights, *drawn], strict=True)
        with keras.StatelessScope(pairs) as scope:
            hidden = block(x, visible, relative, first_only=first_only, training=True)
        states[:] = states or [scope.get_current_value(seed) for seed in seeds]
        return hidden

    weights = [tf.convert_to_tensor(weight) for weight in trained]
    tables = [] if relative is None else [relative]
    hidden = tf.recompute_grad(run)(weights, x, *tables)
    for seed, state in zip(seeds, states, strict=True):
        seed.assign(state)
    return hidden
