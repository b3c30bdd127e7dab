"""Small models that start from scratch, to compare transformers with, and their registry."""

from __future__ import annotations

from ktlite.models.baselines.baseline import Baseline
from ktlite.models.baselines.convolutional import ConvolutionalModel
from ktlite.models.baselines.fasttext import FastText
from ktlite.models.baselines.linear import LinearModel
from ktlite.models.baselines.recurrent import RecurrentModel

__all__ = [
    "BASELINES",
    "Baseline",
    "ConvolutionalModel",
    "FastText",
    "LinearModel",
    "RecurrentModel",
]

#: By the `model_type` in config.json.
BASELINES: dict[str, type[Baseline]] = {
    model.model_type: model for model in (ConvolutionalModel, FastText, LinearModel, RecurrentModel)
}
