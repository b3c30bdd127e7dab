"""BART (Lewis et al., 2019, arXiv:1910.13461)."""

from __future__ import annotations

import math
from collections.abc import Callable

from ktlite.models.config import ConfigReader
from ktlite.models.core.activations import ACTIVATIONS
from ktlite.models.core.spec import (
    AttentionSpec,
    FeedForwardSpec,
    Front,
    HeadSpec,
    InitSpec,
    ModelSpec,
    NormSpec,
    StackSpec,
    TokensSpec,
    TowerSpec,
)
from ktlite.models.families.family import Family
from ktlite.models.families.shared import head_width
from ktlite.models.families.writers import SEQ2SEQ, SHARED, expect_pair, own_head, settle_head
from ktlite.models.mapping import ROW, Rule, dense, embedding, fused_dense, norm

# Fields of old files that say nothing of what is computed, or of another class.
WITHOUT_EFFECT = (
    "add_bias_logits", "classif_dropout", "classifier_dropout", "force_bos_token_to_be_generated",
    "num_hidden_layers", "replacing_rate", "save_step", "student_decoder_layers",
    "student_encoder_layers",
)  # fmt: skip
EXTRA_ROWS = 2  # at the head of the table of positions, a left-over of fairseq


def tower(
    config: ConfigReader,
    name: str,
    front: Front,
    norm: NormSpec,
    activation: str,
    attention_dropout: float,
    *,
    key_bias: bool = True,
) -> TowerSpec:
    """Reads the fields of the encoder or the decoder."""
    heads = config.size(f"{name}_attention_heads", 16)
    dropout = config.get("dropout", 0.1)
    config.get(f"{name}_layerdrop", 0.0)  # of training, in which ktlite keeps all layers
    attention = AttentionSpec(
        heads=heads,
        head_width=head_width(front.width, heads, ("d_model", f"{name}_attention_heads")),
        dropout=config.get("attention_dropout", attention_dropout),
        key_bias=key_bias,
    )
    stack = StackSpec(
        layers=config.size(f"{name}_layers", 12),
        width=front.width,
        attention=attention,
        feed_forward=FeedForwardSpec(
            config.size(f"{name}_ffn_dim", 4096),
            config.choice("activation_function", activation, ACTIVATIONS),
            dropout=config.get("activation_dropout", 0.0),
        ),
        norm=norm,
        attention_dropout=dropout,
        feed_forward_dropout=dropout,
    )
    if name == "encoder":
        return TowerSpec(front, stack)
    return TowerSpec(front, stack, causal=True, cross="encoder", prefix="decoder_")


def spec_of(
    config: ConfigReader,
    *,
    pre_norm: bool,
    norm_embeddings: bool,
    positions: str = "learned",
    vocab_size: int = 50265,
    pad_id: int = 1,
    scaled: bool = False,
    logits_bias: bool = True,
    activation: str = "gelu",
    attention_dropout: float = 0.0,
) -> ModelSpec:
    """Reads BART's fields, which its relatives have, too.

    Args:
        config: The config.
        pre_norm: Whether norms stand before the sub-layers, and at the end of each stack.
        norm_embeddings: Whether embeddings are normalised.
        positions: As in `TokensSpec`.
        vocab_size: The family's default, as those that follow.
        pad_id: The id of padding.
        scaled: Whether words' vectors are scaled.
        logits_bias: Whether the logits have a bias.
        activation: Of the feed-forward network.
        attention_dropout: The rate of dropout in attention.
    """
    expect_pair(config)
    # Fields of old files, with the values that all have.
    config.expect("normalize_before", pre_norm)
    config.expect("normalize_embedding", norm_embeddings)
    config.expect("add_final_layer_norm", pre_norm)
    config.expect("static_position_embeddings", positions != "learned")
    if positions == "learned":
        config.expect("extra_pos_embeddings", EXTRA_ROWS)
    for name in (*WITHOUT_EFFECT, "extra_pos_embeddings"):
        config.get(name, None)
    width = config.size("d_model", 1024)
    side = NormSpec(eps=1e-5, place="pre" if pre_norm else "post")  # no field of the config
    front = TokensSpec(
        vocab_size=config.size("vocab_size", vocab_size),
        width=width,
        max_positions=config.size("max_position_embeddings", 1024),
        positions=positions,
        first_row=EXTRA_ROWS if positions == "learned" else 0,
        pad_id=config.get("pad_token_id", pad_id),
        scale=math.sqrt(width) if config.get("scale_embedding", scaled) else 1.0,
        norm=side if norm_embeddings else None,
        dropout=config.get("dropout", 0.1),
    )
    return ModelSpec(
        towers={
            name: tower(config, name, front, side, activation, attention_dropout)
            for name in ("encoder", "decoder")
        },
        heads={
            SEQ2SEQ: HeadSpec(output_bias=logits_bias, tied=config.get("tie_word_embeddings", True))
        },
        tied=SHARED,
        init=InitSpec(config.get("init_std", 0.02)),
    )


def spec(config: ConfigReader) -> ModelSpec:
    return spec_of(config, pre_norm=False, norm_embeddings=True)


def block_names(name: str, biased: str = "qkv") -> tuple[Rule, ...]:
    """Returns the table of a stack's blocks.

    Args:
        name: The stack's.
        biased: Which of queries, keys and values have a bias.
    """
    theirs, ours = f".{name}.layers.{{i}}", f"{name}.blocks.{{i}}"
    own, cross = f"{theirs}.self_attn", f"{theirs}.encoder_attn"
    return (
        *_fused(f"{ours}.attention.qkv", own, "qkv", biased),
        *dense(f"{ours}.attention.out", f"{own}.out_proj"),
        *norm(f"{ours}.attention_norm", f"{own}_layer_norm"),
        *dense(f"{ours}.cross.query", f"{cross}.q_proj"),
        *_fused(f"{ours}.cross.key_value", cross, "kv", biased),
        *dense(f"{ours}.cross.out", f"{cross}.out_proj"),
        *norm(f"{ours}.cross_norm", f"{cross}_layer_norm"),
        *dense(f"{ours}.feed_forward.up", f"{theirs}.fc1"),
        *dense(f"{ours}.feed_forward.down", f"{theirs}.fc2"),
        *norm(f"{ours}.feed_forward_norm", f"{theirs}.final_layer_norm"),
    )


def _fused(ours: str, theirs: str, parts: str, biased: str) -> tuple[Rule, ...]:
    kernel, _ = fused_dense(ours, [f"{theirs}.{part}_proj" for part in parts])
    _, bias = fused_dense(ours, [f"{theirs}.{part}_proj" for part in parts if part in biased])
    return kernel, bias


# What a family does not have is passed over: tables of positions, norms of embeddings, and those
# at the end of each stack where there are none between the blocks.
NAMES = (
    embedding("embeddings.word", ".shared"),
    embedding("embeddings.position", ".encoder.embed_positions"),
    *norm("embeddings.norm", ".encoder.layernorm_embedding"),
    embedding("decoder_embeddings.position", ".decoder.embed_positions"),
    *norm("decoder_embeddings.norm", ".decoder.layernorm_embedding"),
    *block_names("encoder"),
    *norm("encoder.norm", ".encoder.layer_norm"),
    *block_names("decoder"),
    *norm("decoder.norm", ".decoder.layer_norm"),
)
# A buffer of PyTorch's, which old files lack.
LOGITS_BIAS = Rule("head.decoder.bias", "final_logits_bias", ROW, optional=True)


def family(
    model_type: str,
    read: Callable[[ConfigReader], ModelSpec],
    name: str,
    *,
    head: str = "ForConditionalGeneration",
    names: tuple[Rule, ...] = NAMES,
) -> Family:
    """Returns a family whose tensors have the names of BART's.

    Args:
        model_type: The configs'.
        read: Reads one.
        name: What the names of PyTorch's classes begin with.
        head: What that with the head ends with.
        names: The table of the backbone's tensors.
    """
    return Family(
        model_types=(model_type,),
        spec=read,
        prefixes=("model.", ""),
        names=names,
        heads={SEQ2SEQ: (*own_head(SEQ2SEQ), LOGITS_BIAS)},
        architectures={None: f"{name}Model", SEQ2SEQ: f"{name}{head}"},
        ignore=("*embed_tokens.weight",),
        layers_field="encoder_layers",
        settle=settle_head,
    )


FAMILY = family("bart", spec, "Bart")
