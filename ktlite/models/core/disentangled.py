"""DeBERTa's parts: attention that keeps content and position apart, and a convolution."""

from __future__ import annotations

import math
from typing import Any

from keras import layers, ops

from ktlite.models.core.activations import get_activation
from ktlite.models.core.attention import Attention
from ktlite.models.core.init import Init, normalisation
from ktlite.models.core.relative import by_pair
from ktlite.models.core.spec import AttentionSpec, ConvolutionSpec, NormSpec


class DisentangledAttention(Attention):
    """Scores of content with content, content with position, position with content.

    He et al., 2020, arXiv:2006.03654. `relative` holds a vector for each distance
    query - key, [2 * length - 1, width].
    """

    def __init__(
        self, spec: AttentionSpec, width: int, init: Init, *, dtype: Any = None, **options: Any
    ) -> None:
        super().__init__(spec, width, init, dtype=dtype, **options)
        policy = self.dtype_policy
        inner = spec.heads * spec.head_width
        own = not spec.shared_projections
        self.position_key = self.position_query = None
        if own and spec.content_to_position:
            self.position_key = init.dense(inner, name="position_key", dtype=policy)
        if own and spec.position_to_content:
            self.position_query = init.dense(inner, name="position_query", dtype=policy)
        self.position_dropout = init.dropout(
            spec.position_dropout, name="position_dropout", dtype=policy
        )

    def build(self, input_shape: Any = None) -> None:
        for layer in (self.position_key, self.position_query):
            if layer is not None:
                layer.build((None, self.width))
        super().build(input_shape)

    def scores(self, query: Any, key: Any, relative: Any, training: Any) -> Any:
        spec = self.spec
        terms = 1 + spec.content_to_position + spec.position_to_content
        scale = 1.0 / math.sqrt(spec.head_width * terms)
        query, scaled_key = query * scale, key * scale
        scores = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2)))
        position_query, position_key = self.project(
            self.position_dropout(relative, training=training)
        )
        if spec.content_to_position:
            # Read from right to left: in the score of (i, j), the distance i - j falls with j.
            falling = ops.flip(position_key, axis=-1)
            scores = scores + by_pair(ops.matmul(query, falling))
        if spec.position_to_content:
            by_key = by_pair(ops.matmul(scaled_key, position_query))
            scores = scores + ops.transpose(by_key, (0, 1, 3, 2))[:, :, : ops.shape(query)[2]]
        return scores

    def project(self, relative: Any) -> tuple[Any, Any]:
        """Returns the positions' queries and keys, each [heads, head_width, 2 * length - 1]."""
        if self.spec.shared_projections:
            query, key, _ = ops.split(self.qkv(relative), 3, axis=-1)
        else:
            query = self.position_query(relative) if self.position_query is not None else None
            key = self.position_key(relative) if self.position_key is not None else None
        return self.by_head(query), self.by_head(key)

    def by_head(self, vectors: Any) -> Any:
        if vectors is None:
            return None
        shape = (ops.shape(vectors)[0], self.spec.heads, self.spec.head_width)
        return ops.transpose(ops.reshape(vectors, shape), (1, 2, 0))


class Convolution(layers.Layer):
    """Adds a convolution of the embeddings to the first block's output, and normalises.

    Call arguments:
        embedded: float [batch, length, width], what the first block took.
        x: float [batch, length, width], what it gave.
        attention_mask: int or bool [batch, length]; 0 marks padding.

    Returns:
        float [batch, length, width], zero in the padding.
    """

    def __init__(
        self, spec: ConvolutionSpec, width: int, norm: NormSpec, init: Init, *, dtype: Any = None
    ) -> None:
        super().__init__(name="convolution", dtype=dtype)
        policy = self.dtype_policy
        self.width = width
        self.activation = get_activation(spec.activation)
        self.convolution = layers.Conv1D(
            width,
            spec.kernel_size,
            padding="same",
            kernel_initializer=init.kernel(),
            name="convolution",
            dtype=policy,
        )
        self.dropout = init.dropout(spec.dropout, name="dropout", dtype=policy)
        self.norm = normalisation(norm, name="norm", dtype=policy)

    def build(self, input_shape: Any = None) -> None:
        self.convolution.build((None, None, self.width))
        self.norm.build((None, None, self.width))
        self.built = True

    def call(self, embedded: Any, x: Any, attention_mask: Any, training: Any = None) -> Any:
        mask = ops.cast(ops.expand_dims(attention_mask, -1), x.dtype)
        mixed = self.dropout(self.convolution(embedded) * mask, training=training)
        return self.norm(x + self.activation(mixed)) * mask
