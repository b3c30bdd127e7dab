"""Linear models over the words and n-grams of a text: NBSVM and TF-IDF."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from ktlite.models.baselines.baseline import Baseline, Inputs, tokens_and_mask
from ktlite.models.baselines.ngrams import NGrams
from ktlite.models.config import ConfigReader
from ktlite.models.core.init import Init

Batch = tuple[Inputs, np.ndarray]


@dataclass(frozen=True)
class Weighting:
    """What an n-gram counts before training.

    Args:
        per_label: Whether it has a value for each label, or one.
        length: What the values of a text are scaled to, as a vector; None: they are not.
        start: Of the trained weights. Naive Bayes takes words for independent, and so is surer
            than it should be; a lower start than its own, 0.5 for two classes, mends that.
        learn: Takes for each n-gram the training texts of each label that have it, float64
            [size, labels], the texts that have it at all, [size, 1], the texts of each
            label, [labels], and their number; returns the values and the bias.
    """

    per_label: bool
    length: float | None
    start: float
    learn: Callable[[Any, Any, Any, int], tuple[Any, Any]]


def log_count_ratios(having: Any, any_label: Any, texts: Any, total: int) -> tuple[Any, Any]:
    """Returns how much likelier an n-gram is with a label than without it, as a logarithm."""
    seen = any_label > 0
    with_label, without = (having + 1) * seen, (any_label - having + 1) * seen
    share, other = with_label / with_label.sum(axis=0), without / without.sum(axis=0)
    ratios = np.log(np.where(seen, share, 1)) - np.log(np.where(seen, other, 1))
    return ratios, np.log((texts + 1) / (total - texts + 1))


def inverse_document_frequencies(
    having: Any, any_label: Any, texts: Any, total: int
) -> tuple[Any, Any]:
    """Returns how rare an n-gram is, as scikit-learn defines it; 0 where it never occurred."""
    idf = np.log((1 + total) / (1 + any_label)) + 1
    return np.where(any_label > 0, idf, 0), np.zeros(len(texts))


WEIGHTINGS = {
    "log-count-ratio": Weighting(True, None, 0.2, log_count_ratios),
    # To 10, not to 1: so the weights need not grow so far, and learn at other models' rates.
    "tf-idf": Weighting(False, 10.0, 0.0, inverse_document_frequencies),
}


@keras.saving.register_keras_serializable(package="ktlite")
class LinearModel(Baseline):
    """The sum of a weight for each word and n-gram that a text has, however often.

    The weight is a trained number times one that `for_texts` takes from the training data:

    - `"log-count-ratio"`: the logarithm of how much likelier the n-gram is in texts of the label
      than in others. Untrained it decides as naive Bayes does; trained, it is between
      that and a logistic regression: NBSVM (Wang and Manning, 2012,
      https://aclanthology.org/P12-2018), with the logistic loss in place of the hinge.
    - `"tf-idf"`: the inverse document frequency, all texts scaled to the same length.

    The config has `vocab_size`, `weighting`, `ngram_range` (the n of the longest n-grams; 1) and
    `ngrams`, the number of n-grams that it knows. Arguments as of `Baseline`.

    Example:
        >>> config = {"vocab_size": 1000, "weighting": "tf-idf", "ngram_range": 2}
        >>> batches = [({"input_ids": ids, "attention_mask": mask}, np.array([[1, 0], [0, 1]]))]
        >>> model = LinearModel.for_texts(config, batches, num_labels=2)
    """

    model_type = "ktlite-linear"

    @classmethod
    def for_texts(
        cls,
        config: Mapping[str, Any],
        batches: Collection[Batch],
        num_labels: int,
        *,
        seed: int = 42,
        dtype: Any = None,
    ) -> LinearModel:
        """Makes a model that knows the n-grams of its training data and what they are worth.

        Args:
            config: All but `ngrams`.
            batches: (inputs, labels) of all training texts, to be gone through twice; labels are
                numbers from 0 to 1 [texts, outputs], 1 for each label that a text has.
            num_labels: Outputs.
            seed: As of `Baseline`.
            dtype: Likewise.
        """
        known = cls(config, num_labels).classifier.ngrams.learn(
            tokens_and_mask(inputs) for inputs, _ in batches
        )
        whole = {**config, "ngrams": max(len(known), 1)}
        model = cls(whole, num_labels, seed=seed, dtype=dtype)
        model.classifier.adapt(known, batches)
        return model

    def make_layers(self, config: ConfigReader, init: Init) -> None:
        weighting = WEIGHTINGS[config.choice("weighting", "log-count-ratio", WEIGHTINGS)]
        ngrams = NGrams(config.size("vocab_size", 20_000), config.size("ngram_range", 1))
        count = config.size("ngrams", 1)
        self.classifier = WeightedSum(ngrams, count, weighting, self.num_labels)

    def build(self, input_shape: Any = None) -> None:
        self.classifier.build()
        self.built = True

    def call(self, inputs: Inputs, training: Any = None) -> Any:
        return self.classifier(*tokens_and_mask(inputs))


class WeightedSum(layers.Layer):
    """Sums up the values of n-grams times their weights, in float32.

    Args:
        ngrams: Numbers the n-grams.
        count: How many n-grams of two words and more are known.
        weighting: What they are worth.
        outputs: Logits a text.
    """

    def __init__(self, ngrams: NGrams, count: int, weighting: Weighting, outputs: int) -> None:
        super().__init__(name="classifier", dtype="float32")
        self.ngrams, self.weighting, self.outputs = ngrams, weighting, outputs
        self.count = count if ngrams.longest > 1 else 0
        self.size = ngrams.vocab_size + self.count

    def build(self, input_shape: Any = None) -> None:
        size = self.size
        self.known = None
        if self.count:
            self.known = self.add_weight(
                shape=(self.count,),
                dtype="int32",
                initializer="zeros",
                trainable=False,
                name="ngrams",
            )
        self.values = self.add_weight(
            shape=(size, self.outputs if self.weighting.per_label else 1),
            initializer="ones",
            trainable=False,
            name="values",
        )
        start = keras.initializers.Constant(self.weighting.start)
        self.kernel = self.add_weight(shape=(size, self.outputs), initializer=start, name="kernel")
        self.bias = self.add_weight(shape=(self.outputs,), initializer="zeros", name="bias")
        self.built = True

    def call(self, input_ids: Any, attention_mask: Any) -> Any:
        numbers, present = self.ngrams(input_ids, attention_mask, self.known)
        # What does not count has a number beyond the last; it is multiplied by 0.
        rows = ops.minimum(numbers, self.size - 1)
        values = ops.take(self.values, rows, axis=0)
        values = values * ops.expand_dims(ops.cast(present, "float32"), -1)
        if self.weighting.length is not None:
            squares = ops.sum(ops.square(values), axis=1, keepdims=True)
            values = values * self.weighting.length * ops.rsqrt(ops.maximum(squares, 1e-12))
        return ops.sum(values * ops.take(self.kernel, rows, axis=0), axis=1) + self.bias

    def adapt(self, known: np.ndarray, batches: Iterable[Batch]) -> None:
        """Takes over the n-grams that `NGrams.learn` found, and what they are worth."""
        if self.known is not None:
            # Texts of a word each have none; a code that no n-gram has stands for them.
            self.known.assign(known if len(known) else [-1])
        having, any_label = np.zeros((self.size, self.outputs)), np.zeros((self.size, 1))
        texts, total = np.zeros(self.outputs), 0
        for inputs, labels in batches:
            found = self.ngrams(*tokens_and_mask(inputs), self.known)
            numbers, present = map(ops.convert_to_numpy, found)
            text_of, numbers = np.nonzero(present)[0], numbers[present]
            any_label[:, 0] += np.bincount(numbers, minlength=self.size)
            for label in range(self.outputs):
                has = labels[:, label].astype("float64")
                having[:, label] += np.bincount(numbers, has[text_of], self.size)
            texts += labels.sum(axis=0)
            total += len(labels)
        values, bias = self.weighting.learn(having, any_label, texts, total)
        self.values.assign(values)
        self.bias.assign(self.weighting.start * bias)
