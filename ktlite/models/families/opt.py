"""OPT (Zhang et al., 2022, arXiv:2205.01068)."""

from __future__ import annotations

from ktlite.models.config import ConfigReader
from ktlite.models.core.activations import ACTIVATIONS
from ktlite.models.core.spec import (
    AttentionSpec,
    FeedForwardSpec,
    InitSpec,
    ModelSpec,
    NormSpec,
    StackSpec,
    TokensSpec,
)
from ktlite.models.families.bart import EXTRA_ROWS, block_names
from ktlite.models.families.family import Family
from ktlite.models.families.shared import head_width
from ktlite.models.families.writers import (
    TEXT,
    decoder_alone,
    expect_decoder,
    own_head,
    settle_head,
)
from ktlite.models.mapping import embedding, norm


def spec(config: ConfigReader) -> ModelSpec:
    expect_decoder(config)
    config.get("layerdrop", 0.0)  # of training, in which ktlite keeps all layers
    config.get("activation_dropout", 0.0)  # of old files, and without effect
    config.expect("layer_norm_elementwise_affine", True)
    width, heads = config.size("hidden_size", 768), config.size("num_attention_heads", 12)
    config.expect("word_embed_proj_dim", width)
    dropout = config.get("dropout", 0.1)
    bias = config.get("enable_bias", True)
    return decoder_alone(
        config,
        TokensSpec(
            vocab_size=config.size("vocab_size", 50272),
            width=width,
            max_positions=config.size("max_position_embeddings", 2048),
            first_row=EXTRA_ROWS,
            pad_id=config.get("pad_token_id", 1),
        ),
        StackSpec(
            layers=config.size("num_hidden_layers", 12),
            width=width,
            attention=AttentionSpec(
                heads=heads,
                head_width=head_width(width, heads, ("hidden_size", "num_attention_heads")),
                bias=bias,
                dropout=config.get("attention_dropout", 0.0),
            ),
            feed_forward=FeedForwardSpec(
                config.size("ffn_dim", 3072),
                config.choice("activation_function", "relu", ACTIVATIONS),
                bias=bias,
            ),
            norm=NormSpec(
                1e-5,  # no field of the config
                place="pre" if config.get("do_layer_norm_before", True) else "post",
            ),
            # Of files from before transformers 4.20.
            final_norm=not config.get("_remove_final_layer_norm", False),
            attention_dropout=dropout,
            feed_forward_dropout=dropout,
        ),
        tied=True,
        init=InitSpec(config.get("init_std", 0.02)),
    )


FAMILY = Family(
    model_types=("opt",),
    spec=spec,
    prefixes=("model.", ""),
    names=(
        embedding("decoder_embeddings.word", ".decoder.embed_tokens"),
        embedding("decoder_embeddings.position", ".decoder.embed_positions"),
        *block_names("decoder"),
        *norm("decoder.norm", ".decoder.final_layer_norm"),
    ),
    heads={TEXT: own_head(TEXT)},
    architectures={None: "OPTModel", TEXT: "OPTForCausalLM"},
    settle=settle_head,
)
