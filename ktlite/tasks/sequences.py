"""Texts to texts: translation, summaries, and whatever else is written of what is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ktlite._arguments import checked
from ktlite._extras import is_installed
from ktlite._logging import logger
from ktlite.encodings.encodings import Encodings, Seed
from ktlite.encodings.joined import JoinedEncodings
from ktlite.encodings.targets import IGNORE
from ktlite.errors import ArgumentError, DataError, listing
from ktlite.inputs.sequences import encode_sources, encode_targets
from ktlite.tasks.arrays import log_softmax, ragged
from ktlite.tasks.losses import counted_accuracy, counted_cross_entropy
from ktlite.tasks.sequence_figures import sequence_figures
from ktlite.tasks.task import Report, Task

DECODER, LABELS = "decoder_", "decoder_labels"


@dataclass(frozen=True)
class Written:
    """What a model has written for one example.

    Args:
        ids: int32 [tokens], without those that texts start and end with.
        loss: The sum of the losses of the tokens that it should have written; NaN without them.
        count: How many these are.
        text: The text.
    """

    ids: np.ndarray
    loss: float = float("nan")
    count: int = 0
    text: str = ""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """The tokens, for recorded predictions."""
        return self.ids.astype(dtype or "float64")


class Sequences(Task):
    """A text for each text, written by a decoder that has an encoder (T5, BART, Marian).

    Args:
        prefix: What each text begins with for the model, such as `"summarize: "`.
        **options: How to search, in the names of `transformers`: `num_beams`, `max_new_tokens`,
            `length_penalty`, ... Default: as the checkpoint says.

    Example:
        >>> learner = ktlite.get_learner("t5-small", pairs, text_column="en", label_columns="de",
        ...     task=Translation(prefix="translate English to German: ", num_beams=4))
    """

    name = "text2text-generation"
    head = "text2text-generation"
    counts_targets = True
    labels_are_texts = True
    #: What `report` measures; names of `ktlite.tasks.sequence_figures.FIGURES`.
    measures: ClassVar[tuple[str, ...]] = ("chrf", "exact_match")

    def __init__(self, prefix: str = "", **options: Any) -> None:
        from ktlite.generation import Generation

        Generation().with_(**options)  # says what is wrong with them
        self.prefix = prefix
        self.options = options

    @classmethod
    def from_labels(
        cls, labels: Any, class_names: Sequence[Any] = (), source: str = "labels"
    ) -> Sequences:
        return cls()

    @property
    def outputs(self) -> int:
        return 0

    def encode(self, labels: Any, source: str = "labels") -> np.ndarray:
        """Returns the texts to be written, [texts] object (str)."""
        values = np.asarray(labels, dtype=object)
        wrong = [value for value in values.ravel() if not isinstance(value, str)]
        if values.ndim != 1 or wrong:
            first = f"{wrong[0]!r:.40} of type {type(wrong[0]).__name__}" if wrong else values.shape
            raise DataError(f"{source}: expected a text to write for each text; got {first}.")
        return values

    def loss(self) -> Any:
        return counted_cross_entropy()

    def metrics(self) -> list[Any]:
        return [counted_accuracy()]

    def tokenize(self, examples: Sequence[Any], tokenizer: Any, verbose: int = 0) -> Encodings:
        texts = [self.prefix + text for text in examples] if self.prefix else examples
        return encode_sources(tokenizer, texts, verbose)

    def with_targets(self, encodings: Encodings, targets: np.ndarray, input: Any) -> Encodings:
        """Puts the tokens that are to be written beside those that are read."""
        return JoinedEncodings({"": encodings, DECODER: encode_targets(input, targets.tolist())})

    def align(self, targets: np.ndarray, encodings: Encodings, rows: np.ndarray) -> np.ndarray:
        """Returns int32 [batch, length], the tokens to be written, `IGNORE` behind them."""
        assert isinstance(encodings, JoinedEncodings)
        return encodings.parts[DECODER].batch(rows)["labels"]

    def batch(
        self, encodings: Encodings, targets: Any, rows: np.ndarray, seed: Seed
    ) -> tuple[dict[str, np.ndarray], Any]:
        inputs = encodings.batch(rows, seed)
        return inputs, inputs.pop(LABELS, None)

    def answer(
        self, run: Any, inputs: dict[str, np.ndarray], targets: Any = None
    ) -> tuple[np.ndarray, Any]:
        """Writes; and with targets, says how likely these were, too."""
        read = {name: x for name, x in inputs.items() if not name.startswith(DECODER)}
        texts = run.generate(read, **self.options)
        if targets is None:
            return ragged([Written(ids) for ids in texts]), None
        counted = targets != IGNORE
        chances = log_softmax(run(inputs))
        wanted = np.where(counted, targets, 0)[..., None]
        losses = -np.take_along_axis(chances, wanted, axis=-1)[..., 0] * counted
        sums, counts = losses.sum(axis=1), counted.sum(axis=1)
        found = [Written(*one) for one in zip(texts, sums.tolist(), counts.tolist(), strict=True)]
        return ragged(found), None

    def join(self, outputs: np.ndarray, encodings: Encodings) -> np.ndarray:
        source: Any = encodings.parts[""] if isinstance(encodings, JoinedEncodings) else encodings
        return ragged(
            [Written(one.ids, one.loss, one.count, source.decode(one.ids)) for one in outputs]
        )

    @checked
    def predict(
        self,
        examples: Any,
        run: Callable[..., np.ndarray],
        return_proba: bool = False,
        **options: Any,
    ) -> Any:
        """Writes a text for each.

        Args:
            examples: One text, or many.
            run: Turns a list of examples into what the model has written.
            return_proba: There are no probabilities of texts.
            **options: How to search, in place of the task's own: `num_beams=4`,
                `max_new_tokens=60`, `do_sample=True`, ...
        """
        if return_proba:
            self.probabilities(np.zeros(0))
        many, single = self.as_list(examples)
        task = type(self)(self.prefix, **{**self.options, **options}) if options else self
        texts = self.decode(run(many, task=task))
        return texts[0] if single else texts

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        raise ArgumentError("texts that are written have no probabilities; predict gives them.")

    def decode(self, logits: np.ndarray) -> list[Any]:
        return [one.text for one in logits]

    def decode_targets(self, targets: np.ndarray) -> list[Any]:
        return list(targets)

    def example_losses(self, logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Returns the mean loss of each text's tokens, float64 [texts]."""
        return np.array([one.loss / max(one.count, 1) for one in logits], "float64")

    def describe(self, example: Any, true: Any, predicted: Any) -> tuple[str, list[str]]:
        lines = [f"read: {example}", f"true: {true}", f"written: {predicted}"]
        return f"{len(predicted):,} characters written", lines

    def report(self, logits: np.ndarray, targets: np.ndarray) -> Report:
        counts = max(sum(one.count for one in logits), 1)
        loss = sum(one.loss for one in logits) / counts
        metrics = {"loss": loss, "perplexity": float(np.exp(min(loss, 700.0)))}
        predicted, expected = self.decode(logits), [[text] for text in targets]
        names = self.measures
        if not all(map(is_installed, ("sacrebleu", "rouge_score"))):
            logger.warning(
                "%s are not measured: pip install 'ktlite[generation]'.", listing(self.measures)
            )
            names = ("exact_match",)
        metrics |= sequence_figures(predicted, expected, names=names).figures
        text = "\n".join(f"{name:>12} {value:10.4f}" for name, value in metrics.items())
        return Report(text, metrics, list(metrics.items()))

    def get_config(self) -> dict[str, Any]:
        return {"prefix": self.prefix, **self.options}

    def hf_config(self) -> dict[str, Any]:
        return {}


class Translation(Sequences):
    """Sentences to sentences of another language; measured by BLEU and chrF."""

    name = "translation"
    measures = ("bleu", "chrf")


class Summarization(Sequences):
    """Texts to short ones; measured by ROUGE."""

    name = "summarization"
    measures = ("rouge1", "rouge2", "rougeL")
