"""The method of a `Predictor` that turns texts into vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ktlite._arguments import checked
from ktlite.errors import DataError
from ktlite.predictor.predicting import Predicting
from ktlite.tasks.arrays import mean_of_rows
from ktlite.tasks.task import listed


class Embedding(Predicting):
    """Raw texts to vectors."""

    @checked
    def embed(
        self,
        texts: str | Sequence[str],
        batch_size: int | None = None,
        verbose: int = 0,
        *,
        pooling: str | None = None,
        normalize: bool | None = None,
    ) -> np.ndarray:
        """Turns texts into vectors that lie near each other where the texts mean the same.

        Best from a checkpoint that was trained for it (`ktlite.get_embedder`). A model that was
        fine-tuned for another task gives what its encoder makes of the texts.

        Args:
            texts: One text or a list. What is longer than the preprocessor's `maxlen` is cut, or
                where it reads in windows, the vector is the mean of theirs.
            batch_size: Texts a batch. Default: the predictor's.
            verbose: 1 shows a progress bar for many texts.
            pooling: How a text's vector comes of its tokens' vectors: `"mean"`, `"first"`
                (`[CLS]`), `"max"` or `"mean_sqrt"`. Default: as the model was trained, or the mean.
            normalize: Whether vectors are scaled to length 1. Default: as the model was trained,
                or not.

        Returns:
            float32 [width] for one text, [texts, width] for a list.

        Raises:
            DataError: If it is neither a string nor a list of them.
            ArgumentError: If the pooling is not known, or the model is not one of ktlite's.

        Example:
            >>> predictor.embed(["A fine film.", "A good movie."]).shape
            (2, 384)
        """
        input = self.preproc.input
        single = input.accepts(texts)
        expected = f"embed takes {input.expected}, or a list of them"
        many: list[Any] = [texts] if single else listed(texts, expected)
        wrong = [item for item in many if not input.accepts(item)]
        if wrong:
            first = wrong[0]
            raise DataError(f"{expected}; got {first!r:.60} of {type(first).__name__}.")
        how = (pooling, normalize)
        if how not in self._embedders:
            self._embedders[how] = self._forward.embedder(pooling, normalize)
        forward = self._embedders[how]
        if not many:
            return np.zeros((0, forward.model.width), "float32")
        encodings = input.encode(many, verbose=verbose)
        size = self.batch_size if batch_size is None else batch_size
        vectors = forward.over(encodings, batch_size=size, verbose=verbose)
        if encodings.example_of is not None:  # read in windows
            vectors = mean_of_rows(vectors, encodings.example_of)
            if forward.model.normalize:
                lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
                vectors = vectors / np.maximum(lengths, 1e-12)
        return vectors[0] if single else vectors
