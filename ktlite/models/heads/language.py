"""Heads that give logits for each entry of the vocabulary."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from ktlite._token_scores import token_scores
from ktlite.encodings.targets import IGNORE
from ktlite.models.core.init import Init
from ktlite.models.core.spec import ModelSpec, TokensSpec
from ktlite.models.heads.head import Head


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
    reads_words = True
    reads = ("masked_positions",)

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
        logits = word_logits(features, words)
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


class LanguageHead(Head):
    """Logits of each vocabulary entry as the next token: [batch, length, vocab_size].

    Its kernel is the table of word embeddings, or one of its own.

    Call arguments:
        hidden, attention_mask: As for all heads.
        words: The table [vocab_size, width], given at each call; not used where the head has a
            kernel of its own.
        few: Whether there are so few tokens that the product is better taken the other way round
            (as in a step of generation): the same numbers, in a fraction of the time.
        labels: int32 [batch, length], the right word for each token, -100 where none counts. With
            them the head returns, in place of logits, what `ktlite._token_scores` does, float32
            [batch, length, 2]: the cross-entropy, and whether the right word is the likeliest.
        words_learn: Whether `words` is trained, which a tensor does not say.
    """

    task = "text-generation"
    fixed_outputs = 0
    reads_words = True
    reads = ("labels",)

    def __init__(self, spec: ModelSpec, outputs: int, init: Init, *, dtype: Any = None) -> None:
        super().__init__(spec, spec.width, init, dtype=dtype)
        front = spec.last.front
        assert isinstance(front, TokensSpec)
        self.size = front.vocab_size
        self.table = None if self.spec.tied else WordTable(self.size, self.width, init)
        # PyTorch keeps it as a buffer, which is not trained.
        self.decoder = OutputBias(self.size, trained=False) if self.spec.output_bias else None

    def build(self, input_shape: Any = None) -> None:
        super().build()
        if self.table is not None:
            self.table.build()
        if self.decoder is not None:
            self.decoder.build()

    def call(
        self,
        hidden: Any,
        attention_mask: Any = None,
        words: Any = None,
        few: bool = False,
        labels: Any = None,
        words_learn: bool = False,
        training: Any = None,
    ) -> Any:
        features = self.features(hidden, training) * self.spec.scale
        words = words if self.table is None else self.table.rows
        if labels is None:
            logits = word_logits(features, words, few)
            return logits if self.decoder is None else self.decoder(logits)
        bias = None if self.decoder is None else self.decoder.bias
        own = [x for x in (words, bias) if isinstance(x, keras.Variable)]
        return token_scores(
            features,
            words,
            bias,
            labels,
            ignore=IGNORE,
            learns=training is not False,
            learns_words=words_learn or any(x.trainable for x in own),
        )


class Seq2SeqHead(LanguageHead):
    """The same, of a model that reads one sequence and writes another."""

    task = "text2text-generation"


class TranscriptHead(LanguageHead):
    """The same, of a model that hears a sound and writes what is said."""

    task = "automatic-speech-recognition"


def word_logits(features: Any, words: Any, few: bool = False) -> Any:
    """Returns the products of vectors with those of words, float32 [batch, length, words].

    Args:
        features: float [batch, length, width].
        words: float [words, width].
        few: Whether to take the product the other way round. A library that packs the transposed
            table at each call takes ten times as long for a few vectors.
    """
    words = ops.cast(words, features.dtype)
    if not few:
        return ops.cast(ops.matmul(features, ops.transpose(words)), "float32")
    batch, length, width = ops.shape(features)
    flat = ops.reshape(features, (batch * length, width))
    logits = ops.transpose(ops.matmul(words, ops.transpose(flat)))
    return ops.cast(ops.reshape(logits, (batch, length, ops.shape(words)[0])), "float32")


class WordTable(layers.Layer):
    """A table [words, width] of its own, for a head that does not share that of the front."""

    def __init__(self, size: int, width: int, init: Init) -> None:
        super().__init__(name="table")
        self.shape, self.start = (size, width), init.kernel()

    def build(self, input_shape: Any = None) -> None:
        self.rows = self.add_weight(shape=self.shape, initializer=self.start, name="rows")
        self.built = True


class OutputBias(layers.Layer):
    """Adds a float32 bias to logits [..., size]."""

    def __init__(self, size: int, trained: bool = True) -> None:
        super().__init__(name="decoder", dtype="float32")
        self.size = size
        self.trained = trained

    def build(self, input_shape: Any = None) -> None:
        self.bias = self.add_weight(
            shape=(self.size,), initializer="zeros", name="bias", trainable=self.trained
        )
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
