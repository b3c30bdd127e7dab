"""DistilBERT (Sanh et al., 2019, arXiv:1910.01108)."""

from __future__ import annotations

from ktlite.models.config import ConfigReader
from ktlite.models.core.activations import ACTIVATIONS
from ktlite.models.core.spec import (
    AttentionSpec,
    FeedForwardSpec,
    HeadSpec,
    InitSpec,
    ModelSpec,
    NormSpec,
    StackSpec,
    TokensSpec,
    TowerSpec,
)
from ktlite.models.families.family import Family
from ktlite.models.families.shared import (
    CHOICE,
    MASKED_LM,
    SEQUENCE,
    SPAN,
    TOKEN,
    architectures,
    expect_encoder,
    head_tables,
    head_width,
)
from ktlite.models.mapping import dense, embedding, fused_dense, norm

NORM = NormSpec(eps=1e-12)  # no field of the config


def spec(config: ConfigReader) -> ModelSpec:
    expect_encoder(config)
    sinusoidal = config.get("sinusoidal_pos_embds", False)
    config.get("tie_weights_", True)  # of the original training code; transformers reads another
    width = config.size("dim", 768)
    heads = config.size("n_heads", 12)
    dropout = config.get("dropout", 0.1)
    activation = config.choice("activation", "gelu", ACTIVATIONS)
    sequence = HeadSpec("relu", dropout=config.get("seq_classif_dropout", 0.2))
    return ModelSpec(
        towers={
            "encoder": TowerSpec(
                front=TokensSpec(
                    vocab_size=config.size("vocab_size", 30522),
                    width=width,
                    max_positions=config.size("max_position_embeddings", 512),
                    type_vocab_size=0,
                    pad_id=config.get("pad_token_id", 0),
                    positions="sinusoidal" if sinusoidal else "learned",
                    norm=NORM,
                    dropout=dropout,
                ),
                stack=StackSpec(
                    layers=config.size("n_layers", 6),
                    width=width,
                    attention=AttentionSpec(
                        heads=heads,
                        head_width=head_width(width, heads, ("dim", "n_heads")),
                        dropout=config.get("attention_dropout", 0.1),
                    ),
                    feed_forward=FeedForwardSpec(config.size("hidden_dim", 3072), activation),
                    norm=NORM,
                    feed_forward_dropout=dropout,
                ),
            )
        },
        heads={
            SEQUENCE: sequence,
            CHOICE: sequence,
            TOKEN: HeadSpec(dropout=dropout),
            SPAN: HeadSpec(dropout=config.get("qa_dropout", 0.1)),
            MASKED_LM: HeadSpec(activation, norm=NORM),
        },
        init=InitSpec(config.get("initializer_range", 0.02)),
    )


BLOCK, OURS = ".transformer.layer.{i}", "encoder.blocks.{i}"

NAMES = (
    embedding("embeddings.word", ".embeddings.word_embeddings"),
    embedding("embeddings.position", ".embeddings.position_embeddings"),
    *norm("embeddings.norm", ".embeddings.LayerNorm"),
    *fused_dense(f"{OURS}.attention.qkv", [f"{BLOCK}.attention.{x}_lin" for x in "qkv"]),
    *dense(f"{OURS}.attention.out", f"{BLOCK}.attention.out_lin"),
    *norm(f"{OURS}.attention_norm", f"{BLOCK}.sa_layer_norm"),
    *dense(f"{OURS}.feed_forward.up", f"{BLOCK}.ffn.lin1"),
    *dense(f"{OURS}.feed_forward.down", f"{BLOCK}.ffn.lin2"),
    *norm(f"{OURS}.feed_forward_norm", f"{BLOCK}.output_layer_norm"),
)

FAMILY = Family(
    model_types=("distilbert",),
    spec=spec,
    prefixes=("distilbert.", ""),
    names=NAMES,
    heads=head_tables(
        (*dense("head.dense", "pre_classifier"), *dense("head.classifier", "classifier")),
        transform="vocab_transform",
        transform_norm="vocab_layer_norm",
        bias="vocab_projector.bias",
    ),
    architectures=architectures("DistilBert"),
    ignore=("*position_ids", "vocab_projector.weight"),
    layers_field="n_layers",
)
