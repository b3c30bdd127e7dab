"""M2M100 (Fan et al., 2020, arXiv:2010.11125) and NLLB (arXiv:2207.04672)."""

from __future__ import annotations

from ktlite.models.config import ConfigReader
from ktlite.models.core.spec import ModelSpec
from ktlite.models.families.bart import family, spec_of


def spec(config: ConfigReader) -> ModelSpec:
    return spec_of(
        config,
        pre_norm=True,
        norm_embeddings=False,
        positions="fixed_pad_aware",
        vocab_size=128112,
        scaled=True,
        logits_bias=False,
        activation="relu",
        attention_dropout=0.1,
    )


FAMILY = family("m2m_100", spec, "M2M100")
