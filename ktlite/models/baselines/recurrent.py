"""A text read forwards and backwards by a recurrent network."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from ktlite.models.baselines.baseline import Baseline, Inputs, tokens_and_mask, word_embeddings
from ktlite.models.config import ConfigReader
from ktlite.models.core.init import Init
from ktlite.models.pooling import pool

CELLS = {"gru": layers.GRU, "lstm": layers.LSTM}


@keras.saving.register_keras_serializable(package="ktlite")
class RecurrentModel(Baseline):
    """Words' vectors, a bidirectional GRU or LSTM, the mean and the maximum over the text.

    GRU: Cho et al., 2014, arXiv:1406.1078; LSTM: Hochreiter and Schmidhuber, 1997; both
    directions: Schuster and Paliwal, 1997. Whole words' vectors drop out at once (Gal and
    Ghahramani, 2015, arXiv:1512.05287).

    The config has `vocab_size`, `cell` (`"gru"` or `"lstm"`), `embedding_size` (128),
    `hidden_size` (64, of each direction) and `dropout` (0.3). Arguments as of `Baseline`.

    Example:
        >>> model = RecurrentModel({"vocab_size": 1000, "cell": "lstm"}, num_labels=2)
        >>> model({"input_ids": np.array([[2, 34, 7, 3]])}).shape
        TensorShape([1, 2])
    """

    model_type = "ktlite-recurrent"

    def make_layers(self, config: ConfigReader, init: Init) -> None:
        policy = self.dtype_policy
        self.embeddings = word_embeddings(config, init, policy)
        self.width = config.size("hidden_size", 64)
        rate = config.get("dropout", 0.3)
        self.embedding_dropout = layers.Dropout(
            rate, noise_shape=(None, None, 1), seed=init.next_seed(), dtype=policy
        )
        cell = config.choice("cell", "gru", CELLS)
        self.forwards = self._direction(cell, init, "forwards")
        self.backwards = self._direction(cell, init, "backwards")
        self.dropout = init.dropout(rate, name="dropout", dtype=policy)
        self.classifier = layers.Dense(
            self.num_labels,
            kernel_initializer=keras.initializers.GlorotUniform(init.next_seed()),
            name="classifier",
            dtype="float32",
        )

    def _direction(self, cell: str, init: Init, name: str) -> Any:
        return CELLS[cell](
            self.width,
            return_sequences=True,
            go_backwards=name == "backwards",
            kernel_initializer=keras.initializers.GlorotUniform(init.next_seed()),
            recurrent_initializer=keras.initializers.Orthogonal(seed=init.next_seed()),
            name=name,
            dtype=self.dtype_policy,
        )

    def build(self, input_shape: Any = None) -> None:
        self.embeddings.build()
        for direction in (self.forwards, self.backwards):
            direction.build((None, None, self.embeddings.output_dim))
        self.classifier.build((None, 4 * self.width))
        self.built = True

    def call(self, inputs: Inputs, training: Any = None) -> Any:
        ids, mask = tokens_and_mask(inputs)
        x = self.embedding_dropout(self.embeddings(ids), training=training)
        # Padding keeps the state as it is, so that the way back begins at the last word.
        inside = ops.cast(mask, "bool")
        there = self.forwards(x, mask=inside, training=training)
        back = ops.flip(self.backwards(x, mask=inside, training=training), axis=1)
        hidden = ops.concatenate([there, back], axis=-1)
        vectors = [pool(hidden, mask, pooling) for pooling in ("mean", "max")]
        features = self.dropout(ops.concatenate(vectors, axis=-1), training=training)
        return self.classifier(features)
