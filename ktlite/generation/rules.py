"""What may not, or must, come next: scores of the next token, changed by what stands before it.

The rules are transformers' processors of logits, in the order in which its `generate` applies
them. Greedy search and draws give them the model's scores, beam search log-probabilities.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ktlite.errors import ArgumentError
from ktlite.generation.options import Generation

Scores = npt.NDArray[np.float32]
Tokens = npt.NDArray[np.int32]
Numbers = npt.NDArray[np.intp]

NEVER = np.float32(-np.inf)


@dataclass(frozen=True)
class Prefixes:
    """What stands before the next tokens: a row is a text, and all are of one length.

    Attributes:
        tokens: int32 [rows, length]: each text so far, its prompt first, without padding. What
            stands in rows whose text is finished does not matter.
        prompts: int [rows]: how many tokens of each are its prompt.
        limits: int [rows]: how long each may be at most.
        examples: int [rows]: the number of the example that it is of.
    """

    tokens: Tokens
    prompts: Numbers
    limits: Numbers
    examples: Numbers

    @property
    def length(self) -> int:
        """Tokens that each row has so far."""
        return self.tokens.shape[1]


#: Changes scores, float32 [rows, vocabulary], in place or returns others.
Rule = Callable[[Scores, Prefixes], Scores]


def apply(rules: Sequence[Rule], scores: Scores, prefixes: Prefixes) -> Scores:
    """Returns scores after all rules; those that were given stay as they are."""
    if not rules:
        return scores
    scores = np.array(scores, dtype=np.float32)
    for rule in rules:
        scores = rule(scores, prefixes)
    return scores


def rules_of(options: Generation, sources: Sequence[Tokens]) -> list[Rule]:
    """Returns the rules that options ask for, in their order.

    Args:
        options: How to generate.
        sources: Each example's tokens in the encoder; of a decoder alone, its prompt.

    Returns:
        The rules, without those for draws (`ktlite.generation.narrowing`).
    """
    rules: list[Rule] = []
    if options.repetition_penalty != 1:
        rules.append(repetition_penalty(options.repetition_penalty))
    if options.no_repeat_ngram_size:
        rules.append(no_repeated_ngrams(options.no_repeat_ngram_size))
    if options.encoder_no_repeat_ngram_size:
        rules.append(no_ngrams_of(sources, options.encoder_no_repeat_ngram_size))
    ends = options.eos_token_id
    words = [word for word in options.bad_words_ids if word not in {(end,) for end in ends}]
    if words:
        rules.append(no_words(words))
    if ends and options.min_new_tokens:
        rules.append(no_end_before(ends, new=options.min_new_tokens))
    elif ends and options.min_length:
        rules.append(no_end_before(ends, length=options.min_length))
    if options.forced_bos_token_id is not None:
        rules.append(forced_first(options.forced_bos_token_id))
    if options.forced_eos_token_id:
        rules.append(forced_last(options.forced_eos_token_id))
    if options.suppress_tokens:
        rules.append(suppressed(options.suppress_tokens))
    if options.begin_suppress_tokens:
        after = options.forced_bos_token_id is not None
        rules.append(suppressed_at_first(options.begin_suppress_tokens, after_forced=after))
    return rules


def repetition_penalty(penalty: float) -> Rule:
    """Makes tokens that are there less likely, once each (Keskar et al., 2019, CTRL)."""

    def rule(scores: Scores, prefixes: Prefixes) -> Scores:
        # A prompt may hold tokens that cannot be generated; they go to a column of their own.
        vocabulary = scores.shape[1]
        there = np.minimum(prefixes.tokens, vocabulary)
        padded = np.pad(scores, ((0, 0), (0, 1)))
        found = np.take_along_axis(padded, there, axis=1)
        found = np.where(found < 0, found * np.float32(penalty), found / np.float32(penalty))
        np.put_along_axis(padded, there, found, axis=1)
        return padded[:, :vocabulary]

    return rule


def no_repeated_ngrams(size: int) -> Rule:
    """Forbids what would end a run of `size` tokens that is there already."""

    def rule(scores: Scores, prefixes: Prefixes) -> Scores:
        if prefixes.length < size:
            return scores
        runs = np.lib.stride_tricks.sliding_window_view(prefixes.tokens, size, axis=1)
        now = prefixes.tokens[:, prefixes.length + 1 - size :]
        row, run = np.nonzero((runs[..., :-1] == now[:, None]).all(axis=2))
        _forbid(scores, row, runs[row, run, -1])
        return scores

    return rule


def no_ngrams_of(sources: Sequence[Tokens], size: int) -> Rule:
    """Forbids what would end a run of `size` tokens of the example's source."""
    runs = [
        np.lib.stride_tricks.sliding_window_view(np.asarray(source), size)
        if len(source) >= size else np.zeros((0, size), np.int32)
        for source in sources
    ]  # fmt: skip

    def rule(scores: Scores, prefixes: Prefixes) -> Scores:
        if prefixes.length < size - 1:
            return scores
        now = prefixes.tokens[:, prefixes.length + 1 - size :]
        for row, example in enumerate(prefixes.examples):
            same = (runs[example][:, :-1] == now[row]).all(axis=1)
            ends = runs[example][same, -1]
            _forbid(scores, np.full(len(ends), row), ends)
        return scores

    return rule


def _forbid(scores: Scores, rows: npt.NDArray[np.integer], tokens: npt.NDArray[np.integer]) -> None:
    can_come = tokens < scores.shape[1]
    scores[rows[can_come], tokens[can_come]] = NEVER


def no_words(words: Sequence[Sequence[int]]) -> Rule:
    """Forbids words: a single token always, a longer one's last where the others stand before."""
    single = np.unique([word[0] for word in words if len(word) == 1]).astype(np.intp)
    by_length: dict[int, list[Sequence[int]]] = {}
    for word in words:
        if len(word) > 1:
            by_length.setdefault(len(word), []).append(word)
    longer = {length: np.array(same, dtype=np.int32) for length, same in by_length.items()}
    highest = max(max(word) for word in words)

    def rule(scores: Scores, prefixes: Prefixes) -> Scores:
        _check_vocabulary("bad_words_ids", highest, scores)
        scores[:, single] = NEVER
        for length, same in longer.items():
            if prefixes.length >= length - 1:
                end = prefixes.tokens[:, prefixes.length + 1 - length :]
                row, word = np.nonzero((end[:, None] == same[None, :, :-1]).all(axis=2))
                scores[row, same[word, -1]] = NEVER
        return scores

    return rule


def no_end_before(ends: Sequence[int], length: int = 0, new: int = 0) -> Rule:
    """Forbids the end of texts of fewer than `length` tokens, or with fewer than `new` new ones."""

    def rule(scores: Scores, prefixes: Prefixes) -> Scores:
        least = prefixes.prompts + new if new else np.full_like(prefixes.prompts, length)
        rows = np.flatnonzero(prefixes.length < least)
        scores[np.ix_(rows, _inside(ends, scores))] = NEVER
        return scores

    return rule


def forced_first(token: int) -> Rule:
    """Leaves one token only, after texts of one token."""

    def rule(scores: Scores, prefixes: Prefixes) -> Scores:
        _check_vocabulary("forced_bos_token_id", token, scores)
        if prefixes.length == 1:
            scores[:] = NEVER
            scores[:, token] = 0
        return scores

    return rule


def forced_last(ends: Sequence[int]) -> Rule:
    """Leaves the ends only, as the last token that there is room for."""

    def rule(scores: Scores, prefixes: Prefixes) -> Scores:
        _check_vocabulary("forced_eos_token_id", max(ends), scores)
        rows = np.flatnonzero(prefixes.length == prefixes.limits - 1)
        scores[rows] = NEVER
        scores[np.ix_(rows, np.array(ends))] = 0
        return scores

    return rule


def suppressed(tokens: Sequence[int]) -> Rule:
    """Forbids tokens everywhere."""

    def rule(scores: Scores, prefixes: Prefixes) -> Scores:
        scores[:, _inside(tokens, scores)] = NEVER
        return scores

    return rule


def suppressed_at_first(tokens: Sequence[int], after_forced: bool) -> Rule:
    """Forbids tokens as the first generated one, or as the one after a first one that is forced."""

    def rule(scores: Scores, prefixes: Prefixes) -> Scores:
        first = prefixes.prompts
        if after_forced:
            first = np.where(first > 1, first, first + 1)
        rows = np.flatnonzero(prefixes.length == first)
        scores[np.ix_(rows, _inside(tokens, scores))] = NEVER
        return scores

    return rule


def renormalized(scores: Scores, prefixes: Prefixes) -> Scores:
    """Makes scores log-probabilities; a `Rule`."""
    return log_softmax(scores)


def log_softmax(scores: Scores) -> Scores:
    """Returns log-probabilities, float32 [rows, vocabulary]; where nothing can come, all -inf."""
    highest = scores.max(axis=1, keepdims=True)
    shifted = scores - np.where(highest == NEVER, 0, highest)
    sums = np.exp(shifted).sum(axis=1, keepdims=True)
    return shifted - np.log(np.maximum(sums, np.finfo(np.float32).tiny))


def _inside(tokens: Sequence[int], scores: Scores) -> Numbers:
    """Returns the tokens that the model can give: others need no rule."""
    return np.array([token for token in tokens if token < scores.shape[1]], np.intp)


def _check_vocabulary(name: str, token: int, scores: Scores) -> None:
    if token >= scores.shape[1]:
        raise ArgumentError(
            f"generate: {name} has {token}, and the model scores {scores.shape[1]} tokens: "
            f"expected ids from 0 to {scores.shape[1] - 1}."
        )
