"""CLIP (Radford et al., 2021, arXiv:2103.00020): images and texts in one space."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from ktlite.errors import CheckpointError
from ktlite.models.config import ConfigReader
from ktlite.models.core.activations import ACTIVATIONS
from ktlite.models.core.contrast import ContrastSpec
from ktlite.models.core.spec import (
    AttentionSpec,
    FeedForwardSpec,
    HeadSpec,
    InitSpec,
    ModelSpec,
    NormSpec,
    PatchesSpec,
    StackSpec,
    TokensSpec,
    TowerSpec,
)
from ktlite.models.families.family import Family
from ktlite.models.families.shared import EMBEDDING, IMAGE_TEXT, ZERO_SHOT, head_width
from ktlite.models.families.vit import height_and_width
from ktlite.models.mapping import (
    ONE_MORE,
    TWO_MORE,
    Rule,
    convolution,
    dense,
    embedding,
    fused_dense,
    norm,
)

COMPARING = (ZERO_SHOT, IMAGE_TEXT, EMBEDDING)  # heads of the same weights
# Of the first config.json files, whose texts end with the highest token whatever this says.
NO_EOS = 2


def part(config: ConfigReader, name: str) -> ConfigReader:
    """Returns the reader of a tower's config, which stands inside that of the model.

    Raises:
        CheckpointError: If it is no object.
    """
    found: Any = config.get(name, None)
    alone: Any = config.get(f"{name}_dict", None)  # of files of old, where it decides
    fields = found if alone is None else alone
    if not isinstance(fields, Mapping | None):
        raise CheckpointError(f"config field {name}={fields!r:.60}; expected an object.")
    kind = {"model_type": f"{config.config.get('model_type')} {name}"}
    return ConfigReader({**(fields or {}), **kind}, config.ignored)


def stack(
    config: ConfigReader, *, width: int, layers: int, heads: int, inner: int, activation: str,
    eps: float,
) -> StackSpec:  # fmt: skip
    """Reads the blocks of a tower; the arguments are its defaults."""
    width = config.size("hidden_size", width)
    heads = config.size("num_attention_heads", heads)
    return StackSpec(
        layers=config.size("num_hidden_layers", layers),
        width=width,
        attention=AttentionSpec(
            heads=heads,
            head_width=head_width(width, heads, ("hidden_size", "num_attention_heads")),
            dropout=config.get("attention_dropout", 0.0),
        ),
        feed_forward=FeedForwardSpec(
            config.size("intermediate_size", inner),
            config.choice("hidden_act", activation, ACTIVATIONS),
        ),
        norm=NormSpec(config.get("layer_norm_eps", eps), place="pre"),
    )


def compared(
    config: ConfigReader,
    image: Callable[[ConfigReader], TowerSpec],
    text: Callable[[ConfigReader], TowerSpec],
    contrast: Callable[[ConfigReader, ConfigReader], ContrastSpec],
) -> ModelSpec:
    """Returns a model of two towers side by side, each read from its part of the config."""
    vision, words = part(config, "vision_config"), part(config, "text_config")
    towers = {"image": image(vision), "text": text(words)}
    head = HeadSpec(contrast=contrast(vision, words), normalize=True)
    embedding_head = replace(head, kind="contrastive-embedding")
    stddev = vision.get("initializer_range", 0.02)
    words.get("initializer_range", 0.02)
    for reader in (config, vision, words):
        reader.get("initializer_factor", 1.0)
    for name, reader in (("vision_config", vision), ("text_config", words)):
        try:
            reader.finish()
        except CheckpointError as error:
            raise CheckpointError(f"config field {name}: {error}") from error
    return ModelSpec(
        towers=towers,
        heads={ZERO_SHOT: head, IMAGE_TEXT: head, EMBEDDING: embedding_head},
        init=InitSpec(stddev),
        both="image or text",
    )


def image_tower(config: ConfigReader) -> TowerSpec:
    blocks = stack(
        config, width=768, layers=12, heads=12, inner=3072, activation="quick_gelu", eps=1e-5
    )
    return TowerSpec(
        front=PatchesSpec(
            size=height_and_width(config, "image_size", 224),
            patch=height_and_width(config, "patch_size", 32),
            channels=config.size("num_channels", 3),
            width=blocks.width,
            bias=False,
            norm=NormSpec(blocks.norm.eps),
        ),
        stack=blocks,
    )


def text_tower(config: ConfigReader) -> TowerSpec:
    blocks = stack(
        config, width=512, layers=12, heads=8, inner=2048, activation="quick_gelu", eps=1e-5
    )
    return TowerSpec(
        front=TokensSpec(
            vocab_size=config.size("vocab_size", 49408),
            width=blocks.width,
            max_positions=config.size("max_position_embeddings", 77),
        ),
        stack=blocks,
        causal=True,
    )


def spec(config: ConfigReader) -> ModelSpec:
    width = config.size("projection_dim", 512)

    def contrast(vision: ConfigReader, words: ConfigReader) -> ContrastSpec:
        for reader in (vision, words):
            reader.get("projection_dim", width)  # of a tower that stands alone
        words.get("bos_token_id", 49406)
        eos = words.get("eos_token_id", 49407)
        return ContrastSpec(
            width,
            eos_id=None if eos == NO_EOS else eos,
            scale=config.get("logit_scale_init_value", 2.6592),
        )

    return compared(config, image_tower, text_tower, contrast)


def tower_names(tower: str, theirs: str) -> tuple[Rule, ...]:
    """Returns the table of a tower's blocks."""
    block, ours = f"{theirs}.encoder.layers.{{i}}", f"{tower}.blocks.{{i}}"
    return (
        *fused_dense(f"{ours}.attention.qkv", [f"{block}.self_attn.{x}_proj" for x in "qkv"]),
        *dense(f"{ours}.attention.out", f"{block}.self_attn.out_proj"),
        *norm(f"{ours}.attention_norm", f"{block}.layer_norm1"),
        *norm(f"{ours}.feed_forward_norm", f"{block}.layer_norm2"),
        *dense(f"{ours}.feed_forward.up", f"{block}.mlp.fc1"),
        *dense(f"{ours}.feed_forward.down", f"{block}.mlp.fc2"),
    )


# Beginning with a name that tells both families, and so a tower alone, from others.
NAMES = (
    embedding("text_embeddings.word", ".text_model.embeddings.token_embedding"),
    embedding("text_embeddings.position", ".text_model.embeddings.position_embedding"),
    *tower_names("text", ".text_model"),
    *norm("text.norm", ".text_model.final_layer_norm"),
    *convolution("image_embeddings.projection", ".vision_model.embeddings.patch_embedding"),
    Rule("image_embeddings.first_token", ".vision_model.embeddings.class_embedding", TWO_MORE),
    Rule(
        "image_embeddings.position",
        ".vision_model.embeddings.position_embedding.weight",
        ONE_MORE,
    ),
    *norm("image_embeddings.norm", ".vision_model.pre_layrnorm"),
    *tower_names("image", ".vision_model"),
    *norm("image.norm", ".vision_model.post_layernorm"),
)
HEAD = (
    *dense("head.image", "visual_projection"),
    *dense("head.text", "text_projection"),
    Rule("head.scale", "logit_scale"),
)

FAMILY = Family(
    model_types=("clip",),
    spec=spec,
    prefixes=("",),
    names=NAMES,
    heads=dict.fromkeys(COMPARING, HEAD),
    architectures=dict.fromkeys((None, *COMPARING), "CLIPModel"),
    ignore=("*.position_ids",),
)
