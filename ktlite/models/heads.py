"""What stands on top of an encoder, one class a kind of task.

A head takes the hidden states [batch, length, width] and returns float32
logits, whatever precision the encoder computes in.
"""

from __future__ import annotations

from typing import Any

from keras import layers, ops

from ktlite.errors import ArgumentError, did_you_mean, listing
from ktlite.models.core.activations import get_activation
from ktlite.models.core.init import Init, layer_norm
from ktlite.models.core.spec import ModelSpec


class Head(layers.Layer):
    """What all heads have: dropout, dense, activation, norm, dropout, as far as the spec asks.

    Call arguments:
        hidden: float [batch, length, width].
        attention_mask: int or bool [batch, length]; 0 marks padding.

    Returns:
        float32 logits.
    """

    task: str  # Hugging Face's name
    fixed_outputs: int | None = None  # whatever the labels; None: one a label
    dense_name = "transform"  # in the paths of variables

    def __init__(self, spec: ModelSpec, units: int, init: Init, *, dtype: Any = None) -> None:
        super().__init__(name="head", dtype=dtype)
        policy = self.dtype_policy
        self.spec = head = spec.heads[self.task]
        self.width, self.units = spec.encoder.width, units
        self.input_dropout = init.dropout(head.input_dropout, name="input_dropout", dtype=policy)
        self.dense = self.norm = None
        if head.activation is not None:
            self.activation = get_activation(head.activation)
            self.dense = init.dense(units, bias=head.bias, name=self.dense_name, dtype=policy)
        if head.norm is not None:
            self.norm = layer_norm(head.norm, name="norm", dtype=policy)
        self.dropout = init.dropout(head.dropout, name="dropout", dtype=policy)

    def build(self, input_shape: Any = None) -> None:
        if self.dense is not None:
            self.dense.build((None, self.width))
        if self.norm is not None:
            self.norm.build((None, self.units))
        self.built = True

    def features(self, x: Any, training: Any) -> Any:
        """Returns what the last layer takes, float [..., units]."""
        x = self.input_dropout(x, training=training)
        if self.dense is not None:
            x = self.activation(self.dense(x))
        if self.norm is not None:
            x = self.norm(x)
        return self.dropout(x, training=training)


class TokenHead(Head):
    """Logits for each token: [batch, length, outputs]."""

    task = "token-classification"

    def __init__(self, spec: ModelSpec, outputs: int, init: Init, *, dtype: Any = None) -> None:
        super().__init__(spec, spec.encoder.width, init, dtype=dtype)
        self.classifier = init.dense(outputs, name="classifier", dtype="float32")

    def build(self, input_shape: Any = None) -> None:
        super().build()
        self.classifier.build((None, self.width))

    def call(self, hidden: Any, attention_mask: Any = None, training: Any = None) -> Any:
        return self.classifier(self.features(hidden, training))


class SpanHead(TokenHead):
    """Logits that the answer starts, and that it ends, at each token: [batch, length, 2]."""

    task = "question-answering"
    fixed_outputs = 2


class SequenceHead(TokenHead):
    """Logits for each text, from one vector a text: [batch, outputs]."""

    task = "text-classification"
    dense_name = "pooler"

    def call(self, hidden: Any, attention_mask: Any = None, training: Any = None) -> Any:
        if self.spec.pooling == "first":
            return super().call(hidden[:, 0], training=training)
        # In float32: the sum over a long text leaves float16's range.
        tokens = ops.expand_dims(ops.cast(attention_mask, "float32"), -1)
        total = ops.sum(ops.cast(hidden, "float32") * tokens, axis=1)
        mean = total / ops.maximum(ops.sum(tokens, axis=1), 1.0)
        return super().call(ops.cast(mean, hidden.dtype), training=training)


class MaskedLMHead(Head):
    """Logits of each vocabulary entry for each token: [batch, length, vocab_size].

    The decoder's kernel is the table of word embeddings (Press and Wolf, 2016,
    arXiv:1608.05859): `words` [vocab_size, embedding width], given at each call.
    """

    task = "masked-lm"
    fixed_outputs = 0

    def __init__(self, spec: ModelSpec, outputs: int, init: Init, *, dtype: Any = None) -> None:
        super().__init__(spec, spec.embeddings.width, init, dtype=dtype)
        bias = spec.heads[self.task].output_bias
        self.decoder = OutputBias(spec.embeddings.vocab_size) if bias else None

    def build(self, input_shape: Any = None) -> None:
        super().build()
        if self.decoder is not None:
            self.decoder.build()

    def call(
        self, hidden: Any, attention_mask: Any = None, words: Any = None, training: Any = None
    ) -> Any:
        features = self.features(hidden, training)
        words = ops.cast(words, features.dtype)
        logits = ops.cast(ops.matmul(features, ops.transpose(words)), "float32")
        return logits if self.decoder is None else self.decoder(logits)


class OutputBias(layers.Layer):
    """Adds a trained float32 bias to logits [..., size]."""

    def __init__(self, size: int) -> None:
        super().__init__(name="decoder", dtype="float32")
        self.size = size

    def build(self, input_shape: Any = None) -> None:
        self.bias = self.add_weight(shape=(self.size,), initializer="zeros", name="bias")
        self.built = True

    def call(self, logits: Any) -> Any:
        return logits + self.bias


HEADS: dict[str, type[Head]] = {
    head.task: head for head in (SequenceHead, TokenHead, SpanHead, MaskedLMHead)
}


def get_head(task: str) -> type[Head]:
    """Returns the head class for a Hugging Face task name.

    Raises:
        ArgumentError: If there is none of that name.
    """
    if task not in HEADS:
        raise ArgumentError(
            f"task={task!r} has no head; known are {listing(HEADS)}.{did_you_mean(task, HEADS)}"
        )
    return HEADS[task]
