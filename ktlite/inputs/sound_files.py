"""Sounds as people have them (files, bytes, arrays) to samples of one rate, or what is wrong."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from ktlite._extras import needs_extra
from ktlite.errors import ArgumentError, DataError, KtliteError
from ktlite.inputs.item_files import (
    Unreadable,
    digest,
    file_content,
    file_state,
    is_bytes,
    is_path,
    told,
)
from ktlite.inputs.sound_items import array_and_rate, inner, is_rate, mono, name_of
from ktlite.inputs.sound_lengths import cut_off

if TYPE_CHECKING:
    import soundfile

#: Seconds of the longest sound that is read. In memory it takes 461 MB at 16 kHz.
LONGEST = 2 * 3600.0
_SHOWN_BYTES = 12
_BLOCK = 2**20  # samples of each channel that are decoded at a time
_BEYOND = 0.1  # seconds that are read beyond a cut, so that the filter does not end there
# What the header of a file says of its format, and what browsers call it.
_MEDIA = {"WAV": "audio/wav", "FLAC": "audio/flac", "OGG": "audio/ogg", "MP3": "audio/mpeg"}
_UNREADABLE = {b"ftyp": "MP4 or M4A", b"\x1aE\xdf\xa3": "WebM or Matroska"}


def read_sound(
    source: Any,
    sampling_rate: int,
    *,
    seconds: float | None = None,
    longest: float = LONGEST,
) -> np.ndarray:
    """Returns the samples of a sound, of one channel, at some rate.

    Channels are averaged. Another rate becomes this one by soxr's high-quality filter, which is
    what `transformers` (by librosa) takes for files, too.

    Args:
        source: The path of a file that libsndfile reads (WAV, FLAC, Ogg Vorbis or Opus, MP3, AIFF
            and more), its bytes, or samples: an array with its rate, as `(array, rate)` or
            `{"array": ..., "sampling_rate": ...}`, or an array alone, which has `sampling_rate`
            already. Arrays are floats, 1 the loudest, or int16 or int32, which are scaled so;
            [samples], or two axes, of which the shorter one has the channels. What `datasets`
            gives of an undecoded sound, `{"bytes": ..., "path": ...}`, is read as well.
        sampling_rate: Samples a second of what is returned.
        seconds: Of the beginning that is read; None: all.
        longest: Seconds; what is longer is refused, before it is decoded.

    Returns:
        float32 [samples].

    Raises:
        DataError: If it is no sound, damaged, cut off, without samples, longer than `longest`, or
            has samples that are NaN or infinite; the message names it.
        ArgumentError: If `sampling_rate` is no whole number above 0, or soundfile or soxr is not
            installed.

    Example:
        >>> read_sound("digits/7/speaker1_3.wav", 16_000).shape
        (6916,)
    """
    if not is_rate(sampling_rate):
        raise ArgumentError(
            f"sampling_rate={sampling_rate!r}; expected samples a second, as 16000."
        )
    try:
        with _told(source):
            return _read(source, int(sampling_rate), seconds, longest)
    except DataError as error:
        raise DataError(f"{error}.") from None


def problem(item: Any, longest: float = LONGEST) -> str | None:
    """Says why something is no sound that can be read, or returns None. All of it is decoded.

    Example:
        >>> problem("cats/1.wave")
        "there is no file 'cats/1.wave'"
    """
    found = _unreadable(item, longest)
    return None if found is None else str(found)


def flaw(item: Any, longest: float = LONGEST) -> str | None:
    """Says in a few words what `problem` finds, the same of all such sounds; None: nothing.

    Example:
        >>> flaw("cats/1.wave")
        'no such file'
    """
    found = _unreadable(item, longest)
    return None if found is None else found.flaw


def duration(item: Any, sampling_rate: int) -> float:
    """Returns the seconds of a sound; of a file by its header, which costs little.

    Args:
        item: The sound.
        sampling_rate: Of arrays that come without one.

    Raises:
        DataError: If it is none.
    """
    try:
        with _told(item):
            return _duration(item, sampling_rate)
    except DataError as error:
        raise DataError(f"{error}.") from None


def content_key(item: Any) -> str:
    """Returns the same for equal sounds: of files the digest of their bytes, else of the samples.

    Raises:
        DataError: If a file cannot be read, or the item is no sound.
    """
    made: str = digest(*_bytes_or_samples(item)).hexdigest()
    return made


def state_key(item: Any) -> bytes:
    """Returns what changes when the sound does, without reading files.

    Of a file, its path, size and time of change; of others, what `content_key` is made of.

    Raises:
        DataError: If there is no such file, or the item is no sound.
    """
    item = inner(item)
    if is_path(item):
        with _told(item):
            return file_state(item)
    made: bytes = digest(*_bytes_or_samples(item)).digest()
    return made


def file_bytes(item: Any, sampling_rate: int) -> bytes:
    """Returns a sound as the bytes of a file: its own, or of a WAV file of floats.

    Args:
        item: The sound.
        sampling_rate: Of arrays that come without one.

    Raises:
        DataError: If it cannot be read.
    """
    item = inner(item)
    if is_bytes(item):
        return bytes(item)
    if is_path(item):
        with _told(item):
            return file_content(item)
    with _told(item):
        samples, rate = array_and_rate(item, sampling_rate)
        written = io.BytesIO()
        _soundfile().write(written, samples, rate, format="WAV", subtype="FLOAT")
    return written.getvalue()


def media_type(content: bytes) -> str:
    """Returns what a sound's file is of, such as `"audio/wav"`, by its bytes.

    Raises:
        DataError: If it is no sound.
    """
    try:
        with _told(content), _opened(content) as file:
            return _MEDIA.get(file.format, "audio/*")
    except DataError as error:
        raise DataError(f"{error}.") from None


@needs_extra("sound", "reading sounds")
def _soundfile() -> Any:
    import soundfile

    return soundfile


@contextmanager
def _opened(item: Any) -> Iterator[soundfile.SoundFile]:
    """Opens a file that is given by its path or its bytes."""
    module = _soundfile()
    if is_path(item) and os.path.isdir(item):
        raise IsADirectoryError(item)
    if is_bytes(item) or not os.path.getsize(item):
        source: Any = io.BytesIO(file_content(item))
        start = source.getbuffer()[:_SHOWN_BYTES].tobytes()
    else:
        source = os.fspath(item)
        with open(source, "rb") as file:
            start = file.read(_SHOWN_BYTES)
    try:
        opened = module.SoundFile(source)
    except module.LibsndfileError as error:
        kind = next((name for mark, name in _UNREADABLE.items() if mark in start), None)
        if kind is not None:
            raise Unreadable(
                f"{kind}, which libsndfile does not read",
                f"{name_of(item)} is a file of {kind}, which libsndfile does not read; make it "
                "WAV or FLAC, as by ffmpeg -i SOUND sound.wav",
            ) from None
        if error.code == 1:  # the format is not known
            raise Unreadable(
                "no sound that libsndfile reads",
                f"{name_of(item)} is no sound that libsndfile reads; it starts with {start!r}",
            ) from None
        raise
    with opened:
        yield opened


@contextmanager
def _told(item: Any) -> Iterator[None]:
    """Turns what files and libsndfile raise into a DataError that names the sound."""
    item = inner(item)
    name = name_of(item)
    try:
        with told(item, name, "sounds"):
            yield
    except (KtliteError, MemoryError):
        raise
    except Exception as error:
        if type(error).__module__.partition(".")[0] != "soundfile":
            raise
        said = getattr(error, "error_string", None) or str(error)
        raise Unreadable("a damaged file", f"{name} is damaged: {said.rstrip('.')}") from None


def _unreadable(item: Any, longest: float) -> Unreadable | None:
    try:
        with _told(item):
            # The rate does not matter, and at the sound's own nothing is resampled.
            _read(item, None, None, longest)
    except Unreadable as error:
        return error
    return None


def _read(item: Any, rate: int | None, seconds: float | None, longest: float) -> np.ndarray:
    """Returns float32 [samples] at a rate; None: the sound's own."""
    item = inner(item)
    if is_path(item) or is_bytes(item):
        found = _read_file(item, rate, seconds, longest)
    else:
        samples, own = array_and_rate(item, rate or 1)
        if rate is not None or isinstance(item, tuple):
            _check_length(len(samples) / own, longest, name_of(item))
        if seconds is not None:
            samples = samples[: math.ceil((seconds + _BEYOND) * own)]
        found = _resampler(own, rate or own)(samples, True)
    if not len(found):
        raise Unreadable("no samples", f"{name_of(item)} has no samples: it lasts zero seconds")
    if rate is not None and seconds is not None:
        found = found[: round(seconds * rate)]
    if not np.isfinite(found).all():
        wrong = int(len(found) - np.isfinite(found).sum())
        raise Unreadable(
            "samples that are NaN or infinite",
            f"{name_of(item)} has samples that are NaN or infinite ({wrong:,} of {len(found):,})",
        )
    return found


def _read_file(item: Any, rate: int | None, seconds: float | None, longest: float) -> np.ndarray:
    with _opened(item) as file:
        own, name = int(file.samplerate), name_of(item)
        _check_length(file.frames / own, longest, name)
        lacking = cut_off(item)
        if lacking:
            raise Unreadable("cut off", f"{name} is cut off: {lacking}; copy it again")
        most = math.inf if seconds is None else math.ceil((seconds + _BEYOND) * own)
        resample, blocks, count = _resampler(own, rate or own), [], 0
        while True:
            # One block more than needed is empty: that is how the filter learns of the end.
            block = file.read(int(min(_BLOCK, most - count)), dtype="float32", always_2d=True)
            count += len(block)
            _check_length(count / own, longest, name)
            last = not len(block) or count >= most
            blocks.append(resample(mono(block), last))
            if last:
                return np.concatenate(blocks)


@needs_extra("sound", "resampling sounds")
def _resampler(own: int, rate: int) -> Callable[[np.ndarray, bool], np.ndarray]:
    """Returns a function that makes blocks those of another rate: (block, is it the last)."""
    if own == rate:
        return lambda block, last: block
    import soxr

    stream = soxr.ResampleStream(own, rate, 1, dtype="float32", quality="HQ")
    return lambda block, last: stream.resample_chunk(np.ascontiguousarray(block), last=last)


def _check_length(seconds: float, longest: float, name: str) -> None:
    if seconds > longest:
        raise Unreadable(
            f"longer than {_time(longest)}",
            f"{name} is too long: it lasts {_time(seconds)}, and what is longer than "
            f"{_time(longest)} is not read; cut it into parts",
        )


def _time(seconds: float) -> str:
    """Returns a duration as a person says it: 1 h 30 min."""
    if seconds < 120:
        return f"{seconds:g} s"
    minutes = math.ceil(seconds / 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _duration(item: Any, sampling_rate: int) -> float:
    item = inner(item)
    if is_path(item) or is_bytes(item):
        with _opened(item) as file:
            return float(file.frames) / file.samplerate
    samples, rate = array_and_rate(item, sampling_rate)
    return len(samples) / rate


def _bytes_or_samples(item: Any) -> tuple[bytes, ...]:
    item = inner(item)
    if is_bytes(item):
        return b"file", bytes(item)
    if is_path(item):
        with _told(item):
            return b"file", file_content(item)
    try:
        samples, rate = array_and_rate(item, 1)
    except DataError as error:
        raise DataError(f"{error}.") from None
    return str(rate).encode(), samples.tobytes()
