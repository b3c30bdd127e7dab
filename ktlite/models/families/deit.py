"""DeiT (Touvron et al., 2020, arXiv:2012.12877): ViT with a token that learns from a teacher."""

from __future__ import annotations

from ktlite.models.config import ConfigReader
from ktlite.models.core.spec import HeadSpec, ModelSpec
from ktlite.models.families.family import Family
from ktlite.models.families.shared import IMAGE
from ktlite.models.families.vit import IGNORE, MODULES, NAMES, spec_of
from ktlite.models.mapping import dense

# The class of the published checkpoints; the other has one classifier, on the first token.
DISTILLED = "DeiTForImageClassificationWithTeacher"


def spec(config: ConfigReader) -> ModelSpec:
    head = HeadSpec()
    if DISTILLED in config.get("architectures", []):
        head = HeadSpec(kind="distilled", architecture=DISTILLED)
    return spec_of(config, head, distillation=True, zero_start=True)


FAMILY = Family(
    model_types=("deit",),
    spec=spec,
    prefixes=("deit.", ""),
    names=NAMES,
    heads={
        IMAGE: (
            *dense("head.classifier", "classifier"),
            *dense("head.first", "cls_classifier"),
            *dense("head.distilled", "distillation_classifier"),
        )
    },
    architectures={None: "DeiTModel", IMAGE: "DeiTForImageClassification"},
    ignore=IGNORE,
    modules=MODULES,
)
