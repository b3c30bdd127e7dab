"""The text of what is said in sounds, by models that write it (Whisper)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ktlite._logging import logger
from ktlite.encodings.encodings import Encodings
from ktlite.encodings.joined import JoinedEncodings
from ktlite.errors import ArgumentError
from ktlite.generation import StopStrings
from ktlite.inputs.heard import HeardEncodings
from ktlite.inputs.transcripts import OPEN, TASKS, Segment, Transcripts
from ktlite.tasks.arrays import ragged
from ktlite.tasks.error_rates import count_errors, error_rates
from ktlite.tasks.sequences import DECODER
from ktlite.tasks.task import Report
from ktlite.tasks.writing import LABELS, Writing, Written, as_lines


@dataclass(frozen=True)
class Heard(Written):
    """What a model has written of one sound.

    Args:
        segments: Its parts, as (begin, end, text), in seconds; none: without times.
    """

    segments: tuple[Segment, ...] = ()


class Transcription(Writing):
    """What is said in a sound, written by a decoder that hears it (Whisper).

    `task="automatic-speech-recognition"` is this task for checkpoints that write. Measured are word
    and character error rate (`ktlite[sound]`) beside the likelihood of the true texts.

    Args:
        language: Of what is said, in checkpoints of several: `"de"`, `"german"` or `"<|de|>"`.
            Default: the model finds it for each sound; texts to learn from are English then. Also
            an option of `predict`.
        task: `"transcribe"`, or `"translate"` into English. Also an option of `predict`.
        return_timestamps: Whether a prediction is a list of (begin, end, text), in seconds, and not
            one text. Also an option of `predict`.
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

    def __init__(
        self,
        language: str | None = None,
        task: str = TASKS[0],
        return_timestamps: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.language, self.task, self.return_timestamps = language, task, return_timestamps

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
        prompt = transcripts.prompt(self.language, self.task, self.return_timestamps)
        sounds = tokenizer.encode(examples, verbose=verbose)
        heard = HeardEncodings.of(sounds, transcripts, prompt)
        return heard.in_parts(tokenizer.seconds_of(examples)) if tokenizer.hears_all else heard

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
        heard = replace(encodings.first_parts(), prompt=prompt)
        if len(heard) < len(encodings):
            logger.warning(
                "some sounds are longer than %g seconds: of each of them, the first part alone is "
                "learned and judged. Cut them, and their texts.", heard.seconds,
            )  # fmt: skip
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
        if self.return_timestamps:
            found["rules"] = [self._heard.transcripts.times_rule()]
        if OPEN in self._heard.prompt:
            found["among"] = tuple(self._heard.transcripts.languages.values())
        return found

    def sources(self, encodings: Encodings) -> HeardEncodings:
        found = encodings.parts[""] if isinstance(encodings, JoinedEncodings) else encodings
        assert isinstance(found, HeardEncodings)
        return found

    def join(self, outputs: np.ndarray, encodings: Encodings) -> np.ndarray:
        """Puts the texts of a sound's parts one behind the other."""
        heard = self.sources(encodings)
        whole: list[list[int]] = [[] for _ in range(len(heard))]
        for row in range(len(heard)):
            whole[heard.example(row)].append(row)
        return ragged([self._whole(outputs, rows, heard) for rows in whole if rows])

    def _whole(self, outputs: np.ndarray, rows: list[int], heard: HeardEncodings) -> Heard:
        parts = [outputs[row] for row in rows]
        stops = StopStrings(parts[0].stops, heard.decode)
        times: list[Segment] = []
        if self.return_timestamps:
            for row, part in zip(rows, parts, strict=True):
                times += heard.transcripts.segments(part.ids, *heard.ends[row])
        return Heard(
            np.concatenate([part.ids for part in parts]),
            loss=sum(part.loss for part in parts),
            count=sum(part.count for part in parts),
            right=sum(part.right for part in parts),
            text="".join(stops.cut(heard.decode(part.ids)) for part in parts).strip(),
            segments=tuple(times),
        )

    def decode(self, logits: np.ndarray) -> list[Any]:
        if self.return_timestamps:
            return [list(one.segments) for one in logits]
        return super().decode(logits)

    def describe(self, example: Any, true: Any, predicted: Any) -> tuple[str, list[str]]:
        return f"{len(predicted):,} characters written", [f"true:  {true}", f"heard: {predicted}"]

    def report(self, logits: np.ndarray, targets: np.ndarray) -> Report:
        metrics = self.figures(self.measure(logits, targets))
        return Report(as_lines(metrics), metrics, list(metrics.items()))

    def measure(self, logits: np.ndarray, targets: np.ndarray) -> dict[str, np.ndarray]:
        errors = count_errors(self.decode_targets(targets), [one.text for one in logits])
        return {"logits": logits, **errors}

    def figures(self, measured: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Returns the likelihood of the true texts, and word and character error rate."""
        return {**self.likelihood(measured["logits"]), **error_rates(measured)}

    def get_config(self) -> dict[str, Any]:
        said = {} if self.language is None else {"language": self.language}
        times = {"return_timestamps": True} if self.return_timestamps else {}
        return {"task": self.task, **said, **times, **super().get_config()}
