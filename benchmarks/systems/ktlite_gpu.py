"""The passes of `gpu.py` with ktlite's models under Keras' JAX backend."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

import jax

from ktlite.models import from_config
from ktlite.training.optimizers import AdamW
from systems.gpu_measuring import batch, main


def device_name(wanted: str) -> str:
    found = jax.devices()[0]
    if wanted == "gpu" and found.platform != "gpu":
        sys.exit(
            f"JAX finds no GPU, only {found.device_kind}: run this where there is one, with "
            "jax[cuda13] or jax[cuda12] installed. To try the code: --device cpu --quick."
        )
    return found.device_kind


def forward(config: dict[str, Any], shape: list[int]) -> Callable[[], Any]:
    model = from_config(config, dtype="bfloat16")
    inputs = {name: jax.numpy.asarray(x) for name, x in batch(config, shape).items()}
    state = values(model.trainable_variables), values(model.non_trainable_variables)

    @jax.jit
    def run(trainable: Any, fixed: Any, inputs: Any) -> Any:
        return model.stateless_call(trainable, fixed, inputs, training=False)[0]

    return lambda: run(*state, inputs)


def train(config: dict[str, Any], shape: list[int]) -> Callable[[], Any]:
    model = from_config(config, dtype="mixed_bfloat16")
    optimizer = AdamW(1e-5, global_clipnorm=None)  # as PyTorch's here
    optimizer.build(model.trainable_variables)
    inputs = {name: jax.numpy.asarray(x) for name, x in batch(config, shape).items()}

    def loss(trainable: Any, fixed: Any, inputs: Any) -> Any:
        hidden, fixed = model.stateless_call(trainable, fixed, inputs, training=True)
        return jax.numpy.mean(jax.numpy.square(hidden.astype("float32"))), fixed

    @functools.partial(jax.jit, donate_argnums=(0, 1, 2))
    def step(trainable: Any, fixed: Any, slots: Any, inputs: Any) -> Any:
        (_, fixed), gradients = jax.value_and_grad(loss, has_aux=True)(trainable, fixed, inputs)
        trainable, slots = optimizer.stateless_apply(slots, gradients, trainable)
        return trainable, fixed, slots

    state = [
        values(model.trainable_variables),
        values(model.non_trainable_variables),
        values(optimizer.variables),
    ]

    def run() -> Any:
        state[:] = step(*state, inputs)
        return state[0]

    return run


def values(variables: Any) -> list[Any]:
    """Returns copies: the training step writes over what it was given."""
    return [jax.numpy.copy(variable.value) for variable in variables]


if __name__ == "__main__":
    passes = {"forward": forward, "train": train}
    main(device_name, passes, jax.block_until_ready, ["ktlite", "jax", "keras"])
