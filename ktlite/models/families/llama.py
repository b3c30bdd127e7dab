"""Llama (Touvron et al., 2023, arXiv:2302.13971) and Qwen2 (Yang et al., 2024, arXiv:2407.10671).

SmolLM2 and many others are Llamas.
"""

from __future__ import annotations

from collections.abc import Mapping
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
from ktlite.models.families.shared import head_width
from ktlite.models.families.writers import TEXT, expect_decoder, own_head, settle_head
from ktlite.models.mapping import dense, embedding, fused_dense, norm

FULL, SLIDING = "full_attention", "sliding_attention"


def rotary(config: ConfigReader) -> RotarySpec:
    """Reads the angles of positions, by the names of old files or of new ones."""
    theta = config.get("rope_theta", 10_000.0)
    new, old = config.get("rope_parameters", {}), config.get("rope_scaling", {})
    fields: Mapping[str, Any] = old or new
    theta = float(fields.get("rope_theta", new.get("rope_theta", theta)))
    kind = fields.get("rope_type", fields.get("type", "default"))
    try:
        if kind == "default":
            return RotarySpec(theta)
        if kind == "linear":
            return RotarySpec(theta, float(fields["factor"]))
        if kind == "llama3":
            return RotarySpec(
                theta,
                float(fields["factor"]),
                float(fields["low_freq_factor"]),
                float(fields["high_freq_factor"]),
                int(fields["original_max_position_embeddings"]),
            )
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"config field rope_parameters={dict(fields)!r} is not complete: {error!r}."
        ) from error
    raise CheckpointError(
        f"config field rope_parameters={dict(fields)!r} is not supported; expected rope_type "
        "'default', 'linear' or 'llama3'."
    )


def sliding_layers(config: ConfigReader, layers: int) -> tuple[tuple[int, ...], int | None]:
    """Returns the numbers of the layers that see a window, and the farthest token of it."""
    used = config.get("use_sliding_window", False)
    size = config.get("sliding_window", 4096)
    first = config.get("max_window_layers", 28)
    kinds = config.get(
        "layer_types", [SLIDING if used and i >= first else FULL for i in range(layers)]
    )
    if len(kinds) != layers or not set(kinds) <= {FULL, SLIDING}:
        raise CheckpointError(
            f"config field layer_types={kinds!r}; expected {FULL!r} or {SLIDING!r} for each of "
            f"the {layers} layers."
        )
    found = tuple(i for i, kind in enumerate(kinds) if kind == SLIDING) if used else ()
    return found, size - 1 if found else None


def spec_of(config: ConfigReader, attention: AttentionSpec, **stack: Any) -> ModelSpec:
    """Reads what Llama and Qwen2 have in common."""
    width = config.size("hidden_size", 4096)
    return ModelSpec(
        towers={
            "decoder": TowerSpec(
                TokensSpec(
                    vocab_size=config.size("vocab_size", 32000),
                    width=width,
                    max_positions=config.size("max_position_embeddings", 2048),
                    positions="none",
                    pad_id=config.get("pad_token_id", -1),
                ),
                StackSpec(
                    layers=config.size("num_hidden_layers", 32),
                    width=width,
                    attention=attention,
                    feed_forward=FeedForwardSpec(
                        config.size("intermediate_size", 11008),
                        config.choice("hidden_act", "silu", ACTIVATIONS),
                        kind="gated",
                        bias=config.get("mlp_bias", False),
                    ),
                    norm=NormSpec(
                        config.get("rms_norm_eps", 1e-6), place="pre", bias=False, kind="rms"
                    ),
                    **stack,
                ),
                causal=True,
            )
        },
        heads={TEXT: HeadSpec(output_bias=False, tied=config.get("tie_word_embeddings", False))},
        init=InitSpec(config.get("initializer_range", 0.02)),
    )


def attention_of(config: ConfigReader, kv_heads: int | None = None) -> AttentionSpec:
    width, heads = config.size("hidden_size", 4096), config.size("num_attention_heads", 32)
    wide = config.get("head_dim", 0) or head_width(
        width, heads, ("hidden_size", "num_attention_heads")
    )
    kv_heads = config.size("num_key_value_heads", kv_heads or heads)
    problem = None
    if heads % kv_heads:
        problem = f"num_attention_heads={heads} is not divisible by num_key_value_heads={kv_heads}"
    elif wide % 2:
        problem = f"heads are of width {wide}; rotary positions need an even width"
    if problem:
        raise CheckpointError(f"config field {problem}.")
    return AttentionSpec(
        heads=heads,
        head_width=wide,
        kv_heads=kv_heads,
        kind="rotary",
        bias=False,
        dropout=config.get("attention_dropout", 0.0),
        rotary=rotary(config),
    )


def llama(config: ConfigReader) -> ModelSpec:
    expect_decoder(config)
    config.get("pretraining_tp", 1)  # how PyTorch computes, not what
    config.expect("is_llama_config", True)  # of SmolLM2's files
    config.expect("rope_interleaved", False)
    config.get("transformers.js_config", {})
    attention = replace(attention_of(config), bias=config.get("attention_bias", False))
    return spec_of(config, attention)


def qwen2(config: ConfigReader) -> ModelSpec:
    expect_decoder(config)
    config.expect("mlp_bias", False)
    # No field says so: queries, keys and values have biases, the layer after them has none.
    attention = replace(attention_of(config, 32), bias=True, out_bias=False)
    layers, window = sliding_layers(config, config.size("num_hidden_layers", 32))
    local = None if window is None else replace(attention, window=window)
    return spec_of(config, attention, local_attention=local, local_layers=layers)


BLOCK, OURS = ".layers.{i}", "decoder.blocks.{i}"

NAMES = (
    embedding("decoder_embeddings.word", ".embed_tokens"),
    *norm(f"{OURS}.attention_norm", f"{BLOCK}.input_layernorm"),
    *dense(f"{OURS}.attention.query", f"{BLOCK}.self_attn.q_proj"),
    *fused_dense(
        f"{OURS}.attention.key_value", [f"{BLOCK}.self_attn.{part}_proj" for part in "kv"]
    ),
    *dense(f"{OURS}.attention.out", f"{BLOCK}.self_attn.o_proj"),
    *norm(f"{OURS}.feed_forward_norm", f"{BLOCK}.post_attention_layernorm"),
    *fused_dense(
        f"{OURS}.feed_forward.up", [f"{BLOCK}.mlp.{part}_proj" for part in ("gate", "up")]
    ),
    *dense(f"{OURS}.feed_forward.down", f"{BLOCK}.mlp.down_proj"),
    *norm("decoder.norm", ".norm"),
)

FAMILIES = tuple(
    Family(
        model_types=(model_type,),
        spec=read,
        prefixes=("model.", ""),
        names=NAMES,
        heads={TEXT: own_head(TEXT)},
        architectures={None: f"{name}Model", TEXT: f"{name}ForCausalLM"},
        ignore=("*rotary_emb.inv_freq",),
        settle=settle_head,
    )
    for model_type, read, name in (("llama", llama, "Llama"), ("qwen2", qwen2, "Qwen2"))
)
