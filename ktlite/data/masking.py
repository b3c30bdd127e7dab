"""Chooses the tokens that a masked language model has to guess, and hides them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

HIDDEN, REPLACED = 0.8, 0.1  # the rest stays as it is (Devlin et al., 2018, section 3.1)


@dataclass(frozen=True)
class Masking:
    """How much of a text is masked, and in which pieces.

    Whole words are masked, never a part of one ("whole word masking" of the BERT authors,
    2019), in runs of 1 to `max_ngram` words, a run of n with a probability in
    proportion to 1/n (Lan et al., 2019, arXiv:1909.11942, section 4.1). Of the chosen tokens,
    80 % are hidden behind the mask token, 10 % replaced by random ones, 10 % left.

    Args:
        mask_id: The mask token.
        replacements: int [n], the ids that random tokens are drawn from.
        probability: Share of the tokens to choose.
        max_ngram: Longest run of words.
    """

    mask_id: int
    replacements: np.ndarray
    probability: float = 0.15
    max_ngram: int = 1

    def choose(self, starts: np.ndarray, length: int, random: np.random.Generator) -> np.ndarray:
        """Chooses tokens of one text.

        Args:
            starts: int [words], where each word starts; words end where the next one starts.
            length: Tokens of the text.
            random: What to draw with.

        Returns:
            Their positions, int64 [n] in rising order: at least one, and at most the share
            asked for, rounded; more only where the shortest word is longer than that.
        """
        wanted = max(1, round(self.probability * length))
        ends = np.append(starts[1:], length)
        sizes = np.arange(1, self.max_ngram + 1)
        runs = random.choice(sizes, len(starts), p=(1 / sizes) / (1 / sizes).sum())
        chosen = np.zeros(length, bool)
        left = wanted
        for word in random.permutation(len(starts)):
            # A run that does not fit, at the end of the text or in what is left, is made shorter.
            for last in range(min(word + runs[word], len(starts)) - 1, word - 1, -1):
                run = slice(starts[word], ends[last])
                size = ends[last] - starts[word]
                if size <= left and not chosen[run].any():
                    chosen[run] = True
                    left -= size
                    break
            if not left:
                break
        if left == wanted:  # every word is longer than the share
            word = int(np.argmin(ends - starts))
            chosen[starts[word] : ends[word]] = True
        return np.flatnonzero(chosen)

    def hide(self, ids: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Returns what the model sees in place of the chosen tokens `ids`, int [n]."""
        fate = random.random(len(ids))
        drawn = random.choice(self.replacements, len(ids))
        shown = np.where(fate < HIDDEN + REPLACED, drawn, ids)
        return np.where(fate < HIDDEN, self.mask_id, shown)
