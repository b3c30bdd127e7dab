"""HuBERT (Hsu et al., 2021, arXiv:2106.07447): a model as wav2vec 2.0, trained in another way."""

from __future__ import annotations

from ktlite.models.config import ConfigReader
from ktlite.models.core.spec import ModelSpec
from ktlite.models.families.family import Family
from ktlite.models.families.shared import AUDIO, SPEECH
from ktlite.models.families.wav2vec2 import HEADS, IGNORE, NAMES, spec_of


def spec(config: ConfigReader) -> ModelSpec:
    config.expect("conv_pos_batch_norm", False)
    return spec_of(config, projection_norm=config.get("feat_proj_layer_norm", True))


FAMILY = Family(
    model_types=("hubert",),
    spec=spec,
    prefixes=("hubert.", ""),
    names=NAMES,
    heads=HEADS,
    architectures={
        None: "HubertModel",
        AUDIO: "HubertForSequenceClassification",
        SPEECH: "HubertForCTC",
    },
    ignore=(*IGNORE, "label_embeddings_concat", "final_proj.*"),
)
