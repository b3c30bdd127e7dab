"""What stands on top of an encoder, one class a kind of task.

A head takes the hidden states [batch, length, width] and returns float32
logits, whatever precision the encoder computes in.
"""

from __future__ import annotations

from typing import Any

from keras import layers

from ktlite.errors import ArgumentError, did_you_mean, listing
from ktlite.models.core.activations import get_activation
from ktlite.models.core.init import Init
from ktlite.models.core.spec import ModelSpec


class SequenceHead(layers.Layer):
    """One vector a text: first token, dense, activation, dropout, classifier.

    Returns:
        float32 logits [batch, outputs].
    """

    def __init__(self, spec: ModelSpec, outputs: int, init: Init, *, dtype: Any = None) -> None:
        super().__init__(name="head", dtype=dtype)
        self.width = spec.encoder.width
        self.activation = get_activation(spec.sequence_head.activation)
        self.pooler = init.dense(self.width, name="pooler", dtype=self.dtype_policy)
        self.dropout = init.dropout(
            spec.sequence_head.dropout, name="dropout", dtype=self.dtype_policy
        )
        self.classifier = init.dense(outputs, name="classifier", dtype="float32")

    def build(self, input_shape: Any = None) -> None:
        self.pooler.build((None, self.width))
        self.classifier.build((None, self.width))
        self.built = True

    def call(self, hidden: Any, training: Any = None) -> Any:
        pooled = self.activation(self.pooler(hidden[:, 0]))
        return self.classifier(self.dropout(pooled, training=training))


HEADS: dict[str, type[layers.Layer]] = {"text-classification": SequenceHead}


def get_head(task: str) -> type[layers.Layer]:
    """Returns the head class for a Hugging Face task name.

    Raises:
        ArgumentError: If there is none of that name.
    """
    if task not in HEADS:
        raise ArgumentError(
            f"task={task!r} has no head; known are {listing(HEADS)}.{did_you_mean(task, HEADS)}"
        )
    return HEADS[task]
