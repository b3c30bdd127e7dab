"""Texts that are words already, as token ids that know their words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ktlite._progress import progress
from ktlite.encodings.tokens import TokenEncodings
from ktlite.inputs.texts import check_texts
from ktlite.inputs.windows import cut, fill_gaps

_CHUNK = 2_000  # texts a call of the Rust tokenizer


def encode_words(tokenizer: Any, texts: Sequence[Sequence[str]], verbose: int) -> TokenEncodings:
    """Tokenises words; `Tokenizer.encode_words` describes it."""
    check_texts([" ".join(words) for words in texts])
    rust, frame = tokenizer.word_by_word(), tokenizer.frame(1)
    room = tokenizer.maxlen - frame.size
    rows: list[tuple[np.ndarray, np.ndarray]] = []
    numbers: list[np.ndarray] = []
    example_of: list[int] = []
    bar = progress(len(texts), "Tokenising", "text", shown=verbose and len(texts) > _CHUNK)
    for start in range(0, len(texts), _CHUNK):
        chunk = [list(words) for words in texts[start : start + _CHUNK]]
        encoded = rust.encode_batch(chunk, is_pretokenized=True, add_special_tokens=False)
        for number, (words, found) in enumerate(zip(chunk, encoded, strict=True), start):
            whole = fill_gaps(found.ids, found.word_ids, len(words), tokenizer.unknown_id)
            for ids, inside in cut(*whole, room):
                around, types, (first,) = frame.around([ids])
                if not len(around):  # no words, and no special tokens
                    around, types = np.array([tokenizer.unknown_id]), np.zeros(1, "int8")
                of_word = np.full(len(around), -1, "int32")
                of_word[first : first + len(ids)] = inside
                rows.append((around, types))
                numbers.append(of_word)
                example_of.append(number)
        bar.update(len(chunk))
    bar.close()
    lengths = [len(of_word) for of_word in numbers]
    type_ids = np.concatenate([[], *(types for _, types in rows)]).astype("int8")
    return TokenEncodings(
        ids=np.concatenate([[], *(ids for ids, _ in rows)]).astype("int32"),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype("int64"),
        type_ids=type_ids if type_ids.any() else None,
        max_length=tokenizer.maxlen,
        pad_id=tokenizer.pad_id,
        words=np.concatenate([[], *numbers]).astype("int32"),
        example_of=np.array(example_of, "int64"),
    )
