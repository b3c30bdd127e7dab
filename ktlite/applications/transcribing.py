"""Checkpoints that hear what is said, as they are."""

from __future__ import annotations

from typing import Any

from ktlite._arguments import checked, without_effect
from ktlite.applications.given import Model, as_predictor
from ktlite.tasks import SpeechRecognition, Transcription
from ktlite.text.transformer import MAXLEN


class Transcriber:
    """Writes down what is said in sounds, with a checkpoint as it is.

    Args:
        model_name: Checkpoint of Whisper, wav2vec 2.0 or HuBERT: its folder or Hub name; or a
            predictor of speech recognition, or its folder. Default: ktrain's.
        device: Accepted for ktrain's sake.

    Raises:
        CheckpointError: If the checkpoint cannot be used.
        ArgumentError: If it does something else.

    Example:
        >>> transcriber = text.Transcriber("openai/whisper-base")
        >>> transcriber.transcribe("meeting.wav", language="german")
    """

    @checked
    def __init__(
        self, model_name: Model = "facebook/wav2vec2-base-960h", device: Any = None
    ) -> None:
        without_effect("Transcriber", device=device)
        self.predictor = as_predictor(
            model_name, SpeechRecognition(), MAXLEN, (SpeechRecognition, Transcription)
        )

    @checked
    def transcribe(self, afiles: Any, batch_size: int = 32, **options: Any) -> Any:
        """Returns what is said in a file, or for a list of files a list.

        Args:
            afiles: A path, or whatever `predict` takes for a sound; or a list of these.
            batch_size: Sounds that the model hears at a time.
            **options: As `predict` takes them: `language="german"`, `return_timestamps=True`
                (Whisper), `num_beams=5`.
        """
        return self.predictor.predict(afiles, batch_size=batch_size, **options)

    def __repr__(self) -> str:
        return f"Transcriber: {self.predictor!r}"
