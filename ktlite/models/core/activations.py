"""Activations under the names that Hugging Face configs use."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from keras import ops

from ktlite.errors import CheckpointError, did_you_mean, listing

Activation = Callable[[Any], Any]


def gelu(x: Any) -> Any:
    """Exact GELU (Hendrycks and Gimpel, 2016, arXiv:1606.08415).

    Written with `erf`: TensorFlow's own uses `Erfc`, which ONNX cannot express.
    """
    return 0.5 * x * (1.0 + ops.erf(x * math.sqrt(0.5)))


def gelu_tanh(x: Any) -> Any:
    """The tanh approximation of GELU that GPT-2 and ALBERT use (`gelu_new`)."""
    inner = math.sqrt(2.0 / math.pi) * (x + 0.044715 * x * x * x)
    return 0.5 * x * (1.0 + ops.tanh(inner))


ACTIVATIONS: dict[str, Activation] = {
    "gelu": gelu,
    "gelu_new": gelu_tanh,
    "gelu_pytorch_tanh": gelu_tanh,
    "relu": ops.relu,
    "silu": ops.silu,
    "swish": ops.silu,
    "tanh": ops.tanh,
}


def get_activation(name: str) -> Activation:
    """Returns the activation called `name` in a Hugging Face config.

    Raises:
        CheckpointError: If ktlite does not know it. Guessing would change the numbers.
    """
    if name not in ACTIVATIONS:
        raise CheckpointError(
            f"unknown activation {name!r} in the model's config; known are "
            f"{listing(ACTIVATIONS)}.{did_you_mean(name, ACTIVATIONS)}"
        )
    return ACTIVATIONS[name]
