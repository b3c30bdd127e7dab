"""The loudness of a sound in bands over time, as Kaldi computes it: what AST reads."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from ktlite.inputs.sound_features import Settings, SoundFeatures, register_features

# Kaldi's; no setting of the feature extractor says others.
_FRAME, _SHIFT = 0.025, 0.010  # seconds
_EMPHASIS = 0.97
_LOWEST = 20.0  # hertz
_FLOOR = float(np.finfo("float32").eps)


@register_features
@dataclass(frozen=True)
class FilterBanks(SoundFeatures):
    """`input_values`, float32 [batch, frames, bands], of one size: what is short is filled up.

    The logarithm of the energy in bands of the mel scale, every 10 ms, of windows of 25 ms, as
    Kaldi (Povey et al., 2011) and torchaudio's `compliance.kaldi.fbank` have it; then shifted and
    scaled. Equal to `ASTFeatureExtractor` (arXiv:2104.01778) to 1e-4.

    Args:
        bands: Of the mel scale, from 20 Hz to half the rate.
        frames: That the model reads; what comes later is left out.
        mean: Subtracted; None: values are neither shifted nor scaled.
        std: Half of what they are divided by, then.

    Example:
        >>> FilterBanks()(np.zeros(16_000, "float32")).shape
        (1024, 128)
    """

    bands: int = 128
    frames: int = 1024
    mean: float | None = -4.2677393
    std: float = 4.5689974

    name = "filter banks"
    extractor = "ASTFeatureExtractor"
    field = "input_values"
    ragged = False

    @classmethod
    def read(cls, settings: Settings) -> FilterBanks:
        settings.expect("feature_size", 1)
        mean = settings.get("mean", -4.2677393)
        std = settings.get("std", 4.5689974)
        settings.problems.add_unless(std > 0, f"std={std!r}; expected a number above 0.")
        return cls(
            sampling_rate=settings.size("sampling_rate", 16_000),
            bands=settings.size("num_mel_bins", 128),
            frames=settings.size("max_length", 1024),
            mean=mean if settings.get("do_normalize", True) else None,
            std=std,
        )

    @property
    def shape(self) -> tuple[int | None, ...]:
        return (self.frames, self.bands)

    @property
    def seconds(self) -> float:
        """Seconds of what is read."""
        return _FRAME + (self.frames - 1) * _SHIFT

    def length(self, samples: Any) -> Any:
        """Returns the frames of so many samples, int; of any shape."""
        return np.maximum(1 + (np.asarray(samples) - self._frame) // self._shift, 1)

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        filled = np.zeros((self.frames, self.bands), "float32")
        found = self._energies(samples)[: self.frames]
        filled[: len(found)] = found
        return self._scaled(filled)

    def quiet(self) -> np.ndarray:
        return self._scaled(np.log(np.full(self.bands, _FLOOR, "float32")))

    def to_config(self) -> dict[str, Any]:
        return {
            "feature_size": 1,
            "sampling_rate": self.sampling_rate,
            "num_mel_bins": self.bands,
            "max_length": self.frames,
            "padding_side": "right",
            "padding_value": 0.0,
            "do_normalize": self.mean is not None,
            "mean": -4.2677393 if self.mean is None else self.mean,
            "std": self.std,
            "return_attention_mask": False,
        }

    def _scaled(self, values: np.ndarray) -> np.ndarray:
        if self.mean is None:
            return values
        return ((values - np.float32(self.mean)) / np.float32(2 * self.std)).astype("float32")

    @property
    def _frame(self) -> int:
        return int(self.sampling_rate * _FRAME)

    @property
    def _shift(self) -> int:
        return int(self.sampling_rate * _SHIFT)

    def _energies(self, samples: np.ndarray) -> np.ndarray:
        """Returns the logarithms of the energies, float32 [frames, bands], of whole frames."""
        frame, shift = self._frame, self._shift
        samples = samples[: (self.frames - 1) * shift + frame].astype("float64")
        samples = np.pad(samples, (0, max(0, frame - len(samples))))
        frames = np.lib.stride_tricks.sliding_window_view(samples, frame)[::shift]
        frames = frames - frames.mean(axis=1, keepdims=True)
        before = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
        frames = (frames - _EMPHASIS * before) * np.hanning(frame)
        spectrum = np.fft.rfft(frames, 2 ** (frame - 1).bit_length())
        energies = np.abs(spectrum) ** 2 @ _filters(self.bands, self.sampling_rate)
        return np.log(np.maximum(energies, _FLOOR)).astype("float32")


@functools.lru_cache(maxsize=8)
def _filters(bands: int, rate: int) -> np.ndarray:
    """Returns float64 [frequencies, bands]: triangles that are even on the mel scale."""
    size = 2 ** (int(rate * _FRAME) - 1).bit_length()
    place = _mel(np.arange(size // 2 + 1) * rate / size)[:, None]
    edges = np.linspace(_mel(_LOWEST), _mel(rate / 2), bands + 2)
    left, middle, right = edges[:-2], edges[1:-1], edges[2:]
    up, down = (place - left) / (middle - left), (right - place) / (right - middle)
    return np.maximum(0.0, np.minimum(up, down))


def _mel(frequency: Any) -> Any:
    return 1127.0 * np.log1p(np.asarray(frequency) / 700.0)
