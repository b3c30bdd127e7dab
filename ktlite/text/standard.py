"""ktrain's "standard" preprocessing: words, and a vocabulary learned from the training texts."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ktlite._arguments import at_least_one, checked
from ktlite.data.preprocessor import Preprocessor
from ktlite.data.readers import Examples
from ktlite.errors import Problems
from ktlite.inputs.texts import check_texts
from ktlite.inputs.tokenizer import Tokenizer
from ktlite.tasks import Task
from ktlite.text.tokenizer_training import SPECIAL_TOKENS, train_tokenizer

SHORTEST = 3  # two special tokens and a word


class StandardPreprocessor(Preprocessor):
    """Splits texts into lower-case words, for models that start from scratch.

    The vocabulary is learned from the training texts alone. Where a script puts no spaces between
    words, each character is one. See `train_tokenizer`, kind `"word"`.

    Args:
        maxlen: Longest text in tokens, of which two are special ones.
        max_features: Words to tell apart, the most frequent ones; all others are `[UNK]`.
        class_names: Names for integer labels 0, 1, 2, ..., or for label columns.
        ngram_range: For models that count n-grams: the n of the longest ones.
        task: As for `Transformer`.

    Raises:
        ArgumentError: If a number is none of 1 or more, or `maxlen` is too small.

    Example:
        >>> preproc = StandardPreprocessor(maxlen=128)
        >>> train = preproc.preprocess_train(x_train, y_train)
        >>> model = text.text_classifier("nbsvm", train)
    """

    model_name = "standard"

    @checked
    def __init__(
        self,
        maxlen: int = 400,
        max_features: int = 20_000,
        class_names: Sequence[Any] = (),
        ngram_range: int = 1,
        *,
        task: str | Task | None = None,
    ) -> None:
        problems = Problems("preprocess_mode='standard'")
        at_least_one(problems, maxlen=maxlen, max_features=max_features, ngram_range=ngram_range)
        problems.raise_if_any()
        problems.add_unless(maxlen >= SHORTEST, f"maxlen={maxlen}; expected {SHORTEST} or more.")
        problems.raise_if_any()
        super().__init__(None, int(maxlen), class_names=class_names, task_name=task)
        self.max_features = int(max_features)
        self.ngram_range = int(ngram_range)

    def learn_texts(self, raw: Examples) -> None:
        check_texts(raw.items)
        assert self.maxlen is not None
        texts: Any = raw.items
        words = [part for text in texts for part in ([text] if isinstance(text, str) else text)]
        with tempfile.TemporaryDirectory(prefix="ktlite-") as folder:
            path = train_tokenizer(
                words,
                Path(folder) / "words",
                "word",
                self.max_features + len(SPECIAL_TOKENS),
                lowercase=True,
                min_frequency=1,
                maxlen=self.maxlen,
                verbose=0,
            )
            self._input = Tokenizer(path, self.maxlen)
