"""BERT (Devlin et al., 2018, arXiv:1810.04805), and the many checkpoints shaped like it."""

from __future__ import annotations

from dataclasses import replace

from ktlite.models.config import ConfigReader
from ktlite.models.core.spec import HeadSpec, InitSpec, ModelSpec, TokensSpec, TowerSpec
from ktlite.models.families.family import Family
from ktlite.models.families.shared import (
    BLOCK_NAMES,
    MASKED_LM,
    PRETRAINING,
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
    heads = head_specs(
        encoder,
        HeadSpec(activation="tanh", dropout=classifier_dropout),
        token_dropout=classifier_dropout,
        lm_activation=encoder.feed_forward.activation,
    )
    heads[PRETRAINING] = replace(heads[MASKED_LM], pair_logits="seq_relationship_logits")
    return ModelSpec(
        towers={
            "encoder": TowerSpec(
                front=TokensSpec(
                    vocab_size=config.size("vocab_size", 30522),
                    width=encoder.width,
                    max_positions=config.size("max_position_embeddings", 512),
                    type_vocab_size=config.size("type_vocab_size", 2),
                    pad_id=config.get("pad_token_id", 0),
                    norm=encoder.norm,
                    dropout=dropout,
                ),
                stack=encoder,
            )
        },
        heads=heads,
        init=InitSpec(config.get("initializer_range", 0.02)),
    )


NAMES = (
    embedding("embeddings.word", ".embeddings.word_embeddings"),
    embedding("embeddings.position", ".embeddings.position_embeddings"),
    embedding("embeddings.token_type", ".embeddings.token_type_embeddings"),
    *norm("embeddings.norm", ".embeddings.LayerNorm"),
    *BLOCK_NAMES,
)

HEADS = head_tables(
    (*dense("head.dense", ".pooler.dense"), *dense("head.classifier", "classifier")),
    transform="cls.predictions.transform.dense",
    transform_norm="cls.predictions.transform.LayerNorm",
    bias="cls.predictions.bias",
)
HEADS[PRETRAINING] = (
    *HEADS[MASKED_LM],
    *dense("head.pooler", ".pooler.dense"),
    *dense("head.pair", "cls.seq_relationship"),
)

FAMILY = Family(
    model_types=("bert",),
    spec=spec,
    prefixes=("bert.", ""),
    names=NAMES,
    heads=HEADS,
    architectures={**architectures("Bert"), PRETRAINING: "BertForPreTraining"},
    ignore=("*position_ids", "cls.predictions.decoder.*"),
)
