"""A picture read by a small stack of convolutions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from ktlite.encodings.field import Field
from ktlite.errors import CheckpointError, Problems
from ktlite.models.baselines.baseline import Baseline
from ktlite.models.config import ConfigReader
from ktlite.models.core.init import Init
from ktlite.models.families.vit import height_and_width

CHANNELS = (32, 64, 128)
_GROUPS = 8  # of channels, normalised together


@keras.saving.register_keras_serializable(package="ktlite")
class ConvolutionalModel(Baseline):
    """Blocks of a convolution and a pooling, their mean over the picture, and a classifier.

    Each block is a 3 x 3 convolution, a normalisation of groups of channels (Wu and He, 2018,
    arXiv:1803.08494: as it looks at one picture alone, the answer does not depend on the batch),
    the positive part, and the maximum of 2 x 2 places (LeCun et al., 1998, but for the mean over
    places in the end: Lin et al., 2013, arXiv:1312.4400).

    Call arguments:
        inputs: Dict with `pixel_values`, float32 [batch, height, width, 3], or these alone.

    Returns:
        float32 logits [batch, outputs].

    The config has `image_size` (height and width, or one number for both), `channels` (of each
    block, multiples of 8; 32, 64, 128) and `dropout` (0.3). Arguments as of `Baseline`.

    Example:
        >>> model = ConvolutionalModel({"image_size": 64}, num_labels=2)
        >>> model({"pixel_values": np.zeros([1, 64, 64, 3], "float32")}).shape
        TensorShape([1, 2])
    """

    model_type = "ktlite-convolutional"
    task_name = "image-classification"

    def make_layers(self, config: ConfigReader, init: Init) -> None:
        self.size = height_and_width(config, "image_size", 64)
        channels = list(config.get("channels", list(CHANNELS)))
        least = 2 ** len(channels)
        problems = Problems(f"config of {self.model_type}", CheckpointError)
        problems.add_unless(
            min(self.size) >= least,
            f"image_size={self.size}: {len(channels)} blocks, which halve a picture each, need "
            f"{least} pixels or more.",
        )
        wrong = [n for n in channels if not isinstance(n, int) or n < 1 or n % _GROUPS]
        problems.add_unless(
            bool(channels) and not wrong, f"channels={channels}; expected multiples of {_GROUPS}."
        )
        problems.raise_if_any()
        policy = self.dtype_policy
        self.convolutions = [
            layers.Conv2D(
                count,
                3,
                padding="same",
                use_bias=False,
                kernel_initializer=keras.initializers.HeNormal(init.next_seed()),
                name=f"convolution_{number}",
                dtype=policy,
            )
            for number, count in enumerate(channels)
        ]
        self.norms = [
            layers.GroupNormalization(_GROUPS, name=f"norm_{number}", dtype=policy)
            for number in range(len(channels))
        ]
        self.pooling = layers.MaxPooling2D(2, name="pooling", dtype=policy)
        self.dropout = init.dropout(config.get("dropout", 0.3), name="dropout", dtype=policy)
        self.classifier = layers.Dense(
            self.num_labels,
            kernel_initializer=keras.initializers.GlorotUniform(init.next_seed()),
            name="classifier",
            dtype="float32",
        )

    def build(self, input_shape: Any = None) -> None:
        channels = 3
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            convolution.build((None, *self.size, channels))
            channels = convolution.filters
            norm.build((None, *self.size, channels))
        self.classifier.build((None, channels))
        self.built = True

    def call(self, inputs: Any, training: Any = None) -> Any:
        x = inputs["pixel_values"] if isinstance(inputs, Mapping) else inputs
        x = ops.cast(x, self.compute_dtype)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = self.pooling(ops.relu(norm(convolution(x))))
        return self.classifier(self.dropout(ops.mean(x, axis=(1, 2)), training=training))

    @property
    def fields(self) -> tuple[Field, ...]:
        """What it reads, by name, type and shape."""
        return (Field("pixel_values", "float32", (*self.size, 3)),)

    def drawn(self, lengths: np.ndarray, random: np.random.Generator) -> dict[str, np.ndarray]:
        """Returns random pictures, as many as there are lengths, which make no difference."""
        shape = (len(lengths), *self.size, 3)
        return {"pixel_values": random.uniform(-1, 1, shape).astype("float32")}

    def layer_groups(self) -> list[tuple[str, list[Any]]]:
        """Returns (name, layers) from input to output, which `Learner.freeze` counts in."""
        blocks = zip(self.convolutions, self.norms, strict=True)
        groups = [(f"block {number}", list(block)) for number, block in enumerate(blocks)]
        return [*groups, ("classifier", [self.classifier])]
