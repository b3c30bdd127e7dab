"""The part of a task that leads from examples to the rows of a model, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from ktlite.encodings.encodings import Encodings, Seed
from ktlite.inputs.words import Words, split_words
from ktlite.tasks.arrays import mean_of_rows


class Rows:
    """What a model is given of examples, and what is kept of what it says."""

    #: Whether texts may be changed for training while what is true of them stays as it is.
    varies: ClassVar[bool] = True
    #: Whether labels stand on words, so that changes have to leave these where they are.
    labels_words: ClassVar[bool] = False

    def tokenize(self, examples: Sequence[Any], tokenizer: Any, verbose: int = 0) -> Encodings:
        """Turns examples into what a model is given: mostly tokens.

        Args:
            examples: What a reader or a caller of `predict` gives.
            tokenizer: A `ktlite.inputs.tokenizer.Tokenizer`; of data that is no texts, its
                `ktlite.inputs.input.Input`.
            verbose: 1 shows a progress bar for many.

        Raises:
            DataError: If an example is not of this task.
        """
        encodings: Encodings = tokenizer.encode(examples, verbose=verbose)
        return encodings

    def varied(self, example: Any, change: Callable[[Words], Words]) -> Any:
        """Returns an example with its texts changed, each by itself, and its labels still true.

        Args:
            example: A text, or a tuple of several.
            change: What is done with each.
        """
        if isinstance(example, str):
            return str(change(split_words(example)))
        return tuple(self.varied(text, change) for text in example)

    def with_targets(self, encodings: Encodings, targets: np.ndarray, input: Any) -> Encodings:
        """Returns the encodings of labelled examples: by default, as `tokenize` made them.

        A task whose model reads what is true as well (a decoder, what it is to write) puts it
        beside them.

        Args:
            encodings: Of all examples.
            targets: Of all examples, as `encode` returns them.
            input: What made the encodings: a tokenizer.
        """
        return encodings

    def align(self, targets: np.ndarray, encodings: Encodings, rows: np.ndarray) -> Any:
        """Returns the loss's targets of some rows: by default, those of the row's example.

        Args:
            targets: Of all examples, as `encode` returns them.
            encodings: Of all examples.
            rows: int [batch].
        """
        return targets[rows if encodings.example_of is None else encodings.example_of[rows]]

    def batch(
        self, encodings: Encodings, targets: Any, rows: np.ndarray, seed: Seed
    ) -> tuple[dict[str, np.ndarray], Any]:
        """Returns (inputs, targets) of some rows, to train on or to validate.

        By default the encodings' batch and its aligned targets. A task whose inputs are made of
        its targets, or whose targets are drawn, overrides it.

        Args:
            encodings: Of all examples.
            targets: Of all examples, as `encode` returns them; None without labels.
            rows: int [batch].
            seed: Numbers that determine what is drawn, if anything is.
        """
        inputs = encodings.batch(rows, seed)
        return inputs, None if targets is None else self.align(targets, encodings, rows)

    def answer(
        self,
        run: Callable[[dict[str, np.ndarray]], Any],
        inputs: dict[str, np.ndarray],
        targets: Any = None,
        rows: np.ndarray | None = None,
    ) -> tuple[np.ndarray, Any]:
        """Returns what a model says of a batch, as `reduce` keeps it.

        A task whose prediction takes more than one pass through the model overrides it.

        Args:
            run: Runs the model: a `ktlite.inference.runner.Runner`.
            inputs: What the model is given.
            targets: The loss's targets; None without labels.
            rows: int64 [batch]: which rows of all these are, where what is said of one is drawn.
        """
        return self.reduce(run(inputs), targets, inputs)

    def reduce(
        self, outputs: Any, targets: Any, inputs: Mapping[str, np.ndarray]
    ) -> tuple[np.ndarray, Any]:
        """Keeps of a batch what is needed later: by default, everything.

        A task whose outputs are too large to keep for a whole data set (a vocabulary for each
        token), padded, or of several parts, overrides it.

        Args:
            outputs: The head's logits, or a dict of them.
            targets: The loss's targets, or a dict of them; None without labels.
            inputs: What the model was given.

        Returns:
            Outputs, one item a row. And targets for data that makes them with each batch, one
            item a row; of other data they are known, and what is returned is not looked at.
        """
        return outputs, targets

    def join(self, outputs: np.ndarray, encodings: Encodings) -> np.ndarray:
        """Turns what `reduce` kept of all rows into the `logits` of the methods below.

        By default the mean of an example's rows, of which it mostly has one.
        """
        if encodings.example_of is None:
            return outputs
        return mean_of_rows(outputs, encodings.example_of)
