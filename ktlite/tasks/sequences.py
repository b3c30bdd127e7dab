"""Texts to texts: translation, summaries, and whatever else is written of what is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from ktlite._extras import is_installed
from ktlite._logging import logger
from ktlite.encodings.encodings import Encodings
from ktlite.encodings.joined import JoinedEncodings
from ktlite.encodings.targets import Spells
from ktlite.errors import listing
from ktlite.inputs.sequences import encode_sources, encode_targets
from ktlite.tasks.sequence_figures import sequence_figures
from ktlite.tasks.task import Report
from ktlite.tasks.writing import LABELS, Writing, as_lines

DECODER = "decoder_"


class Sequences(Writing):
    """A text for each text, written by a decoder that has an encoder (T5, BART, Marian).

    Args:
        prefix: What each text begins with for the model, such as `"summarize: "`.
        src_lang: The language of texts that are read, for checkpoints of several (mBART, M2M100,
            NLLB): its code there, such as `"eng_Latn"`. Default: as their files say. Also an
            option of `predict`.
        tgt_lang: The language of texts to be written; also for Marian's.
        **options: How to search, in the names of `transformers`: `num_beams`, `max_new_tokens`,
            `length_penalty`, ... Default: as the checkpoint says.

    Example:
        >>> learner = ktlite.get_learner("t5-small", pairs, text_column="en", label_columns="de",
        ...     task=Translation(prefix="translate English to German: ", num_beams=4))
    """

    name = "text2text-generation"
    head = "text2text-generation"
    strips = True
    #: What `report` measures; names of `ktlite.tasks.sequence_figures.FIGURES`.
    measures: ClassVar[tuple[str, ...]] = ("chrf", "exact_match")

    def __init__(
        self,
        prefix: str = "",
        src_lang: str | None = None,
        tgt_lang: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.prefix = prefix
        self.src_lang, self.tgt_lang = src_lang, tgt_lang
        # Options that say in what language, of the tokenizer that was prepared last.
        self._first: dict[str, int] = {}

    @classmethod
    def from_labels(
        cls, labels: Any, class_names: Sequence[Any] = (), source: str = "labels"
    ) -> Sequences:
        return cls()

    def prepared(self, input: Any) -> Any:
        """Returns a tokenizer of texts in the languages of this task.

        Raises:
            ArgumentError: If the checkpoint does not have them, or they must be given.
        """
        spoken = input.in_languages(self.src_lang, self.tgt_lang)
        self._first = spoken.first_options
        return spoken

    @property
    def searches(self) -> dict[str, Any]:
        return {**self._first, **super().searches}

    def tokenize(self, examples: Sequence[Any], tokenizer: Any, verbose: int = 0) -> Encodings:
        tokenizer = self.prepared(tokenizer)
        texts = [self.prefix + text for text in examples] if self.prefix else examples
        return encode_sources(tokenizer, texts, verbose)

    def with_targets(self, encodings: Encodings, targets: np.ndarray, input: Any) -> Encodings:
        """Puts the tokens that are to be written beside those that are read."""
        written = encode_targets(self.prepared(input), targets.tolist())
        return JoinedEncodings({"": encodings, DECODER: written})

    def align(self, targets: np.ndarray, encodings: Encodings, rows: np.ndarray) -> np.ndarray:
        """Returns int32 [batch, length], the tokens to be written, `IGNORE` behind them."""
        assert isinstance(encodings, JoinedEncodings)
        return encodings.parts[DECODER].batch(rows)[LABELS]

    def scored(self, inputs: Mapping[str, np.ndarray], targets: np.ndarray) -> dict[str, Any]:
        given = {name: array for name, array in inputs.items() if name != DECODER + LABELS}
        return {**given, LABELS: targets}

    def read(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        read = super().read(inputs)
        return {name: array for name, array in read.items() if not name.startswith(DECODER)}

    def sources(self, encodings: Encodings) -> Spells:
        found = encodings.parts[""] if isinstance(encodings, JoinedEncodings) else encodings
        return super().sources(found)

    def describe(self, example: Any, true: Any, predicted: Any) -> tuple[str, list[str]]:
        lines = [f"read: {example}", f"true: {true}", f"written: {predicted}"]
        return f"{len(predicted):,} characters written", lines

    def report(self, logits: np.ndarray, targets: np.ndarray) -> Report:
        metrics = self.likelihood(logits)
        predicted, expected = self.decode(logits), [[text] for text in targets]
        names = self.measures
        if not all(map(is_installed, ("sacrebleu", "rouge_score"))):
            logger.warning(
                "%s are not measured: pip install 'ktlite[generation]'.", listing(self.measures)
            )
            names = ("exact_match",)
        metrics |= sequence_figures(predicted, expected, names=names).figures
        return Report(as_lines(metrics), metrics, list(metrics.items()))

    def get_config(self) -> dict[str, Any]:
        languages = {"src_lang": self.src_lang, "tgt_lang": self.tgt_lang}
        said = {name: code for name, code in languages.items() if code is not None}
        return {"prefix": self.prefix, **said, **super().get_config()}


class Translation(Sequences):
    """Sentences to sentences of another language; measured by BLEU and chrF."""

    name = "translation"
    measures = ("bleu", "chrf")


class Summarization(Sequences):
    """Texts to short ones; measured by ROUGE."""

    name = "summarization"
    measures = ("rouge1", "rouge2", "rougeL")
