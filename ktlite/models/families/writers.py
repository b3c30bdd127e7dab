"""What the configs and tables of models that write texts have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ktlite.models.checkpoint import TensorReader
from ktlite.models.config import ConfigReader
from ktlite.models.core.spec import (
    HeadSpec,
    InitSpec,
    ModelSpec,
    StackSpec,
    TokensSpec,
    TowerSpec,
)
from ktlite.models.mapping import Rule

TEXT, SEQ2SEQ = "text-generation", "text2text-generation"
#: The table that stands for words before and after, of a model whose two towers share it.
SHARED = {"decoder_embeddings.word": "embeddings.word"}
HEAD = "lm_head.weight"
_WORDS = (
    "shared.weight", "model.shared.weight", "wte.weight", "transformer.wte.weight",
    "embed_tokens.weight", "model.embed_tokens.weight",
    "embed_in.weight", "gpt_neox.embed_in.weight",
    "decoder.embed_tokens.weight", "model.decoder.embed_tokens.weight",
)  # fmt: skip


def expect_decoder(config: ConfigReader) -> None:
    """Reads the fields that all models have that write; refuses additions to them."""
    config.writes()
    config.expect("is_decoder", False, True)
    config.expect("add_cross_attention", False)
    config.expect("is_encoder_decoder", False)
    config.expect("tie_encoder_decoder", False)
    config.expect("pruned_heads", {})


def expect_pair(config: ConfigReader) -> None:
    """The same of a model with an encoder and a decoder."""
    config.writes()
    config.expect("is_encoder_decoder", True)
    config.expect("is_decoder", False)
    config.expect("add_cross_attention", False)
    config.expect("tie_encoder_decoder", False)
    config.expect("pruned_heads", {})


def decoder_alone(
    config: ConfigReader, front: TokensSpec, stack: StackSpec, *, tied: bool, init: InitSpec
) -> ModelSpec:
    """Returns a model of one tower, which writes.

    Args:
        config: The config.
        front: What its words become vectors by.
        stack: Its blocks.
        tied: Whether the last layer is the table of words where the config does not say so.
        init: Of new weights.
    """
    return ModelSpec(
        towers={"decoder": TowerSpec(front, stack, causal=True)},
        heads={TEXT: HeadSpec(output_bias=False, tied=config.get("tie_word_embeddings", tied))},
        init=init,
    )


def settle_head(
    config: Mapping[str, Any], reader: TensorReader, head: str = HEAD
) -> dict[str, Any]:
    """Returns the config's field that says whether the last layer is the table of words.

    As in transformers 5, two tensors that differ stay apart, whatever the config says.
    """
    if config.get("tie_word_embeddings") is False or head not in reader:
        return {}
    words = [name for name in _WORDS if name in reader and reader.shape(name) == reader.shape(head)]
    same = any(np.array_equal(reader.read(name), reader.read(head)) for name in words)
    return {} if same else {"tie_word_embeddings": False}


def own_head(task: str, head: str = HEAD) -> tuple[Rule, ...]:
    """Returns the rule of a last layer that is not the table of words."""

    def untied(spec: ModelSpec) -> bool:
        return not spec.heads[task].tied

    return (Rule("head.table.rows", head, when=untied),)
