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
from ktlite.models.pooling import pool

EMBEDDING = "sentence-embedding"


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
    by_label: tuple[str, ...] = ("classifier",)  # the layers that have an output for each label
    pools = False  # whether it makes one vector a text

    def __init__(self, spec: ModelSpec, units: int, init: Init, *, dtype: Any = None) -> None:
        super().__init__(name="head", dtype=dtype)
        policy = self.dtype_policy
        self.spec = head = spec.heads[self.task]
        self.width, self.units = spec.encoder.width, units
        self.input_dropout = init.dropout(head.input_dropout, name="input_dropout", dtype=policy)
        self.dense = self.norm = None
        if head.activation is not None:
            self.activation = get_activation(head.activation)
            self.dense = init.dense(
                units,
                bias=head.bias,
                stddev=init.spec.out_stddev,
                name=self.dense_name,
                dtype=policy,
            )
        if head.norm is not None:
            self.norm = layer_norm(head.norm, name="norm", dtype=policy)
        self.dropout = init.dropout(head.dropout, name="dropout", dtype=policy)

    def build(self, input_shape: Any = None) -> None:
        if self.dense is not None:
            self.dense.build((None, self.width))
        if self.norm is not None:
            self.norm.build((None, self.units))
        self.built = True

    @property
    def first_only(self) -> bool:
        """Whether it looks at the first token alone, so that `hidden` may be [batch, 1, width]."""
        return self.pools and self.spec.pooling == "first"

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


class DistilledImageHead(Head):
    """The mean of two classifiers' logits, on the first token and on that for distillation.

    Touvron et al., 2020, arXiv:2012.12877, section 3.
    """

    task = "image-classification"
    by_label = ("first", "distilled")

    def __init__(self, spec: ModelSpec, outputs: int, init: Init, *, dtype: Any = None) -> None:
        super().__init__(spec, spec.encoder.width, init, dtype=dtype)
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
        super().__init__(spec, spec.encoder.width, init, dtype=dtype)

    def call(self, hidden: Any, attention_mask: Any = None, training: Any = None) -> Any:
        return pool(hidden, attention_mask, self.spec.pooling, self.spec.normalize)


class MaskedLMHead(Head):
    """Logits of each vocabulary entry for each token: [batch, length, vocab_size].

    The decoder's kernel is the table of word embeddings (Press and Wolf, 2016,
    arXiv:1608.05859).

    Call arguments:
        hidden, attention_mask: As for all heads.
        words: The table [vocab_size, embedding width], given at each call.
        masked_positions: int [batch, predictions], the tokens to give logits for:
            [batch, predictions, vocab_size]. Default: all of them.
    """

    task = "masked-lm"
    fixed_outputs = 0

    def __init__(self, spec: ModelSpec, outputs: int, init: Init, *, dtype: Any = None) -> None:
        super().__init__(spec, spec.tokens.width, init, dtype=dtype)
        self.decoder = OutputBias(spec.tokens.vocab_size) if self.spec.output_bias else None

    def build(self, input_shape: Any = None) -> None:
        super().build()
        if self.decoder is not None:
            self.decoder.build()

    def call(
        self,
        hidden: Any,
        attention_mask: Any = None,
        words: Any = None,
        masked_positions: Any = None,
        training: Any = None,
    ) -> Any:
        if masked_positions is not None:
            hidden = gather_tokens(hidden, masked_positions)
        features = self.features(hidden, training)
        words = ops.cast(words, features.dtype)
        logits = ops.cast(ops.matmul(features, ops.transpose(words)), "float32")
        return logits if self.decoder is None else self.decoder(logits)


class PretrainingHead(MaskedLMHead):
    """The masked language model, and two logits a text for how its two sentences belong together.

    BERT learns whether the second follows the first (Devlin et al., 2018,
    arXiv:1810.04805), ALBERT whether they are in their order (Lan et al., 2019,
    arXiv:1909.11942).

    Returns:
        Dict of float32 logits: `prediction_logits`, as of `MaskedLMHead`, and
        [batch, 2] under the name that the spec has for it.
    """

    task = "pretraining"
    fixed_outputs = 2

    def __init__(self, spec: ModelSpec, outputs: int, init: Init, *, dtype: Any = None) -> None:
        super().__init__(spec, outputs, init, dtype=dtype)
        policy = self.dtype_policy
        self.pooler = init.dense(self.width, name="pooler", dtype=policy)
        self.pair_dropout = init.dropout(self.spec.pair_dropout, name="pair_dropout", dtype=policy)
        self.pair = init.dense(outputs, name="pair", dtype="float32")

    def build(self, input_shape: Any = None) -> None:
        super().build()
        self.pooler.build((None, self.width))
        self.pair.build((None, self.width))

    def call(
        self,
        hidden: Any,
        attention_mask: Any = None,
        words: Any = None,
        masked_positions: Any = None,
        training: Any = None,
    ) -> Any:
        pooled = self.pair_dropout(ops.tanh(self.pooler(hidden[:, 0])), training=training)
        logits = super().call(
            hidden, words=words, masked_positions=masked_positions, training=training
        )
        return {"prediction_logits": logits, self.spec.pair_logits: self.pair(pooled)}


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


def gather_tokens(hidden: Any, positions: Any) -> Any:
    """Picks tokens by their positions in each text.

    Args:
        hidden: float [batch, length, width].
        positions: int [batch, n], each at least 0 and below length.

    Returns:
        float [batch, n, width].
    """
    batch, length, width = ops.shape(hidden)
    # Counted through the whole batch: one look-up in a table of all its tokens.
    rows = ops.cast(positions, "int32") + length * ops.expand_dims(ops.arange(batch), 1)
    return ops.take(ops.reshape(hidden, (batch * length, width)), rows, axis=0)


HEADS: dict[str, type[Head]] = {
    "text-classification": SequenceHead,
    "token-classification": TokenHead,
    "question-answering": SpanHead,
    "multiple-choice": ChoiceHead,
    EMBEDDING: EmbeddingHead,
    "image-classification": ImageHead,
    "masked-lm": MaskedLMHead,
    "pretraining": PretrainingHead,
    "discriminator": DiscriminatorHead,
    "distilled": DistilledImageHead,
}


def get_head(kind: str) -> type[Head]:
    """Returns the head class for a Hugging Face task name, or for the `kind` of a `HeadSpec`.

    Raises:
        ArgumentError: If there is none of that name.
    """
    if kind not in HEADS:
        raise ArgumentError(
            f"task={kind!r} has no head; known are {listing(HEADS)}.{did_you_mean(kind, HEADS)}"
        )
    return HEADS[kind]
