"""Pegasus (Zhang et al., 2019, arXiv:1912.08777)."""

from __future__ import annotations

from dataclasses import replace

from ktlite.models.config import ConfigReader
from ktlite.models.core.spec import ModelSpec
from ktlite.models.families.bart import NAMES, family, spec_of


def spec(config: ConfigReader) -> ModelSpec:
    return spec_of(config, pre_norm=True, norm_embeddings=False, positions="stored", pad_id=0)


# transformers 5 writes the tables of positions, and old files have none.
FAMILY = family(
    "pegasus",
    spec,
    "Pegasus",
    names=tuple(replace(rule, optional="position" in rule.ours) for rule in NAMES),
)
