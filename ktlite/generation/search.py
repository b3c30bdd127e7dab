"""The search for texts, one token for each row at a time: greedy, or by draws.

A search is told the scores of the next tokens, and says which tokens the model has to read next.
Beam search is in `ktlite.generation.beams`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from ktlite.errors import ArgumentError, KtliteError
from ktlite.generation.options import Generation
from ktlite.generation.rules import NEVER, Numbers, Prefixes, Rule, Scores, Tokens, apply

#: Whether a text ends here: its example's number and its new tokens, int32 [length].
Stop = Callable[[int, Tokens], bool]

#: Draws that are made at a time for each row.
_DRAWS = 64
#: Tokens whose probabilities are summed at first.
_BLOCK = 256


@dataclass(frozen=True, eq=False)
class Generated:
    """A text that a model wrote.

    Attributes:
        ids: int32 [length]: its tokens, without the prompt, with the one that ended it.
        score: The sum of `token_scores` divided by the length to the power of
            `length_penalty`. Of beam search it is transformers' `sequences_scores`.
        token_scores: float32 [length]: the log-probability of each token where it was chosen,
            after all rules (in beam search not normalised again, as in transformers).
    """

    ids: Tokens
    score: float
    token_scores: Scores


class Written(NamedTuple):
    """A token that has just been chosen.

    Attributes:
        row: The text that it belongs to: the prompt's place times `num_return_sequences`, and
            which of its texts.
        token: Its id.
        score: Its log-probability.
        last: Whether the text ends with it.
    """

    row: int
    token: int
    score: float
    last: bool


class Next(NamedTuple):
    """What the model has to read next.

    Attributes:
        tokens: int32 [rows]: a token for each row.
        order: int [rows]: which of the rows before each goes on from, or None where each goes on
            from itself.
    """

    tokens: Tokens
    order: Numbers | None


class Search(Protocol):
    """Chooses tokens from scores."""

    def advance(self, scores: Scores) -> Next | None:
        """Takes the scores of the next tokens; returns what to read, or None at the end."""

    def results(self) -> list[Generated]:
        """Returns the texts, those of one prompt side by side."""


@dataclass(frozen=True)
class Start:
    """What a search begins with.

    Attributes:
        tokens: int32 [examples, length]: the prompts, padded on the right with anything.
        prompts: int [examples]: their lengths.
        limits: int [examples]: how long each text may be with its prompt.
        seeds: int [examples]: what the draws of each depend on, beside the seed.
    """

    tokens: Tokens
    prompts: Numbers
    limits: Numbers
    seeds: Numbers

    @property
    def shortest(self) -> int:
        """Tokens of the shortest prompt; 0 where there are no prompts."""
        return int(self.prompts.min()) if len(self.prompts) else 0

    def room(self, copies: int) -> Tokens:
        """Returns int32 [examples, copies, longest text] that begin with the prompts."""
        longest = max(int(self.limits.max(initial=0)), self.tokens.shape[1])
        room = np.zeros((len(self.tokens), copies, longest), np.int32)
        room[:, :, : self.tokens.shape[1]] = self.tokens[:, None]
        return room


class Rowwise:
    """Greedy search and draws: every row for itself."""

    def __init__(
        self,
        options: Generation,
        start: Start,
        rules: Sequence[Rule],
        narrowing: Sequence[Rule] = (),
        stop: Stop | None = None,
        drop_finished: bool = True,
    ) -> None:
        copies = options.num_return_sequences
        room = start.room(copies)
        self.options, self.rules, self.narrowing, self.stop = options, rules, narrowing, stop
        self.drop_finished = drop_finished
        self.tokens = room.reshape(-1, room.shape[2])
        self.examples = np.repeat(np.arange(len(start.tokens)), copies)
        self.prompts, self.limits = start.prompts[self.examples], start.limits[self.examples]
        self.scores = np.zeros(self.tokens.shape, np.float32)
        self.lengths = self.prompts.copy()
        self.done = np.zeros(len(self.tokens), bool)
        self.length = start.shortest
        self.active = np.arange(len(self.tokens))  # the rows that the model still reads
        self.written: list[Written] = []
        self._first = True
        seeds = np.repeat(start.seeds, copies)
        self._random = [
            np.random.default_rng([options.seed, int(seed), row % copies])
            for row, seed in enumerate(seeds)
        ] if options.do_sample else []  # fmt: skip
        self._draws = np.zeros((len(self.tokens), _DRAWS))
        self._drawn = np.zeros(len(self.tokens), np.intp)

    def advance(self, scores: Scores) -> Next | None:
        """Takes float32 [rows, vocabulary]; see `Search`."""
        active, length, order = self.active, self.length, None
        if self._first and len(scores) < len(active):  # one row for each prompt so far
            order = self.examples
            scores = scores[order]
        self._first = False
        reading = length < self.prompts[active]
        new = ~reading & ~self.done[active]
        tokens, logs = self._choose(scores, new)
        tokens = np.where(new, tokens, self.options.fill).astype(np.int32)
        tokens[reading] = self.tokens[active[reading], length]
        self.tokens[active, length] = tokens
        self.scores[active[new], length] = logs[new]
        self.length += 1
        self.lengths[active[new]] = self.length
        ended = new & (
            np.isin(tokens, self.options.eos_token_id) | (self.length >= self.limits[active])
        )
        if self.stop is not None:
            for place in np.flatnonzero(new & ~ended):
                row = active[place]
                written = self.tokens[row, self.prompts[row] : self.length]
                ended[place] = self.stop(int(self.examples[row]), written)
        self.done[active[ended]] = True
        self.written = [
            Written(int(active[p]), int(tokens[p]), float(logs[p]), bool(ended[p]))
            for p in np.flatnonzero(new)
        ]
        return self._next(tokens, order)

    def _next(self, tokens: Tokens, order: Numbers | None) -> Next | None:
        going = np.flatnonzero(~self.done[self.active])
        if not len(going):
            return None
        if self.drop_finished and 2 * len(going) <= len(self.active):
            order = going if order is None else order[going]
            self.active, tokens = self.active[going], tokens[going]
        return Next(tokens, order)

    def _choose(self, scores: Scores, new: npt.NDArray[np.bool_]) -> tuple[Tokens, Scores]:
        """Returns a token for each row, and its log-probability; rows not `new` get anything."""
        active = self.active
        rows = np.flatnonzero(new)
        tokens, logs = np.zeros(len(active), np.int32), np.zeros(len(active), np.float32)
        if not len(rows):
            return tokens, logs
        where = active[rows]
        prefixes = Prefixes(
            self.tokens[where, : self.length], self.prompts[where], self.limits[where],
            self.examples[where],
        )  # fmt: skip
        scores = apply(self.rules, scores if len(rows) == len(active) else scores[rows], prefixes)
        highest = scores.max(axis=1)
        check_numbers(highest)
        check_possible(highest > NEVER)
        scores = apply(self.narrowing, scores, prefixes)
        if self.options.do_sample:
            tokens[rows], logs[rows] = draw(scores, self._uniform(where))
        else:
            tokens[rows] = scores.argmax(axis=1)
            logs[rows] = -np.log(np.exp(scores - highest[:, None]).sum(axis=1))
        return tokens, logs

    def _uniform(self, rows: Numbers) -> npt.NDArray[np.float64]:
        """Returns the next random number of each row's own stream."""
        places = self._drawn[rows] % _DRAWS
        for row in rows[places == 0]:
            self._draws[row] = self._random[row].random(_DRAWS)
        self._drawn[rows] += 1
        return self._draws[rows, places]

    def results(self) -> list[Generated]:
        """Returns the texts; see `Search`."""
        found = []
        for row, (begin, end) in enumerate(zip(self.prompts, self.lengths, strict=True)):
            scores = self.scores[row, begin:end].copy()
            length = float(max(end - begin, 1)) ** self.options.length_penalty
            found.append(Generated(self.tokens[row, begin:end].copy(),
                                   float(scores.sum()) / length, scores))  # fmt: skip
        return found


def draw(scores: Scores, uniform: npt.NDArray[np.float64]) -> tuple[Tokens, Scores]:
    """Draws a token for each row, by its probability.

    Args:
        scores: float32 [rows, vocabulary]; those that are -inf are never drawn.
        uniform: float64 [rows], from 0 to below 1: which one.

    Returns:
        Tokens, int32 [rows], and their log-probabilities, float32 [rows].
    """
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    # In two steps, the block and then the token in it: sums along a whole vocabulary are slow.
    begins = np.arange(0, scores.shape[1], _BLOCK)
    blocks = np.add.reduceat(weights, begins, axis=1)
    block, inside, total = _place(blocks, uniform)
    end = np.minimum(begins[block] + _BLOCK, scores.shape[1])
    tokens = np.minimum(begins[block][:, None] + np.arange(_BLOCK), end[:, None] - 1)
    chances = np.take_along_axis(weights, tokens, axis=1)
    chances[begins[block][:, None] + np.arange(_BLOCK) >= end[:, None]] = 0
    place, _, _ = _place(chances, inside)
    rows = np.arange(len(scores))
    chosen = tokens[rows, place]
    return chosen.astype(np.int32), np.log(weights[rows, chosen] / total).astype(np.float32)


def _place(
    weights: Scores, uniform: npt.NDArray[np.float64]
) -> tuple[Numbers, npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Returns where numbers from 0 to below 1 fall among weights, where in it, and the sums."""
    sums = np.cumsum(weights, axis=1, dtype=np.float64)
    total = sums[:, -1]
    target = np.minimum(uniform * total, np.nextafter(total, 0))  # below: no weight of 0 is hit
    place = (sums <= target[:, None]).sum(axis=1)
    own = weights[np.arange(len(place)), place].astype(np.float64)
    before = sums[np.arange(len(place)), place] - own
    return place, np.clip((target - before) / own, 0, 1), total


def check_numbers(scores: Scores) -> None:
    """Raises where a row's scores, of which these are the highest, are NaN."""
    if np.isnan(scores).any():
        raise KtliteError(
            "generate: the model's scores are no numbers (NaN). Its weights are damaged, or too "
            "large for the precision that it computes in: look at one forward pass."
        )


def check_possible(possible: npt.NDArray[np.bool_]) -> None:
    """Raises unless every row has a token that can come next."""
    if not possible.all():
        raise ArgumentError(
            "generate: no token is left that could come next: each is forbidden by "
            "suppress_tokens, bad_words_ids, no_repeat_ngram_size or min_length. Lift one of them."
        )
