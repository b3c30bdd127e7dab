"""T5, its version 1.1 with FLAN-T5, mT5 and UMT5.

Raffel et al., 2019, arXiv:1910.10683; Chung et al., 2022, arXiv:2210.11416; Xue et al., 2020,
arXiv:2010.11934; Chung et al., 2023, arXiv:2304.09151.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ktlite.errors import CheckpointError
from ktlite.models.checkpoint import TensorReader
from ktlite.models.config import ConfigReader
from ktlite.models.core.activations import ACTIVATIONS
from ktlite.models.core.spec import (
    AttentionSpec,
    FeedForwardSpec,
    HeadSpec,
    InitSpec,
    ModelSpec,
    NormSpec,
    RelativeSpec,
    StackSpec,
    TokensSpec,
    TowerSpec,
)
from ktlite.models.families.family import Family
from ktlite.models.families.writers import HEAD, SEQ2SEQ, SHARED, expect_pair, own_head
from ktlite.models.mapping import Rule, dense, embedding, fused_dense, norm, when

SCALED = ("t5", "umt5")  # those that may scale what the last layer is given


def feed_forward(config: ConfigReader, dropout: float) -> FeedForwardSpec:
    """Reads the network of a block, whose name says whether it is gated."""
    is_t5 = config.config.get("model_type") == "t5"
    name = config.get("feed_forward_proj", "relu" if is_t5 else "gated-gelu")
    gate, _, activation = name.rpartition("-")
    if gate not in ("", "gated") or activation not in ACTIVATIONS:
        raise CheckpointError(
            f"config field feed_forward_proj={name!r} is not known; expected an activation such "
            "as 'relu', or 'gated-gelu'."
        )
    # What it has long been called is not what it is.
    activation = "gelu_new" if name == "gated-gelu" else activation
    # Written by transformers, and read by it from `feed_forward_proj`.
    config.expect("dense_act_fn", activation)
    config.expect("is_gated_act", bool(gate))
    kind = "gated" if gate else "standard"
    width = config.size("d_ff", 2048 if is_t5 else 1024)
    return FeedForwardSpec(width, activation, kind=kind, bias=False, dropout=dropout)


def spec(config: ConfigReader) -> ModelSpec:
    expect_pair(config)
    model_type = config.config.get("model_type")
    is_t5 = model_type == "t5"
    config.get("classifier_dropout", 0.0)
    config.get("scalable_attention", True)  # of UMT5's files, and without effect
    width = config.size("d_model", 512)
    layers = config.size("num_layers", 6 if is_t5 else 8)
    dropout = config.get("dropout_rate", 0.1)
    factor = config.get("initializer_factor", 1.0)
    buckets = config.size("relative_attention_num_buckets", 32)
    farthest = config.size("relative_attention_max_distance", 128)
    side = NormSpec(config.get("layer_norm_epsilon", 1e-6), place="pre", bias=False, kind="rms")
    attention = AttentionSpec(
        heads=config.size("num_heads", 8 if is_t5 else 6),
        head_width=config.size("d_kv", 64),
        scale=1.0,
        kind="biased",
        bias=False,
        dropout=dropout,
    )
    network = feed_forward(config, dropout)
    front = TokensSpec(
        vocab_size=config.size("vocab_size", 32128 if is_t5 else 250112),
        width=width,
        # Distances from `farthest` on are alike: this is what it was trained on, and no limit.
        max_positions=config.size("n_positions", 512),
        positions="none",
        dropout=dropout,
    )

    def stack(count: int, both_sides: bool) -> StackSpec:
        return StackSpec(
            layers=count,
            width=width,
            attention=attention,
            feed_forward=network,
            norm=side,
            attention_dropout=dropout,
            feed_forward_dropout=dropout,
            output_dropout=dropout,
            relative=RelativeSpec(
                "bias", buckets, farthest, both_sides=both_sides, shared=model_type != "umt5"
            ),
        )

    tied = config.get("tie_word_embeddings", True)
    # Files from before transformers 5 say it with the other field. mT5 never scales.
    scaled = config.get("scale_decoder_outputs", tied) and model_type in SCALED
    return ModelSpec(
        towers={
            "encoder": TowerSpec(front, stack(layers, True)),
            "decoder": TowerSpec(
                front,
                stack(config.size("num_decoder_layers", layers), False),
                causal=True,
                cross="encoder",
                prefix="decoder_",
            ),
        },
        heads={SEQ2SEQ: HeadSpec(output_bias=False, tied=tied, scale=width**-0.5 if scaled else 1)},
        tied=SHARED,
        init=InitSpec(factor * width**-0.5, word_stddev=factor),
    )


def settle(config: Mapping[str, Any], reader: TensorReader) -> dict[str, Any]:
    """Returns what the tensors say of the last layer: no config of transformers 5 says it."""
    apart = HEAD in reader and (
        "shared.weight" not in reader
        or not np.array_equal(reader.read(HEAD), reader.read("shared.weight"))
    )
    scaled = config.get("scale_decoder_outputs", config.get("tie_word_embeddings") is not False)
    return {"tie_word_embeddings": not apart} | (
        {"scale_decoder_outputs": scaled} if config.get("model_type") in SCALED else {}
    )


def is_gated(spec: ModelSpec) -> bool:
    return spec.first.stack.feed_forward.kind == "gated"


def is_standard(spec: ModelSpec) -> bool:
    return not is_gated(spec)


def stack_names(name: str, network: int) -> tuple[Rule, ...]:
    """Returns the table of a stack, whose blocks' sub-layers are numbered in PyTorch."""
    theirs, ours = f"{name}.block.{{i}}.layer", f"{name}.blocks.{{i}}"
    own, cross = f"{theirs}.0.SelfAttention", f"{theirs}.1.EncDecAttention"
    wi, wo = (f"{theirs}.{network}.DenseReluDense.{part}" for part in ("wi", "wo"))
    return (
        embedding(
            f"{name}.relative.table",
            f"{name}.block.0.layer.0.SelfAttention.relative_attention_bias",
        ),
        embedding(f"{ours}.relative.table", f"{own}.relative_attention_bias"),
        *fused_dense(f"{ours}.attention.qkv", [f"{own}.{part}" for part in "qkv"]),
        *dense(f"{ours}.attention.out", f"{own}.o"),
        *norm(f"{ours}.attention_norm", f"{theirs}.0.layer_norm"),
        *dense(f"{ours}.cross.query", f"{cross}.q"),
        *fused_dense(f"{ours}.cross.key_value", [f"{cross}.k", f"{cross}.v"]),
        *dense(f"{ours}.cross.out", f"{cross}.o"),
        *norm(f"{ours}.cross_norm", f"{theirs}.1.layer_norm"),
        *when(is_standard, dense(f"{ours}.feed_forward.up", wi)),
        *when(is_gated, fused_dense(f"{ours}.feed_forward.up", [f"{wi}_0", f"{wi}_1"])),
        *dense(f"{ours}.feed_forward.down", wo),
        *norm(f"{ours}.feed_forward_norm", f"{theirs}.{network}.layer_norm"),
        *norm(f"{name}.norm", f"{name}.final_layer_norm"),
    )


def family(model_type: str, name: str) -> Family:
    """Returns the family of one model type; they differ in the names of PyTorch's classes."""
    return Family(
        model_types=(model_type,),
        spec=spec,
        prefixes=("",),
        names=(
            embedding("embeddings.word", "shared"),
            *stack_names("encoder", 1),
            *stack_names("decoder", 2),
        ),
        heads={SEQ2SEQ: own_head(SEQ2SEQ)},
        architectures={None: f"{name}Model", SEQ2SEQ: f"{name}ForConditionalGeneration"},
        ignore=(
            "*embed_tokens.weight",
            "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight",
        ),
        layers_field="num_layers",
        positions_field="n_positions",
        settle=settle,
    )


FAMILIES = (family("t5", "T5"), family("mt5", "MT5"), family("umt5", "UMT5"))
