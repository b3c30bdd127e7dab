"""SentencePiece's `*.model` files as Rust tokenizers, with the normalisation that they hold.

A file is a message of protocol buffers (https://protobuf.dev/programming-guides/encoding) whose
fields `sentencepiece_model.proto` of SentencePiece names; the few that decide about tokens are
read here, without the packages `sentencepiece` and `protobuf`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

# Types of pieces.
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
_UNIGRAM = 1
_NEVER = -1e4  # the score of a piece that is not to be used; real ones are above -100


@dataclass(frozen=True)
class SentencePieceModel:
    """What a `*.model` file says.

    Args:
        pieces: (piece, score, type), by id.
        charsmap: What characters are replaced by, as the Rust normalizer `Precompiled` takes it;
            empty: none are.
        dummy_prefix: Whether a text begins as if there were a space before it.
        remove_spaces: Whether spaces at its ends and repeated ones are dropped.
        byte_fallback: Whether characters that are not known become bytes.
        is_unigram: Whether it is a Unigram model; others are BPE, words or characters.
    """

    pieces: tuple[tuple[str, float, int], ...]
    charsmap: bytes = b""
    dummy_prefix: bool = True
    remove_spaces: bool = True
    byte_fallback: bool = False
    is_unigram: bool = True

    @classmethod
    def parse(cls, content: bytes) -> SentencePieceModel:
        """Reads the bytes of a file.

        Raises:
            ValueError: If they are no such model.
        """
        try:
            pieces, trainer, normalizer = [], {}, {}
            for number, value in _fields(content):
                if number == 1:
                    piece = dict(_fields(value))
                    (score,) = struct.unpack("<f", piece.get(2, b"\0\0\0\0"))
                    pieces.append((piece[1].decode(), score, int(piece.get(3, NORMAL))))
                elif number == 2:
                    trainer = dict(_fields(value))
                elif number == 3:
                    normalizer = dict(_fields(value))
        except (IndexError, KeyError, TypeError, UnicodeDecodeError, struct.error) as error:
            raise ValueError("it is no SentencePiece model, or damaged") from error
        if not pieces:
            raise ValueError("it is no SentencePiece model, or has no pieces")
        return cls(
            tuple(pieces),
            normalizer.get(2, b""),
            bool(normalizer.get(3, True)),
            bool(normalizer.get(4, True)),
            bool(trainer.get(35, False)),
            trainer.get(3, _UNIGRAM) == _UNIGRAM,
        )

    @property
    def scores(self) -> list[tuple[str, float]]:
        """The pieces with their scores, by id; those out of use never win."""
        return [(piece, _NEVER if kind == UNUSED else score) for piece, score, kind in self.pieces]

    @property
    def found(self) -> dict[str, float]:
        """The scores of those pieces that texts can be split into."""
        return {
            piece: score
            for piece, score, kind in self.pieces
            if kind in (NORMAL, USER_DEFINED, BYTE)
        }

    @property
    def crosses_words(self) -> bool:
        """Whether some piece goes on behind a space, so that words are not split one by one."""
        return any("▁" in piece[1:] for piece in self.found)

    def merges(self) -> list[tuple[str, str]]:
        """Returns what a BPE model merges, the likeliest first.

        SentencePiece keeps pieces alone, and merges any two neighbours that are a piece together.
        """
        found = {piece: score for piece, score, kind in self.pieces if kind == NORMAL}
        ranked = sorted(found, key=found.__getitem__, reverse=True)
        return [
            (piece[:cut], piece[cut:])
            for piece in ranked
            for cut in range(1, len(piece))
            if piece[:cut] in found and piece[cut:] in found
        ]

    @property
    def unknown(self) -> int:
        """The id of what is not known."""
        return next((i for i, (_, _, kind) in enumerate(self.pieces) if kind == UNKNOWN), 0)

    @property
    def user_defined(self) -> list[str]:
        """The pieces that are found in texts whatever is around them."""
        return [piece for piece, _, kind in self.pieces if kind == USER_DEFINED]

    def normalizers(self) -> list[Any]:
        """Returns the Rust normalizers that do what SentencePiece does to a text."""
        from tokenizers import Regex, normalizers

        made: list[Any] = [normalizers.Precompiled(self.charsmap)] if self.charsmap else []
        if self.remove_spaces:  # spaces alone; what else is white the map has made one
            made += [
                normalizers.Replace(Regex(r"\A +| +\z"), ""),
                normalizers.Replace(Regex(" {2,}"), " "),
            ]
        return made


def _fields(content: bytes) -> Iterator[tuple[int, Any]]:
    """Yields the number and the value of each field of a message: an int, or bytes."""
    at = 0
    while at < len(content):
        key, at = _varint(content, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(content, at)
            yield number, value
            continue
        if wire == 2:
            size, at = _varint(content, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise TypeError(f"wire type {wire}")
        if at + size > len(content):
            raise IndexError("cut short")
        yield number, content[at : at + size]
        at += size


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """Returns the number at a place, seven bits a byte, and the place after it."""
    value = shift = 0
    while True:
        byte = content[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
