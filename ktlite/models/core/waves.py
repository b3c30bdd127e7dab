"""From the samples of a sound to vectors, by convolutions (wav2vec 2.0, arXiv:2006.11477)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import keras
import numpy as np
from keras import initializers, layers, ops

from ktlite.encodings.field import Field
from ktlite.models.core.activations import get_activation
from ktlite.models.core.init import Init, normalisation
from ktlite.models.core.span_masks import SpansSpec, hidden_spans
from ktlite.models.core.spec import NormSpec

_ANY = 2**31 - 1  # no table counts positions, so nothing limits them
_EPS = 1e-5  # of the norms between convolutions; no config says another


@dataclass(frozen=True)
class WavesSpec:
    """Samples to vectors: convolutions, a projection, and a convolution that knows positions.

    A sound's vectors do not depend on what it is padded with: not those of norms over time
    either, which PyTorch takes over the padding, too, so that there the same sound has others in
    another batch.
    """

    widths: tuple[int, ...]  # of the convolutions over samples
    kernels: tuple[int, ...]
    strides: tuple[int, ...]
    bias: bool
    norm: str  # "group": over time, behind the first; "layer": over channels, behind each
    activation: str
    width: int
    projection_norm: NormSpec | None
    position_kernel: int
    position_groups: int
    end_norm: NormSpec | None  # of the sum with the positions
    projection_dropout: float = 0.0
    dropout: float = 0.0
    masked_vector: bool = False  # whether there is a vector for what is hidden in training
    hidden_frames: SpansSpec | None = None
    hidden_channels: SpansSpec | None = None

    input: ClassVar[str] = "sound"
    reads: ClassVar[str] = "waves"  # a name in `ktlite.inputs.sound_features.FEATURES`

    @property
    def max_positions(self) -> int:
        """The most samples: any number."""
        return _ANY

    @property
    def fields(self) -> tuple[Field, ...]:
        """What the model reads."""
        return (
            Field("input_values", "float32", (None,)),
            Field("attention_mask", "int32", (None,), optional=True),
        )

    @property
    def shortest(self) -> int:
        """The samples that one vector is of, 400 as a rule."""
        samples = 1
        for kernel, stride in zip(self.kernels[::-1], self.strides[::-1], strict=True):
            samples = (samples - 1) * stride + kernel
        return samples

    def frames(self, samples: Any, convolutions: int | None = None) -> Any:
        """Returns the vectors of so many samples, by the first convolutions; None: by all.

        Args:
            samples: A number, or int of any shape.
            convolutions: How many.
        """
        sizes = list(zip(self.kernels, self.strides, strict=True))
        for kernel, stride in sizes[:convolutions]:
            samples = (samples - kernel) // stride + 1
        return samples

    def vectors(self, shape: Sequence[Any]) -> Any:
        """Returns how many vectors come of a row of samples."""
        return self.frames(shape[0])

    def drawn(self, lengths: np.ndarray, random: np.random.Generator) -> dict[str, np.ndarray]:
        """Returns random samples: for each token of `lengths`, those of one vector more."""
        samples = self.shortest + (lengths - 1) * math.prod(self.strides)
        inside = np.arange(samples.max()) < samples[:, None]
        values = np.where(inside, random.standard_normal(inside.shape), 0)
        return {
            "input_values": values.astype("float32"),
            "attention_mask": inside.astype("int32"),
        }


class GroupNormalization(layers.Layer):
    """Normalises each channel over time (Wu and He, 2018, arXiv:1803.08494), without padding.

    Call arguments:
        x: float [batch, frames, channels].
        inside: bool [batch, frames, 1]; False marks padding. None: there is none.
    """

    def build(self, input_shape: Any) -> None:
        self.gamma = self.add_weight(shape=input_shape[-1:], initializer="ones", name="gamma")
        self.beta = self.add_weight(shape=input_shape[-1:], initializer="zeros", name="beta")
        self.built = True

    def call(self, x: Any, inside: Any = None) -> Any:
        precise = ops.cast(x, "float32")
        if inside is None:
            mean, variance = ops.moments(precise, axes=1, keepdims=True)
        else:
            weight = ops.cast(inside, "float32")
            count = ops.maximum(ops.sum(weight, axis=1, keepdims=True), 1.0)
            mean = ops.sum(precise * weight, axis=1, keepdims=True) / count
            away = ops.square(precise - mean) * weight
            variance = ops.sum(away, axis=1, keepdims=True) / count
        normed = (precise - mean) * ops.rsqrt(variance + _EPS)
        gamma, beta = ops.cast(self.gamma, "float32"), ops.cast(self.beta, "float32")
        return ops.cast(normed * gamma + beta, x.dtype)


class WaveConvolution(layers.Layer):
    """One convolution over time, its norm, if it has one, and the activation.

    Call arguments:
        x: float [batch, frames, channels].
        inside: As for `GroupNormalization`, of what comes out.
    """

    def __init__(self, spec: WavesSpec, number: int, init: Init, *, dtype: Any = None) -> None:
        super().__init__(name=f"convolution_{number}", dtype=dtype)
        policy = self.dtype_policy
        self.channels = spec.widths[number - 1] if number else 1
        self.convolution = layers.Conv1D(
            spec.widths[number],
            spec.kernels[number],
            strides=spec.strides[number],
            use_bias=spec.bias,
            # He et al., 2015, arXiv:1502.01852.
            kernel_initializer=init.kernel(math.sqrt(2 / (self.channels * spec.kernels[number]))),
            name="convolution",
            dtype=policy,
        )
        self.by_time = spec.norm == "group"
        self.norm: Any = None
        if not self.by_time:
            self.norm = normalisation(NormSpec(_EPS), name="norm", dtype=policy)
        elif number == 0:
            self.norm = GroupNormalization(name="norm", dtype=policy)
        self.activation = get_activation(spec.activation)

    def build(self, input_shape: Any = None) -> None:
        self.convolution.build((None, None, self.channels))
        if self.norm is not None:
            self.norm.build((None, None, self.convolution.filters))
        self.built = True

    def call(self, x: Any, inside: Any = None) -> Any:
        x = self.convolution(x)
        if self.norm is not None:
            x = self.norm(x, inside) if self.by_time else self.norm(x)
        return self.activation(x)


class WavePositions(layers.Layer):
    """A convolution whose output is added, in place of positions; in groups of channels.

    Its kernel is kept as directions and their lengths, one for each place of the kernel
    (Salimans and Kingma, 2016, arXiv:1602.07868).

    Call arguments:
        x: float [batch, frames, width].
    """

    def __init__(self, spec: WavesSpec, init: Init, *, dtype: Any = None) -> None:
        super().__init__(name="position", dtype=dtype)
        self.groups, self.size, self.width = spec.position_groups, spec.position_kernel, spec.width
        self.activation = get_activation(spec.activation)
        self._start = init.kernel(2 * math.sqrt(1 / (spec.position_kernel * spec.width)))

    def build(self, input_shape: Any = None) -> None:
        shape, start = (self.size, self.width // self.groups, self.width), self._start

        def lengths(own_shape: Any, dtype: Any = None) -> Any:
            if isinstance(start, initializers.Zeros):
                return ops.zeros(own_shape, dtype)
            return ops.sqrt(ops.sum(ops.square(start(shape, dtype)), axis=(1, 2), keepdims=True))

        self.direction = self.add_weight(shape=shape, initializer=start, name="direction")
        self.length = self.add_weight(shape=(self.size, 1, 1), initializer=lengths, name="length")
        self.bias = self.add_weight(shape=(self.width,), initializer="zeros", name="bias")
        self.built = True

    @property
    def kernel(self) -> Any:
        """float32 [size, width / groups, width]."""
        direction = ops.cast(self.direction, "float32")
        square = ops.sum(ops.square(direction), axis=(1, 2), keepdims=True)
        unit = direction * ops.rsqrt(ops.maximum(square, 1e-30))
        return unit * ops.cast(self.length, "float32")

    def call(self, x: Any) -> Any:
        kernel = ops.cast(self.kernel, x.dtype)
        before = self.size // 2
        x = ops.pad(x, ((0, 0), (before, self.size - 1 - before), (0, 0)))
        # One by one: TensorFlow has no gradient for groups on a CPU.
        parts = [
            ops.conv(part, one, padding="valid")
            for part, one in zip(
                ops.split(x, self.groups, axis=2),
                ops.split(kernel, self.groups, axis=2),
                strict=True,
            )
        ]
        x = parts[0] if len(parts) == 1 else ops.concatenate(parts, axis=2)
        return self.activation(x + ops.cast(self.bias, x.dtype))


class Waves(layers.Layer):
    """Vectors of the samples of sounds, about 50 a second.

    Call arguments:
        inputs: `input_values`, float [batch, samples]; `attention_mask`, int [batch, samples],
            0 marks padding, by default nothing is.
        attention_mask: bool [batch, frames], what `mask` gives.

    Returns:
        float [batch, frames, width].
    """

    def __init__(
        self, spec: WavesSpec, init: Init, *, name: str = "embeddings", dtype: Any = None
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        policy = self.dtype_policy
        self.spec = spec
        self.convolutions = [
            WaveConvolution(spec, number, init, dtype=policy) for number in range(len(spec.widths))
        ]
        for number, layer in enumerate(self.convolutions):
            # By these, tables of tensors' names know them: how many there are, the config says.
            setattr(self, f"convolution_{number}", layer)
        self.projection_norm: Any = None
        if spec.projection_norm is not None:
            self.projection_norm = normalisation(
                spec.projection_norm, name="projection_norm", dtype=policy
            )
        self.projection = init.dense(
            spec.width, stddev=math.sqrt(1 / (3 * spec.widths[-1])), name="projection", dtype=policy
        )
        self.projection_dropout = init.dropout(
            spec.projection_dropout, name="projection_dropout", dtype=policy
        )
        self.seed_generator = keras.random.SeedGenerator(init.next_seed())
        self._masked = init.kernel(1 / math.sqrt(12))
        self.masked: Any = None
        self.position = WavePositions(spec, init, dtype=policy)
        self.end_norm: Any = None
        if spec.end_norm is not None:
            self.end_norm = normalisation(spec.end_norm, name="end_norm", dtype=policy)
        self.dropout = init.dropout(spec.dropout, name="dropout", dtype=policy)

    def build(self, input_shape: Any = None) -> None:
        for layer in self.convolutions:
            layer.build()
        if self.projection_norm is not None:
            self.projection_norm.build((None, None, self.spec.widths[-1]))
        self.projection.build((None, None, self.spec.widths[-1]))
        if self.spec.masked_vector:
            self.masked = self.add_weight(
                shape=(self.spec.width,),
                initializer=self._masked,
                trainable=self.spec.hidden_frames is not None,
                name="masked",
            )
        self.position.build()
        if self.end_norm is not None:
            self.end_norm.build((None, None, self.spec.width))
        self.built = True

    def mask(self, inputs: Mapping[str, Any]) -> Any:
        """Returns which vectors are no padding, bool [batch, frames]; None: all."""
        return self._inside(inputs, None)

    def _inside(self, inputs: Mapping[str, Any], convolutions: int | None) -> Any:
        """Returns what comes of samples, and not of padding, out of the first convolutions."""
        samples = inputs.get("attention_mask")
        if samples is None:
            return None
        lengths = ops.sum(ops.cast(samples, "int32"), axis=1, keepdims=True)
        width = self.spec.frames(ops.shape(samples)[1], convolutions)
        return ops.arange(width, dtype="int32") < self.spec.frames(lengths, convolutions)

    def call(
        self, inputs: Mapping[str, Any], attention_mask: Any = None, training: Any = None
    ) -> Any:
        first = self._inside(inputs, 1) if self.spec.norm == "group" else None
        x = ops.expand_dims(ops.cast(inputs["input_values"], self.compute_dtype), 2)
        for number, layer in enumerate(self.convolutions):
            x = layer(x, None if number or first is None else ops.expand_dims(first, 2))
        x = x if self.projection_norm is None else self.projection_norm(x)
        x = self.projection_dropout(self.projection(x), training=training)
        if training:
            x = self._with_hidden(x, attention_mask)
        if attention_mask is not None:
            # The convolution of positions must not see what padding has come to.
            x = ops.where(ops.expand_dims(ops.cast(attention_mask, "bool"), 2), x, 0)
        x = x + self.position(x)
        x = x if self.end_norm is None else self.end_norm(x)
        return self.dropout(x, training=training)

    def _with_hidden(self, x: Any, attention_mask: Any) -> Any:
        """Returns vectors of which spans in time, and of channels, are hidden."""
        spec, (rows, frames, width) = self.spec, ops.shape(x)
        if spec.hidden_frames is not None and self.masked is not None:
            if attention_mask is None:
                lengths = ops.cast(frames, "float32") * ops.ones((rows,), "float32")
            else:
                lengths = ops.sum(ops.cast(attention_mask, "float32"), axis=1)
            hidden = hidden_spans(spec.hidden_frames, rows, frames, lengths, self.seed_generator)
            x = ops.where(ops.expand_dims(hidden, 2), ops.cast(self.masked, x.dtype), x)
        if spec.hidden_channels is not None:
            lengths = float(width) * ops.ones((rows,), "float32")
            hidden = hidden_spans(spec.hidden_channels, rows, width, lengths, self.seed_generator)
            x = ops.where(ops.expand_dims(hidden, 1), ops.cast(0, x.dtype), x)
        return x
