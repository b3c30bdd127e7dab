"""Mistral (Jiang et al., 2023, arXiv:2310.06825)."""

from __future__ import annotations

from dataclasses import replace

from ktlite.models.config import ConfigReader
from ktlite.models.core.spec import ModelSpec
from ktlite.models.families.llama import attention_of, family, spec_of
from ktlite.models.families.writers import expect_decoder


def spec(config: ConfigReader) -> ModelSpec:
    expect_decoder(config)
    # Null, not absent: no window, which later versions have none of.
    size = config.optional_size("sliding_window", 4096)
    attention = attention_of(config, kv_heads=8)
    if size is not None:
        attention = replace(attention, window=size - 1)
    return spec_of(config, attention, intermediate=14336, positions=131072)


FAMILY = family("mistral", spec, "Mistral")
