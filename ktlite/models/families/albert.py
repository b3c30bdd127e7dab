"""ALBERT (Lan et al., 2019, arXiv:1909.11942): small embeddings, layers that share weights."""

from __future__ import annotations

from dataclasses import replace

from ktlite.errors import CheckpointError
from ktlite.models.config import ConfigReader
from ktlite.models.core.spec import HeadSpec, InitSpec, ModelSpec, TokensSpec, TowerSpec
from ktlite.models.families.family import Family
from ktlite.models.families.shared import (
    MASKED_LM,
    PRETRAINING,
    architectures,
    encoder_spec,
    head_specs,
    head_tables,
)
from ktlite.models.mapping import dense, embedding, fused_dense, norm


def spec(config: ConfigReader) -> ModelSpec:
    config.expect("position_embedding_type", "absolute")
    config.expect("inner_group_num", 1)
    # Fields of the original training code that transformers does not read.
    config.expect("net_structure_type", 0)
    config.expect("gap_size", 0)
    config.expect("num_memory_blocks", 0)
    config.get("down_scale_factor", 1)
    config.get("layers_to_keep", [])
    encoder = encoder_spec(
        config, width=4096, heads=64, intermediate=16384, activation="gelu_new", dropout=0.0
    )
    groups = config.size("num_hidden_groups", 1)
    if groups > encoder.layers:
        raise CheckpointError(
            f"config field num_hidden_groups={groups}; expected at most num_hidden_layers="
            f"{encoder.layers}."
        )
    dropout = encoder.attention_dropout
    classifier_dropout = config.get("classifier_dropout_prob", 0.1)
    heads = head_specs(
        encoder,
        HeadSpec("tanh", dropout=classifier_dropout),
        token_dropout=classifier_dropout,
        lm_activation=encoder.feed_forward.activation,
    )
    heads[PRETRAINING] = replace(
        heads[MASKED_LM], pair_logits="sop_logits", pair_dropout=classifier_dropout
    )
    return ModelSpec(
        towers={
            "encoder": TowerSpec(
                front=TokensSpec(
                    vocab_size=config.size("vocab_size", 30000),
                    width=config.size("embedding_size", 128),
                    max_positions=config.size("max_position_embeddings", 512),
                    type_vocab_size=config.size("type_vocab_size", 2),
                    pad_id=config.get("pad_token_id", 0),
                    norm=encoder.norm,
                    dropout=dropout,
                    project_to=encoder.width,
                ),
                stack=replace(encoder, groups=groups, feed_forward_dropout=0.0),
            )
        },
        heads=heads,
        init=InitSpec(config.get("initializer_range", 0.02)),
    )


BLOCK, OURS = ".encoder.albert_layer_groups.{i}.albert_layers.0", "encoder.blocks.{i}"

NAMES = (
    embedding("embeddings.word", ".embeddings.word_embeddings"),
    embedding("embeddings.position", ".embeddings.position_embeddings"),
    embedding("embeddings.token_type", ".embeddings.token_type_embeddings"),
    *norm("embeddings.norm", ".embeddings.LayerNorm"),
    *dense("embeddings.projection", ".encoder.embedding_hidden_mapping_in"),
    *fused_dense(
        f"{OURS}.attention.qkv", [f"{BLOCK}.attention.{x}" for x in ("query", "key", "value")]
    ),
    *dense(f"{OURS}.attention.out", f"{BLOCK}.attention.dense"),
    *norm(f"{OURS}.attention_norm", f"{BLOCK}.attention.LayerNorm"),
    *dense(f"{OURS}.feed_forward.up", f"{BLOCK}.ffn"),
    *dense(f"{OURS}.feed_forward.down", f"{BLOCK}.ffn_output"),
    *norm(f"{OURS}.feed_forward_norm", f"{BLOCK}.full_layer_layer_norm"),
)

HEADS = head_tables(
    (*dense("head.dense", ".pooler"), *dense("head.classifier", "classifier")),
    transform="predictions.dense",
    transform_norm="predictions.LayerNorm",
    bias="predictions.bias",
)
HEADS[PRETRAINING] = (
    *HEADS[MASKED_LM],
    *dense("head.pooler", ".pooler"),
    *dense("head.pair", "sop_classifier.classifier"),
)

FAMILY = Family(
    model_types=("albert",),
    spec=spec,
    prefixes=("albert.", ""),
    names=NAMES,
    heads=HEADS,
    architectures={**architectures("Albert"), PRETRAINING: "AlbertForPreTraining"},
    ignore=("*position_ids", "predictions.decoder.*"),
)
