"""Heads that say something of a whole text or image, from one vector."""

from __future__ import annotations

from typing import Any

from keras import ops

from ktlite.models.core.init import Init
from ktlite.models.core.spec import ModelSpec
from ktlite.models.heads.head import Head
from ktlite.models.heads.tokens import TokenHead
from ktlite.models.pooling import pool

EMBEDDING = "sentence-embedding"


class SequenceHead(TokenHead):
    """Logits for each text, from one vector a text: [batch, outputs]."""

    task = "text-classification"
    dense_name = "pooler"
    pools = True

    def call(self, hidden: Any, attention_mask: Any = None, training: Any = None) -> Any:
        vectors = pool(hidden, attention_mask, self.spec.pooling)
        return super().call(ops.cast(vectors, hidden.dtype), training=training)


class ImageHead(SequenceHead):
    """Logits for each image, from one vector an image: [batch, outputs]."""

    task = "image-classification"


class AudioHead(Head):
    """Logits for each sound, from one vector a sound, behind a dense layer: [batch, outputs]."""

    task = "audio-classification"
    pools = True

    def __init__(self, spec: ModelSpec, outputs: int, init: Init, *, dtype: Any = None) -> None:
        super().__init__(spec, spec.width, init, dtype=dtype)
        units = self.spec.width or spec.width
        # PyTorch has it before the mean over time, which gives the same.
        self.projector = init.dense(units, name="projector", dtype="float32")
        self.classifier = init.dense(outputs, name="classifier", dtype="float32")

    def build(self, input_shape: Any = None) -> None:
        super().build()
        self.projector.build((None, self.width))
        self.classifier.build((None, self.projector.units))

    def call(self, hidden: Any, attention_mask: Any = None, training: Any = None) -> Any:
        vectors = pool(hidden, attention_mask, self.spec.pooling)
        return self.classifier(self.projector(self.features(vectors, training)))


class FirstTwoHead(Head):
    """Logits of the mean of the first two tokens' vectors, normalised: [batch, outputs].

    Gong et al., 2021, arXiv:2104.01778.
    """

    task = "audio-classification"

    def __init__(self, spec: ModelSpec, outputs: int, init: Init, *, dtype: Any = None) -> None:
        super().__init__(spec, spec.width, init, dtype=dtype)
        self.classifier = init.dense(outputs, name="classifier", dtype="float32")

    def build(self, input_shape: Any = None) -> None:
        super().build()
        self.classifier.build((None, self.width))

    def call(self, hidden: Any, attention_mask: Any = None, training: Any = None) -> Any:
        first = (hidden[:, 0] + hidden[:, 1]) / 2
        return self.classifier(self.features(first, training))


class DistilledImageHead(Head):
    """The mean of two classifiers' logits, on the first token and on that for distillation.

    Touvron et al., 2020, arXiv:2012.12877, section 3.
    """

    task = "image-classification"
    by_label = ("first", "distilled")

    def __init__(self, spec: ModelSpec, outputs: int, init: Init, *, dtype: Any = None) -> None:
        super().__init__(spec, spec.width, init, dtype=dtype)
        self.first = init.dense(outputs, name="first", dtype="float32")
        self.distilled = init.dense(outputs, name="distilled", dtype="float32")

    def build(self, input_shape: Any = None) -> None:
        super().build()
        self.first.build((None, self.width))
        self.distilled.build((None, self.width))

    def call(self, hidden: Any, attention_mask: Any = None, training: Any = None) -> Any:
        hidden = self.features(hidden, training)
        return (self.first(hidden[:, 0]) + self.distilled(hidden[:, 1])) / 2


class ChoiceHead(SequenceHead):
    """A logit for each text, to be compared with those of the other choices: [texts, 1]."""

    task = "multiple-choice"
    fixed_outputs = 0

    def __init__(self, spec: ModelSpec, outputs: int, init: Init, *, dtype: Any = None) -> None:
        super().__init__(spec, 1, init, dtype=dtype)


class EmbeddingHead(Head):
    """A vector for each text, from those of its tokens: [batch, width]. It has no weights."""

    task = EMBEDDING
    fixed_outputs = 0
    pools = True

    def __init__(self, spec: ModelSpec, outputs: int, init: Init, *, dtype: Any = None) -> None:
        super().__init__(spec, spec.width, init, dtype=dtype)

    def call(self, hidden: Any, attention_mask: Any = None, training: Any = None) -> Any:
        return pool(hidden, attention_mask, self.spec.pooling, self.spec.normalize)
