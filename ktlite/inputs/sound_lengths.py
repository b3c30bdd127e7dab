"""Whether the file of a sound is as long as its headers say; libsndfile reads what there is."""

from __future__ import annotations

import io
import os
import struct
from typing import Any, BinaryIO

from ktlite.inputs.item_files import is_path

# Sizes that mean "until the end": what writes to a pipe cannot go back to say more. From here on.
_UNKNOWN = 0x7FFFF000
_TAIL = 65_536 + 512  # an Ogg page has at most 65,307 bytes
_HEAD = 4_096  # of an MP3 stream, in which its first frame is


def cut_off(item: Any) -> str | None:
    """Says what a file lacks, by the headers of WAV, Ogg and MP3; None: nothing is known to lack.

    FLAC is left out: its decoder notices.

    Args:
        item: The path of a file, or its bytes.

    Example:
        >>> cut_off("half.wav")
        'it has 44,100 of 88,200 bytes of samples'
    """
    if is_path(item):
        with open(item, "rb") as file:
            return _lacking(file, os.path.getsize(item))
    return _lacking(io.BytesIO(item), len(item))


def _lacking(file: BinaryIO, size: int) -> str | None:
    start = file.read(12)
    if start[:4] == b"RIFF" and start[8:] == b"WAVE":
        return _wave(file, size)
    if start[:4] == b"OggS":
        return _ogg(file, size)
    return _mp3(file, size, start)


def _wave(file: BinaryIO, size: int) -> str | None:
    """Looks at the length of the chunk of samples (multimedia programming interface, 1991)."""
    while len(head := file.read(8)) == 8:
        (length,) = struct.unpack("<I", head[4:])
        if head[:4] == b"data":
            there = size - file.tell()
            if length <= there or length >= _UNKNOWN:
                return None
            return f"it has {there:,} of {length:,} bytes of samples"
        file.seek(length + length % 2, os.SEEK_CUR)
    return None


def _ogg(file: BinaryIO, size: int) -> str | None:
    """Looks whether the last page is whole (RFC 3533)."""
    first = max(0, size - _TAIL)
    file.seek(first)
    tail = file.read()
    at = tail.rfind(b"OggS")
    if at < 0:
        return "its last page is damaged"
    page = tail[at:]
    segments = page[26] if len(page) > 26 else 0
    if len(page) < 27 + segments or len(page) < 27 + segments + sum(page[27 : 27 + segments]):
        return "it ends within a page"
    return None


def _mp3(file: BinaryIO, size: int, start: bytes) -> str | None:
    """Looks at the bytes that the Xing header counts, which encoders write into the first frame."""
    first = 0
    if start[:3] == b"ID3":
        # Four bytes of seven bits (ID3v2, section 3.1).
        for byte in start[6:10]:
            first = (first << 7) + (byte & 0x7F)
        first += 10
    file.seek(first)
    head = file.read(_HEAD)
    if len(head) < 2 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    at = max(head.find(b"Xing", 0, 64), head.find(b"Info", 0, 64))
    if at < 0 or len(head) < at + 16:
        return None
    flags = int.from_bytes(head[at + 4 : at + 8], "big")
    if not flags & 2:
        return None
    place = at + 8 + (4 if flags & 1 else 0)
    length = int.from_bytes(head[place : place + 4], "big")
    there = size - first
    return f"it has {there:,} of {length:,} bytes" if 0 < there < length else None
