"""A dense layer that can carry a low-rank adapter, and of whose outputs some have no bias."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import layers, ops


class Dense(layers.Dense):
    """Keras' dense layer, whose adapter (`enable_lora`) runs beside the kernel.

    Keras adds the adapter's product to the kernel first, so that the backward pass makes a
    gradient of the kernel's size on its way to the adapter's. Two thin products need none:
    this is what low-rank adaptation saves (Hu et al., 2021, arXiv:2106.09685).

    Args:
        units: Outputs.
        biased: Which of several equal parts of the outputs have a bias, as (True, False, True).
            `bias` holds that of these alone. None: all, or none without `use_bias`.
        **options: Those of Keras' layer.
    """

    def __init__(self, units: int, *, biased: Sequence[bool] | None = None, **options: Any) -> None:
        self.biased = None if biased is None or all(biased) else tuple(biased)
        partly = self.biased is not None and options.get("use_bias", True)
        super().__init__(units, **{**options, "use_bias": False} if partly else options)
        self._partly = partly

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        if self._partly:
            parts = self.biased or ()
            size = self.units // len(parts) * sum(parts)
            self.bias = self.add_weight(
                shape=(size,), initializer=self.bias_initializer, name="bias"
            )

    def call(self, inputs: Any, training: Any = None) -> Any:
        *sizes, width = ops.shape(inputs)
        # Of more dimensions Keras makes two by a dozen operations.
        rows = inputs if len(sizes) < 2 else ops.reshape(inputs, (-1, width))
        if not self.lora_enabled:
            x = ops.matmul(rows, self.kernel)
        else:
            adapted = ops.matmul(ops.matmul(rows, self.lora_kernel_a), self.lora_kernel_b)
            # `kernel` has the adapter in it.
            x = ops.matmul(rows, self._kernel) + adapted * (self.lora_alpha / self.lora_rank)
        x = x if self.bias is None else x + self._whole_bias()
        return x if rows is inputs else ops.reshape(x, (*sizes, self.units))

    def _whole_bias(self) -> Any:
        """Returns a bias for each output, [units]: zero where there is none."""
        if not self._partly:
            return self.bias
        parts = self.biased or ()
        own = iter(ops.split(ops.convert_to_tensor(self.bias), sum(parts)))
        nothing = ops.zeros((self.units // len(parts),), self.bias.dtype)
        return ops.concatenate([next(own) if part else nothing for part in parts])
