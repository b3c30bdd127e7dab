"""The optimizer, and handles on the learning rate and the momentum of any optimizer.

Keras 3 holds the learning rate in a variable, but `beta_1` and `momentum` as Python
floats: the first call of the training function bakes them into the graph, and an
assignment afterwards changes nothing. Here they live in variables too.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras

from ktlite.errors import ArgumentError, listing
from ktlite.training.accumulation import Accumulator, after, built, summed
from ktlite.training.adam import Scalars, corrected_epsilon, update_in_one_pass


@keras.saving.register_keras_serializable(package="ktlite")
class AdamW(keras.optimizers.AdamW):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, arXiv 1711.05101).

    Like `keras.optimizers.AdamW`, with the defaults of fine-tuning, and:

    - Biases and the weights of normalisation layers do not decay: variables of fewer
      than two dimensions, and those named `bias` (an attention's bias has two).
    - `optimizer.beta_1 = 0.85` changes the running training graph: `beta_1` is a
      scalar float32 variable, saved and loaded with the others.

    - `epsilon` is added to the root of the bias-corrected second moment, as in
      Algorithm 1 of Kingma & Ba (2015, arXiv 1412.6980). Keras adds it to that of the
      uncorrected one, which shortens the first steps of small gradients.

    So a step is that of `torch.optim.AdamW`.

    - Clipping sees the gradient of the whole batch, summed over all devices, and of each
      row of an embedding over all its tokens. Keras clips the parts.

    - `gradient_accumulation_steps` batches make one step, which is that of one batch with all
      their rows, see `ktlite.training.accumulation`. `iterations`, schedules and the moving
      average count steps. (With TensorFlow; with JAX it is Keras' mean of means.)

    Args:
        learning_rate: Step size, or a `LearningRateSchedule` (which `fit_onecycle` and
            the other fits cannot then set).
        weight_decay: Part of each decaying weight that a step takes off, times the
            learning rate.
        beta_1: Decay rate of the first moment, in [0, 1): the momentum.
        beta_2: Decay rate of the second moment, in [0, 1).
        epsilon: Keeps the denominator from 0, see above.
        global_clipnorm: Gradients whose joint norm is larger are scaled down to it. Give
            `None` to clip in no way, or with `clipnorm` or `clipvalue`.
        **kwargs: Other arguments of `keras.optimizers.AdamW`.

    Raises:
        ValueError: From Keras, for arguments that it refuses.
        ArgumentError: When it is to train weights in 16 bits.

    Example:
        >>> model.compile(AdamW(2e-5), loss="mse")
    """

    epsilon: Any
    #: Whether the gradients that come are those of one device's share of one batch.
    sums_gradients = True
    #: Adds up the gradients of several batches; None where each has its step.
    accumulator: Accumulator | None = None
    _scalars: Scalars | None = None

    def __init__(
        self,
        learning_rate: Any = 5e-5,
        weight_decay: float = 0.01,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        global_clipnorm: float | None = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            global_clipnorm=global_clipnorm,
            **kwargs,
        )
        steps: int | None = kwargs.get("gradient_accumulation_steps")
        if steps and keras.backend.backend() == "tensorflow":
            self.accumulator = Accumulator(self, steps)
            self.gradient_accumulation_steps = None  # Keras has nothing to do with it

    def build(self, variables: Any) -> None:
        short = {v.dtype for v in variables} & {"bfloat16", "float16"}
        if short:
            raise ArgumentError(
                f"AdamW: the weights are in {listing(short)}, which loses small updates. Keep them "
                "in float32, and compute in half precision: load_model(dtype='mixed_bfloat16'), or "
                "get_learner(precision='bfloat16')."
            )
        super().build(variables)
        if self.accumulator is not None:
            self.accumulator.build(variables)

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        grads = list(grads)
        if not self.sums_gradients:
            super().apply(grads, trainable_variables)
        elif self.accumulator is not None:
            variables = built(self, trainable_variables)
            self.accumulator.add(summed(grads), variables, super().apply)
        else:
            with after(grads):  # or it counts a step where data ends without notice
                super().apply(grads, trainable_variables)

    @property
    def beta_1(self) -> keras.Variable:
        return self._beta_1

    @beta_1.setter
    def beta_1(self, value: float) -> None:
        if not hasattr(self, "_beta_1"):
            self._beta_1 = self.add_variable(
                (), dtype="float32", aggregation="only_first_replica", name="beta_1"
            )
        self._beta_1.assign(value)

    def _use_weight_decay(self, variable: Any) -> bool:
        # Of TensorFlow's variables: "bias:0", and on a second device "bias/replica_1:0".
        is_bias = "bias" in variable.name.split(":")[0].split("/")
        return len(variable.shape) > 1 and not is_bias and super()._use_weight_decay(variable)

    def _clip_gradients(self, grads: Any) -> Any:
        done = self.accumulator is not None or not self.sums_gradients
        return super()._clip_gradients(grads if done else summed(grads))

    def _all_reduce_sum_gradients(self, grads_and_vars: Any) -> Any:
        return grads_and_vars  # Keras' turn to sum, after clipping: it is done

    @property
    def _in_one_pass(self) -> bool:
        return keras.backend.backend() == "tensorflow" and not self.amsgrad

    def _apply_weight_decay(self, variables: Any) -> None:
        if not self._in_one_pass:  # which does it with the step
            super()._apply_weight_decay(variables)

    def _distributed_tf_update_step(self, *args: Any, **kwargs: Any) -> None:
        self._scalars = Scalars()
        try:
            super()._distributed_tf_update_step(*args, **kwargs)
        finally:
            self._scalars = None

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        if self._in_one_pass:
            scalars = (self._scalars or Scalars()).of(self, variable, learning_rate)
            update_in_one_pass(self, gradient, variable, scalars)
            return
        epsilon = self.epsilon
        self.epsilon = corrected_epsilon(self)
        try:
            super().update_step(gradient, variable, learning_rate)
        finally:
            self.epsilon = epsilon

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), "beta_1": _as_float(self.beta_1)}
        if self.accumulator is not None:
            config["gradient_accumulation_steps"] = self.accumulator.size
        return config


@keras.saving.register_keras_serializable(package="ktlite")
class LossScaleOptimizer(keras.optimizers.LossScaleOptimizer):
    """Keras' dynamic loss scaling for float16 (Micikevicius et al., 2018, arXiv:1710.03740).

    Unlike Keras' own, it leaves a step out when the gradient of any device, or of any batch
    that the step is of, is not finite; not only that of the first device.

    Args:
        inner_optimizer: A ktlite `AdamW`.
        **kwargs: Other arguments of Keras' class.
    """

    def __init__(self, inner_optimizer: AdamW, **kwargs: Any) -> None:
        super().__init__(inner_optimizer, **kwargs)
        inner_optimizer.sums_gradients = False

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        # Before Keras looks whether they are finite.
        grads, group = summed(grads), self.inner_optimizer.accumulator
        if group is None:
            super().apply(grads, trainable_variables)
        else:
            group.add(grads, built(self, trainable_variables), super().apply)


def learning_rate(optimizer: Any) -> float:
    """Returns an optimizer's current learning rate, also where a schedule makes it.

    Raises:
        ArgumentError: If the optimizer has no one learning rate.

    Example:
        >>> learning_rate(AdamW(5e-5))
        5e-05
    """
    return _as_float(_rate(optimizer))


def set_learning_rate(optimizer: Any, value: float) -> None:
    """Sets an optimizer's learning rate, also in the running graph.

    Raises:
        ArgumentError: If the optimizer makes its own learning rate (a
            `LearningRateSchedule`), or has no one learning rate.
    """
    rate = _rate(optimizer)
    if not isinstance(rate, keras.Variable):
        raise ArgumentError(
            f"the learning rate of this {inner(optimizer).__class__.__name__} comes from a "
            "LearningRateSchedule, so nothing else can set it. Compile the model with a number: "
            f"{inner(optimizer).__class__.__name__}(learning_rate=5e-5)."
        )
    rate.assign(value)


def momentum(optimizer: Any) -> float | None:
    """Returns an optimizer's current `beta_1` or `momentum`; None if it has neither.

    Example:
        >>> momentum(keras.optimizers.Adam()), momentum(keras.optimizers.SGD())
        (0.9, None)
    """
    name = _momentum_name(inner(optimizer))
    return None if name is None else _as_float(getattr(inner(optimizer), name))


def set_momentum(optimizer: Any, value: float) -> None:
    """Sets an optimizer's `beta_1` or `momentum` in the running graph.

    Does nothing for an optimizer that has neither.

    Raises:
        ArgumentError: If the graph would not see the change: the optimizer is not
            ktlite's and this is not inside `momentum_variable`.
    """
    optimizer = inner(optimizer)
    name = _momentum_name(optimizer)
    if name is None:
        return
    held = getattr(optimizer, name)
    if not isinstance(held, keras.Variable):
        raise ArgumentError(
            f"{optimizer.__class__.__name__}.{name} is a Python number, and the training graph "
            "would not see a change. Train inside `with momentum_variable(model):`, or compile "
            "the model with ktlite.training.optimizers.AdamW."
        )
    held.assign(value)


def strategy_scope(model: Any) -> contextlib.AbstractContextManager[Any]:
    """Returns the scope in which variables for a model must be made, to be on its devices."""
    strategy = getattr(model, "distribute_strategy", None)  # TensorFlow's models have one
    return contextlib.nullcontext() if strategy is None else strategy.scope()


@contextlib.contextmanager
def momentum_variable(model: Any) -> Iterator[None]:
    """Lets `set_momentum` work on a compiled model's optimizer, whichever it is.

    Inside, the optimizer's `beta_1` or `momentum` is a variable in the training graph.
    Afterwards it is what it was before, as is its value. For an optimizer that is not
    ktlite's this means that the training function is traced again, inside and after;
    for ktlite's `AdamW`, and for optimizers without momentum, nothing is traced again.

    Args:
        model: A compiled Keras model.

    Example:
        >>> with momentum_variable(model):
        ...     model.fit(x, y, callbacks=[ScheduleCallback(OneCycle(0.01, steps=100))])
    """
    optimizer = inner(model.optimizer)
    name = _momentum_name(optimizer)
    if name is None:
        yield
        return
    before = getattr(optimizer, name)
    if isinstance(before, keras.Variable):
        value = keras.ops.convert_to_numpy(before).copy()
        try:
            yield
        finally:
            before.assign(value)
        return
    with strategy_scope(model):
        variable = _MomentumVariable(
            before, dtype="float32", trainable=False, aggregation="only_first_replica", name=name
        )
    plain_config = optimizer.get_config
    # Not the optimizer's own __setattr__: that would count the variable among those that
    # are saved, and a file saved now could not be loaded into a plain optimizer.
    object.__setattr__(optimizer, name, variable)
    object.__setattr__(
        optimizer, "get_config", lambda: {**plain_config(), name: _as_float(variable)}
    )
    is_jax = keras.backend.backend() == "jax"
    if is_jax:  # whose graphs see no variable but those that are counted
        optimizer._track_variable(variable)
    model.train_function = None
    try:
        yield
    finally:
        if is_jax:
            optimizer._untrack_variable(variable)
        object.__setattr__(optimizer, name, before)
        object.__delattr__(optimizer, "get_config")
        model.train_function = None


class _MomentumVariable(keras.Variable):
    """Stands in for a momentum that is above 0.

    SGD and RMSprop ask `momentum != 0` and `momentum > 0` to learn whether they have
    any. The answer must be a Python bool, not a tensor of the graph.
    """

    def __ne__(self, other: object) -> bool:
        return True

    def __gt__(self, other: object) -> bool:
        return True

    __hash__ = keras.Variable.__hash__


def inner(optimizer: Any) -> Any:
    """Returns the optimizer that a `LossScaleOptimizer` wraps, or the optimizer itself."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def _rate(optimizer: Any) -> Any:
    try:
        return inner(optimizer).learning_rate
    except AttributeError as error:
        raise ArgumentError(
            f"{inner(optimizer).__class__.__name__} has no one learning rate to read or set. "
            "Compile the model with one optimizer for all its weights."
        ) from error


def _momentum_name(optimizer: Any) -> str | None:
    # ScheduleFreeAdamW's beta_1 says where the weights lie between two sequences; a change
    # in the middle of training would break them.
    if optimizer.__class__.__name__ == "ScheduleFreeAdamW":
        return None
    for name in ("beta_1", "momentum"):
        value = getattr(optimizer, name, None)
        if isinstance(value, keras.Variable) or (isinstance(value, float) and value > 0):
            return name
    return None


def _as_float(value: Any) -> float:
    """Returns the shortest number that a float32 holds: 0.9, not 0.8999999761581421."""
    return float(str(keras.ops.convert_to_numpy(value)[()]))
