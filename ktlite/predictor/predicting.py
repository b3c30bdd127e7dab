"""The methods of a `Predictor` that predict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ktlite.errors import ArgumentError, plural
from ktlite.inference import Forward
from ktlite.text.preprocessor import Preprocessor


class Predicting:
    """Raw texts to predictions."""

    def __init__(self, model: Any, preproc: Preprocessor, batch_size: int = 32) -> None:
        needed = preproc.task.outputs
        found = getattr(model, "num_labels", needed) or 0
        if found != needed:
            raise ArgumentError(
                f"the model has {plural(found, 'output')}, but the labels of the preprocessor need "
                f"{needed}; make the model with this preprocessor's get_classifier()."
            )
        self.model = model
        self.preproc = preproc
        self.batch_size = batch_size
        self._forward = Forward(model)
        self._embedders: dict[tuple[str | None, bool | None], Forward] = {}

    def get_classes(self) -> list[Any]:
        """Returns the labels in the order of the probabilities."""
        return self.preproc.get_classes()

    def predict(
        self,
        texts: Any,
        return_proba: bool = False,
        *,
        batch_size: int | None = None,
        verbose: int = 0,
        **options: Any,
    ) -> Any:
        """Predicts one text or many.

        Args:
            texts: A string; a tuple of two strings, which is a pair; or a list of either. Of a
                model that tags words, also a list of lists of words; of one that compares texts,
                pairs; of one that answers questions, tuples (question, context).
            return_proba: Give probabilities in place of labels.
            batch_size: Texts a batch. Default: the predictor's.
            verbose: 1 shows a progress bar for many texts.
            **options: More that the task takes, as its `predict` describes them. Several labels a
                text: `return_labels`. Tags of words: `merge_tokens`, `return_offsets`,
                `custom_tokenizer`. Answers: `return_offsets`, `n_best`.

        Returns:
            For one text one prediction, for a list a list: the label; for several labels
            a text, (label, probability) of each; for regression, the number; for tags of
            words, a list of (word, tag); for a pair to compare, the cosine. With `return_proba`,
            what `predict_proba` returns, or the probability in each tuple.

        Raises:
            DataError: If a text is not of a kind that the task takes.
            ArgumentError: If the task does not take an option.
        """

        def run(examples: Sequence[Any]) -> np.ndarray:
            return self.logits(examples, batch_size, verbose)

        return self.preproc.task.predict(texts, run, return_proba, **options)

    def predict_proba(
        self,
        texts: Any,
        *,
        batch_size: int | None = None,
        verbose: int = 0,
    ) -> np.ndarray:
        """Returns probabilities, float32: [classes] for one text, [texts, classes] for a list.

        Of a model that tags words: [words, classes] for each text.
        """
        many, single = self.preproc.task.as_list(texts)
        probabilities = self.preproc.task.probabilities(self.logits(many, batch_size, verbose))
        return probabilities[0] if single else probabilities

    def logits(
        self, texts: Sequence[Any], batch_size: int | None = None, verbose: int = 0
    ) -> np.ndarray:
        """Returns the model's logits, in the order of the texts.

        They are float32 [texts, outputs]; of a model that tags words, an array of objects, each
        float32 [words, outputs].
        """
        if not len(texts):
            return np.zeros((0, self.preproc.task.outputs), "float32")
        encodings = self.preproc.encode(texts, verbose=verbose)
        size = self.batch_size if batch_size is None else batch_size
        task = self.preproc.task
        rows = self._forward.over(
            encodings,
            batch_size=size,
            verbose=verbose,
            keep=lambda outputs, inputs: task.reduce(outputs, None, inputs)[0],
        )
        return task.join(rows, encodings)
