"""From the loudness of a sound in bands to vectors, by two convolutions (arXiv:2212.04356)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import keras
import numpy as np
from keras import layers, ops

from ktlite.encodings.field import Field
from ktlite.models.core.activations import get_activation
from ktlite.models.core.embeddings import StoredTable, tensor2tensor_sinusoids
from ktlite.models.core.init import Init
from ktlite.models.core.span_masks import SpansSpec, hidden_spans

_KERNEL, _STRIDE = 3, 2  # of Whisper's convolutions; no config says others


@dataclass(frozen=True)
class FramesSpec:
    """Frames of a spectrogram to half as many vectors, with positions that do not train."""

    bands: int
    width: int
    max_positions: int  # vectors
    dropout: float = 0.0
    hidden_frames: SpansSpec | None = None  # in training
    hidden_bands: SpansSpec | None = None

    input: ClassVar[str] = "sound"
    reads: ClassVar[str] = "log mel"  # a name in `ktlite.inputs.sound_features.FEATURES`

    @property
    def size(self) -> tuple[int, int]:
        """Frames and bands of what the model reads."""
        return (_STRIDE * self.max_positions, self.bands)

    @property
    def fields(self) -> tuple[Field, ...]:
        """What the model reads."""
        return (Field("input_features", "float32", self.size),)

    def vectors(self, shape: Sequence[Any]) -> Any:
        """Returns how many vectors come of a spectrogram."""
        return self.max_positions

    def drawn(self, lengths: np.ndarray, random: np.random.Generator) -> dict[str, np.ndarray]:
        """Returns random spectrograms, as many as there are lengths."""
        values = random.standard_normal((len(lengths), *self.size))
        return {"input_features": values.astype("float32")}


class Frames(layers.Layer):
    """Vectors of the frames of a spectrogram, 50 a second.

    Call arguments:
        inputs: `input_features`, float [batch, frames, bands], of the spec's size.

    Returns:
        float [batch, frames / 2, width].
    """

    def __init__(
        self, spec: FramesSpec, init: Init, *, name: str = "embeddings", dtype: Any = None
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        policy = self.dtype_policy
        self.spec = spec
        self.first, self.second = (
            layers.Conv1D(
                spec.width,
                _KERNEL,
                strides=stride,
                kernel_initializer=init.kernel(),
                name=part,
                dtype=policy,
            )
            for part, stride in (("first", 1), ("second", _STRIDE))
        )
        self.activation = get_activation("gelu")
        table = tensor2tensor_sinusoids(spec.max_positions, spec.width)
        self.position = StoredTable(table, name="position", dtype=policy)
        self.dropout = init.dropout(spec.dropout, name="dropout", dtype=policy)
        self.seed_generator = keras.random.SeedGenerator(init.next_seed())

    def build(self, input_shape: Any = None) -> None:
        self.first.build((None, None, self.spec.bands))
        self.second.build((None, None, self.spec.width))
        self.position.build()
        self.built = True

    def mask(self, inputs: Mapping[str, Any]) -> None:
        """Returns the attention mask: None, since silence behind a sound is heard, too."""

    def call(
        self, inputs: Mapping[str, Any], attention_mask: Any = None, training: Any = None
    ) -> Any:
        x = ops.cast(inputs["input_features"], self.compute_dtype)
        if training:
            x = self._with_hidden(x)
        for convolution in (self.first, self.second):
            # One on each side, whatever the stride; what Keras calls "same" is another thing.
            x = self.activation(convolution(ops.pad(x, ((0, 0), (1, 1), (0, 0)))))
        positions = ops.convert_to_tensor(self.position.embeddings)
        x = x + ops.expand_dims(ops.cast(positions, x.dtype), 0)
        return self.dropout(x, training=training)

    def _with_hidden(self, x: Any) -> Any:
        """Returns spectrograms of which stretches of time, and of bands, are zero."""
        rows = ops.shape(x)[0]
        spans = (self.spec.hidden_frames, self.spec.hidden_bands)
        for axis, (span, size) in enumerate(zip(spans, self.spec.size, strict=True)):
            if span is not None:
                lengths = float(size) * ops.ones((rows,), "float32")
                hidden = hidden_spans(span, rows, size, lengths, self.seed_generator)
                x = ops.where(ops.expand_dims(hidden, 2 - axis), ops.cast(0, x.dtype), x)
        return x
