"""The loudness of a sound in bands of the mel scale, as Whisper reads it."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from ktlite.inputs.sound_features import Settings, SoundFeatures, register_features

_FLOOR = 1e-10
_RANGE = 8.0  # of the decimal logarithms, below the loudest one
_HIGHEST = 8_000.0  # hertz; no setting of the feature extractor says another


@register_features
@dataclass(frozen=True)
class LogMel(SoundFeatures):
    """`input_features`, float32 [batch, frames, bands], of one size: what is short is filled up.

    The decimal logarithm of the power in bands of the mel scale (Slaney's), every 10 ms, of windows
    of 25 ms; not more than 80 dB below the loudest, and scaled. Equal to `WhisperFeatureExtractor`
    (arXiv:2212.04356) to 1e-4.

    Args:
        bands: Of the mel scale, up to 8 kHz.
        seconds_heard: Of a sound; what comes later is left out, what is shorter filled with
            silence.
        window: Samples.
        hop: Samples from one window to the next.

    Example:
        >>> LogMel()(np.zeros(16_000, "float32")).shape
        (3000, 80)
    """

    bands: int = 80
    seconds_heard: int = 30
    window: int = 400
    hop: int = 160

    name = "log mel"
    extractor = "WhisperFeatureExtractor"
    field = "input_features"
    ragged = False

    @classmethod
    def read(cls, settings: Settings) -> LogMel:
        settings.expect("dither", 0.0)
        settings.expect("do_normalize", False)
        # They follow from the others; older files hold the filters, too.
        settings.ignore(("n_samples", "nb_max_frames", "mel_filters"))
        return cls(
            sampling_rate=settings.size("sampling_rate", 16_000),
            bands=settings.size("feature_size", 80),
            seconds_heard=settings.size("chunk_length", 30),
            window=settings.size("n_fft", 400),
            hop=settings.size("hop_length", 160),
        )

    @property
    def shape(self) -> tuple[int | None, ...]:
        return (self._most // self.hop, self.bands)

    @property
    def seconds(self) -> float:
        """Seconds of what is read."""
        return float(self.seconds_heard)

    @property
    def _most(self) -> int:
        return self.seconds_heard * self.sampling_rate

    def length(self, samples: Any) -> Any:
        """Returns the frames of so many samples, int; of any shape."""
        return np.maximum(np.asarray(samples) // self.hop, 1)

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        frames = self._most // self.hop
        found = np.full((frames, self.bands), np.log10(_FLOOR), "float32")
        power = self._power(samples[: self._most])[:frames]
        filters = _filters(self.bands, self.sampling_rate, self.window)
        found[: len(power)] = np.log10(np.maximum(power @ filters, _FLOOR))
        return self._scaled(np.maximum(found, found.max() - np.float32(_RANGE)))

    def quiet(self) -> np.ndarray:
        return self._scaled(np.full(self.bands, np.log10(_FLOOR), "float32"))

    def to_config(self) -> dict[str, Any]:
        return {
            "feature_size": self.bands,
            "sampling_rate": self.sampling_rate,
            "hop_length": self.hop,
            "chunk_length": self.seconds_heard,
            "n_fft": self.window,
            "n_samples": self._most,
            "nb_max_frames": self._most // self.hop,
            "padding_side": "right",
            "padding_value": 0.0,
            "dither": 0.0,
            "return_attention_mask": False,
        }

    def _scaled(self, values: np.ndarray) -> np.ndarray:
        return ((values + 4.0) / 4.0).astype("float32")

    def _power(self, samples: np.ndarray) -> np.ndarray:
        """Returns float32 [frames, frequencies], of the windows that any of the sound is in."""
        half, whole = self.window // 2, self._most
        # Windows stand around their time: what is before the sound is its mirror image, and what is
        # behind it is silence, which need not be looked at.
        filled = np.zeros(max(min(len(samples) + half, whole), half + 1), "float32")
        filled[: len(samples)] = samples
        behind = filled[-half - 1 : -1][::-1] if len(filled) == whole else np.zeros(half, "float32")
        padded = np.concatenate([filled[half:0:-1], filled, behind])
        padded = np.pad(padded, (0, max(0, self.window - len(padded))))
        windows = np.lib.stride_tricks.sliding_window_view(padded, self.window)[:: self.hop]
        spectrum = np.fft.rfft(windows * _window(self.window))
        return (spectrum.real**2 + spectrum.imag**2).astype("float32")


@functools.lru_cache(maxsize=8)
def _window(size: int) -> np.ndarray:
    """Returns Hann's window of a periodic signal, float64 [size]."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)


@functools.lru_cache(maxsize=8)
def _filters(bands: int, rate: int, window: int) -> np.ndarray:
    """Returns float32 [frequencies, bands]: triangles of the area one on Slaney's mel scale."""
    frequencies = np.linspace(0, rate / 2, window // 2 + 1)[:, None]
    edges = _hertz(np.linspace(0.0, _mel(_HIGHEST), bands + 2))
    left, middle, right = edges[:-2], edges[1:-1], edges[2:]
    up, down = (frequencies - left) / (middle - left), (right - frequencies) / (right - middle)
    triangles = np.maximum(0.0, np.minimum(up, down))
    return (triangles * 2.0 / (right - left)).astype("float32")


# Even below 1 kHz, by logarithms above (Slaney, Auditory Toolbox, 1998).
_KNEE, _PER_MEL = 1_000.0, 200.0 / 3.0
_STEP = np.log(6.4) / 27.0


def _mel(hertz: float) -> float:
    above = _KNEE / _PER_MEL + np.log(max(hertz, _KNEE) / _KNEE) / _STEP
    return float(hertz / _PER_MEL if hertz < _KNEE else above)


def _hertz(mel: np.ndarray) -> np.ndarray:
    knee = _KNEE / _PER_MEL
    return np.where(mel < knee, mel * _PER_MEL, _KNEE * np.exp(_STEP * (mel - knee)))
