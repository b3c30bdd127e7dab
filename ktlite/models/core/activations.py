"""Activations under the names that Hugging Face configs use."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

from keras import ops

from ktlite.errors import CheckpointError, did_you_mean, listing

Activation = Callable[[Any], Any]


def _with_slope(function: Callable[[Any], tuple[Any, Any]]) -> Activation:
    """Returns an activation that keeps its slope for the gradient, and nothing else.

    Written in single operators, it keeps what goes into each of them: four arrays in place of one.

    Args:
        function: Returns value and slope; each is made where it is needed alone.
    """

    @functools.wraps(function)
    def call(x: Any) -> Any:
        @ops.custom_gradient
        def value(x: Any) -> Any:
            y, slope = function(x)

            def gradient(*given: Any, upstream: Any = None) -> Any:
                return (given[0] if upstream is None else upstream) * slope

            return y, gradient

        return value(x)

    return call


@_with_slope
def gelu(x: Any) -> Any:
    """Exact GELU (Hendrycks and Gimpel, 2016, arXiv:1606.08415).

    Written with `erf`: TensorFlow's own uses `Erfc`, which ONNX cannot express. LiteRT knows it by
    this very expression.
    """
    twice = 1.0 + ops.erf(x * math.sqrt(0.5))
    return 0.5 * x * twice, 0.5 * twice + x * (ops.exp(-0.5 * x * x) * math.sqrt(0.5 / math.pi))


@_with_slope
def gelu_tanh(x: Any) -> Any:
    """The tanh approximation of GELU that GPT-2 and ALBERT use (`gelu_new`)."""
    scale = math.sqrt(2.0 / math.pi)
    bent = ops.tanh(scale * (x + 0.044715 * x * x * x))
    steep = 0.5 * scale * (1.0 + 3 * 0.044715 * x * x)
    return 0.5 * x * (1.0 + bent), 0.5 * (1.0 + bent) + x * (1.0 - bent * bent) * steep


def quick_gelu(x: Any) -> Any:
    """The sigmoid approximation of GELU that CLIP uses."""
    return x * ops.sigmoid(1.702 * x)


ACTIVATIONS: dict[str, Activation] = {
    "gelu": gelu,
    "gelu_new": gelu_tanh,
    "gelu_pytorch_tanh": gelu_tanh,
    "quick_gelu": quick_gelu,
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
