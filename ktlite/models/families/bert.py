"""BERT (Devlin et al., 2018, arXiv:1810.04805), and the many checkpoints shaped like it."""

from __future__ import annotations

from ktlite.models.config import ConfigReader
from ktlite.models.core.spec import EmbeddingSpec, HeadSpec, ModelSpec
from ktlite.models.families.family import Family
from ktlite.models.families.shared import (
    BLOCK_NAMES,
    architectures,
    encoder_spec,
    head_specs,
    head_tables,
)
from ktlite.models.mapping import dense, embedding, norm


def spec(config: ConfigReader) -> ModelSpec:
    config.expect("position_embedding_type", "absolute")
    encoder = encoder_spec(config)
    dropout = config.get("hidden_dropout_prob", 0.1)
    classifier_dropout = config.get("classifier_dropout", dropout)
    return ModelSpec(
        embeddings=EmbeddingSpec(
            vocab_size=config.size("vocab_size", 30522),
            width=encoder.width,
            max_positions=config.size("max_position_embeddings", 512),
            type_vocab_size=config.size("type_vocab_size", 2),
            dropout=dropout,
        ),
        encoder=encoder,
        heads=head_specs(
            encoder,
            HeadSpec(activation="tanh", dropout=classifier_dropout),
            token_dropout=classifier_dropout,
            lm_activation=encoder.feed_forward.activation,
        ),
        initializer_range=config.get("initializer_range", 0.02),
    )


NAMES = (
    embedding("embeddings.word", ".embeddings.word_embeddings"),
    embedding("embeddings.position", ".embeddings.position_embeddings"),
    embedding("embeddings.token_type", ".embeddings.token_type_embeddings"),
    *norm("embeddings.norm", ".embeddings.LayerNorm"),
    *BLOCK_NAMES,
)

FAMILY = Family(
    model_types=("bert",),
    spec=spec,
    prefixes=("bert.", ""),
    names=NAMES,
    heads=head_tables(
        (*dense("head.dense", ".pooler.dense"), *dense("head.classifier", "classifier")),
        transform="cls.predictions.transform.dense",
        transform_norm="cls.predictions.transform.LayerNorm",
        bias="cls.predictions.bias",
    ),
    architectures=architectures("Bert"),
    ignore=("*position_ids", "cls.predictions.decoder.*", "cls.seq_relationship.*"),
)
