"""ELECTRA (Clark et al., 2020, arXiv:2003.10555)."""

from __future__ import annotations

from ktlite.models.config import ConfigReader
from ktlite.models.core.activations import ACTIVATIONS
from ktlite.models.core.spec import HeadSpec, InitSpec, ModelSpec, TokensSpec, TowerSpec
from ktlite.models.families import bert
from ktlite.models.families.family import Family
from ktlite.models.families.shared import (
    CHOICE,
    PRETRAINING,
    architectures,
    encoder_spec,
    head_specs,
    head_tables,
)
from ktlite.models.mapping import dense


def spec(config: ConfigReader) -> ModelSpec:
    config.expect("position_embedding_type", "absolute")
    encoder = encoder_spec(config, width=256, heads=4, intermediate=1024)
    dropout = config.get("hidden_dropout_prob", 0.1)
    classifier_dropout = config.get("classifier_dropout", dropout)
    width = config.size("embedding_size", 128)
    activation = config.get("summary_activation", "gelu")
    projected = config.get("summary_use_proj", True)
    summary = config.get("summary_type", "first")
    heads = head_specs(
        encoder,
        HeadSpec("gelu", dropout=classifier_dropout, input_dropout=classifier_dropout),
        choice=HeadSpec(activation, dropout=config.get("summary_last_dropout", 0.1)),
        token_dropout=classifier_dropout,
    )
    heads[PRETRAINING] = HeadSpec(encoder.feed_forward.activation, kind="discriminator")
    if not (projected and summary == "first" and activation in ACTIVATIONS):
        del heads[CHOICE]  # a head of another kind, which no published checkpoint has
    return ModelSpec(
        towers={
            "encoder": TowerSpec(
                front=TokensSpec(
                    vocab_size=config.size("vocab_size", 30522),
                    width=width,
                    max_positions=config.size("max_position_embeddings", 512),
                    type_vocab_size=config.size("type_vocab_size", 2),
                    pad_id=config.get("pad_token_id", 0),
                    norm=encoder.norm,
                    dropout=dropout,
                    project_to=encoder.width if width != encoder.width else None,
                ),
                stack=encoder,
            )
        },
        heads=heads,
        init=InitSpec(config.get("initializer_range", 0.02)),
    )


HEADS = head_tables(
    (
        *dense("head.dense", "classifier.dense"),
        *dense("head.classifier", "classifier.out_proj"),
    ),
    choice=(
        *dense("head.dense", "sequence_summary.summary"),
        *dense("head.classifier", "classifier"),
    ),
    transform="generator_predictions.dense",
    transform_norm="generator_predictions.LayerNorm",
    bias="generator_lm_head.bias",
)
HEADS[PRETRAINING] = (
    *dense("head.dense", "discriminator_predictions.dense"),
    *dense("head.classifier", "discriminator_predictions.dense_prediction"),
)

FAMILY = Family(
    model_types=("electra",),
    spec=spec,
    prefixes=("electra.", ""),
    names=(*bert.NAMES, *dense("embeddings.projection", ".embeddings_project")),
    heads=HEADS,
    architectures={**architectures("Electra"), PRETRAINING: "ElectraForPreTraining"},
    ignore=("*position_ids", "generator_lm_head.weight"),
)
