"""The special tokens around the texts of an input, such as `[CLS] A [SEP] B [SEP]`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Frame:
    """What a tokenizer puts around one text, or two.

    Args:
        specials: int64 arrays: the special tokens before each text, and after the last.
        special_types: Their token types.
        text_types: The token type of each text.
    """

    specials: tuple[np.ndarray, ...]
    special_types: tuple[np.ndarray, ...]
    text_types: tuple[int, ...]

    @classmethod
    def of(cls, rust: Any, texts: int) -> Frame:
        """Reads the frame off a Rust tokenizer, for one text or two."""
        probe = rust.encode(*[_known(rust)] * texts)
        ids, types = np.array(probe.ids, "int64"), np.array(probe.type_ids, "int64")
        # Text of each token; -1 for special tokens, which here lie around single stretches.
        inside = np.array([-1 if s is None else s for s in probe.sequence_ids])
        where = [np.flatnonzero(inside == i) for i in range(texts)]
        edges = [0, *(edge for w in where for edge in (w[0], w[-1] + 1)), len(ids)]
        outside = [slice(edges[i], edges[i + 1]) for i in range(0, len(edges), 2)]
        return cls(
            tuple(ids[s] for s in outside),
            tuple(types[s] for s in outside),
            tuple(int(types[w[0]]) for w in where),
        )

    @property
    def size(self) -> int:
        """The number of special tokens."""
        return sum(len(s) for s in self.specials)

    def around(self, texts: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray, list[int]]:
        """Returns ids and token types of an input, int64 [length], and where each text starts."""
        ids, types, starts = [self.specials[0]], [self.special_types[0]], []
        position = len(self.specials[0])
        for i, text in enumerate(texts):
            starts.append(position)
            ids += [text, self.specials[i + 1]]
            types += [np.full(len(text), self.text_types[i]), self.special_types[i + 1]]
            position += len(text) + len(self.specials[i + 1])
        return np.concatenate(ids), np.concatenate(types), starts


def _known(rust: Any) -> str:
    """Returns a text that a tokenizer makes tokens of."""
    if rust.encode("a", add_special_tokens=False).ids:
        return "a"
    # Where nothing stands for what is unknown.
    words: list[str] = sorted(rust.get_vocab(with_added_tokens=False))
    return next(word for word in words if rust.encode(word, add_special_tokens=False).ids)
