"""Heads that say something of each token."""

from __future__ import annotations

from typing import Any

from keras import ops

from ktlite.models.core.init import Init
from ktlite.models.core.spec import ModelSpec
from ktlite.models.heads.head import Head


class TokenHead(Head):
    """Logits for each token: [batch, length, outputs]."""

    task = "token-classification"

    def __init__(self, spec: ModelSpec, outputs: int, init: Init, *, dtype: Any = None) -> None:
        super().__init__(spec, spec.width, init, dtype=dtype)
        self.classifier = init.dense(
            outputs, stddev=init.spec.classifier_stddev, name="classifier", dtype="float32"
        )

    def build(self, input_shape: Any = None) -> None:
        super().build()
        self.classifier.build((None, self.width))

    def call(self, hidden: Any, attention_mask: Any = None, training: Any = None) -> Any:
        return self.classifier(self.features(hidden, training))


class SpanHead(TokenHead):
    """Logits that the answer starts, and that it ends, at each token: [batch, length, 2]."""

    task = "question-answering"
    fixed_outputs = 2


class DiscriminatorHead(TokenHead):
    """Logits that each token was replaced: [batch, length].

    What ELECTRA learns in its pretraining (Clark et al., 2020, arXiv:2003.10555).
    """

    task = "pretraining"
    fixed_outputs = 0

    def __init__(self, spec: ModelSpec, outputs: int, init: Init, *, dtype: Any = None) -> None:
        super().__init__(spec, 1, init, dtype=dtype)

    def call(self, hidden: Any, attention_mask: Any = None, training: Any = None) -> Any:
        return ops.squeeze(super().call(hidden, training=training), axis=-1)
