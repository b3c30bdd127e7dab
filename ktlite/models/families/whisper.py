"""Whisper (Radford et al., 2022, arXiv:2212.04356): hears 30 seconds, and writes what is said."""

from __future__ import annotations

import functools
import math

from ktlite.models.config import ConfigReader
from ktlite.models.core.frames import FramesSpec
from ktlite.models.core.spec import Front, HeadSpec, InitSpec, ModelSpec, NormSpec, TokensSpec
from ktlite.models.families.bart import block_names, tower
from ktlite.models.families.family import Family
from ktlite.models.families.shared import SPEECH
from ktlite.models.families.wav2vec2 import spans
from ktlite.models.families.writers import expect_pair, own_head, settle_head
from ktlite.models.mapping import dense, embedding, norm

# Of other heads, of times of words, and of old ways to say what is in generation_config.json.
WITHOUT_EFFECT = (
    "alignment_heads", "classifier_proj_size", "forced_decoder_ids", "max_initial_timestamp_index",
    "median_filter_width", "num_hidden_layers", "use_weighted_layer_sum",
)  # fmt: skip
HEAD = "proj_out.weight"


def spec(config: ConfigReader) -> ModelSpec:
    expect_pair(config)
    for name in WITHOUT_EFFECT:
        config.get(name, None)
    width = config.size("d_model", 384)
    dropout = config.get("dropout", 0.0)
    side = NormSpec(eps=1e-5, place="pre")  # no field of the config
    hides = config.get("apply_spec_augment", False)
    frames = spans(config, "time", 0.05, 2)
    bands = spans(config, "feature", 0.0, 0)
    fronts: dict[str, Front] = {
        "encoder": FramesSpec(
            bands=config.size("num_mel_bins", 80),
            width=width,
            max_positions=config.size("max_source_positions", 1500),
            dropout=dropout,
            hidden_frames=frames if hides else None,
            hidden_bands=bands if hides else None,
        ),
        "decoder": TokensSpec(
            vocab_size=config.size("vocab_size", 51865),
            width=width,
            max_positions=config.size("max_target_positions", 448),
            pad_id=config.get("pad_token_id", 50256),
            scale=math.sqrt(width) if config.get("scale_embedding", False) else 1.0,
            dropout=dropout,
        ),
    }
    return ModelSpec(
        towers={
            name: tower(config, name, front, side, "gelu", 0.0, key_bias=False)
            for name, front in fronts.items()
        },
        heads={
            SPEECH: HeadSpec(
                kind="transcript", output_bias=False, tied=config.get("tie_word_embeddings", True)
            )
        },
        init=InitSpec(config.get("init_std", 0.02)),
    )


NAMES = (
    *dense("embeddings.first", ".encoder.conv1"),
    *dense("embeddings.second", ".encoder.conv2"),
    # As they are stored: those of files are rounded, and exact ones give other numbers.
    embedding("embeddings.position", ".encoder.embed_positions"),
    *block_names("encoder", biased="qv"),
    *norm("encoder.norm", ".encoder.layer_norm"),
    embedding("decoder_embeddings.word", ".decoder.embed_tokens"),
    embedding("decoder_embeddings.position", ".decoder.embed_positions"),
    *block_names("decoder", biased="qv"),
    *norm("decoder.norm", ".decoder.layer_norm"),
)

FAMILY = Family(
    model_types=("whisper",),
    spec=spec,
    prefixes=("model.", ""),
    names=NAMES,
    heads={SPEECH: own_head(SPEECH, HEAD)},
    architectures={None: "WhisperModel", SPEECH: "WhisperForConditionalGeneration"},
    layers_field="encoder_layers",
    positions_field="max_source_positions",
    settle=functools.partial(settle_head, head=HEAD),
)
