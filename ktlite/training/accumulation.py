"""Gradients of several batches, added up for one step of the optimizer.

The step is that of one batch with all of their rows: each batch's gradient, that of a mean over
its rows, counts by its share of the group's rows. (Where a loss is a mean over targets that
count, `Feed.training` has weighed the rows so that it is one over rows.) Keras' own
`gradient_accumulation_steps` takes the mean of the means, whatever their sizes, cannot run on
several devices, and moves its moving average and its schedules with every batch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import keras


class Accumulator:
    """The gradients of a group of batches, for TensorFlow's optimizers on any devices.

    Args:
        optimizer: Keeps the variables, and takes the step.
        size: Batches a group. Each has the same share unless `begin` says otherwise.
    """

    def __init__(self, optimizer: Any, size: int) -> None:
        self.optimizer = optimizer
        self.size = size
        self._sums: list[Any] = []

    def build(self, variables: Sequence[Any]) -> None:
        """Makes the variables: a sum for each of the optimizer's, and where the group is."""
        add = self.optimizer.add_variable
        first: dict[str, Any] = {"aggregation": "only_first_replica"}
        share = keras.initializers.Constant(1 / self.size)
        self._share = add((), share, dtype="float32", name="batch_share", **first)
        self._done = add((), dtype="int32", name="batches_in_group", **first)
        self._sums = [
            self.optimizer.add_variable_from_reference(variable, name="accumulated_gradient")
            for variable in variables
        ]

    def begin(self, share: float, last: bool = False) -> None:
        """Says before a batch what share of its group it has, and whether it is the last one.

        Without a word each batch has the same share, and every `size`-th is the last.
        """
        self._share.assign(share)
        if last:
            self._done.assign(self.size - 1)

    def clear(self) -> None:
        """Drops what an interrupted training has left."""
        self._done.assign(0)
        for held in self._sums:
            held.assign(keras.ops.zeros_like(held))

    def finish(self, model: Any) -> None:
        """Takes a step with a group that has ended before its time, if there is one.

        Args:
            model: Whose optimizer this is.
        """
        import tensorflow as tf

        done = int(keras.ops.convert_to_numpy(self._done))
        if not done:
            return
        for held in self._sums:  # of batches with a share of 1 / size each
            held.assign(held * (self.size / done))
        self.begin(0.0, last=True)
        variables = model.trainable_variables

        def step() -> None:
            model.optimizer.apply([tf.zeros_like(v) for v in variables], variables)

        with model.distribute_strategy.scope():
            model.distribute_strategy.run(tf.function(step, autograph=False))

    def add(self, gradients: Sequence[Any], variables: Sequence[Any], step: Callable) -> None:
        """Adds the gradients of a batch, and takes the group's step after its last one.

        Args:
            gradients: Tensors, summed over all devices; None where there is none.
            variables: Those of the gradients.
            step: Takes (gradients, variables), on each device.
        """
        import tensorflow as tf

        known = [pair for pair in zip(gradients, variables, strict=True) if pair[0] is not None]
        mine = [variable for _, variable in known]

        def meet(strategy: Any, *gradients: Any) -> None:
            self._add(strategy, gradients, mine, step)

        # A branch in which devices meet must be one of all devices, not one of each.
        tf.__internal__.distribute.interim.maybe_merge_call(
            meet, self.optimizer._distribution_strategy, *[gradient for gradient, _ in known]
        )

    def _add(self, strategy: Any, gradients: Any, variables: Any, step: Callable) -> None:
        import tensorflow as tf

        sums = [self._sums[self.optimizer._get_variable_index(v)] for v in variables]

        def more(held: Any, gradient: Any) -> None:
            held.assign_add(tf.cast(self._share * gradient, held.dtype))

        def empty(held: Any) -> None:
            held.assign(tf.zeros_like(held))

        for held, gradient in zip(sums, gradients, strict=True):
            strategy.extended.update(held.value, more, args=(gradient,), group=False)
        with after(strategy.experimental_local_results(gradients[-1])):
            self._done.assign_add(1)

        def of_device() -> None:
            step([tf.convert_to_tensor(held.value) for held in sums], variables)

        def take() -> None:
            if tf.distribute.in_cross_replica_context():
                strategy.extended.call_for_each_replica(of_device)
            else:
                of_device()
            for held in sums:
                strategy.extended.update(held.value, empty, group=False)
            self._done.assign(0)

        tf.cond(self._done.value >= self.size, take, lambda: None)


def batches_a_step(optimizer: Any) -> int:
    """Returns how many batches an optimizer accumulates gradients of for each of its steps."""
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    accumulator = getattr(optimizer, "accumulator", None)
    if accumulator is not None:
        return int(accumulator.size)
    return int(getattr(optimizer, "gradient_accumulation_steps", None) or 1)


def after(gradients: Sequence[Any]) -> contextlib.AbstractContextManager[Any]:
    """Returns a scope whose operations wait for a batch.

    A training step asks for its batch inside of the graph. Where data does not say how long it is,
    the last one gets none and fails; what does not wait for the batch has been done by then, such
    as Keras' count of steps.

    Args:
        gradients: Of the batch.
    """
    if keras.backend.backend() != "tensorflow":
        return contextlib.nullcontext()
    import tensorflow as tf

    # The last is that of the head, which comes first.
    known = [gradient for gradient in gradients if gradient is not None][-1:]
    scope: contextlib.AbstractContextManager[Any] = tf.control_dependencies(known)
    return scope


def built(optimizer: Any, variables: Any) -> list[Any]:
    """Returns the variables of some gradients, those of the optimizer being made."""
    if not optimizer.built:
        optimizer.build(list(variables))
    return list(optimizer._trainable_variables if variables is None else variables)


def summed(gradients: Any) -> list[Any]:
    """Returns gradients summed over all devices, and over all tokens of an embedding's row."""
    if keras.backend.backend() != "tensorflow":
        return list(gradients)
    import tensorflow as tf

    gradients = list(gradients)
    context = tf.distribute.get_replica_context()
    if context is not None and context.num_replicas_in_sync > 1:
        known = [gradient for gradient in gradients if gradient is not None]
        summed = iter(context.all_reduce("SUM", known))
        gradients = [None if gradient is None else next(summed) for gradient in gradients]
    return [None if gradient is None else tf.convert_to_tensor(gradient) for gradient in gradients]
