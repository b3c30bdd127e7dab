"""Marian (Junczys-Dowmunt et al., 2018, arXiv:1804.00344), as the OPUS-MT models have it."""

from __future__ import annotations

from dataclasses import replace

from ktlite.models.config import ConfigReader
from ktlite.models.core.spec import HeadSpec, InitSpec, ModelSpec, NormSpec, TokensSpec
from ktlite.models.families.bart import WITHOUT_EFFECT, block_names, family, tower, word_scale
from ktlite.models.families.writers import SEQ2SEQ, SHARED, expect_pair
from ktlite.models.mapping import embedding, when


def spec(config: ConfigReader) -> ModelSpec:
    expect_pair(config)
    # Fields of old files, with the values that all have.
    config.expect("normalize_before", False)
    config.expect("normalize_embedding", False)
    config.expect("add_final_layer_norm", False)
    config.expect("static_position_embeddings", True)
    for name in (*WITHOUT_EFFECT, "extra_pos_embeddings"):
        config.get(name, None)
    width = config.size("d_model", 1024)
    side = NormSpec(eps=1e-5)  # no field of the config
    vocabulary = config.size("vocab_size", 58101)
    shared = config.get("share_encoder_decoder_embeddings", True)
    front = TokensSpec(
        vocab_size=vocabulary,
        width=width,
        max_positions=config.size("max_position_embeddings", 1024),
        positions="fixed",
        pad_id=config.get("pad_token_id", 58100),
        scale=word_scale(config, width),
        dropout=config.get("dropout", 0.1),
    )
    others = config.size("decoder_vocab_size", vocabulary)
    target = front if shared else replace(front, vocab_size=others)
    return ModelSpec(
        towers={
            name: tower(config, name, words, norm=side)
            for name, words in (("encoder", front), ("decoder", target))
        },
        heads={SEQ2SEQ: HeadSpec(tied=config.get("tie_word_embeddings", True))},
        tied=SHARED if shared else {},
        init=InitSpec(config.get("init_std", 0.02)),
    )


def shares(spec: ModelSpec) -> bool:
    return bool(spec.tied)


def shares_not(spec: ModelSpec) -> bool:
    return not spec.tied


FAMILY = family(
    "marian",
    spec,
    (
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
    ("MarianModel", "MarianMTModel"),
)
