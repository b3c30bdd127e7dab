"""ViT (Dosovitskiy et al., 2020, arXiv:2010.11929)."""

from __future__ import annotations

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
    PatchesSpec,
    StackSpec,
    TowerSpec,
)
from ktlite.models.families.family import Family
from ktlite.models.families.shared import IMAGE, expect_encoder, head_width
from ktlite.models.mapping import Rule, convolution, dense, fused_dense, norm


def height_and_width(config: ConfigReader, name: str, default: int) -> tuple[int, int]:
    """Returns a field that is one number for both, or [height, width]."""
    value: Any = config.get(name, None)
    sizes = [default] * 2 if value is None else [value] * 2 if isinstance(value, int) else value
    whole = isinstance(sizes, list) and all(type(size) is int and size > 0 for size in sizes)
    if not whole or len(sizes) != 2:
        raise CheckpointError(
            f"config field {name}={value!r}; expected a number of pixels, or [height, width]."
        )
    return sizes[0], sizes[1]


def spec_of(
    config: ConfigReader,
    head: HeadSpec,
    *,
    distillation: bool = False,
    zero_start: bool = False,
) -> ModelSpec:
    """Reads the fields that ViT and its relatives have in common."""
    expect_encoder(config)
    # Of the bare model's pooler, and of masked image modelling.
    for name in ("pooler_act", "pooler_output_size", "encoder_stride"):
        config.get(name, None)
    size = height_and_width(config, "image_size", 224)
    patch = height_and_width(config, "patch_size", 16)
    if any(part > whole for whole, part in zip(size, patch, strict=True)):
        raise CheckpointError(
            f"config fields image_size={size}, patch_size={patch}: no patch fits."
        )
    width = config.size("hidden_size", 768)
    heads = config.size("num_attention_heads", 12)
    dropout = config.get("hidden_dropout_prob", 0.0)
    return ModelSpec(
        towers={
            "encoder": TowerSpec(
                front=PatchesSpec(
                    size=size,
                    patch=patch,
                    channels=config.size("num_channels", 3),
                    width=width,
                    distillation=distillation,
                    zero_start=zero_start,
                    dropout=dropout,
                ),
                stack=StackSpec(
                    layers=config.size("num_hidden_layers", 12),
                    width=width,
                    attention=AttentionSpec(
                        heads=heads,
                        head_width=head_width(width, heads, ("hidden_size", "num_attention_heads")),
                        bias=config.get("qkv_bias", True),
                        out_bias=True,
                        dropout=config.get("attention_probs_dropout_prob", 0.0),
                    ),
                    feed_forward=FeedForwardSpec(
                        width=config.size("intermediate_size", 3072),
                        activation=config.choice("hidden_act", "gelu", ACTIVATIONS),
                    ),
                    norm=NormSpec(eps=config.get("layer_norm_eps", 1e-12), place="pre"),
                    attention_dropout=dropout,
                    feed_forward_dropout=dropout,
                ),
            )
        },
        heads={IMAGE: head},
        init=InitSpec(config.get("initializer_range", 0.02)),
    )


def spec(config: ConfigReader) -> ModelSpec:
    return spec_of(config, HeadSpec())


BLOCK, OURS = ".encoder.layer.{i}", "encoder.blocks.{i}"

NAMES = (
    *convolution("embeddings.projection", ".embeddings.patch_embeddings.projection"),
    Rule("embeddings.first_token", ".embeddings.cls_token"),
    Rule("embeddings.distillation_token", ".embeddings.distillation_token"),
    Rule("embeddings.position", ".embeddings.position_embeddings"),
    *fused_dense(
        f"{OURS}.attention.qkv",
        [f"{BLOCK}.attention.attention.{part}" for part in ("query", "key", "value")],
    ),
    *dense(f"{OURS}.attention.out", f"{BLOCK}.attention.output.dense"),
    *norm(f"{OURS}.attention_norm", f"{BLOCK}.layernorm_before"),
    *norm(f"{OURS}.feed_forward_norm", f"{BLOCK}.layernorm_after"),
    *dense(f"{OURS}.feed_forward.up", f"{BLOCK}.intermediate.dense"),
    *dense(f"{OURS}.feed_forward.down", f"{BLOCK}.output.dense"),
    *norm("encoder.norm", ".layernorm"),
)
# The bare model's pooler, and what masked image modelling adds.
IGNORE = ("*pooler.dense.*", "*embeddings.mask_token", "decoder.*")

# As transformers calls them since its version 5; a checkpoint has the names above.
MODULES = (
    ("encoder.layer.", "layers."),
    (".attention.attention.query", ".attention.q_proj"),
    (".attention.attention.key", ".attention.k_proj"),
    (".attention.attention.value", ".attention.v_proj"),
    (".attention.output.dense", ".attention.o_proj"),
    (".intermediate.dense", ".mlp.fc1"),
    (".output.dense", ".mlp.fc2"),
)

FAMILY = Family(
    model_types=("vit",),
    spec=spec,
    prefixes=("vit.", ""),
    names=NAMES,
    heads={IMAGE: dense("head.classifier", "classifier")},
    architectures={None: "ViTModel", IMAGE: "ViTForImageClassification"},
    ignore=IGNORE,
    modules=MODULES,
)
