"""SigLIP (Zhai et al., 2023, arXiv:2303.15343): images and texts, each pair judged alone."""

from __future__ import annotations

import math

from ktlite.models.config import ConfigReader
from ktlite.models.core.contrast import ContrastSpec
from ktlite.models.core.spec import ModelSpec, PatchesSpec, StackSpec, TokensSpec, TowerSpec
from ktlite.models.families.clip import COMPARING, compared, stack, tower_names
from ktlite.models.families.family import Family
from ktlite.models.families.vit import height_and_width
from ktlite.models.mapping import (
    CONCAT,
    ONE_MORE,
    TRANSPOSE,
    Rule,
    convolution,
    dense,
    embedding,
    norm,
)

_SCALE = math.log(10.0)  # of the paper; no field of the config


def _stack(config: ConfigReader) -> StackSpec:
    return stack(
        config,
        width=768,
        layers=12,
        heads=12,
        inner=3072,
        activation="gelu_pytorch_tanh",
        eps=1e-6,
    )


def _image_tower(config: ConfigReader) -> TowerSpec:
    config.expect("vision_use_head", True)
    blocks = _stack(config)
    return TowerSpec(
        front=PatchesSpec(
            size=height_and_width(config, "image_size", 224),
            patch=height_and_width(config, "patch_size", 16),
            channels=config.size("num_channels", 3),
            width=blocks.width,
            first=False,
        ),
        stack=blocks,
    )


def _text_tower(config: ConfigReader) -> TowerSpec:
    blocks = _stack(config)
    return TowerSpec(
        front=TokensSpec(
            vocab_size=config.size("vocab_size", 32000),
            width=blocks.width,
            max_positions=config.size("max_position_embeddings", 64),
            fill_id=config.get("pad_token_id", 1),
        ),
        stack=blocks,
    )


def spec(config: ConfigReader) -> ModelSpec:
    def contrast(vision: ConfigReader, words: ConfigReader) -> ContrastSpec:
        for name in ("bos_token_id", "eos_token_id"):
            words.get(name, None)
        blocks = _stack(vision)
        return ContrastSpec(
            words.size("projection_size", _stack(words).width),
            last=True,
            projects_image=False,
            text_bias=True,
            scale=_SCALE,
            pairs=True,
            pool_heads=blocks.attention.heads,
            pool_width=blocks.feed_forward.width,
            pool_activation=blocks.feed_forward.activation,
            pool_eps=blocks.norm.eps,
        )

    return compared(config, _image_tower, _text_tower, contrast)


_POOL = "vision_model.head"
NAMES = (
    embedding("text_embeddings.word", ".text_model.embeddings.token_embedding"),
    embedding("text_embeddings.position", ".text_model.embeddings.position_embedding"),
    *tower_names("text", ".text_model"),
    *norm("text.norm", ".text_model.final_layer_norm"),
    *convolution("image_embeddings.projection", ".vision_model.embeddings.patch_embedding"),
    Rule(
        "image_embeddings.position",
        ".vision_model.embeddings.position_embedding.weight",
        ONE_MORE,
    ),
    *tower_names("image", ".vision_model"),
    *norm("image.norm", ".vision_model.post_layernorm"),
)
HEAD = (
    Rule("head.pool.probe", f"{_POOL}.probe"),
    Rule("head.pool.qkv.kernel", f"{_POOL}.attention.in_proj_weight", TRANSPOSE),
    Rule("head.pool.qkv.bias", f"{_POOL}.attention.in_proj_bias", CONCAT),
    *dense("head.pool.out", f"{_POOL}.attention.out_proj"),
    *norm("head.pool.norm", f"{_POOL}.layernorm"),
    *dense("head.pool.feed_forward.up", f"{_POOL}.mlp.fc1"),
    *dense("head.pool.feed_forward.down", f"{_POOL}.mlp.fc2"),
    *dense("head.text", "text_model.head"),
    Rule("head.scale", "logit_scale"),
    Rule("head.bias", "logit_bias"),
)

FAMILY = Family(
    model_types=("siglip",),
    spec=spec,
    prefixes=("",),
    names=NAMES,
    heads=dict.fromkeys(COMPARING, HEAD),
    architectures=dict.fromkeys((None, *COMPARING), "SiglipModel"),
    ignore=("*.position_ids",),
)
