"""BERT (Devlin et al., 2018, arXiv:1810.04805), and the many checkpoints shaped like it."""

from __future__ import annotations

from ktlite.errors import CheckpointError
from ktlite.models.config import ConfigReader
from ktlite.models.core.activations import ACTIVATIONS
from ktlite.models.core.spec import (
    AttentionSpec,
    EmbeddingSpec,
    EncoderSpec,
    FeedForwardSpec,
    ModelSpec,
    NormSpec,
    SequenceHeadSpec,
)
from ktlite.models.families.family import Family
from ktlite.models.mapping import dense, embedding, fused_dense, norm


def spec(config: ConfigReader) -> ModelSpec:
    config.expect("position_embedding_type", "absolute")
    config.expect("is_decoder", False)
    config.expect("add_cross_attention", False)
    config.expect("is_encoder_decoder", False)
    config.expect("pruned_heads", {})
    width = config.size("hidden_size", 768)
    heads = config.size("num_attention_heads", 12)
    if width % heads:
        raise CheckpointError(
            f"config field hidden_size={width} is not divisible by num_attention_heads={heads}."
        )
    dropout = config.get("hidden_dropout_prob", 0.1)
    eps = config.get("layer_norm_eps", 1e-12)
    return ModelSpec(
        embeddings=EmbeddingSpec(
            vocab_size=config.size("vocab_size", 30522),
            width=width,
            max_positions=config.size("max_position_embeddings", 512),
            type_vocab_size=config.size("type_vocab_size", 2),
            dropout=dropout,
        ),
        encoder=EncoderSpec(
            layers=config.size("num_hidden_layers", 12),
            width=width,
            attention=AttentionSpec(
                heads=heads,
                head_width=width // heads,
                dropout=config.get("attention_probs_dropout_prob", 0.1),
            ),
            feed_forward=FeedForwardSpec(
                width=config.size("intermediate_size", 3072),
                activation=config.choice("hidden_act", "gelu", ACTIVATIONS),
            ),
            norm=NormSpec(eps=eps),
            dropout=dropout,
        ),
        sequence_head=SequenceHeadSpec(
            activation="tanh", dropout=config.get("classifier_dropout", dropout)
        ),
        initializer_range=config.get("initializer_range", 0.02),
    )


_BLOCK, _OURS = ".encoder.layer.{i}", "encoder.blocks.{i}"

NAMES = (
    embedding("embeddings.word", ".embeddings.word_embeddings"),
    embedding("embeddings.position", ".embeddings.position_embeddings"),
    embedding("embeddings.token_type", ".embeddings.token_type_embeddings"),
    *norm("embeddings.norm", ".embeddings.LayerNorm"),
    *fused_dense(
        f"{_OURS}.attention.qkv",
        [f"{_BLOCK}.attention.self.{part}" for part in ("query", "key", "value")],
    ),
    *dense(f"{_OURS}.attention.out", f"{_BLOCK}.attention.output.dense"),
    *norm(f"{_OURS}.attention_norm", f"{_BLOCK}.attention.output.LayerNorm"),
    *dense(f"{_OURS}.feed_forward.up", f"{_BLOCK}.intermediate.dense"),
    *dense(f"{_OURS}.feed_forward.down", f"{_BLOCK}.output.dense"),
    *norm(f"{_OURS}.feed_forward_norm", f"{_BLOCK}.output.LayerNorm"),
)

HEADS = {
    "text-classification": (
        *dense("head.pooler", ".pooler.dense"),
        *dense("head.classifier", "classifier"),
    ),
}

FAMILY = Family(
    model_types=("bert",),
    spec=spec,
    prefixes=("bert.", ""),
    names=NAMES,
    heads=HEADS,
    architectures={None: "BertModel", "text-classification": "BertForSequenceClassification"},
    ignore=("*position_ids", "cls.*", "qa_outputs.*"),
)
