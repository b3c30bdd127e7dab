"""mBART (Liu et al., 2020, arXiv:2001.08210), also of 50 languages (arXiv:2008.00401)."""

from __future__ import annotations

from ktlite.models.config import ConfigReader
from ktlite.models.core.spec import ModelSpec
from ktlite.models.families.bart import family, spec_of


def spec(config: ConfigReader) -> ModelSpec:
    return spec_of(config, pre_norm=True, norm_embeddings=True)


FAMILY = family("mbart", spec, "MBart")
