"""The text of what is said in sounds, by models that write it (Whisper)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ktlite._logging import logger
from ktlite.encodings.encodings import Encodings
from ktlite.encodings.joined import JoinedEncodings
from ktlite.errors import ArgumentError
from ktlite.inputs.transcripts import OPEN, TASKS, HeardEncodings, Transcripts
from ktlite.tasks.error_rates import count_errors, error_rates
from ktlite.tasks.sequences import DECODER
from ktlite.tasks.task import Report
from ktlite.tasks.writing import LABELS, Writing, as_lines


class Transcription(Writing):
    """What is said in a sound, written by a decoder that hears it (Whisper).

    `task="automatic-speech-recognition"` is this task for checkpoints that write. Measured are word
    and character error rate (`ktlite[sound]`) beside the likelihood of the true texts.

    Args:
        language: Of what is said, in checkpoints of several: `"de"`, `"german"` or `"<|de|>"`.
            Default: the model finds it for each sound; texts to learn from are English then. Also
            an option of `predict`.
        task: `"transcribe"`, or `"translate"` into English. Also an option of `predict`.
        **options: How to search, in the names of `transformers`: `num_beams`, `max_new_tokens`,
            `no_repeat_ngram_size`, ... Default: as the checkpoint says.

    Raises:
        ArgumentError: If an option makes no sense; that a checkpoint does not have a language is
            said when it is used with one.

    Example:
        >>> learner = ktlite.get_learner("openai/whisper-tiny", "clips.csv", text_column="path",
        ...     label_columns="text", task=ktlite.tasks.Transcription(language="german"))
        >>> learner.get_predictor().predict("meeting.wav", num_beams=5)
        'Guten Morgen.'
    """

    name = "transcription"
    head = "automatic-speech-recognition"
    strips = True

    def __init__(self, language: str | None = None, task: str = TASKS[0], **options: Any) -> None:
        super().__init__(**options)
        self.language, self.task = language, task

    @classmethod
    def from_labels(
        cls, labels: Any, class_names: Sequence[Any] = (), source: str = "labels"
    ) -> Transcription:
        return cls()

    def prepared(self, input: Any) -> Any:
        self._transcripts(input).check(self.language, self.task)
        return input

    def _transcripts(self, input: Any) -> Transcripts:
        found: Transcripts | None = getattr(input, "transcripts", None)
        if found is None:
            raise ArgumentError(
                f"a {self.name} task is of models that hear sounds and write texts, such as "
                f"Whisper; this model reads {input.noun}s and writes none. Of wav2vec 2.0 and "
                "HuBERT it is task='automatic-speech-recognition'."
            )
        return found

    def tokenize(self, examples: Sequence[Any], tokenizer: Any, verbose: int = 0) -> Encodings:
        transcripts = self._transcripts(tokenizer)
        prompt = transcripts.prompt(self.language, self.task)
        return HeardEncodings.of(tokenizer.encode(examples, verbose=verbose), transcripts, prompt)

    def with_targets(self, encodings: Encodings, targets: np.ndarray, input: Any) -> Encodings:
        """Puts the tokens that are to be written beside the sounds."""
        transcripts = self._transcripts(input)
        if transcripts.languages and self.language is None:
            logger.warning(
                "the checkpoint knows %d languages, and none is said: the texts are taken for "
                "English. task=ktlite.tasks.Transcription(language=...) says another.",
                len(transcripts.languages),
            )
            self.language = "en"
        prompt = transcripts.prompt(self.language, self.task)
        assert isinstance(encodings, HeardEncodings)
        heard = HeardEncodings.of(encodings, transcripts, prompt)
        return JoinedEncodings({"": heard, DECODER: transcripts.encode(targets.tolist(), prompt)})

    def align(self, targets: np.ndarray, encodings: Encodings, rows: np.ndarray) -> np.ndarray:
        """Returns int32 [batch, length], the tokens to be written, `IGNORE` behind them."""
        assert isinstance(encodings, JoinedEncodings)
        return encodings.parts[DECODER].batch(rows)[LABELS]

    def scored(self, inputs: Mapping[str, np.ndarray], targets: np.ndarray) -> dict[str, Any]:
        given = {name: array for name, array in inputs.items() if name != DECODER + LABELS}
        return {**given, LABELS: targets}

    def read(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns the sounds, with what each text begins with."""
        heard = {k: v for k, v in super().read(inputs).items() if not k.startswith(DECODER)}
        return self._heard.begun(heard)

    @property
    def _heard(self) -> HeardEncodings:
        assert isinstance(self._sources, HeardEncodings)  # of a task that is bound
        return self._sources

    def _search(self) -> dict[str, Any]:
        found = super()._search()
        if OPEN in self._heard.prompt:
            found["among"] = tuple(self._heard.transcripts.languages.values())
        return found

    def sources(self, encodings: Encodings) -> HeardEncodings:
        found = encodings.parts[""] if isinstance(encodings, JoinedEncodings) else encodings
        assert isinstance(found, HeardEncodings)
        return found

    def describe(self, example: Any, true: Any, predicted: Any) -> tuple[str, list[str]]:
        return f"{len(predicted):,} characters written", [f"true:  {true}", f"heard: {predicted}"]

    def report(self, logits: np.ndarray, targets: np.ndarray) -> Report:
        metrics = self.figures(self.measure(logits, targets))
        return Report(as_lines(metrics), metrics, list(metrics.items()))

    def measure(self, logits: np.ndarray, targets: np.ndarray) -> dict[str, np.ndarray]:
        errors = count_errors(self.decode_targets(targets), self.decode(logits))
        return {"logits": logits, **errors}

    def figures(self, measured: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Returns the likelihood of the true texts, and word and character error rate."""
        return {**self.likelihood(measured["logits"]), **error_rates(measured)}

    def get_config(self) -> dict[str, Any]:
        said = {} if self.language is None else {"language": self.language}
        return {"task": self.task, **said, **super().get_config()}
