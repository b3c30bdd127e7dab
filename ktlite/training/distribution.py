"""Trains one model on several devices: which strategy, and what Keras leaves to be done.

Each device holds a replica of the model and takes a share of every batch; gradients are
summed over the devices (synchronous data parallelism, `tf.distribute`).
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from ktlite.errors import Problems, listing
from ktlite.training.optimizers import AdamW
from ktlite.training.workers import check_cluster, has_workers, multiworker, warn_if_alone

# By class name, along the method resolution order.
_REFUSED = {
    "ParameterServerStrategyV2": "Keras 3 has no training loop for parameter servers",
}
_SEED_STRIDE = 1_000_003


def check_strategy(problems: Problems, strategy: Any, devices: Sequence[str] | None) -> None:
    """Records what is wrong with `strategy=` and `devices=`."""
    if strategy is None and devices is None:
        return
    backend = keras.backend.backend()
    if backend != "tensorflow":
        problems.add(
            f"strategy and devices are for Keras' TensorFlow backend; this is {backend}. There, "
            "use keras.distribution.DataParallel."
        )
        return
    problems.add_unless(
        strategy is None or devices is None,
        "strategy and devices are given; devices=[...] is strategy='mirrored' over some devices.",
    )
    if devices is not None:
        check_devices(problems, devices)
    if strategy is None or isinstance(strategy, str) and strategy == "mirrored":
        return
    if isinstance(strategy, str) and strategy == "multiworker":
        check_cluster(problems)
        return
    import tensorflow as tf

    if not isinstance(strategy, tf.distribute.Strategy):
        problems.add(
            f"strategy={strategy!r}; expected 'mirrored', 'multiworker' or a "
            "tf.distribute.Strategy such as tf.distribute.MirroredStrategy(['GPU:0', 'GPU:1'])."
        )
        return
    for base in type(strategy).__mro__:
        if base.__name__ in _REFUSED:
            problems.add(f"strategy={type(strategy).__name__}: {_REFUSED[base.__name__]}.")
            return


def check_devices(problems: Problems, devices: Any) -> None:
    """Records what is wrong with `devices=`."""
    named = isinstance(devices, Sequence) and all(isinstance(name, str) for name in devices)
    if isinstance(devices, str) or not named:
        problems.add(f"devices={devices!r}; expected a list of names such as ['GPU:0', 'GPU:1'].")
        return
    known = _logical_devices()
    wrong = [name for name in devices if _short(name) not in known]
    problems.add_unless(
        not wrong, f"devices: {listing(wrong)} not found; TensorFlow sees {listing(known)}."
    )
    problems.add_unless(
        0 < len(devices) == len({_short(name) for name in devices}),
        f"devices={list(devices)!r}; expected at least one, each once.",
    )


def make_strategy(strategy: Any, devices: Sequence[str] | None) -> Any:
    """Returns the `tf.distribute.Strategy` that the arguments ask for; None for none.

    Args:
        strategy: `"mirrored"` takes all GPUs, or where there are none all of TensorFlow's
            logical CPUs. `"multiworker"` takes those of all workers that `TF_CONFIG` tells of,
            and waits for them. A `tf.distribute.Strategy` is returned as it is.
        devices: Names such as `"GPU:0"`, to mirror over these.

    Raises:
        ArgumentError: If the arguments cannot work.
    """
    problems = Problems("strategy")
    check_strategy(problems, strategy, devices)
    problems.raise_if_any()
    if strategy is None and devices is None:
        warn_if_alone()
        return None
    if strategy is not None and not isinstance(strategy, str):
        return strategy
    if strategy == "multiworker":
        return multiworker()
    known = _logical_devices()
    gpus = [name for name in known if name.startswith("GPU")]
    return _mirrored(tuple(_short(name) for name in devices or gpus or known))


# One a process: the messages of two strategies over the same devices get mixed up.
@functools.cache
def _mirrored(devices: tuple[str, ...]) -> Any:
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(devices)


def _logical_devices() -> list[str]:
    import tensorflow as tf

    found = [_short(device.name) for device in tf.config.list_logical_devices()]
    return [name for name in found if name.startswith(("CPU", "GPU"))]


def _short(name: str) -> str:
    """Returns `"GPU:0"` for `"/device:GPU:0"`, `"gpu:0"` or `"/job:.../device:GPU:0"`."""
    return ":".join(name.upper().split(":")[-2:]).removeprefix("/")


def scope(strategy: Any) -> contextlib.AbstractContextManager[Any]:
    """Returns the scope to build and compile a model in."""
    return contextlib.nullcontext() if strategy is None else strategy.scope()


def strategy_of(model: Any) -> Any:
    """Returns the strategy that a model was built under, if it has several replicas; else None."""
    strategy = getattr(model, "distribute_strategy", None)  # TensorFlow's models have one
    return strategy if strategy is not None and strategy.num_replicas_in_sync > 1 else None


def replicas_of(model: Any) -> int:
    """Returns how many devices share a batch of the model."""
    strategy = strategy_of(model)
    return 1 if strategy is None else strategy.num_replicas_in_sync


def shares(rows: int, replicas: int) -> list[slice]:
    """Cuts a batch into one slice a replica: equal ones, or else the first are longer by a row.

    Example:
        >>> shares(4, 2), shares(1, 2)
        ([slice(0, 2), slice(2, 4)], [slice(0, 1), slice(1, 1)])
    """
    ends = np.cumsum([len(part) for part in np.array_split(np.arange(rows), replicas)])
    return [slice(int(a), int(b)) for a, b in zip([0, *ends[:-1]], ends, strict=True)]


def spread_seeds(model: Any) -> None:
    """Gives the replicas different dropout: they are made with equal random states.

    All are set anew from those of the first, so that a run can be repeated.
    """
    strategy, states = strategy_of(model), seed_states(model)
    if strategy is None or not states:
        return
    import tensorflow as tf

    def spread() -> None:
        context = tf.distribute.get_replica_context()
        number = context.replica_id_in_sync_group
        shift = tf.cast(tf.stack([number * _SEED_STRIDE, 0]), "int64")
        own = tf.stack([tf.cast(state.value, "int64") for state in states])
        first = context.all_reduce("SUM", tf.where(number == 0, own, tf.zeros_like(own)))
        for state, value in zip(states, tf.unstack(first), strict=True):
            state.assign(tf.cast(value + shift, state.dtype))

    with strategy.scope():
        strategy.run(tf.function(spread, autograph=False))


def seed_states(layer: Any) -> list[Any]:
    """Returns the states of a layer's random numbers, such as those of dropout."""
    weights = {id(weight) for weight in layer.weights}
    own = [variable for variable in layer.variables if id(variable) not in weights]
    return [variable for variable in own if variable.path.endswith("seed_generator_state")]


def predict_batch(model: Any, inputs: Any) -> Any:
    """Returns the outputs for a batch, as NumPy arrays.

    With several replicas Keras' `predict_on_batch` gives the whole batch to each of them,
    and returns the outputs of all.
    """
    outputs = model.predict_on_batch(inputs)
    rows = len(keras.tree.flatten(inputs)[0])
    return keras.tree.map_structure(lambda output: output[:rows], outputs)


def check_learner(problems: Problems, model: Any, **batch_sizes: int) -> None:
    """Records what about a model with several replicas, and its batches, cannot work."""
    replicas = replicas_of(model)
    if replicas == 1:
        return
    for name, size in batch_sizes.items():
        problems.add_unless(
            size % replicas == 0,
            f"{name}={size}; expected a multiple of {replicas}: so many devices share a batch.",
        )
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    limits = ("global_clipnorm", "clipnorm", "clipvalue")
    clips = [name for name in limits if getattr(optimizer, name, None)]
    problems.add_unless(
        not clips or isinstance(optimizer, AdamW),
        f"{type(optimizer).__name__}({listing(clips)}) clips the gradients of each device before "
        "they are summed. Compile with ktlite.training.optimizers.AdamW, which clips the sum.",
    )
    problems.add_unless(
        not getattr(optimizer, "gradient_accumulation_steps", None),
        f"gradient_accumulation_steps on {replicas} devices: Keras accumulates in a branch where "
        "devices cannot meet.",
    )
    for name, usual in (("jit_compile", False), ("steps_per_execution", 1)):
        problems.add_unless(
            getattr(model, name) == usual,
            f"compile({name}={getattr(model, name)!r}) on {replicas} devices: TensorFlow cannot "
            f"run it; compile with {name}={usual!r}.",
        )


def check_stream(problems: Problems, model: Any, what: str, data: Any) -> None:
    """Records a problem if data that comes in batches cannot be shared evenly."""
    replicas = replicas_of(model)
    if replicas == 1:
        return
    # Of inputs, targets and weights; a PyDataset does not tell.
    problems.add_unless(
        not has_workers(strategy_of(model)),
        f"{what} comes in batches of its own, which several workers cannot cut into their shares. "
        "Pass arrays, or what preprocess_train or texts_from_* return.",
    )
    specs = keras.tree.flatten(getattr(data, "element_spec", ()))
    fixed = bool(specs) and all(
        spec.shape.rank and (spec.shape[0] or 1) % replicas == 0 for spec in specs
    )
    problems.add_unless(
        fixed,
        f"{what} comes in batches that {replicas} devices may not be able to share evenly, and "
        "uneven shares would be weighted wrongly. Pass arrays; or a tf.data.Dataset with batches "
        f"of a fixed size, a multiple of {replicas}: batch(n, drop_remainder=True).",
    )
