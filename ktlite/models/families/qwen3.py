"""Qwen3 (Yang et al., 2025, arXiv:2505.09388)."""

from __future__ import annotations

from ktlite.models.config import ConfigReader
from ktlite.models.core.spec import ModelSpec
from ktlite.models.families.llama import (
    BLOCK,
    NAMES,
    OURS,
    attention_of,
    family,
    root_mean_square,
    spec_of,
    with_windows,
)
from ktlite.models.families.writers import expect_decoder
from ktlite.models.mapping import norm


def spec(config: ConfigReader) -> ModelSpec:
    expect_decoder(config)
    attention = attention_of(
        config,
        kv_heads=32,
        wide=128,
        bias=config.get("attention_bias", False),
        norm=root_mean_square(config),
    )
    return spec_of(
        config,
        attention,
        vocab_size=151936,
        intermediate=22016,
        positions=32768,
        **with_windows(config, attention),
    )


FAMILY = family(
    "qwen3",
    spec,
    "Qwen3",
    names=(
        *NAMES,
        *norm(f"{OURS}.attention.query_norm", f"{BLOCK}.self_attn.q_norm"),
        *norm(f"{OURS}.attention.key_norm", f"{BLOCK}.self_attn.k_norm"),
    ),
)
