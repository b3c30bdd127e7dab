"""Texts of what is said in sounds, by models that hear a character in each frame (CTC)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ktlite._arguments import at_least_one, checked
from ktlite._logging import logger
from ktlite.encodings.encodings import Encodings
from ktlite.encodings.targets import IGNORE
from ktlite.errors import ArgumentError, DataError, Problems, listing, plural
from ktlite.generation.heard import search
from ktlite.inputs.characters import Characters
from ktlite.inputs.spelling import Spelling
from ktlite.tasks.arrays import log_softmax, ragged
from ktlite.tasks.ctc import IMPOSSIBLE, ctc_loss, negative_log_likelihood
from ktlite.tasks.error_rates import count_errors, error_rates
from ktlite.tasks.task import Report, Task
from ktlite.tasks.transcription import Transcription
from ktlite.tasks.writing import as_lines

_TOLD = 5  # clips that are named


class SpeechRecognition(Task):
    """The text of what is said, character by character (wav2vec 2.0 and HuBERT with CTC).

    `task="automatic-speech-recognition"` is this task for checkpoints that spell what they hear.
    Their characters are those of the checkpoint's `vocab.json`; of a checkpoint without one, those
    of the training texts. Measured are word and character error rate (`ktlite[sound]`), of the
    texts as they are, which are not normalised: case and punctuation count, white space does not.

    Args:
        characters: A vocabulary of one's own, though the checkpoint may have one: all characters
            of the texts. Words are told apart in any case.
        num_beams: Texts that are searched for the likeliest. 1: the likeliest character of each
            frame, which takes no time. Also an option of `predict`.
        ctc_loss_reduction: `"mean"`: the loss of each text is divided by its length; `"sum"`: it is
            not. What a batch adds to the gradient is a mean over its texts in both. Default: as the
            checkpoint's config says, which is `"sum"` where it says nothing.
        ctc_zero_infinity: Whether texts that are longer than their sounds have frames count
            nothing; else they are refused. Default: as the checkpoint's config says, which is that
            they are.
        learned: Whether `characters` are those of training texts, for checkpoints that have none.

    Raises:
        ArgumentError: If an argument makes no sense.

    Example:
        >>> learner = ktlite.get_learner("facebook/wav2vec2-base-960h", "clips.csv",
        ...     text_column="file", label_columns="text", task="automatic-speech-recognition")
        >>> learner.get_predictor().predict("meeting.wav")
        'GOOD MORNING'
    """

    name = "automatic-speech-recognition"
    head = "automatic-speech-recognition"
    labels_are_texts = True

    def __init__(
        self,
        characters: Sequence[str] = (),
        num_beams: int = 1,
        ctc_loss_reduction: str | None = None,
        ctc_zero_infinity: bool | None = None,
        learned: bool = False,
    ) -> None:
        problems = Problems("SpeechRecognition")
        at_least_one(problems, num_beams=num_beams)
        problems.choice("ctc_loss_reduction", ctc_loss_reduction, [None, "sum", "mean"])
        problems.choice("ctc_zero_infinity", ctc_zero_infinity, [None, True, False])
        long = [one for one in characters if not isinstance(one, str) or len(one) != 1]
        problems.add_unless(
            not long,
            f"characters has {listing(map(repr, long[:5]))}; expected single ones: a string of "
            "them all, or a list.",
        )
        problems.raise_if_any()
        self.characters = sorted({one for one in characters if not one.isspace()})
        self.num_beams = num_beams
        self.ctc_loss_reduction, self.ctc_zero_infinity = ctc_loss_reduction, ctc_zero_infinity
        self.learned = learned
        self._spelling: Spelling | None = None

    @classmethod
    def from_labels(
        cls, labels: Any, class_names: Sequence[Any] = (), source: str = "labels"
    ) -> SpeechRecognition:
        return cls(sorted({one for text in _texts(labels, source) for one in text}), learned=True)

    @property
    def spelling(self) -> Spelling:
        """How the model spells what it hears.

        Raises:
            ArgumentError: If no checkpoint is known yet.
        """
        if self._spelling is None:
            raise ArgumentError(
                f"a {self.name} task has no vocabulary before it is used with a checkpoint."
            )
        return self._spelling

    @property
    def vocabulary(self) -> Characters:
        """The characters with their numbers; raises as `spelling` does."""
        found = self.spelling.vocabulary
        assert found is not None
        return found

    @property
    def outputs(self) -> int:
        return 0 if self._spelling is None else len(self.vocabulary)

    def for_input(self, input: Any) -> Task:
        """Returns the task of models that write what they hear, where it is such a model."""
        if getattr(input, "transcripts", None) is None or (self.characters and not self.learned):
            return self
        return Transcription()

    def prepared(self, input: Any) -> Any:
        """Returns an input with the vocabulary of this task.

        Raises:
            ArgumentError: If the model spells nothing, or there are no characters to be spelled.
        """
        spelling: Spelling | None = getattr(input, "spelling", None)
        if spelling is None:
            raise ArgumentError(
                f"an {self.name} task with a vocabulary of characters is of models that spell what "
                "they hear, such as wav2vec 2.0 and HuBERT; this model reads "
                f"{input.noun}s and spells nothing."
            )
        if spelling.vocabulary is None or (self.characters and not self.learned):
            if not self.characters:
                raise ArgumentError(
                    "the checkpoint has no vocabulary (vocab.json): give the characters of the "
                    "texts, task=ktlite.tasks.SpeechRecognition(characters), or let "
                    f"task={self.name!r} learn them from the training texts."
                )
            spelling = spelling.of_texts(self.characters)
        self._spelling = spelling
        made = copy.copy(input)
        made.spelling = spelling
        return made

    @property
    def zero_infinity(self) -> bool:
        """Whether texts that are longer than their sounds have frames count nothing."""
        said = self.ctc_zero_infinity
        return self.spelling.zero_infinity if said is None else said

    @property
    def reduction(self) -> str:
        """Whether the loss of a text is divided by its length (`"mean"`) or not (`"sum"`)."""
        return self.ctc_loss_reduction or self.spelling.reduction

    def encode(self, labels: Any, source: str = "labels") -> np.ndarray:
        """Returns the numbers of the characters of texts, ragged, int32 [characters] each."""
        texts = _texts(labels, source)
        self.vocabulary.check(texts, source)
        return ragged([self.vocabulary.numbers(text) for text in texts])

    def with_targets(self, encodings: Encodings, targets: np.ndarray, input: Any) -> Encodings:
        """Says which sounds are too short for their texts.

        Raises:
            DataError: If there are some, and `ctc_zero_infinity` is not set.
        """
        frames = self.spelling.frames(encodings.lengths)
        needed = np.array([len(one) + (one[1:] == one[:-1]).sum() for one in targets])
        short = np.flatnonzero(needed > frames)
        if not len(short):
            return encodings
        told = "; ".join(
            f"number {one}: {needed[one]} frames for {self.vocabulary.text(targets[one])!r:.40}, "
            f"{frames[one]} there"
            for one in short[:_TOLD]
        )
        what = (
            f"{len(short)} of {plural(len(targets), 'sound')} are too short for what is said to be "
            f"spoken in them ({told})"
        )
        if not self.zero_infinity:
            raise DataError(
                f"{what}. Leave them out or mend their texts; or let them count nothing, "
                "task=ktlite.tasks.SpeechRecognition(ctc_zero_infinity=True)."
            )
        logger.warning("%s. They count nothing in training.", what)
        return encodings

    def align(self, targets: np.ndarray, encodings: Encodings, rows: np.ndarray) -> np.ndarray:
        """Returns int32 [batch, length], the numbers of the texts, `IGNORE` behind them."""
        chosen = super().align(targets, encodings, rows)
        filled = np.full((len(chosen), max([1, *map(len, chosen)])), IGNORE, "int32")
        for line, numbers in zip(filled, chosen, strict=True):
            line[: len(numbers)] = numbers
        return filled

    def reduce(
        self, outputs: Any, targets: Any, inputs: Mapping[str, np.ndarray]
    ) -> tuple[np.ndarray, Any]:
        """Takes away frames of padding, for which the head says the blank for certain."""
        others = np.delete(outputs, self.vocabulary.blank_number, axis=-1)
        counts = (others > IMPOSSIBLE).any(axis=-1).sum(axis=1)
        return ragged([row[:count] for row, count in zip(outputs, counts, strict=True)]), None

    def loss(self) -> Any:
        return ctc_loss(self.vocabulary.blank_number, self.reduction, self.zero_infinity)

    def metrics(self) -> list[Any]:
        return []

    @checked
    def predict(
        self,
        examples: Any,
        run: Callable[..., np.ndarray],
        return_proba: bool = False,
        *,
        num_beams: int | None = None,
    ) -> Any:
        """Returns the text of each.

        Args:
            examples: One sound, or many.
            run: Turns a list of sounds into logits.
            return_proba: There are no probabilities of texts.
            num_beams: In place of the task's own.
        """
        if return_proba:
            self.probabilities(np.zeros(0))
        many, single = self.as_list(examples)
        task = self.asking({} if num_beams is None else {"num_beams": num_beams})
        texts = task.decode(run(many))
        return texts[0] if single else texts

    def asking(self, options: Mapping[str, Any]) -> Task:
        if not options:
            return self
        made = type(self)(**{**self.get_config(), **options})
        made._spelling = self._spelling
        return made

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        raise ArgumentError("texts that are heard have no probabilities; predict gives them.")

    def decode(self, logits: np.ndarray) -> list[Any]:
        if self.num_beams == 1:
            return [self.vocabulary.heard(np.asarray(row)) for row in logits]
        blank, beams = self.vocabulary.blank_number, self.num_beams
        return [self.vocabulary.text(search(log_softmax(row), blank, beams)) for row in logits]

    def decode_targets(self, targets: np.ndarray) -> list[Any]:
        return [self.vocabulary.text(row) for row in targets]

    def example_losses(self, logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Returns the loss of each text, float64."""
        blank = self.vocabulary.blank_number
        losses = np.array(
            [
                negative_log_likelihood(np.asarray(row), numbers, blank)
                / (max(len(numbers), 1) if self.reduction == "mean" else 1)
                for row, numbers in zip(logits, targets, strict=True)
            ],
            "float64",
        )
        return np.where(np.isfinite(losses) | (not self.zero_infinity), losses, 0.0)

    def describe(self, example: Any, true: Any, predicted: Any) -> tuple[str, list[str]]:
        return f"{len(predicted):,} characters heard", [f"true:  {true}", f"heard: {predicted}"]

    def report(self, logits: np.ndarray, targets: np.ndarray) -> Report:
        metrics = self.figures(self.measure(logits, targets))
        return Report(as_lines(metrics), metrics, list(metrics.items()))

    def measure(self, logits: np.ndarray, targets: np.ndarray) -> dict[str, np.ndarray]:
        errors = count_errors(self.decode_targets(targets), self.decode(logits))
        return {"losses": self.example_losses(logits, targets), **errors}

    def figures(self, measured: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Returns the mean loss, and word and character error rate."""
        return {"loss": float(measured["losses"].mean()), **error_rates(measured)}

    def check_explained(self) -> None:
        raise ArgumentError(
            f"explain: {self.name} gives texts, and what moved a text is not explained; explain "
            "is for predictions that have a score: of classes or values."
        )

    def get_config(self) -> dict[str, Any]:
        return {
            "characters": self.characters,
            "num_beams": self.num_beams,
            "ctc_loss_reduction": self.ctc_loss_reduction,
            "ctc_zero_infinity": self.ctc_zero_infinity,
            "learned": self.learned,
        }

    def hf_config(self) -> dict[str, Any]:
        return {
            "vocab_size": len(self.vocabulary),
            "pad_token_id": self.vocabulary.blank_number,
            "ctc_loss_reduction": self.reduction,
            "ctc_zero_infinity": self.zero_infinity,
        }


def _texts(labels: Any, source: str) -> list[str]:
    """Returns labels that are one text each.

    Raises:
        DataError: If they are not.
    """
    values = np.asarray(labels, dtype=object)
    wrong = [value for value in values.ravel() if not isinstance(value, str)]
    if values.ndim == 1 and not wrong:
        return list(values)
    first = f"{wrong[0]!r:.40} of type {type(wrong[0]).__name__}" if wrong else values.shape
    raise DataError(f"{source}: expected the text of each sound; got {first}.")
