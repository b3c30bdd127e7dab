"""ktrain's `TransformerEmbedding`: a vector for each word, or for each text."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from ktlite._arguments import at_least_one, checked
from ktlite.encodings.tokens import TokenEncodings
from ktlite.errors import DataError, Problems, plural
from ktlite.inference.runner import Forward
from ktlite.inputs.tokenizer import Tokenizer
from ktlite.inputs.words import as_words
from ktlite.models.auto import from_pretrained, read_text_spec
from ktlite.models.checkpoint import find_checkpoint
from ktlite.tasks.arrays import unpadded

_STRATEGIES = ("first", "average")
BATCH_SIZE = 32


class TransformerEmbedding:
    """Vectors of words in their context, from the hidden layers of a checkpoint as it is.

    For vectors of texts that are to be compared, use `ktlite.get_embedder`.

    Args:
        model_name: Checkpoint folder, or Hub name.
        layers: Whose outputs to take, side by side: 1 is the first block, -1 the last, -2 the one
            before it.

    Raises:
        CheckpointError: If the checkpoint cannot be used.
        ArgumentError: If it has no such layers, or its layers share their norm at the end
            (ModernBERT), and others than -1 are asked for.

    Example:
        >>> embedding = text.TransformerEmbedding("bert-base-uncased", layers=[-2])
        >>> embedding.embed(["New York is large.", "Hello."]).shape
        (2, 5, 768)
    """

    @checked
    def __init__(self, model_name: str | os.PathLike[str], layers: Sequence[int] = (-2,)) -> None:
        self.folder = find_checkpoint(model_name)
        spec = read_text_spec(self.folder)
        count = spec.last.stack.layers
        problems = Problems("TransformerEmbedding")
        chosen = [number + count + 1 if number < 0 else number for number in layers]
        problems.add_unless(
            bool(chosen) and all(1 <= number <= count for number in chosen),
            f"layers={list(layers)}; expected numbers from 1 to {count}, or from the end, -{count} "
            "to -1.",
        )
        problems.add_unless(
            spec.last.stack.norm.place == "post" or set(chosen) <= {count},
            f"layers={list(layers)}; the outputs of this checkpoint's blocks are normalised after "
            "the last alone: take layers=[-1].",
        )
        problems.raise_if_any()
        self.longest = spec.tokens.max_positions
        self.width = spec.width * len(chosen)
        # A model that ends with the block gives its output.
        self._forwards = [Forward(from_pretrained(self.folder, layers=number)) for number in chosen]

    def __repr__(self) -> str:
        return f"TransformerEmbedding: vectors of {self.width}, {plural(self.longest, 'token')}"

    @checked
    def embed(
        self,
        texts: str | Sequence[Any],
        word_level: bool = True,
        max_length: int = 512,
        aggregation_strategy: str = "first",
    ) -> np.ndarray:
        """Returns the vectors of the words of texts, or of the texts.

        Args:
            texts: A text, or a list of texts or of lists of words.
            word_level: Give a vector for each word. False: one for each text, the mean of its
                tokens'.
            max_length: Longest window in tokens. For words, longer texts are read in windows that
                overlap; for texts they are cut.
            aggregation_strategy: The vector of a word of several sub-words: `"first"` or
                `"average"`.

        Returns:
            float32 [texts, words, width], filled up with zeros after the last word of a text; or
            [texts, width].

        Raises:
            ArgumentError: If an argument is not known.
            DataError: If a text is something else.
        """
        problems = Problems("embed")
        problems.choice("aggregation_strategy", aggregation_strategy, _STRATEGIES)
        at_least_one(problems, max_length=max_length)
        problems.raise_if_any()
        many = [texts] if isinstance(texts, str) else list(texts)
        tokenizer = Tokenizer(self.folder, min(max_length, self.longest))
        if not word_level:
            if not all(isinstance(text, str) for text in many):
                raise DataError("embed: with word_level=False, expected strings.")
            rows = self._run(tokenizer.encode(many))
            means = [row.mean(axis=0) for row in rows]
            return np.stack(means) if means else np.zeros((0, self.width), "float32")
        words = [as_words(text).words for text in many]
        encodings = tokenizer.encode_words(words)
        counts = [len(text) for text in words]
        vectors = np.zeros((len(many), max(counts, default=0), self.width), "float32")
        for number, row in enumerate(self._run(encodings)):
            of_word = encodings.words_in(number)
            own = vectors[encodings.example(number)]
            for word in np.unique(of_word[of_word >= 0]):
                parts = row[of_word == word]
                own[word] = parts[0] if aggregation_strategy == "first" else parts.mean(axis=0)
        return vectors

    def _run(self, encodings: TokenEncodings) -> list[np.ndarray]:
        """Returns the hidden states of each row, float32 [tokens, width], without padding."""
        if not len(encodings):
            return []
        layers = [
            forward.over(encodings, batch_size=BATCH_SIZE, keep=unpadded)
            for forward in self._forwards
        ]
        return [np.concatenate(row, axis=-1) for row in zip(*layers, strict=True)]
