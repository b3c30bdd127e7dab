"""Which words and n-grams are in a text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from keras import ops


class NGrams:
    """Numbers the words and the known n-grams of texts.

    A word has the number of its token; the known n-grams follow, in the order of their codes. The
    code of an n-gram is the sum of a random number for each of its words and their place in it
    (tabulation hashing: Carter and Wegman, 1979), up to 2**31: of 100,000 n-grams a few pairs
    share a code. So nothing has to be kept of the n-grams but their codes.

    Args:
        vocab_size: Number of tokens.
        longest: The n of the longest n-grams; 1: words alone.

    Example:
        >>> ngrams = NGrams(10, longest=2)
        >>> known = ngrams.learn([([[2, 7, 7]], [[1, 1, 1]])])
        >>> numbers, present = ngrams([[2, 7, 9]], [[1, 1, 1]], known)
        >>> np.array(numbers)[np.array(present)]
        array([ 2,  7,  9, 10])
    """

    def __init__(self, vocab_size: int, longest: int = 1) -> None:
        self.vocab_size, self.longest = vocab_size, longest
        # By n and the place in the n-gram.
        self._tables = {
            (n, place): _random_numbers(vocab_size, 100 * n + place, (1 << 31) // n)
            for n in range(2, longest + 1)
            for place in range(n)
        }

    def learn(self, batches: Iterable[tuple[Any, Any]]) -> np.ndarray:
        """Returns the codes of all n-grams that some texts have, int32 [n-grams], ascending.

        Args:
            batches: (input_ids, attention_mask) as of a call.
        """
        codes = np.zeros(0, "int32")
        for input_ids, attention_mask in batches:
            found, whole = map(ops.convert_to_numpy, self._codes(input_ids, attention_mask))
            codes = np.union1d(codes, found[whole])
        return codes

    def __call__(self, input_ids: Any, attention_mask: Any, known: Any) -> tuple[Any, Any]:
        """Returns the numbers of each text, ascending, and which of them count.

        Args:
            input_ids: int [batch, length].
            attention_mask: int or bool [batch, length]; 0 marks padding.
            known: What `learn` returned; not looked at where there are words alone.

        Returns:
            int32 [batch, n] and bool [batch, n]: each number counts once; padding and n-grams
            that are not known do not.
        """
        none = np.int32(np.iinfo("int32").max)
        numbers = ops.where(ops.cast(attention_mask, "bool"), ops.cast(input_ids, "int32"), none)
        if self.longest > 1:
            codes, whole = self._codes(input_ids, attention_mask)
            place = ops.searchsorted(known, ops.reshape(codes, (-1,)))
            place = ops.reshape(ops.cast(place, "int32"), ops.shape(codes))
            place = ops.minimum(place, ops.shape(known)[0] - 1)
            whole = ops.logical_and(whole, ops.take(known, place, axis=0) == codes)
            ngrams = ops.where(whole, self.vocab_size + place, none)
            numbers = ops.concatenate([numbers, ngrams], axis=1)
        numbers = ops.sort(numbers, axis=1)
        first = ops.pad(numbers[:, 1:] != numbers[:, :-1], [[0, 0], [1, 0]], constant_values=True)
        return numbers, ops.logical_and(first, numbers != none)

    def _codes(self, input_ids: Any, attention_mask: Any) -> tuple[Any, Any]:
        """Returns the codes of all n-grams, int32 [batch, n], and which have no padding in them."""
        ids, inside = ops.cast(input_ids, "int32"), ops.cast(attention_mask, "bool")
        codes, whole = [ids[:, :0]], [inside[:, :0]]
        for n in range(2, self.longest + 1):
            # The first words of all n-grams, the second ones, ...: none where a text is shorter.
            shifted = [slice(place, (place - n + 1) or None) for place in range(n)]
            codes.append(
                sum(
                    ops.take(self._tables[n, place], ids[:, part], axis=0)
                    for place, part in enumerate(shifted)
                )
            )
            whole.append(ops.logical_and(inside[:, shifted[0]], inside[:, shifted[-1]]))
        return ops.concatenate(codes, axis=1), ops.concatenate(whole, axis=1)


def _random_numbers(count: int, seed: int, below: int) -> np.ndarray:
    """Returns int32 [count], the same on every machine: SplitMix64 (Steele et al., 2014)."""
    z = np.arange(count, dtype="uint64") + np.uint64(seed << 32)
    with np.errstate(over="ignore"):
        z = (z + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((z ^ (z >> np.uint64(31))) % np.uint64(below)).astype("int32")
