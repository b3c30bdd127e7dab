"""Marian (Junczys-Dowmunt et al., 2018, arXiv:1804.00344), as the OPUS-MT models have it."""

from __future__ import annotations

from dataclasses import replace

from ktlite.models.config import ConfigReader
from ktlite.models.core.spec import ModelSpec
from ktlite.models.families.bart import block_names, family, spec_of
from ktlite.models.mapping import embedding, when


def spec(config: ConfigReader) -> ModelSpec:
    whole = spec_of(
        config,
        pre_norm=False,
        norm_embeddings=False,
        positions="fixed",
        vocab_size=58101,
        pad_id=58100,
    )
    others = config.size("decoder_vocab_size", whole.tokens.vocab_size)
    if config.get("share_encoder_decoder_embeddings", True):
        return whole
    decoder = replace(whole.last, front=replace(whole.tokens, vocab_size=others))
    return replace(whole, towers={**whole.towers, "decoder": decoder}, tied={})


def shares(spec: ModelSpec) -> bool:
    return bool(spec.tied)


def shares_not(spec: ModelSpec) -> bool:
    return not spec.tied


FAMILY = family(
    "marian",
    spec,
    "Marian",
    head="MTModel",
    names=(
        *block_names("encoder"),
        *block_names("decoder"),
        *when(shares, [embedding("embeddings.word", ".shared")]),
        *when(
            shares_not,
            [
                embedding("embeddings.word", ".encoder.embed_tokens"),
                embedding("decoder_embeddings.word", ".decoder.embed_tokens"),
            ],
        ),
    ),
)
