"""What the configs and tables of BERT's relatives have in common."""

from __future__ import annotations

from ktlite.errors import CheckpointError
from ktlite.models.config import ConfigReader
from ktlite.models.core.activations import ACTIVATIONS
from ktlite.models.core.spec import (
    AttentionSpec,
    FeedForwardSpec,
    HeadSpec,
    NormSpec,
    StackSpec,
)
from ktlite.models.mapping import Rule, dense, fused_dense, norm

SEQUENCE, CHOICE, TOKEN, SPAN, MASKED_LM, PRETRAINING, IMAGE, AUDIO, SPEECH = (
    "text-classification",
    "multiple-choice",
    "token-classification",
    "question-answering",
    "masked-lm",
    "pretraining",
    "image-classification",
    "audio-classification",
    "automatic-speech-recognition",
)
# Of images with texts.
ZERO_SHOT, IMAGE_TEXT, EMBEDDING = (
    "zero-shot-image-classification",
    "image-text-similarity",
    "sentence-embedding",
)


def expect_encoder(config: ConfigReader) -> None:
    """Refuses decoders and pruned models. Old files have these fields whatever the family."""
    config.expect("is_decoder", False)
    config.expect("add_cross_attention", False)
    config.expect("is_encoder_decoder", False)
    config.expect("pruned_heads", {})


def head_width(width: int, heads: int, names: tuple[str, str]) -> int:
    """Returns the width of a head of attention.

    Raises:
        CheckpointError: If the heads do not share the width evenly.
    """
    if width % heads:
        raise CheckpointError(
            f"config field {names[0]}={width} is not divisible by {names[1]}={heads}."
        )
    return width // heads


def encoder_spec(
    config: ConfigReader,
    *,
    width: int = 768,
    layers: int = 12,
    heads: int = 12,
    intermediate: int = 3072,
    activation: str = "gelu",
    dropout: float = 0.1,
    eps: float = 1e-12,
) -> StackSpec:
    """Reads BERT's fields for the encoder; the arguments are the family's defaults."""
    expect_encoder(config)
    width = config.size("hidden_size", width)
    heads = config.size("num_attention_heads", heads)
    hidden_dropout = config.get("hidden_dropout_prob", dropout)
    return StackSpec(
        layers=config.size("num_hidden_layers", layers),
        width=width,
        attention=AttentionSpec(
            heads=heads,
            head_width=head_width(width, heads, ("hidden_size", "num_attention_heads")),
            dropout=config.get("attention_probs_dropout_prob", dropout),
        ),
        feed_forward=FeedForwardSpec(
            width=config.size("intermediate_size", intermediate),
            activation=config.choice("hidden_act", activation, ACTIVATIONS),
        ),
        norm=NormSpec(eps=config.get("layer_norm_eps", eps)),
        attention_dropout=hidden_dropout,
        feed_forward_dropout=hidden_dropout,
    )


def head_specs(
    encoder: StackSpec,
    sequence: HeadSpec,
    *,
    choice: HeadSpec | None = None,
    token_dropout: float,
    lm_activation: str = "gelu",
) -> dict[str, HeadSpec]:
    """Returns the heads that all of BERT's relatives have; `choice` defaults to `sequence`."""
    return {
        SEQUENCE: sequence,
        CHOICE: choice or sequence,
        TOKEN: HeadSpec(dropout=token_dropout),
        SPAN: HeadSpec(),
        MASKED_LM: HeadSpec(activation=lm_activation, norm=encoder.norm),
    }


# The names of a block, theirs and ours.
BLOCK, OURS = ".encoder.layer.{i}", "encoder.blocks.{i}"


FEED_FORWARD_NAMES = (
    *dense(f"{OURS}.feed_forward.up", f"{BLOCK}.intermediate.dense"),
    *dense(f"{OURS}.feed_forward.down", f"{BLOCK}.output.dense"),
    *norm(f"{OURS}.feed_forward_norm", f"{BLOCK}.output.LayerNorm"),
)
BLOCK_NAMES = (
    *fused_dense(
        f"{OURS}.attention.qkv",
        [f"{BLOCK}.attention.self.{part}" for part in ("query", "key", "value")],
    ),
    *dense(f"{OURS}.attention.out", f"{BLOCK}.attention.output.dense"),
    *norm(f"{OURS}.attention_norm", f"{BLOCK}.attention.output.LayerNorm"),
    *FEED_FORWARD_NAMES,
)


def head_tables(
    sequence: tuple[Rule, ...],
    *,
    choice: tuple[Rule, ...] | None = None,
    transform: str,
    transform_norm: str,
    bias: str,
) -> dict[str, tuple[Rule, ...]]:
    """Returns the tables of `head_specs`; `bias` is the masked language model's last one."""
    return {
        SEQUENCE: sequence,
        CHOICE: choice or sequence,
        TOKEN: dense("head.classifier", "classifier"),
        SPAN: dense("head.classifier", "qa_outputs"),
        MASKED_LM: (
            *dense("head.dense", transform),
            *norm("head.norm", transform_norm),
            Rule("head.decoder.bias", bias),
        ),
    }


def architectures(name: str) -> dict[str | None, str]:
    """Returns PyTorch's classes by task, for a family whose classes start with `name`."""
    return {
        None: f"{name}Model",
        SEQUENCE: f"{name}ForSequenceClassification",
        CHOICE: f"{name}ForMultipleChoice",
        TOKEN: f"{name}ForTokenClassification",
        SPAN: f"{name}ForQuestionAnswering",
        MASKED_LM: f"{name}ForMaskedLM",
    }
