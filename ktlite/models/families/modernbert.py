"""ModernBERT (Warner et al., 2024, arXiv:2412.13663)."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from ktlite.errors import CheckpointError
from ktlite.models.config import ConfigReader
from ktlite.models.core.activations import ACTIVATIONS
from ktlite.models.core.spec import (
    AttentionSpec,
    FeedForwardSpec,
    HeadSpec,
    InitSpec,
    ModelSpec,
    NormSpec,
    RotarySpec,
    StackSpec,
    TokensSpec,
    TowerSpec,
)
from ktlite.models.families.family import Family
from ktlite.models.families.shared import (
    CHOICE,
    MASKED_LM,
    SEQUENCE,
    SPAN,
    TOKEN,
    architectures,
    expect_encoder,
    head_width,
)
from ktlite.models.mapping import Rule, dense, embedding, norm

FULL, LOCAL = "full_attention", "sliding_attention"


def local_layers(config: ConfigReader, layers: int) -> tuple[int, ...]:
    """Returns the numbers of the layers with local attention; old files give a period instead."""
    every = config.size("global_attn_every_n_layers", 3)
    kinds = config.get("layer_types", [LOCAL if i % every else FULL for i in range(layers)])
    if len(kinds) != layers or not set(kinds) <= {FULL, LOCAL}:
        raise CheckpointError(
            f"config field layer_types={kinds!r}; expected {FULL!r} or {LOCAL!r} for each of the "
            f"{layers} layers."
        )
    return tuple(i for i, kind in enumerate(kinds) if kind == LOCAL)


def rotary_base(config: ConfigReader, kind: str, old_name: str, default: float) -> float:
    """Returns the base of the angles of one kind of layer."""
    default = config.get(old_name, default)
    parameters: dict[str, Any] = config.get("rope_parameters", {}).get(kind) or {}
    if parameters.get("rope_type", "default") != "default":
        raise CheckpointError(
            f"config field rope_parameters[{kind!r}]={parameters!r} is not supported; expected "
            "rope_type 'default'."
        )
    return float(parameters.get("rope_theta", default))


def attention_spec(config: ConfigReader, width: int) -> AttentionSpec:
    heads = config.size("num_attention_heads", 12)
    a_head = head_width(width, heads, ("hidden_size", "num_attention_heads"))
    if a_head % 2:
        raise CheckpointError(
            f"config fields hidden_size={width}, num_attention_heads={heads} make heads of width "
            f"{a_head}; rotary positions need an even width."
        )
    return AttentionSpec(
        heads=heads,
        head_width=a_head,
        kind="rotary",
        bias=config.get("attention_bias", False),
        dropout=config.get("attention_dropout", 0.0),
        rotary=RotarySpec(rotary_base(config, FULL, "global_rope_theta", 160_000.0)),
    )


def spec(config: ConfigReader) -> ModelSpec:
    expect_encoder(config)
    config.expect("position_embedding_type", "absolute")  # in old files, and without effect
    config.expect("rope_scaling", {})
    # How PyTorch computes or trains, not what it computes.
    for name in ("deterministic_flash_attn", "reference_compile", "repad_logits_with_grad"):
        config.get(name, None)
    for name in ("sparse_prediction", "sparse_pred_ignore_index"):
        config.get(name, None)
    config.get("layer_norm_eps", None)  # in old files beside norm_eps, which is what is used

    width = config.size("hidden_size", 768)
    layers = config.size("num_hidden_layers", 22)
    attention = attention_spec(config, width)
    side = NormSpec(config.get("norm_eps", 1e-5), place="pre", bias=config.get("norm_bias", False))
    features = HeadSpec(
        activation=config.choice("classifier_activation", "gelu", ACTIVATIONS),
        dropout=config.get("classifier_dropout", 0.0),
        bias=config.get("classifier_bias", False),
        norm=side,
    )
    pooling = config.choice("classifier_pooling", "cls", ("cls", "mean"))
    sequence = replace(features, pooling="first" if pooling == "cls" else "mean")
    stddev = config.get("initializer_range", 0.02)
    return ModelSpec(
        towers={
            "encoder": TowerSpec(
                front=TokensSpec(
                    vocab_size=config.size("vocab_size", 50368),
                    width=width,
                    max_positions=config.size("max_position_embeddings", 8192),
                    type_vocab_size=0,
                    positions="none",
                    norm=side,
                    dropout=config.get("embedding_dropout", 0.0),
                ),
                stack=StackSpec(
                    layers=layers,
                    width=width,
                    attention=attention,
                    local_attention=replace(
                        attention,
                        rotary=RotarySpec(rotary_base(config, LOCAL, "local_rope_theta", 10_000.0)),
                        window=config.size("local_attention", 128) // 2,
                    ),
                    local_layers=local_layers(config, layers),
                    feed_forward=FeedForwardSpec(
                        kind="gated",
                        width=config.size("intermediate_size", 1152),
                        activation=config.choice("hidden_activation", "gelu", ACTIVATIONS),
                        bias=config.get("mlp_bias", False),
                        dropout=config.get("mlp_dropout", 0.0),
                    ),
                    norm=side,
                    first_norm=False,
                    attention_dropout=attention.dropout,
                ),
            )
        },
        heads={
            SEQUENCE: sequence,
            CHOICE: sequence,
            TOKEN: features,
            SPAN: features,
            MASKED_LM: replace(features, dropout=0.0, output_bias=config.get("decoder_bias", True)),
        },
        init=InitSpec(
            stddev,
            out_stddev=stddev / math.sqrt(2.0 * layers),
            classifier_stddev=width**-0.5,
            cutoff=config.get("initializer_cutoff_factor", 2.0),
        ),
    )


BLOCK, OURS = ".layers.{i}", "encoder.blocks.{i}"

# Biases are in a checkpoint where the config says so, and the first attention norm never.
NAMES = (
    embedding("embeddings.word", ".embeddings.tok_embeddings"),
    *norm("embeddings.norm", ".embeddings.norm"),
    *norm(f"{OURS}.attention_norm", f"{BLOCK}.attn_norm"),
    *dense(f"{OURS}.attention.qkv", f"{BLOCK}.attn.Wqkv"),
    *dense(f"{OURS}.attention.out", f"{BLOCK}.attn.Wo"),
    *norm(f"{OURS}.feed_forward_norm", f"{BLOCK}.mlp_norm"),
    *dense(f"{OURS}.feed_forward.up", f"{BLOCK}.mlp.Wi"),
    *dense(f"{OURS}.feed_forward.down", f"{BLOCK}.mlp.Wo"),
    *norm("encoder.norm", ".final_norm"),
)


FEATURES = (*dense("head.dense", "head.dense"), *norm("head.norm", "head.norm"))
CLASSIFIER = (*FEATURES, *dense("head.classifier", "classifier"))


FAMILY = Family(
    model_types=("modernbert",),
    spec=spec,
    prefixes=("model.", ""),
    names=NAMES,
    heads={
        SEQUENCE: CLASSIFIER,
        CHOICE: CLASSIFIER,
        TOKEN: CLASSIFIER,
        SPAN: CLASSIFIER,
        MASKED_LM: (*FEATURES, Rule("head.decoder.bias", "decoder.bias")),
    },
    architectures=architectures("ModernBert"),
    ignore=("decoder.weight", "*inv_freq"),
)
