"""GPT-2 (Radford et al., 2019)."""

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
from ktlite.models.families.family import Family
from ktlite.models.families.shared import head_width
from ktlite.models.families.writers import (
    TEXT,
    decoder_alone,
    expect_decoder,
    own_head,
    settle_head,
)
from ktlite.models.mapping import Rule, embedding, norm


def spec(config: ConfigReader) -> ModelSpec:
    expect_decoder(config)
    config.expect("scale_attn_by_inverse_layer_idx", False)
    # Of heads that ktlite does not have; and how PyTorch computes, not what.
    for name in ("activation", "first_dropout", "proj_to_labels", "type", "use_proj"):
        config.get(f"summary_{name}", None)
    for name in ("n_ctx", "reorder_and_upcast_attn"):
        config.get(name, None)
    width, heads = config.size("n_embd", 768), config.size("n_head", 12)
    layers, residual = config.size("n_layer", 12), config.get("resid_pdrop", 0.1)
    stddev = config.get("initializer_range", 0.02)
    return decoder_alone(
        config,
        TokensSpec(
            vocab_size=config.size("vocab_size", 50257),
            width=width,
            max_positions=config.size("n_positions", 1024),
            dropout=config.get("embd_pdrop", 0.1),
        ),
        StackSpec(
            layers=layers,
            width=width,
            attention=AttentionSpec(
                heads=heads,
                head_width=head_width(width, heads, ("n_embd", "n_head")),
                scale=None if config.get("scale_attn_weights", True) else 1.0,
                dropout=config.get("attn_pdrop", 0.1),
            ),
            feed_forward=FeedForwardSpec(
                config.get("n_inner", None) or 4 * width,
                config.choice("activation_function", "gelu_new", ACTIVATIONS),
            ),
            norm=NormSpec(config.get("layer_norm_epsilon", 1e-5), place="pre"),
            attention_dropout=residual,
            feed_forward_dropout=residual,
        ),
        tied=True,
        init=InitSpec(stddev, out_stddev=stddev / (2 * layers) ** 0.5),
    )


def convolution(ours: str, theirs: str) -> tuple[Rule, Rule]:
    """Rules for a dense layer whose kernel lies in PyTorch as it does in Keras."""
    return (Rule(f"{ours}.kernel", f"{theirs}.weight"), Rule(f"{ours}.bias", f"{theirs}.bias"))


BLOCK, OURS = ".h.{i}", "decoder.blocks.{i}"

FAMILY = Family(
    model_types=("gpt2",),
    spec=spec,
    prefixes=("transformer.", ""),
    names=(
        embedding("decoder_embeddings.word", ".wte"),
        embedding("decoder_embeddings.position", ".wpe"),
        *norm(f"{OURS}.attention_norm", f"{BLOCK}.ln_1"),
        *convolution(f"{OURS}.attention.qkv", f"{BLOCK}.attn.c_attn"),
        *convolution(f"{OURS}.attention.out", f"{BLOCK}.attn.c_proj"),
        *norm(f"{OURS}.feed_forward_norm", f"{BLOCK}.ln_2"),
        *convolution(f"{OURS}.feed_forward.up", f"{BLOCK}.mlp.c_fc"),
        *convolution(f"{OURS}.feed_forward.down", f"{BLOCK}.mlp.c_proj"),
        *norm("decoder.norm", ".ln_f"),
    ),
    heads={TEXT: own_head(TEXT)},
    architectures={None: "GPT2Model", TEXT: "GPT2LMHeadModel"},
    # Buffers with the causal mask.
    ignore=("*.attn.bias", "*.attn.masked_bias"),
    layers_field="n_layer",
    positions_field="n_positions",
    settle=settle_head,
)
