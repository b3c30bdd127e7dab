"""From which tokens to draw: temperature, and rules that leave the likely ones.

They come after all other rules, in this order: temperature, top-k, top-p, min-p, typical.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ktlite.generation.largest import largest
from ktlite.generation.options import Generation
from ktlite.generation.rules import NEVER, Numbers, Rule, Scores, log_softmax

#: So many best tokens are looked at first for `top_p`.
_FIRST = 256


def narrowing_of(options: Generation) -> list[Rule]:
    """Returns the rules that a draw by these options needs, in their order."""
    if not options.do_sample:
        return []
    # With beams a token that ends no text has to be left, too.
    keep = max(2, len(options.eos_token_id) + 1) if options.num_beams > 1 else 1
    rules: list[Rule] = []
    if options.temperature != 1:
        rules.append(_rule(lambda scores: scores / np.float32(options.temperature)))
    if options.top_k:
        count = max(options.top_k, keep)
        rules.append(_rule(lambda scores: top_k(scores, count)))
    if options.top_p < 1:
        rules.append(_rule(lambda scores: top_p(scores, options.top_p, keep)))
    if options.min_p is not None:
        share = options.min_p
        rules.append(_rule(lambda scores: min_p(scores, share, keep)))
    if options.typical_p < 1:
        rules.append(_rule(lambda scores: typical_p(scores, options.typical_p, keep)))
    return rules


def _rule(change: Callable[[Scores], Scores]) -> Rule:
    return lambda scores, prefixes: change(scores)


def top_k(scores: Scores, count: int) -> Scores:
    """Leaves the `count` best of each row, and what equals the last of them."""
    if count < scores.shape[1]:
        best = largest(scores, count)
        scores[scores < np.take_along_axis(scores, best[:, -1:], axis=1)] = NEVER
    return scores


def top_p(scores: Scores, share: float, keep: int = 1) -> Scores:
    """Leaves the fewest best whose probabilities sum to `share`, and at least `keep`.

    Holtzman et al., 2020, arXiv 1904.09751.
    """
    probabilities = np.exp(log_softmax(scores))
    most = max(int(np.count_nonzero(scores > NEVER, axis=1).max()), 1)
    count = min(max(keep, _FIRST), most)
    while True:
        best = largest(scores, count)
        sums = np.cumsum(np.take_along_axis(probabilities, best, axis=1), axis=1, dtype=np.float64)
        if count == most or (sums[:, -1] >= share).all():
            break
        count = min(8 * count, most)  # rarely: a model that knows has few likely ones
    better = np.pad(sums[:, :-1], ((0, 0), (1, 0)))
    stays = better < share
    stays[:, :keep] = True
    kept = np.where(stays, np.take_along_axis(scores, best, axis=1), NEVER)
    scores[:] = NEVER
    np.put_along_axis(scores, best, kept, axis=1)
    return scores


def min_p(scores: Scores, share: float, keep: int = 1) -> Scores:
    """Leaves what has `share` of the best one's probability, and at least the `keep` best."""
    probabilities = np.exp(log_softmax(scores))
    gone = probabilities < np.float32(share) * probabilities.max(axis=1, keepdims=True)
    np.put_along_axis(gone, largest(scores, min(keep, scores.shape[1])), False, axis=1)
    scores[gone] = NEVER
    return scores


def typical_p(scores: Scores, share: float, keep: int = 1) -> Scores:
    """Leaves the fewest whose surprise is nearest to the expected one, as `top_p` does the best."""
    logs = log_softmax(scores)
    probabilities = np.exp(logs)
    surprise = -np.where(probabilities > 0, logs, 0)
    expected = (surprise * probabilities).sum(axis=1, keepdims=True)
    distance = np.abs(-logs - expected)
    order = np.argsort(distance, axis=1, kind="stable")
    near = np.take_along_axis(distance, order, axis=1)
    sums = np.cumsum(np.take_along_axis(probabilities, order, axis=1), axis=1, dtype=np.float64)
    last = np.minimum((sums < share).sum(axis=1, keepdims=True), scores.shape[1] - 1)
    gone = near > np.take_along_axis(near, last, axis=1)
    gone[:, :keep] = False
    return _without(scores, order, gone)


def _without(scores: Scores, order: Numbers, gone: np.ndarray) -> Scores:
    tokens = np.take_along_axis(scores, order, axis=1)
    np.put_along_axis(scores, order, np.where(gone, NEVER, tokens), axis=1)
    return scores
