"""How sounds travel: in JSON, and in pages that play them."""

from __future__ import annotations

import base64
import binascii
import html
import io
import re
from typing import Any

import numpy as np

from ktlite.errors import ArgumentError, DataError
from ktlite.inputs.sound_files import file_bytes, media_type, read_sound
from ktlite.inputs.sound_items import inner

_DATA_URL = re.compile(r"data:(audio|video|application)/[\w.+-]+(;[\w.+-]+=[\w.+-]+)*;base64,")
_EXPECTED = (
    "expected a data URL with base64 (data:audio/wav;base64,...), the base64 alone, or "
    '{"array": [...], "sampling_rate": 16000}'
)
_SAMPLES, _RATE = "array", "sampling_rate"
_MOST_BYTES = 2**20  # of a file that a page holds as it is
_SECONDS, _PAGE_RATE = 10.0, 16_000  # else, of what it is made to


def as_json(item: Any) -> Any:
    """Returns a sound as a data URL, or an array that has no rate as `{"array": [...]}`.

    Raises:
        DataError: If it cannot be read.
    """
    found = inner(item)
    if isinstance(found, np.ndarray):
        return {_SAMPLES: found.tolist()}
    return data_url(file_bytes(found, _PAGE_RATE))


def of_json(value: Any) -> Any:
    """Returns the sound that `as_json` made this of, or that a person wrote so.

    Raises:
        DataError: If it is no such value.
    """
    if isinstance(value, dict) and _SAMPLES in value and set(value) <= {_SAMPLES, _RATE}:
        try:
            samples = np.array(value[_SAMPLES], "float32")
        except (TypeError, ValueError):
            samples = np.zeros(())
        if samples.ndim in (1, 2):
            rate = value.get(_RATE)
            return samples if rate is None else (samples, rate)
    if not isinstance(value, str):
        raise DataError(f"a sound is of type {type(value).__name__}; {_EXPECTED}.")
    try:
        return base64.b64decode(_DATA_URL.sub("", value, count=1), validate=True)
    except (binascii.Error, ValueError):
        raise DataError(f"a sound is {value[:40]!r}; {_EXPECTED}.") from None


def player(item: Any, title: str) -> str | None:
    """Returns HTML that plays a sound, or its beginning if it is long; None: it cannot be read.

    Args:
        item: The sound.
        title: What it is called.
    """
    found = inner(item)
    try:
        content = b"" if isinstance(found, np.ndarray) else file_bytes(found, _PAGE_RATE)
        if not content or len(content) > _MOST_BYTES:
            content = _as_wave(read_sound(found, _PAGE_RATE, seconds=_SECONDS))
        url = data_url(content)
    except (ArgumentError, DataError):
        return None
    name = html.escape(title, quote=True)
    return f'<audio controls preload="none" src="{url}" title="{name}"></audio><br>{name}'


def data_url(content: bytes) -> str:
    """Returns the bytes of a sound's file as a data URL.

    Raises:
        DataError: If they are none.
    """
    return f"data:{media_type(content)};base64,{base64.b64encode(content).decode()}"


def golden_sounds() -> tuple[tuple[np.ndarray, int], ...]:
    """Returns a tone, a rising one and noise: int16 of unequal length, at 16 kHz."""
    time = np.arange(8_000) / 16_000
    tone = np.sin(2 * np.pi * 440 * time[:4_800])
    rising = np.sin(2 * np.pi * (200 + 900 * time) * time)
    noise = np.arange(6_400) * 7_919 % 2_003 / 1_001.5 - 1
    made = (0.5 * tone, 0.3 * rising, 0.2 * noise)
    return tuple(((one * 32_767).round().astype("int16"), 16_000) for one in made)


def _as_wave(samples: np.ndarray) -> bytes:
    """Returns samples as a WAV file of 16 bits."""
    import soundfile

    written = io.BytesIO()
    soundfile.write(written, samples, _PAGE_RATE, format="WAV")
    return written.getvalue()
