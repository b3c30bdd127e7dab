"""MPNet (Song et al., 2020, arXiv:2004.09297)."""

from __future__ import annotations

from dataclasses import replace

from ktlite.models.config import ConfigReader
from ktlite.models.core.spec import (
    HeadSpec,
    InitSpec,
    ModelSpec,
    RelativeSpec,
    TokensSpec,
    TowerSpec,
)
from ktlite.models.families.family import Family
from ktlite.models.families.roberta import usable_positions
from ktlite.models.families.shared import (
    BLOCK,
    FEED_FORWARD_NAMES,
    OURS,
    architectures,
    encoder_spec,
    head_specs,
    head_tables,
)
from ktlite.models.mapping import dense, embedding, fused_dense, norm

PAD_ID = 1  # of both tables, whatever the config's pad_token_id


def spec(config: ConfigReader) -> ModelSpec:
    encoder = encoder_spec(config)
    # PyTorch's code has 32 buckets up to a distance of 128, whatever the table's size.
    buckets = config.expect("relative_attention_num_buckets", 32)
    dropout = encoder.attention_dropout
    rows = config.size("max_position_embeddings", 512)
    return ModelSpec(
        towers={
            "encoder": TowerSpec(
                front=TokensSpec(
                    vocab_size=config.size("vocab_size", 30527),
                    width=encoder.width,
                    max_positions=usable_positions(rows, PAD_ID),
                    type_vocab_size=0,
                    positions="pad_aware",
                    pad_id=PAD_ID,
                    norm=encoder.norm,
                    dropout=dropout,
                ),
                stack=replace(
                    encoder,
                    attention=replace(encoder.attention, kind="biased"),
                    relative=RelativeSpec("bias", buckets=buckets, max_distance=128),
                ),
            )
        },
        heads=head_specs(
            encoder,
            HeadSpec("tanh", dropout=dropout, input_dropout=dropout),
            choice=HeadSpec("tanh", dropout=dropout),
            token_dropout=dropout,
        ),
        init=InitSpec(config.get("initializer_range", 0.02)),
    )


NAMES = (
    embedding("embeddings.word", ".embeddings.word_embeddings"),
    embedding("embeddings.position", ".embeddings.position_embeddings"),
    *norm("embeddings.norm", ".embeddings.LayerNorm"),
    embedding("encoder.relative.table", ".encoder.relative_attention_bias"),
    *fused_dense(f"{OURS}.attention.qkv", [f"{BLOCK}.attention.attn.{x}" for x in "qkv"]),
    *dense(f"{OURS}.attention.out", f"{BLOCK}.attention.attn.o"),
    *norm(f"{OURS}.attention_norm", f"{BLOCK}.attention.LayerNorm"),
    *FEED_FORWARD_NAMES,
)

FAMILY = Family(
    model_types=("mpnet",),
    spec=spec,
    prefixes=("mpnet.", ""),
    names=NAMES,
    heads=head_tables(
        (
            *dense("head.dense", "classifier.dense"),
            *dense("head.classifier", "classifier.out_proj"),
        ),
        choice=(*dense("head.dense", ".pooler.dense"), *dense("head.classifier", "classifier")),
        transform="lm_head.dense",
        transform_norm="lm_head.layer_norm",
        bias="lm_head.bias",
    ),
    architectures=architectures("MPNet"),
    ignore=("*position_ids", "*pooler.dense.*", "lm_head.decoder.*"),
)
