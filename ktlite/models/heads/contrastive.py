"""Heads that compare what two towers give: images, and texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from keras import initializers, ops

from ktlite.errors import ArgumentError
from ktlite.models.core.attention_pool import AttentionPool
from ktlite.models.core.init import Init
from ktlite.models.core.spec import ModelSpec
from ktlite.models.heads.head import Head
from ktlite.models.heads.pooled import EMBEDDING
from ktlite.models.pooling import unit

ZERO_SHOT_IMAGE = "zero-shot-image-classification"
IMAGE_TEXT = "image-text-similarity"


class ContrastiveHead(Head):
    """Logits of each image with each text: [images, texts].

    The cosines of their vectors, times a learned scale (Radford et al., 2021, arXiv:2103.00020);
    with a learned bias where pairs are judged alone (Zhai et al., 2023, arXiv:2303.15343).

    Call arguments:
        states: By the name of the tower, `"image"` and `"text"`, its hidden states [batch, length,
            width] and its mask.
        input_ids: int [texts, length].
    """

    task = ZERO_SHOT_IMAGE
    fixed_outputs = 0
    apart = True
    reads = ("input_ids",)

    def __init__(self, spec: ModelSpec, outputs: int, init: Init, *, dtype: Any = None) -> None:
        super().__init__(spec, spec.width, init, dtype=dtype)
        assert self.spec.contrast is not None
        self.contrast = contrast = self.spec.contrast
        self.widths = {name: tower.stack.width for name, tower in spec.towers.items()}
        policy = self.dtype_policy
        self.pool: Any = None
        if contrast.pool_heads:
            self.pool = AttentionPool(contrast, self.widths["image"], init, dtype=policy)
        self.image: Any = None
        if contrast.projects_image:
            self.image = init.dense(contrast.width, bias=False, name="image", dtype=policy)
        self.text = init.dense(contrast.width, bias=contrast.text_bias, name="text", dtype=policy)

    def build(self, input_shape: Any = None) -> None:
        super().build()
        if self.pool is not None:
            self.pool.build()
        if self.image is not None:
            self.image.build((None, self.widths["image"]))
        self.text.build((None, self.widths["text"]))
        shape, start = ((1,) if self.contrast.pairs else ()), self.contrast.scale
        constant = initializers.Constant(start)
        self.scale = self.add_weight(shape=shape, initializer=constant, name="scale")
        self.bias = (
            self.add_weight(shape=shape, initializer="zeros", name="bias")
            if self.contrast.pairs
            else None
        )
        self.built = True

    def vectors(
        self, states: Mapping[str, tuple[Any, Any]], input_ids: Any = None
    ) -> dict[str, Any]:
        """Returns float32 [batch, width] by the names of the towers that there are states of."""
        found = {}
        if "image" in states:
            hidden = states["image"][0]
            vectors = hidden[:, 0] if self.pool is None else self.pool(hidden)
            found["image"] = vectors if self.image is None else self.image(vectors)
        if "text" in states:
            found["text"] = self.text(self._of_text(states["text"][0], input_ids))
        return {name: ops.cast(vectors, "float32") for name, vectors in found.items()}

    def _of_text(self, hidden: Any, input_ids: Any) -> Any:
        if self.contrast.last:
            return hidden[:, -1]
        eos = self.contrast.eos_id
        rank = input_ids if eos is None else ops.cast(ops.equal(input_ids, eos), "int32")
        place = ops.expand_dims(ops.expand_dims(ops.argmax(rank, axis=1), 1), 2)
        return ops.squeeze(ops.take_along_axis(hidden, place, axis=1), 1)

    def call(
        self, states: Mapping[str, tuple[Any, Any]], input_ids: Any = None, training: Any = None
    ) -> Any:
        found = {name: unit(x) for name, x in self.vectors(states, input_ids).items()}
        if len(found) < len(self.widths):
            raise ArgumentError(
                f"{self.task} compares images with texts: give pixel_values and input_ids."
            )
        cosines = ops.matmul(found["image"], ops.transpose(found["text"]))
        return self._of_cosines(cosines)

    def _of_cosines(self, cosines: Any) -> Any:
        logits = cosines * ops.exp(ops.cast(self.scale, "float32"))
        return logits if self.bias is None else logits + ops.cast(self.bias, "float32")

    def logits(self, images: np.ndarray, texts: np.ndarray) -> np.ndarray:
        """Returns float32 [images, texts] of vectors [..., width] of length 1."""
        found: np.ndarray = ops.convert_to_numpy(self._of_cosines(images @ texts.T))
        return found


class ContrastivePairs(ContrastiveHead):
    """What logits of a pair are made of, an example at a time: [batch, 1 to 3, width].

    The image's vector times the scale, the text's vector, and where pairs are judged alone the bias
    in all components; without images or texts, what is theirs is left out.
    """

    task = IMAGE_TEXT

    def call(
        self, states: Mapping[str, tuple[Any, Any]], input_ids: Any = None, training: Any = None
    ) -> Any:
        found = {name: unit(x) for name, x in self.vectors(states, input_ids).items()}
        if "image" in found:
            image = found["image"]
            found["image"] = image * ops.exp(ops.cast(self.scale, "float32"))
            if self.bias is not None:
                found["bias"] = ops.zeros_like(image) + ops.cast(self.bias, "float32")
        return ops.stack(list(found.values()), axis=1)


class ContrastiveEmbedding(ContrastiveHead):
    """A vector for each image, or for each text, in one space: [batch, width]."""

    task = EMBEDDING

    def call(
        self, states: Mapping[str, tuple[Any, Any]], input_ids: Any = None, training: Any = None
    ) -> Any:
        found = list(self.vectors(states, input_ids).values())
        if len(found) != 1:
            raise ArgumentError("vectors are of images or of texts: give one of them at a time.")
        return unit(found[0]) if self.spec.normalize else found[0]
