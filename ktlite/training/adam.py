"""Adam's update of one weight, by TensorFlow's one operation for it."""

from __future__ import annotations

from typing import Any

import keras


class Scalars:
    """What is the same for all weights in a step: computed once for each device and type.

    Computed for each weight it was a seventh of the graph of a training step, and of the time that
    the first step takes. Make one a step; its tensors belong to the graph that they are made in.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, Any], dict[str, Any]] = {}

    def of(self, optimizer: Any, variable: Any, learning_rate: Any) -> dict[str, Any]:
        """Returns the scalars by name.

        Args:
            optimizer: ktlite's `AdamW`.
            variable: A `tf.Variable` that is to be updated.
            learning_rate: For it.
        """
        import tensorflow as tf

        key = (variable.device, variable.dtype)
        if key not in self._known:
            steps = keras.ops.cast(optimizer.iterations + 1, "float32")
            scalars = {
                "beta1_power": keras.ops.power(optimizer.beta_1, steps),
                "beta2_power": keras.ops.power(optimizer.beta_2, steps),
                "lr": learning_rate,
                "beta1": optimizer.beta_1,
                "beta2": optimizer.beta_2,
                "epsilon": corrected_epsilon(optimizer),
                "decay": learning_rate * (optimizer.weight_decay or 0.0),
            }
            self._known[key] = {
                name: tf.cast(scalar, variable.dtype) for name, scalar in scalars.items()
            }
        return self._known[key]


def corrected_epsilon(optimizer: Any) -> Any:
    """Returns the epsilon that makes Keras' step Algorithm 1 of Kingma & Ba.

    lr * m / (root / c + epsilon), where c corrects the bias of the root, is what Keras computes,
    lr * c * m / (root + epsilon), with c * epsilon for epsilon.
    """
    steps = keras.ops.cast(optimizer.iterations + 1, "float32")
    return optimizer.epsilon * keras.ops.sqrt(1 - keras.ops.power(optimizer.beta_2, steps))


def update_in_one_pass(
    optimizer: Any, gradient: Any, variable: Any, scalars: dict[str, Any]
) -> None:
    """Does what Keras' `update_step` does.

    An update only waits for memory, and Keras' goes through it a dozen times. Of a fine-tuning
    step on short texts that was a fifth.

    Args:
        optimizer: ktlite's `AdamW`.
        gradient: Of the variable.
        variable: A `tf.Variable`.
        scalars: As of `Scalars.of`.
    """
    import tensorflow as tf

    gradient = tf.cast(tf.convert_to_tensor(gradient), variable.dtype)
    if optimizer.weight_decay is not None and optimizer._use_weight_decay(variable):
        with tf.control_dependencies([gradient]):  # or the products wait in memory for it
            variable.assign_sub(variable * scalars["decay"])
    number = optimizer._get_variable_index(variable)
    tf.raw_ops.ResourceApplyAdam(
        var=variable.handle,
        m=optimizer._momentums[number].value.handle,
        v=optimizer._velocities[number].value.handle,
        grad=gradient,
        **{name: scalar for name, scalar in scalars.items() if name != "decay"},
    )
