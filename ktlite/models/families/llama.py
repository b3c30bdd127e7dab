"""Llama (Touvron et al., 2023, arXiv:2302.13971) and Qwen2 (Yang et al., 2024, arXiv:2407.10671).

SmolLM2 and many others are Llamas.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ktlite.errors import CheckpointError
from ktlite.models.config import ConfigReader
from ktlite.models.core.activations import ACTIVATIONS
from ktlite.models.core.spec import (
    AttentionSpec,
    FeedForwardSpec,
    InitSpec,
    ModelSpec,
    NormSpec,
    RotarySpec,
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
from ktlite.models.mapping import Rule, dense, embedding, fused_dense, norm

FULL, SLIDING = "full_attention", "sliding_attention"


def kinds_of_layers(config: ConfigReader, layers: int, kinds: list[str]) -> tuple[int, ...]:
    """Returns the numbers of the layers that see a window.

    Args:
        config: The config.
        layers: How many there are.
        kinds: What each of them is, where the config does not say it.

    Raises:
        CheckpointError: If it says something else than that.
    """
    kinds = config.get("layer_types", kinds)
    if len(kinds) != layers or not set(kinds) <= {FULL, SLIDING}:
        raise CheckpointError(
            f"config field layer_types={kinds!r}; expected {FULL!r} or {SLIDING!r} for each of "
            f"the {layers} layers."
        )
    return tuple(i for i, kind in enumerate(kinds) if kind == SLIDING)


def with_windows(config: ConfigReader, attention: AttentionSpec) -> dict[str, Any]:
    """Returns the fields of a `StackSpec` that say which layers see a window, as Qwen has them."""
    layers = config.size("num_hidden_layers", 32)
    used = config.get("use_sliding_window", False)
    size = config.optional_size("sliding_window", 4096)
    first = config.get("max_window_layers", 28)
    sliding = kinds_of_layers(
        config, layers, [SLIDING if used and size and i >= first else FULL for i in range(layers)]
    )
    if not (used and size and sliding):
        return {}
    return {"local_attention": replace(attention, window=size - 1), "local_layers": sliding}


def spec_of(
    config: ConfigReader,
    attention: AttentionSpec,
    *,
    vocab_size: int = 32000,
    intermediate: int = 11008,
    positions: int = 2048,
    mlp_bias: bool = False,
    **stack: Any,
) -> ModelSpec:
    """Reads what Llama and its relatives have in common.

    Args:
        config: The config.
        attention: Of all layers.
        vocab_size: The family's default, as those that follow.
        intermediate: Width of the feed-forward network.
        positions: The longest text.
        mlp_bias: Whether the feed-forward network has biases.
        **stack: Further fields of the `StackSpec`.
    """
    width = config.size("hidden_size", 4096)
    return decoder_alone(
        config,
        TokensSpec(
            vocab_size=config.size("vocab_size", vocab_size),
            width=width,
            max_positions=config.size("max_position_embeddings", positions),
            positions="none",
            pad_id=config.get("pad_token_id", -1),
        ),
        StackSpec(
            layers=config.size("num_hidden_layers", 32),
            width=width,
            attention=attention,
            feed_forward=FeedForwardSpec(
                config.size("intermediate_size", intermediate),
                config.choice("hidden_act", "silu", ACTIVATIONS),
                kind="gated",
                bias=mlp_bias,
            ),
            norm=root_mean_square(config),
            **stack,
        ),
        tied=False,
        init=InitSpec(config.get("initializer_range", 0.02)),
    )


def root_mean_square(config: ConfigReader) -> NormSpec:
    """Reads the norm before each sub-layer."""
    return NormSpec(config.get("rms_norm_eps", 1e-6), place="pre", bias=False, kind="rms")


def attention_of(
    config: ConfigReader,
    *,
    width: int = 4096,
    heads: int = 32,
    kv_heads: int | None = None,
    wide: int | None = None,
    angles: RotarySpec | None = None,
    bias: bool = False,
    **more: Any,
) -> AttentionSpec:
    """Reads what the attention of Llama and its relatives has in common.

    Args:
        config: The config.
        width: The model's, by default.
        heads: How many heads there are by default.
        kv_heads: How many heads of keys there are by default; None: as many as of queries.
        wide: How wide heads are by default; None: the width over their number.
        angles: Those of positions; None: as the config says for all layers.
        bias: Whether there are biases.
        **more: Further fields of the `AttentionSpec`.

    Raises:
        CheckpointError: If the heads do not go together.
    """
    width, heads = config.size("hidden_size", width), config.size("num_attention_heads", heads)
    wide = config.optional_size("head_dim", wide) or head_width(
        width, heads, ("hidden_size", "num_attention_heads")
    )
    kv_heads = config.optional_size("num_key_value_heads", kv_heads) or heads
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
        bias=bias,
        dropout=config.get("attention_dropout", 0.0),
        rotary=angles or rotary(config, wide),
        **more,
    )


def llama(config: ConfigReader) -> ModelSpec:
    expect_decoder(config)
    config.get("pretraining_tp", 1)  # how PyTorch computes, not what
    config.expect("is_llama_config", True)  # of SmolLM2's files
    config.expect("rope_interleaved", False)
    config.get("transformers.js_config", {})
    attention = attention_of(config, bias=config.get("attention_bias", False))
    return spec_of(config, attention, mlp_bias=config.get("mlp_bias", False))


def qwen2(config: ConfigReader) -> ModelSpec:
    expect_decoder(config)
    # No field says so: queries, keys and values have biases, the layer after them has none.
    attention = attention_of(config, kv_heads=32, bias=True, out_bias=False)
    return spec_of(
        config,
        attention,
        vocab_size=151936,
        intermediate=22016,
        positions=32768,
        **with_windows(config, attention),
    )


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


def family(
    model_type: str,
    read: Callable[[ConfigReader], ModelSpec],
    name: str,
    *,
    bare: str = "Model",
    names: tuple[Rule, ...] = NAMES,
) -> Family:
    """Returns a family whose tensors have the names of Llama's.

    Args:
        model_type: The configs'.
        read: Reads one.
        name: What the names of PyTorch's classes begin with.
        bare: What that of the one without a head ends with.
        names: The table of the backbone's tensors.
    """
    return Family(
        model_types=(model_type,),
        spec=read,
        prefixes=("model.", ""),
        names=names,
        heads={TEXT: own_head(TEXT)},
        architectures={None: f"{name}{bare}", TEXT: f"{name}ForCausalLM"},
        ignore=("*rotary_emb.inv_freq",),
        settle=settle_head,
    )


FAMILIES = (family("llama", llama, "Llama"), family("qwen2", qwen2, "Qwen2"))
