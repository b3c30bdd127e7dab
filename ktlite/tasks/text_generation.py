"""Texts that go on: a decoder alone writes what follows a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ktlite.encodings.encodings import Encodings
from ktlite.encodings.targets import ContinuedEncodings, PromptEncodings
from ktlite.errors import ArgumentError
from ktlite.inputs.chats import CONTENT, ROLE, is_chat
from ktlite.inputs.sequences import encode_continued, encode_prompts
from ktlite.tasks.task import Report
from ktlite.tasks.writing import LABELS, Writing, as_lines


class TextGeneration(Writing):
    """What follows a text, written by a decoder alone (GPT-2, Llama, Qwen).

    It learns from texts as they are; from prompts with what is to follow, where the tokens of the
    prompt do not count in the loss; or from chats, where those of the assistant's messages count.

    Args:
        **options: How to search, in the names of `transformers`: `max_new_tokens`, `do_sample`,
            `temperature`, ... Default: as the checkpoint says.

    Example:
        >>> learner = ktlite.get_learner("HuggingFaceTB/SmolLM2-135M", frame, lora=16,
        ...     text_column="question", label_columns="answer", task="text-generation")
    """

    name = "text-generation"
    head = "text-generation"
    reads = "continued"
    writes_to_measure = False
    takes_chats = True

    @classmethod
    def from_labels(
        cls, labels: Any, class_names: Sequence[Any] = (), source: str = "labels"
    ) -> TextGeneration:
        return cls()

    def tokenize(self, examples: Sequence[Any], tokenizer: Any, verbose: int = 0) -> Encodings:
        if tokenizer.stride is not None:
            raise ArgumentError(
                "window= does not go with task='text-generation': what is longer than maxlen is "
                "cut. Cut long texts into several before."
            )
        return encode_prompts(tokenizer, examples)

    def as_list(self, examples: Any) -> tuple[list[Any], bool]:
        if is_chat(examples):
            return [examples], True
        return super().as_list(examples)

    def with_targets(self, encodings: Encodings, targets: np.ndarray, input: Any) -> Encodings:
        """Puts what is to follow behind the prompts."""
        assert isinstance(encodings, PromptEncodings)
        return encode_continued(input, encodings, targets.tolist())

    def align(self, targets: np.ndarray, encodings: Encodings, rows: np.ndarray) -> np.ndarray:
        """Returns int32 [batch, length], what follows each token, `IGNORE` where it is given."""
        assert isinstance(encodings, ContinuedEncodings)
        return encodings.batch(rows)[LABELS]

    def describe(self, example: Any, true: Any, predicted: Any) -> tuple[str, list[str]]:
        if is_chat(example):
            example = " ".join(f"{message[ROLE]}: {message[CONTENT]}" for message in example)
        return "to be written", [f"given: {example}", f"written: {true}"] if true else [example]

    def report(self, logits: np.ndarray, targets: np.ndarray) -> Report:
        metrics = self.likelihood(logits)
        return Report(as_lines(metrics), metrics, list(metrics.items()))
