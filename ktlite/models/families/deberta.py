"""DeBERTa-v2 and v3 (He et al., 2020, arXiv:2006.03654; 2021, arXiv:2111.09543)."""

from __future__ import annotations

from dataclasses import replace

from ktlite.errors import CheckpointError
from ktlite.models.config import ConfigReader
from ktlite.models.core.activations import ACTIVATIONS
from ktlite.models.core.spec import (
    ConvolutionSpec,
    HeadSpec,
    InitSpec,
    ModelSpec,
    RelativeSpec,
    StackSpec,
    TokensSpec,
    TowerSpec,
)
from ktlite.models.families.family import Family
from ktlite.models.families.shared import (
    BLOCK,
    FEED_FORWARD_NAMES,
    MASKED_LM,
    OURS,
    architectures,
    encoder_spec,
    head_specs,
    head_tables,
)
from ktlite.models.mapping import dense, embedding, fused_dense, norm


def position_terms(config: ConfigReader) -> set[str]:
    """Returns which terms of positions there are: `"c2p"`, `"p2c"`, both or none."""
    field = config.get("pos_att_type", None) or []
    names = field.lower().split("|") if isinstance(field, str) else field
    terms = {name.strip() for name in names}
    if not terms <= {"c2p", "p2c"}:
        raise CheckpointError(
            f"config field pos_att_type={field!r} is not supported; expected 'c2p', 'p2c' or both."
        )
    return terms


def with_positions(config: ConfigReader, encoder: StackSpec, longest: int) -> StackSpec:
    """Returns the encoder with its relative positions, if the config has any."""
    terms = position_terms(config)
    norms = config.choice("norm_rel_ebd", "none", ("none", "layer_norm"))
    shared = config.get("share_att_key", False)
    buckets = config.get("position_buckets", -1)
    farthest = config.get("max_relative_positions", -1)
    if not config.get("relative_attention", False):
        if terms:
            raise CheckpointError(
                f"config field pos_att_type={sorted(terms)!r} without relative_attention=True is "
                "not supported."
            )
        return encoder
    farthest = farthest if farthest > 0 else longest
    return replace(
        encoder,
        attention=replace(
            encoder.attention,
            kind="disentangled",
            content_to_position="c2p" in terms,
            position_to_content="p2c" in terms,
            shared_projections=shared,
            position_dropout=encoder.attention_dropout,
        ),
        relative=RelativeSpec(
            "vectors",
            buckets=2 * (buckets if buckets > 0 else farthest),
            max_distance=farthest,
            log=buckets > 0,
            norm=encoder.norm if norms == "layer_norm" else None,
        ),
    )


def with_convolution(config: ConfigReader, encoder: StackSpec) -> StackSpec:
    """Returns the encoder with its convolution, if the config has one."""
    size = config.get("conv_kernel_size", 0)
    activation = config.choice("conv_act", "tanh", ACTIVATIONS)
    config.expect("conv_groups", 1)
    if size <= 0:
        return encoder
    if size % 2 == 0:
        raise CheckpointError(f"config field conv_kernel_size={size}; expected an odd number.")
    convolution = ConvolutionSpec(size, activation, dropout=encoder.attention_dropout)
    return replace(encoder, convolution=convolution)


def spec(config: ConfigReader) -> ModelSpec:
    encoder = encoder_spec(config, width=1536, layers=24, heads=24, intermediate=6144, eps=1e-7)
    config.expect("embedding_size", encoder.width)
    config.expect("attention_head_size", encoder.attention.head_width)
    config.expect("pooler_hidden_size", encoder.width)
    dropout = encoder.attention_dropout
    longest = config.size("max_position_embeddings", 512)
    pooler = HeadSpec(
        activation=config.choice("pooler_hidden_act", "gelu", ACTIVATIONS),
        input_dropout=config.get("pooler_dropout", 0.0),
        dropout=config.get("cls_dropout", dropout),
    )
    heads = head_specs(
        encoder, pooler, token_dropout=dropout, lm_activation=encoder.feed_forward.activation
    )
    if not config.get("legacy", True):
        del heads[MASKED_LM]  # it has other names, and no published checkpoint
    return ModelSpec(
        towers={
            "encoder": TowerSpec(
                front=TokensSpec(
                    vocab_size=config.size("vocab_size", 128100),
                    width=encoder.width,
                    max_positions=longest,
                    type_vocab_size=config.get("type_vocab_size", 0),
                    pad_id=config.get("pad_token_id", 0),
                    positions="learned" if config.get("position_biased_input", True) else "none",
                    norm=encoder.norm,
                    dropout=dropout,
                    masked=True,
                ),
                stack=with_convolution(config, with_positions(config, encoder, longest)),
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
    embedding("encoder.relative.table", ".encoder.rel_embeddings"),
    *norm("encoder.relative.norm", ".encoder.LayerNorm"),
    *dense("encoder.convolution.convolution", ".encoder.conv.conv"),
    *norm("encoder.convolution.norm", ".encoder.conv.LayerNorm"),
    *fused_dense(
        f"{OURS}.attention.qkv",
        [f"{BLOCK}.attention.self.{x}_proj" for x in ("query", "key", "value")],
    ),
    *dense(f"{OURS}.attention.position_key", f"{BLOCK}.attention.self.pos_key_proj"),
    *dense(f"{OURS}.attention.position_query", f"{BLOCK}.attention.self.pos_query_proj"),
    *dense(f"{OURS}.attention.out", f"{BLOCK}.attention.output.dense"),
    *norm(f"{OURS}.attention_norm", f"{BLOCK}.attention.output.LayerNorm"),
    *FEED_FORWARD_NAMES,
)

FAMILY = Family(
    model_types=("deberta-v2",),
    spec=spec,
    prefixes=("deberta.", ""),
    names=NAMES,
    heads=head_tables(
        (*dense("head.dense", "pooler.dense"), *dense("head.classifier", "classifier")),
        transform="cls.predictions.transform.dense",
        transform_norm="cls.predictions.transform.LayerNorm",
        bias="cls.predictions.bias",
    ),
    architectures=architectures("DebertaV2"),
    ignore=(
        "*position_ids",
        "*embeddings.position_embeddings.weight",  # in files whose config turns it off
        "cls.predictions.decoder.*",
        "lm_predictions.*",  # of the pretraining, and read by no class of PyTorch's by default
        "mask_predictions.*",
    ),
)
