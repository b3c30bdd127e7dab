"""Times between the words of a text, as Whisper writes them: tokens that count fiftieths."""

from __future__ import annotations

import numpy as np

from ktlite.generation.rules import NEVER, Prefixes, Rule, Scores, log_softmax


def paired_times(first: int, end: int, without: int, latest: int | None = None) -> Rule:
    """Lets texts begin with a time, and times come in pairs, none before an earlier one.

    The same as `WhisperTimeStampLogitsProcessor` of transformers (arXiv:2212.04356): a time comes
    where all times together are likelier than any other token.

    Args:
        first: The token of the time 0; all behind it are times.
        end: The token that ends texts; those before it are words.
        without: The token that says that there are no times, which does not come.
        latest: How many steps after 0 the first time may be. None: any number.
    """

    def rule(scores: Scores, prefixes: Prefixes) -> Scores:
        scores[:, without] = NEVER
        for row, (tokens, prompt) in enumerate(zip(prefixes.tokens, prefixes.prompts, strict=True)):
            own, line = tokens[prompt:], scores[row]
            if not len(own):
                line[:first] = NEVER
                if latest is not None:
                    line[first + latest + 1 :] = NEVER
            else:
                _narrow(line, own, first, end)
        every = log_softmax(scores)
        highest = every[:, first:].max(axis=1)
        finite = np.where(highest == NEVER, 0, highest)
        sums = np.exp(every[:, first:] - finite[:, None]).sum(axis=1)
        with np.errstate(divide="ignore"):
            times = np.log(sums) + finite
        scores[times > every[:, :first].max(axis=1), :first] = NEVER
        return scores

    return rule


def _narrow(line: np.ndarray, own: np.ndarray, first: int, end: int) -> None:
    """Forbids what cannot follow the tokens of one text."""
    last = own[-1] >= first
    closed = len(own) < 2 or own[-2] >= first
    if last and closed:  # a stretch has begun, and has words
        line[first:] = NEVER
    elif last:  # one has ended, and another begins, or the text ends
        line[:end] = NEVER
    times = own[own >= first]
    if len(times):
        line[first : times[-1] + (0 if last and not closed else 1)] = NEVER
