"""RoBERTa (Liu et al., 2019, arXiv:1907.11692), XLM-RoBERTa and CamemBERT."""

from __future__ import annotations

from ktlite.errors import CheckpointError
from ktlite.models.config import ConfigReader
from ktlite.models.core.spec import HeadSpec, InitSpec, ModelSpec, TokensSpec, TowerSpec
from ktlite.models.families.bert import NAMES
from ktlite.models.families.family import Family
from ktlite.models.families.shared import architectures, encoder_spec, head_specs, head_tables
from ktlite.models.mapping import dense


def usable_positions(rows: int, pad_id: int) -> int:
    """Returns the longest sequence that a table of pad-aware positions has room for.

    Raises:
        CheckpointError: If there is none.
    """
    if rows <= pad_id + 1:
        raise CheckpointError(
            f"config field max_position_embeddings={rows}; expected more than pad_token_id + 1 = "
            f"{pad_id + 1}, where the positions of tokens begin."
        )
    return rows - pad_id - 1


def spec(config: ConfigReader) -> ModelSpec:
    config.expect("position_embedding_type", "absolute")
    encoder = encoder_spec(config)
    dropout = config.get("hidden_dropout_prob", 0.1)
    classifier_dropout = config.get("classifier_dropout", dropout)
    pad_id = config.get("pad_token_id", 1)
    rows = config.size("max_position_embeddings", 512)
    is_roberta = config.get("model_type", "roberta") == "roberta"
    return ModelSpec(
        towers={
            "encoder": TowerSpec(
                front=TokensSpec(
                    vocab_size=config.size("vocab_size", 50265 if is_roberta else 30522),
                    width=encoder.width,
                    max_positions=usable_positions(rows, pad_id),
                    type_vocab_size=config.size("type_vocab_size", 2),
                    positions="pad_aware",
                    pad_id=pad_id,
                    norm=encoder.norm,
                    dropout=dropout,
                ),
                stack=encoder,
            )
        },
        heads=head_specs(
            encoder,
            HeadSpec("tanh", dropout=classifier_dropout, input_dropout=classifier_dropout),
            choice=HeadSpec("tanh", dropout=dropout),
            token_dropout=classifier_dropout,
        ),
        init=InitSpec(config.get("initializer_range", 0.02)),
    )


def family(model_type: str, name: str) -> Family:
    """Returns the family of one model type; they differ in the names of PyTorch's classes."""
    return Family(
        model_types=(model_type,),
        spec=spec,
        prefixes=("roberta.", ""),
        names=NAMES,
        heads=head_tables(
            (
                *dense("head.dense", "classifier.dense"),
                *dense("head.classifier", "classifier.out_proj"),
            ),
            choice=(
                *dense("head.dense", ".pooler.dense"),
                *dense("head.classifier", "classifier"),
            ),
            transform="lm_head.dense",
            transform_norm="lm_head.layer_norm",
            bias="lm_head.bias",
        ),
        architectures=architectures(name),
        ignore=("*position_ids", "*pooler.dense.*", "lm_head.decoder.*"),
    )


FAMILIES = (
    family("roberta", "Roberta"),
    family("xlm-roberta", "XLMRoberta"),
    family("camembert", "Camembert"),
)
