"""Heads that say something of each token."""

from __future__ import annotations

from typing import Any

from keras import ops

from ktlite.models.core.init import Init
from ktlite.models.core.spec import ModelSpec
from ktlite.models.heads.head import Head

NEVER = -1e4  # the logit of what is not said in any case


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


class CTCHead(TokenHead):
    """Logits for each frame, of a character or a blank: [batch, frames, characters].

    A frame of padding is a blank for certain, which leaves the likelihood of a text as it is
    without such frames (Graves et al., 2006).
    """

    task = "automatic-speech-recognition"
    counted_by = "vocab_size"

    def call(self, hidden: Any, attention_mask: Any = None, training: Any = None) -> Any:
        logits = super().call(hidden, training=training)
        if attention_mask is None:
            return logits
        assert self.spec.spelling is not None
        inside = ops.expand_dims(ops.cast(attention_mask, "bool"), 2)
        blank = ops.arange(ops.shape(logits)[2]) == self.spec.spelling.blank
        return ops.where(inside, logits, ops.where(blank, 0.0, NEVER))


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
