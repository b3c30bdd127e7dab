"""SentencePiece models whose pieces have the ids of another file, `vocab.json`.

SentencePiece splits a text by its own model, and the pieces are looked up then: what the model
splits off is unknown where the file does not have it, and entries of the file that the model does
not know are never found. A Rust tokenizer has one vocabulary for both, so entries that may not be
found get names that no text has, and pieces without an id get ids behind all others. Characters
that the model does not know, side by side, are a piece, too, which the file may have.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ktlite.errors import CheckpointError, listing
from ktlite.inputs.sentencepiece_model import SentencePieceModel

# Texts have no spaces any more when pieces are looked for: they are "▁" then.
_NEVER_FOUND = " "


def read_ids(content: bytes, path: Path, needed: Iterable[str]) -> dict[str, int]:
    """Reads the ids of a vocabulary file.

    Raises:
        CheckpointError: If it is not an object of ids, each of another piece, or has none for a
            token that is needed.
    """
    try:
        ids = dict(json.loads(content))
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{path} is not a JSON object ({error}); fetch it again.") from error
    numbers = [value for value in ids.values() if type(value) is int and value >= 0]
    if not ids or len(set(numbers)) < len(ids):
        raise CheckpointError(
            f"{path} is no vocabulary: expected an object of pieces, each with an id of its own."
        )
    absent = [token for token in needed if token not in ids]
    if absent:
        raise CheckpointError(f"{path} has no id for {listing(absent)}.")
    return ids


def read_model(content: bytes, path: Path) -> SentencePieceModel:
    """Reads a SentencePiece model.

    Raises:
        CheckpointError: If it is none.
    """
    try:
        return SentencePieceModel.parse(content)
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}; fetch it again.") from error


@dataclass(frozen=True)
class Numbers:
    """What the tokens of a Rust tokenizer are in the file.

    Args:
        ids: The file's, by piece.
        unknown: The piece that stands for all that the file does not have.
    """

    ids: Mapping[str, int]
    unknown: str

    @functools.cached_property
    def size(self) -> int:
        """One more than the largest id."""
        return max(self.ids.values()) + 1

    def of(
        self, encoded: Sequence[Any], texts: Sequence[Any], rust: Any, windows: bool
    ) -> list[np.ndarray]:
        """Returns the ids of encodings, int32 [tokens] each.

        Args:
            encoded: Of the Rust tokenizer; they need no offsets.
            texts: What they are of, strings or pairs.
            rust: The Rust tokenizer.
            windows: Whether a text's windows follow it.
        """
        rows = []
        for found, text in zip(encoded, texts, strict=True):
            for number, row in enumerate([found, *(found.overflowing if windows else ())]):
                ids = np.array(row.ids, "int32")
                gaps = np.flatnonzero(ids == self.ids[self.unknown])
                ids[ids >= self.size] = self.ids[self.unknown]
                pieces = _pieces(number, text, rust) if len(gaps) else []
                for place in gaps:
                    ids[place] = self.ids.get(pieces[place], ids[place])
                rows.append(ids)
        return rows


def _pieces(window: int, text: Any, rust: Any) -> list[str]:
    """Returns the parts of a normalised text that tokens are of, in one of its windows."""
    # What has been normalised stays as it is the second time, so that the places are its own.
    text = [rust.normalizer.normalize_str(part) for part in _parts(text)]
    whole = rust.encode(*text)
    row = whole if window == 0 else whole.overflowing[window - 1]
    places = zip(row.sequence_ids, row.offsets, strict=True)
    return ["" if of is None else text[of][start:end] for of, (start, end) in places]


def _parts(text: Any) -> tuple[str, ...]:
    return (text,) if isinstance(text, str) else tuple(text)


def numbered(
    model: SentencePieceModel, ids: Mapping[str, int], unknown: str, whole: Collection[str]
) -> Any:
    """Returns the Rust tokenizer that splits as a model does, with the ids of a file.

    Args:
        model: SentencePiece's.
        ids: By piece.
        unknown: The piece that stands for all others; one of `ids`.
        whole: Entries that are added as tokens, and keep their names.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers

    scores = model.found
    lowest = min(scores.values(), default=0.0)
    size = Numbers(ids, unknown).size
    names = [f"{_NEVER_FOUND}{number}" for number in range(size)]
    for piece, number in ids.items():
        named = piece in scores or piece in whole
        names[number] = piece if named else _NEVER_FOUND + piece
    names += [piece for piece in scores if piece not in ids]
    # What is not found must not lower the score of what is unknown, which is 10 below the lowest.
    vocab = [(name, scores.get(name, lowest)) for name in names]
    if model.is_unigram:
        rust = Tokenizer(models.Unigram(vocab, ids[unknown], model.byte_fallback))
    else:
        rust = Tokenizer(
            models.BPE(
                {name: number for number, name in enumerate(names)},
                model.merges(),
                unk_token=names[ids[unknown]],
                fuse_unk=True,
                byte_fallback=model.byte_fallback,
            )
        )
    rust.normalizer = normalizers.Sequence(model.normalizers())
    scheme = "always" if model.dummy_prefix else "never"
    rust.pre_tokenizer = pre_tokenizers.Metaspace(
        "▁", prepend_scheme=scheme, split=not model.crosses_words
    )
    rust.decoder = decoders.Metaspace("▁", prepend_scheme=scheme)
    rust.add_tokens([AddedToken(piece, normalized=False) for piece in model.user_defined])
    return rust


def writer(ids: Mapping[str, int], model: SentencePieceModel) -> Any:
    """Returns the Rust tokenizer that turns the ids of a file into texts."""
    from tokenizers import Tokenizer, decoders, models

    rust = Tokenizer(models.WordLevel(dict(ids), unk_token=next(iter(ids))))
    spaces = decoders.Replace("▁", " ")
    rust.decoder = (
        decoders.Sequence([decoders.ByteFallback(), spaces]) if model.byte_fallback else spaces
    )
    return rust
