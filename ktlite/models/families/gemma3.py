"""Gemma 3, the part that reads and writes texts (Kamath et al., 2025, arXiv:2503.19786)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ktlite.errors import CheckpointError, listing
from ktlite.models.config import ConfigReader
from ktlite.models.core.activations import ACTIVATIONS
from ktlite.models.core.spec import (
    FeedForwardSpec,
    InitSpec,
    ModelSpec,
    NormSpec,
    RotarySpec,
    StackSpec,
    TokensSpec,
)
from ktlite.models.families.llama import (
    BLOCK,
    FULL,
    NAMES,
    OURS,
    SLIDING,
    attention_of,
    family,
    kinds_of_layers,
)
from ktlite.models.families.rotary import rotary_of
from ktlite.models.families.writers import decoder_alone, expect_decoder
from ktlite.models.mapping import norm


def rotaries(config: ConfigReader) -> tuple[RotarySpec, RotarySpec]:
    """Returns the angles of layers that see all, and of those that see a window."""
    parameters: Mapping[str, Any] = config.get("rope_parameters", {})
    other = set(parameters) - {FULL, SLIDING}
    if other:
        raise CheckpointError(
            f"config field rope_parameters={dict(parameters)!r}; expected those of {FULL!r} and "
            f"{SLIDING!r}, not {listing(sorted(other))}."
        )
    # What old files have beside the bases is of the layers that see all.
    full = {**(parameters.get(FULL) or {}), **config.get("rope_scaling", {})}
    return (
        rotary_of(full, config.get("rope_theta", 1_000_000.0)),
        rotary_of(
            parameters.get(SLIDING) or {},
            config.get("rope_local_base_freq", 10_000.0),
        ),
    )


def spec(config: ConfigReader) -> ModelSpec:
    expect_decoder(config)
    config.expect("use_bidirectional_attention", False)
    config.expect("final_logit_softcapping", None)
    config.expect("attn_logit_softcapping", None)
    config.get("cache_implementation", None)  # how PyTorch computes, not what
    width, layers = config.size("hidden_size", 2304), config.size("num_hidden_layers", 26)
    side = NormSpec(
        config.get("rms_norm_eps", 1e-6), place="sandwich", bias=False, kind="rms", around_one=True
    )
    every = config.size("sliding_window_pattern", 6)
    sliding = kinds_of_layers(
        config, layers, [SLIDING if (i + 1) % every else FULL for i in range(layers)]
    )
    whole, local = rotaries(config)
    attention = attention_of(
        config,
        width=width,
        heads=8,
        kv_heads=4,
        wide=256,
        bias=config.get("attention_bias", False),
        scale=config.size("query_pre_attn_scalar", 256) ** -0.5,
        angles=whole,
        norm=side,
    )
    window = config.size("sliding_window", 4096) - 1
    return decoder_alone(
        config,
        TokensSpec(
            vocab_size=config.size("vocab_size", 262208),
            width=width,
            max_positions=config.size("max_position_embeddings", 131072),
            positions="none",
            pad_id=config.get("pad_token_id", 0),
            scale=math.sqrt(width),
        ),
        StackSpec(
            layers=layers,
            width=width,
            attention=attention,
            local_attention=replace(attention, rotary=local, window=window),
            local_layers=sliding,
            feed_forward=FeedForwardSpec(
                config.size("intermediate_size", 9216),
                config.choice("hidden_activation", "gelu_pytorch_tanh", ACTIVATIONS),
                kind="gated",
                bias=False,
            ),
            norm=side,
        ),
        tied=True,
        init=InitSpec(config.get("initializer_range", 0.02)),
    )


FAMILY = family(
    "gemma3_text",
    spec,
    "Gemma3",
    bare="TextModel",
    names=(
        # Llama's second norm stands before the feed-forward network, by a name that is another's.
        *(rule for rule in NAMES if not rule.ours.startswith(f"{OURS}.feed_forward_norm")),
        *norm(f"{OURS}.attention_end_norm", f"{BLOCK}.post_attention_layernorm"),
        *norm(f"{OURS}.feed_forward_norm", f"{BLOCK}.pre_feedforward_layernorm"),
        *norm(f"{OURS}.feed_forward_end_norm", f"{BLOCK}.post_feedforward_layernorm"),
        *norm(f"{OURS}.attention.query_norm", f"{BLOCK}.self_attn.q_norm"),
        *norm(f"{OURS}.attention.key_norm", f"{BLOCK}.self_attn.k_norm"),
    ),
)
