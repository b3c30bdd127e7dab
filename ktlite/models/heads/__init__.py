"""What stands on top of the last tower, one class a kind of task.

A head takes the hidden states [batch, length, width] and returns float32
logits, whatever precision the encoder computes in.
"""

from __future__ import annotations

from ktlite.errors import ArgumentError, did_you_mean, listing
from ktlite.models.heads.contrastive import (
    IMAGE_TEXT,
    ZERO_SHOT_IMAGE,
    ContrastiveEmbedding,
    ContrastiveHead,
    ContrastivePairs,
)
from ktlite.models.heads.head import Head
from ktlite.models.heads.language import (
    LanguageHead,
    MaskedLMHead,
    PretrainingHead,
    Seq2SeqHead,
    TranscriptHead,
    gather_tokens,
)
from ktlite.models.heads.pooled import (
    EMBEDDING,
    AudioHead,
    ChoiceHead,
    DistilledImageHead,
    EmbeddingHead,
    FirstTwoHead,
    ImageHead,
    SequenceHead,
)
from ktlite.models.heads.tokens import CTCHead, DiscriminatorHead, SpanHead, TokenHead

__all__ = [
    "ALIASES",
    "EMBEDDING",
    "HEADS",
    "ZERO_SHOT_IMAGE",
    "ChoiceHead",
    "Head",
    "LanguageHead",
    "MaskedLMHead",
    "gather_tokens",
    "get_head",
]

HEADS: dict[str, type[Head]] = {
    "text-classification": SequenceHead,
    "token-classification": TokenHead,
    "question-answering": SpanHead,
    "multiple-choice": ChoiceHead,
    EMBEDDING: EmbeddingHead,
    "image-classification": ImageHead,
    "audio-classification": AudioHead,
    "automatic-speech-recognition": CTCHead,
    "masked-lm": MaskedLMHead,
    "pretraining": PretrainingHead,
    "text-generation": LanguageHead,
    "text2text-generation": Seq2SeqHead,
    "transcript": TranscriptHead,
    "discriminator": DiscriminatorHead,
    "distilled": DistilledImageHead,
    "first two": FirstTwoHead,
    ZERO_SHOT_IMAGE: ContrastiveHead,
    IMAGE_TEXT: ContrastivePairs,
    "contrastive-embedding": ContrastiveEmbedding,
}


def get_head(kind: str) -> type[Head]:
    """Returns the head class for a Hugging Face task name, or for the `kind` of a `HeadSpec`.

    Raises:
        ArgumentError: If there is none of that name.
    """
    if kind not in HEADS:
        raise ArgumentError(
            f"task={kind!r} has no head; known are {listing(HEADS)}.{did_you_mean(kind, HEADS)}"
        )
    return HEADS[kind]


#: Other names of tasks, which say what for and not how.
ALIASES = {"translation": "text2text-generation", "summarization": "text2text-generation"}
