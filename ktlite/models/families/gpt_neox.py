"""GPT-NeoX (Black et al., 2022, arXiv:2204.06745) and Pythia."""

from __future__ import annotations

from functools import partial

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
from ktlite.models.families.rotary import rotary
from ktlite.models.families.shared import head_width
from ktlite.models.families.writers import (
    TEXT,
    decoder_alone,
    expect_decoder,
    own_head,
    settle_head,
)
from ktlite.models.mapping import Op, dense, embedding, head_by_head, mixed_dense, norm

BASE, SHARE = ("rotary_emb_base", 10_000.0), ("rotary_pct", 0.25)


def spec(config: ConfigReader) -> ModelSpec:
    expect_decoder(config)
    config.get("classifier_dropout", 0.1)  # of heads that ktlite does not have
    # In old files, and without effect: the other name of a field, or of none.
    config.expect("rope_theta", config.get(*BASE))
    config.expect("partial_rotary_factor", config.get(*SHARE))
    for name in ("attention_probs_dropout_prob", "hidden_dropout_prob"):
        config.get(name, None)
    width, heads = config.size("hidden_size", 6144), config.size("num_attention_heads", 64)
    wide = head_width(width, heads, ("hidden_size", "num_attention_heads"))
    dropout = config.get("hidden_dropout", 0.0)
    parallel = config.get("use_parallel_residual", True)
    return decoder_alone(
        config,
        TokensSpec(
            vocab_size=config.size("vocab_size", 50432),
            width=width,
            max_positions=config.size("max_position_embeddings", 2048),
            positions="none",
            dropout=dropout,
        ),
        StackSpec(
            layers=config.size("num_hidden_layers", 44),
            width=width,
            attention=AttentionSpec(
                heads=heads,
                head_width=wide,
                kind="rotary",
                bias=config.get("attention_bias", True),
                dropout=config.get("attention_dropout", 0.0),
                rotary=rotary(config, wide, base=BASE, share=SHARE),
            ),
            feed_forward=FeedForwardSpec(
                config.size("intermediate_size", 24576),
                config.choice("hidden_act", "gelu", ACTIVATIONS),
            ),
            norm=NormSpec(
                config.get("layer_norm_eps", 1e-5),
                place="parallel" if parallel else "pre",
            ),
            attention_dropout=dropout,
            feed_forward_dropout=dropout,
        ),
        tied=False,
        init=InitSpec(config.get("initializer_range", 0.02)),
    )


def fused(spec: ModelSpec) -> Op:
    """Returns how queries, keys and values lie: a head's beside each other."""
    return head_by_head(spec.last.stack.attention.heads, 3)


HEAD = "embed_out.weight"
BLOCK, OURS = ".layers.{i}", "decoder.blocks.{i}"

FAMILY = Family(
    model_types=("gpt_neox",),
    spec=spec,
    prefixes=("gpt_neox.", ""),
    names=(
        embedding("decoder_embeddings.word", ".embed_in"),
        *norm(f"{OURS}.attention_norm", f"{BLOCK}.input_layernorm"),
        *mixed_dense(f"{OURS}.attention.qkv", f"{BLOCK}.attention.query_key_value", fused),
        *dense(f"{OURS}.attention.out", f"{BLOCK}.attention.dense"),
        *norm(f"{OURS}.feed_forward_norm", f"{BLOCK}.post_attention_layernorm"),
        *dense(f"{OURS}.feed_forward.up", f"{BLOCK}.mlp.dense_h_to_4h"),
        *dense(f"{OURS}.feed_forward.down", f"{BLOCK}.mlp.dense_4h_to_h"),
        *norm("decoder.norm", ".final_layer_norm"),
    ),
    heads={TEXT: own_head(TEXT, HEAD)},
    architectures={None: "GPTNeoXModel", TEXT: "GPTNeoXForCausalLM"},
    # Buffers: the causal mask, and the angles.
    ignore=("*.attention.bias", "*.attention.masked_bias", "*rotary_emb.inv_freq"),
    # As transformers 5 calls the module.
    modules=(("embed_out", "lm_head"),),
    settle=partial(settle_head, head=HEAD),
)
