"""A table as a language model: what comes next is looked up by what has been."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

STATES = 4099


class Table:
    """Scores of the next token, a fixed function of all tokens before it and of the source.

    Attributes:
        scores: float32 [STATES, vocabulary].
        calls: The shapes of tokens that `step` has been called with.
    """

    def __init__(self, seed: int, vocabulary: int, ends: Sequence[int] = (), push: float = 0.0):
        # RandomState draws the same numbers in every version of NumPy.
        random = np.random.RandomState(seed)
        self.scores = random.normal(size=(STATES, vocabulary)).astype(np.float32) * 2
        self.scores[:, list(ends)] += np.float32(push)  # so that texts end early, or late
        self.calls: list[tuple[int, ...]] = []

    def state(self, tokens: Sequence[int], begin: int = 0) -> int:
        """Returns the state after some more tokens."""
        state = int(begin)
        for token in tokens:
            state = (state * 31 + int(token) + 7) % STATES
        return state

    def of_text(self, tokens: Sequence[int], source: Sequence[int] = ()) -> np.ndarray:
        """Returns the scores of what comes after a text, float32 [vocabulary]."""
        return self.scores[self.state(tokens, self.state(source))]

    def begin(self, sources: Sequence[Sequence[int]]) -> np.ndarray:
        """Returns the state before the first token, int [rows]."""
        return np.array([self.state(source) for source in sources])

    def step(self, tokens: np.ndarray, position: int, state: Any, order: Any) -> Any:
        """A `Step` whose state is (where each row stands, how many tokens it has read)."""
        where, read = state if isinstance(state, tuple) else (state, 0)
        assert position == read, (position, read)
        assert tokens.dtype == np.int32 and tokens.ndim == 2
        if order is not None:
            where = where[order]
        assert len(where) == len(tokens)
        self.calls.append(tokens.shape)
        after = np.array([self.state(t, s) for t, s in zip(tokens, where, strict=True)])
        return self.scores[after], (after, read + tokens.shape[1])
