"""Beam search: the best few texts are followed at a time, and the best finished ones kept.

It is transformers 5's search, step by step and in float32, so that texts and scores are the same.
Of candidates with equal scores the one of the better beam, with the lower token, comes first.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ktlite.generation.largest import largest
from ktlite.generation.options import Generation
from ktlite.generation.rules import (
    NEVER,
    Numbers,
    Prefixes,
    Rule,
    Scores,
    Tokens,
    apply,
    log_softmax,
)
from ktlite.generation.search import Generated, Next, Start, Stop, check_numbers, check_possible

#: What takes a hypothesis out of the race without leaving float32.
_OUT = np.float32(-1e9)

_Flags = npt.NDArray[np.bool_]


class Beams:
    """Beam search, with or without draws.

    Each example has `num_beams` running hypotheses and a pool of its best finished ones. It is
    done when no running one can enter the pool any more; what that means says `early_stopping`.
    """

    def __init__(
        self,
        options: Generation,
        start: Start,
        rules: Sequence[Rule],
        narrowing: Sequence[Rule] = (),
        stop: Stop | None = None,
        drop_finished: bool = True,
    ) -> None:
        examples, beams = len(start.tokens), options.num_beams
        self.options, self.rules, self.stop = options, [*rules, *narrowing], stop
        self.drop_finished = drop_finished
        self.prompts, self.limits = start.prompts, start.limits
        # Enough candidates that `beams` of them go on, whatever ends.
        self.candidates = max(2, 1 + len(options.eos_token_id)) * beams
        self.tokens = start.room(beams)
        self.logs = np.zeros(self.tokens.shape, np.float32)  # room for long texts costs nothing
        self.running = np.full((examples, beams), _OUT)
        self.running[:, 0] = 0  # all beams are the same text at first: only one may go on
        self.pool_tokens = start.room(beams)
        self.pool_logs = np.zeros(self.tokens.shape, np.float32)
        self.pool = np.full((examples, beams), _OUT)
        self.pool_lengths = np.repeat(start.prompts[:, None], beams, axis=1)
        self.finished = np.zeros((examples, beams), bool)
        self.hopeful = np.ones(examples, bool)
        self.done = np.zeros(examples, bool)
        self.length = start.shortest
        self.active = np.arange(examples)  # the examples that the model still reads
        self._first = True
        self._random = [
            np.random.default_rng([options.seed, int(seed)]) for seed in start.seeds
        ] if options.do_sample else []  # fmt: skip

    def advance(self, scores: Scores) -> Next | None:
        """Takes float32 [rows, vocabulary]; see `ktlite.generation.search.Search`."""
        active, beams, length = self.active, self.options.num_beams, self.length
        one_each = self._first and len(scores) == len(active)
        self._first = False
        totals, logs = self._totals(scores, one_each and beams > 1)
        best = self._candidates(totals)
        beam, token = np.divmod(best, scores.shape[1])
        tokens = token.astype(np.int32)
        new_scores = np.take_along_axis(totals, best, axis=1)
        new_logs = np.take_along_axis(logs, best, axis=1)
        reading = length < self.prompts[active]
        nothing = (new_scores[:, 0] == NEVER) & ~reading & ~self.finished[active].any(axis=1)
        check_possible(~nothing)
        stopped = self._stopped(beam, tokens) & ~reading[:, None]

        enters = stopped.copy()
        enters[:, beams:] = False
        self._to_pool(enters, new_scores, beam, tokens, new_logs)
        lowered = new_scores + np.where(stopped, _OUT, np.float32(0))
        going = largest(lowered, beams)
        kept = np.where(reading[:, None], np.arange(beams), np.take_along_axis(beam, going, axis=1))
        chosen = np.take_along_axis(tokens, going, axis=1)
        chosen = np.where(reading[:, None], self.tokens[active, :, length], chosen)
        for texts in (self.tokens, self.logs):
            before = texts[active, :, :length]
            texts[active, :, :length] = np.take_along_axis(before, kept[:, :, None], axis=1)
        self.tokens[active, :, length] = chosen
        self.logs[active, :, length] = np.take_along_axis(new_logs, going, axis=1)
        self.running[active] = np.where(
            reading[:, None], self.running[active], np.take_along_axis(lowered, going, axis=1)
        )
        self.length += 1
        self._judge(stopped)
        return self._next(chosen, kept, one_each)

    def _totals(self, scores: Scores, one_each: bool) -> tuple[Scores, Scores]:
        """Returns the scores of all candidates, and their last token's part of it.

        Both are float32 [examples, beams * vocabulary].
        """
        active, beams = self.active, self.options.num_beams
        logs = log_softmax(np.asarray(scores, np.float32))
        check_numbers(logs[:, 0])  # of a row with a NaN all are
        if one_each:
            logs = np.repeat(logs, beams, axis=0)
        prefixes = Prefixes(
            self.tokens[active, :, : self.length].reshape(len(logs), -1),
            np.repeat(self.prompts[active], beams),
            np.repeat(self.limits[active], beams),
            np.repeat(active, beams),
        )
        logs = apply(self.rules, logs, prefixes).reshape(len(active), beams, -1)
        totals = logs + self.running[active][:, :, None]
        return totals.reshape(len(active), -1), logs.reshape(len(active), -1)

    def _candidates(self, totals: Scores) -> Numbers:
        """Returns the candidates of each example, [examples, candidates], the best first."""
        count = min(self.candidates, totals.shape[1])
        if not self.options.do_sample:
            return largest(totals, count)
        # The largest of log-probabilities with Gumbel noise are draws without putting back.
        noisy = totals - totals.max(axis=1, keepdims=True)
        for row, example in enumerate(self.active):
            if self.length < self.prompts[example]:
                continue  # what is drawn for it must not depend on the others' prompts
            waits = self._random[example].standard_exponential(totals.shape[1], np.float32)
            noisy[row] -= np.log(np.maximum(waits, np.finfo(np.float32).tiny))
        drawn = largest(noisy, count)
        order = largest(np.take_along_axis(totals, drawn, axis=1), count)
        return np.take_along_axis(drawn, order, axis=1)

    def _stopped(self, beam: Numbers, tokens: Tokens) -> _Flags:
        """Returns which candidates, [examples, candidates], end a text."""
        stopped = np.isin(tokens, self.options.eos_token_id)
        stopped |= (self.length + 1 >= self.limits[self.active])[:, None]
        if self.stop is not None:
            for row, place in zip(*np.nonzero(~stopped), strict=True):
                example = self.active[row]
                before = self.tokens[example, beam[row, place], self.prompts[example] : self.length]
                if self.length >= self.prompts[example]:
                    written = np.append(before, tokens[row, place])
                    stopped[row, place] = self.stop(int(example), written)
        return stopped

    def _to_pool(
        self, enters: _Flags, scores: Scores, beam: Numbers, tokens: Tokens, logs: Scores
    ) -> None:
        """Puts finished candidates into the pools that they are good enough for."""
        rows = np.flatnonzero(enters.any(axis=1))
        if not len(rows):
            return
        where, beams, end = self.active[rows], self.options.num_beams, self.length + 1
        scores = scores[rows] / self._lengths(where, end)
        if self.options.early_stopping is True:
            scores = scores + self.finished[where].all(axis=1, keepdims=True) * _OUT
        scores = scores + ~self.hopeful[where, None] * _OUT
        scores = scores + ~enters[rows] * _OUT
        merged = np.concatenate([self.pool[where], scores], axis=1)
        best = largest(merged, beams)

        for pool, running, last in (
            (self.pool_tokens, self.tokens, tokens),
            (self.pool_logs, self.logs, logs),
        ):
            texts = np.take_along_axis(running[where, :, :end], beam[rows][:, :, None], axis=1)
            texts[:, :, self.length] = last[rows]
            both = np.concatenate([pool[where, :, :end], texts], axis=1)
            pool[where, :, :end] = np.take_along_axis(both, best[:, :, None], axis=1)
        for flags, new in (
            (self.pool_lengths, np.full(tokens[rows].shape, end)),
            (self.finished, enters[rows]),
        ):
            both = np.concatenate([flags[where], new], axis=1)
            flags[where] = np.take_along_axis(both, best, axis=1)
        self.pool[where] = np.take_along_axis(merged, best, axis=1)

    def _lengths(self, examples: Numbers, end: int | Numbers) -> Scores:
        """Returns [examples, 1]: what scores of texts of that length are divided by."""
        lengths = np.maximum(end - self.prompts[examples], 1).astype(np.float64)
        return (lengths**self.options.length_penalty).astype(np.float32)[:, None]

    def _judge(self, stopped: _Flags) -> None:
        """Finds out which examples are done."""
        active, options = self.active, self.options
        longest = options.early_stopping == "never" and options.length_penalty > 0
        end = self.limits[active] if longest else self.length
        possible = self.running[active, :1] / self._lengths(active, end)
        worst = np.where(self.finished[active], self.pool[active].min(axis=1, keepdims=True), _OUT)
        self.hopeful[active] &= (possible > worst).any(axis=1)
        full = self.finished[active].all(axis=1) & (options.early_stopping is True)
        self.done[active] |= ~self.hopeful[active] | full | stopped.all(axis=1)

    def _next(self, chosen: Tokens, kept: Numbers, one_each: bool) -> Next | None:
        going = np.flatnonzero(~self.done[self.active])
        if not len(going):
            return None
        rows = np.arange(len(self.active))[:, None] * self.options.num_beams + kept
        if one_each:
            rows = np.repeat(np.arange(len(self.active))[:, None], kept.shape[1], axis=1)
        if self.drop_finished and 2 * len(going) <= len(self.active):
            self.active, rows, chosen = self.active[going], rows[going], chosen[going]
        return Next(chosen.reshape(-1).astype(np.int32), rows.reshape(-1))

    def results(self) -> list[Generated]:
        """Returns the texts, the best of each prompt first; empty ones where there are fewer."""
        return [
            Generated(
                self.pool_tokens[example, place, begin:end].copy(),
                float(self.pool[example, place]) if end > begin else -np.inf,
                self.pool_logs[example, place, begin:end].copy(),
            )
            for example, begin in enumerate(self.prompts)
            for place in range(self.options.num_return_sequences)
            for end in [self.pool_lengths[example, place]]
        ]
