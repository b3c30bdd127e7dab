"""Initial values and dropout seeds, all drawn from one seed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import initializers, layers, ops, random

from ktlite.models.core.dense import Dense
from ktlite.models.core.spec import InitSpec, NormSpec


class Init:
    """Hands out layers, initialisers and dropout, in building order, from one seed.

    Args:
        spec: The distributions of new weights.
        seed: The model's seed. Equal seeds give equal models.
        blank: Start from zeros. For weights that a checkpoint overwrites, where
            drawing random numbers would only cost time.
    """

    def __init__(self, spec: InitSpec, seed: int, *, blank: bool = False) -> None:
        self.spec = spec
        self.seed = seed
        self.blank = blank
        self._sequence = np.random.SeedSequence(seed)

    def with_blank(self, blank: bool) -> Init:
        """Returns a sibling with the same seed stream that is blank, or not."""
        other = Init(self.spec, self.seed, blank=blank)
        other._sequence = self._sequence
        return other

    def next_seed(self) -> int:
        child = self._sequence.spawn(1)[0]
        return int(child.generate_state(1)[0] >> 1)  # Keras wants a signed 32-bit number

    def kernel(self, stddev: float | None = None) -> initializers.Initializer:
        """Returns the initialiser of a kernel or table; default `stddev`: the spec's."""
        seed = self.next_seed()  # drawn in any case, so that blank models have equal dropout
        stddev = self.spec.stddev if stddev is None else stddev
        if self.blank:
            return initializers.Zeros()
        if self.spec.cutoff is not None:
            return TruncatedNormal(stddev, self.spec.cutoff, seed)
        return initializers.RandomNormal(stddev=stddev, seed=seed)

    def dense(
        self,
        units: int,
        *,
        bias: bool = True,
        biased: Sequence[bool] | None = None,
        stddev: float | None = None,
        name: str,
        dtype: object,
    ) -> Dense:
        return Dense(
            units,
            use_bias=bias,
            biased=biased,
            kernel_initializer=self.kernel(stddev),
            name=name,
            dtype=dtype,
        )

    def embedding(
        self,
        rows: int,
        width: int,
        *,
        zero_row: int = -1,
        stddev: float | None = None,
        name: str,
        dtype: object,
    ) -> layers.Embedding:
        table = self.kernel(stddev)
        if zero_row >= 0 and not self.blank:
            table = ZeroRow(table, zero_row)
        return layers.Embedding(rows, width, embeddings_initializer=table, name=name, dtype=dtype)

    def dropout(self, rate: float, *, name: str, dtype: object) -> layers.Dropout:
        return layers.Dropout(rate, seed=self.next_seed(), name=name, dtype=dtype)


class TruncatedNormal(initializers.Initializer):
    """A normal distribution around zero, cut off at `cutoff` standard deviations.

    Keras' own has its cutoff at 2. `stddev` is that of the whole distribution; what is
    left of it has a smaller one. Drawn by inverting the distribution function.
    """

    def __init__(self, stddev: float, cutoff: float, seed: int) -> None:
        self.stddev, self.cutoff, self.seed = stddev, cutoff, seed

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        limit = math.erf(self.cutoff / math.sqrt(2.0))
        uniform = random.uniform(shape, -limit, limit, dtype="float32", seed=self.seed)
        normal = math.sqrt(2.0) * ops.erfinv(uniform)
        # Far out, the limit is 1 in float32, whose inverse is infinite.
        return ops.cast(self.stddev * ops.clip(normal, -self.cutoff, self.cutoff), dtype)


class ZeroRow(initializers.Initializer):
    """What another initialiser gives, but for one row, which is zero."""

    def __init__(self, table: initializers.Initializer, row: int) -> None:
        self.table, self.row = table, row

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        is_other = ops.expand_dims(ops.arange(shape[0]) != self.row, 1)
        return ops.where(is_other, self.table(shape, dtype), ops.zeros((), dtype))


class RootMeanSquare(layers.Layer):
    """Divides by the root of the mean square (Zhang and Sennrich, 2019, arXiv:1910.07467).

    Computed in float32; float [..., width] to the same. With `around_one` its weights, which
    start as zeros, are what is added to one.
    """

    def __init__(
        self, eps: float, *, around_one: bool = False, name: str, dtype: Any = None
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.eps, self.around_one = eps, around_one

    def build(self, input_shape: Any) -> None:
        start = "zeros" if self.around_one else "ones"
        self.gamma = self.add_weight(shape=(input_shape[-1],), initializer=start, name="gamma")
        self.built = True

    def call(self, x: Any) -> Any:
        precise = ops.cast(x, "float32")
        square = ops.mean(ops.square(precise), axis=-1, keepdims=True)
        normed = precise * ops.rsqrt(square + self.eps)
        gamma = ops.cast(self.gamma, "float32")
        return ops.cast(normed * (1.0 + gamma if self.around_one else gamma), x.dtype)


def normalisation(spec: NormSpec, *, name: str, dtype: object) -> layers.Layer:
    """Returns a normalisation, of layers (Ba et al., 2016, arXiv:1607.06450) or by its kind.

    Either one is computed in float32.
    """
    if spec.kind == "rms":
        return RootMeanSquare(spec.eps, around_one=spec.around_one, name=name, dtype=dtype)
    return layers.LayerNormalization(epsilon=spec.eps, center=spec.bias, name=name, dtype=dtype)
