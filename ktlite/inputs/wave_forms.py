"""The samples of a sound as they are: what wav2vec 2.0 and HuBERT read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ktlite.inputs.sound_features import Settings, SoundFeatures, register_features

# Added to the variance, so that silence stays silent.
_EPS = 1e-7


@register_features
@dataclass(frozen=True)
class WaveForms(SoundFeatures):
    """`input_values`, float32 [batch, samples], and `attention_mask`, int32 [batch, samples].

    What `Wav2Vec2FeatureExtractor` gives of each sound alone. The mask is made for all models:
    those whose norms are over time (`feat_extract_norm="group"`) leave padding out of them, and
    so give for a sound what PyTorch gives for it alone.

    Args:
        normalize: Whether each sound is shifted to the mean 0 and scaled to the variance 1.
        mask: Whether PyTorch is to be given a mask, too.

    Example:
        >>> WaveForms()(np.float32([0.1, 0.2, 0.3]))
        array([-1.2246529,  0.       ,  1.2246529], dtype=float32)
    """

    normalize: bool = True
    mask: bool = False

    name = "waves"
    extractor = "Wav2Vec2FeatureExtractor"
    field = "input_values"
    ragged = True

    @classmethod
    def read(cls, settings: Settings) -> WaveForms:
        settings.expect("feature_size", 1)
        return cls(
            sampling_rate=settings.size("sampling_rate", 16_000),
            normalize=settings.get("do_normalize", True),
            mask=settings.get("return_attention_mask", False),
        )

    @property
    def shape(self) -> tuple[int | None, ...]:
        return (None,)

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        if not self.normalize:
            return samples
        scaled = (samples - samples.mean()) / np.sqrt(samples.var() + _EPS)
        return scaled.astype("float32", copy=False)

    def to_config(self) -> dict[str, Any]:
        return {
            "feature_size": 1,
            "sampling_rate": self.sampling_rate,
            "padding_side": "right",
            "padding_value": 0.0,
            "do_normalize": self.normalize,
            "return_attention_mask": self.mask,
        }
