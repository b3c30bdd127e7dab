"""A dense layer that can carry a low-rank adapter."""

from __future__ import annotations

from typing import Any

from keras import layers, ops


class Dense(layers.Dense):
    """Keras' dense layer, whose adapter (`enable_lora`) runs beside the kernel.

    Keras adds the adapter's product to the kernel first, so that the backward pass makes a
    gradient of the kernel's size on its way to the adapter's. Two thin products need none:
    this is what low-rank adaptation saves (Hu et al., 2021, arXiv:2106.09685).
    """

    def call(self, inputs: Any, training: Any = None) -> Any:
        if not self.lora_enabled:
            return super().call(inputs, training)
        adapted = ops.matmul(ops.matmul(inputs, self.lora_kernel_a), self.lora_kernel_b)
        # `kernel` has the adapter in it.
        x = ops.matmul(inputs, self._kernel) + adapted * (self.lora_alpha / self.lora_rank)
        return x if self.bias is None else x + self.bias
