"""Initial values and dropout seeds, all drawn from one seed."""

from __future__ import annotations

import numpy as np
from keras import initializers, layers

from ktlite.models.core.spec import NormSpec


class Init:
    """Hands out layers, initialisers and dropout, in building order, from one seed.

    Args:
        stddev: Standard deviation of new kernels and embeddings (the config's
            `initializer_range`).
        seed: The model's seed. Equal seeds give equal models.
        blank: Start from zeros. For weights that a checkpoint overwrites, where
            drawing random numbers would only cost time.
    """

    def __init__(self, stddev: float, seed: int, *, blank: bool = False) -> None:
        self.stddev = stddev
        self.seed = seed
        self.blank = blank
        self._sequence = np.random.SeedSequence(seed)

    def with_blank(self, blank: bool) -> Init:
        """Returns a sibling with the same seed stream that is blank, or not."""
        other = Init(self.stddev, self.seed, blank=blank)
        other._sequence = self._sequence
        return other

    def next_seed(self) -> int:
        child = self._sequence.spawn(1)[0]
        return int(child.generate_state(1)[0] >> 1)  # Keras wants a signed 32-bit number

    def kernel(self) -> initializers.Initializer:
        seed = self.next_seed()  # drawn in any case, so that blank models have equal dropout
        if self.blank:
            return initializers.Zeros()
        return initializers.RandomNormal(stddev=self.stddev, seed=seed)

    def dense(self, units: int, *, bias: bool = True, name: str, dtype: object) -> layers.Dense:
        return layers.Dense(
            units, use_bias=bias, kernel_initializer=self.kernel(), name=name, dtype=dtype
        )

    def embedding(self, rows: int, width: int, *, name: str, dtype: object) -> layers.Embedding:
        return layers.Embedding(
            rows, width, embeddings_initializer=self.kernel(), name=name, dtype=dtype
        )

    def dropout(self, rate: float, *, name: str, dtype: object) -> layers.Dropout:
        return layers.Dropout(rate, seed=self.next_seed(), name=name, dtype=dtype)


def layer_norm(spec: NormSpec, *, name: str, dtype: object) -> layers.LayerNormalization:
    """Returns a layer normalisation (Ba et al., 2016, arXiv:1607.06450), computed in float32."""
    return layers.LayerNormalization(epsilon=spec.eps, center=spec.bias, name=name, dtype=dtype)
