"""fastText: the mean of the words' vectors, and a linear classifier."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from ktlite.models.baselines.baseline import Baseline, Inputs, tokens_and_mask, word_embeddings
from ktlite.models.config import ConfigReader
from ktlite.models.core.init import Init
from ktlite.models.pooling import pool


@keras.saving.register_keras_serializable(package="ktlite")
class FastText(Baseline):
    """The mean of the words' vectors, classified (Joulin et al., 2016, arXiv:1607.01759).

    Of words alone, without the paper's n-grams. The config has `vocab_size`, `embedding_size`
    (128) and `dropout` (0.3, of the mean). Arguments as of `Baseline`.

    Example:
        >>> model = FastText({"vocab_size": 1000, "embedding_size": 50}, num_labels=2)
        >>> model({"input_ids": np.array([[2, 34, 7, 3]])}).shape
        TensorShape([1, 2])
    """

    model_type = "ktlite-fasttext"

    def make_layers(self, config: ConfigReader, init: Init) -> None:
        policy = self.dtype_policy
        self.embeddings = word_embeddings(config, init, policy)
        self.dropout = init.dropout(config.get("dropout", 0.3), name="dropout", dtype=policy)
        self.classifier = layers.Dense(
            self.num_labels,
            kernel_initializer=keras.initializers.GlorotUniform(init.next_seed()),
            name="classifier",
            dtype="float32",
        )

    def build(self, input_shape: Any = None) -> None:
        self.embeddings.build()
        self.classifier.build((None, self.embeddings.output_dim))
        self.built = True

    def call(self, inputs: Inputs, training: Any = None) -> Any:
        ids, mask = tokens_and_mask(inputs)
        vectors = pool(self.embeddings(ids), mask, "mean")
        return self.classifier(self.dropout(vectors, training=training))
