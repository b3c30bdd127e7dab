"""The audio spectrogram transformer (Gong et al., 2021, arXiv:2104.01778): a ViT that hears."""

from __future__ import annotations

from dataclasses import replace

from ktlite.errors import CheckpointError
from ktlite.models.config import ConfigReader
from ktlite.models.core.spec import HeadSpec, ModelSpec, NormSpec, PatchesSpec
from ktlite.models.core.spectrogram import SpectrogramSpec
from ktlite.models.families.family import Family
from ktlite.models.families.shared import AUDIO
from ktlite.models.families.vit import IGNORE, MODULES, NAMES, spec_of
from ktlite.models.mapping import dense, norm


def spec(config: ConfigReader) -> ModelSpec:
    bands, frames = config.size("num_mel_bins", 128), config.size("max_length", 1024)
    patch = config.size("patch_size", 16)
    if patch > min(bands, frames):
        raise CheckpointError(
            f"config fields num_mel_bins={bands}, max_length={frames}, patch_size={patch}: no "
            "patch fits."
        )
    head = HeadSpec(
        kind="first two", norm=NormSpec(config.get("layer_norm_eps", 1e-12)), pooling="first"
    )
    made = spec_of(config, head, distillation=True, zero_start=True)
    front = made.first.front
    assert isinstance(front, PatchesSpec)
    own = SpectrogramSpec(
        size=(bands, frames),
        patch=(patch, patch),
        stride=(config.size("frequency_stride", 10), config.size("time_stride", 10)),
        channels=1,
        width=front.width,
        distillation=True,
        zero_start=True,
        dropout=front.dropout,
    )
    tower = replace(made.first, front=own)
    return replace(made, towers={"encoder": tower}, heads={AUDIO: head})


FAMILY = Family(
    model_types=("audio-spectrogram-transformer",),
    spec=spec,
    prefixes=("audio_spectrogram_transformer.", ""),
    names=NAMES,
    heads={
        AUDIO: (
            *norm("head.norm", "classifier.layernorm"),
            *dense("head.classifier", "classifier.dense"),
        )
    },
    architectures={None: "ASTModel", AUDIO: "ASTForAudioClassification"},
    ignore=IGNORE,
    modules=MODULES,
)
