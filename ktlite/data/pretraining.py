"""Chunks of a corpus as examples to pretrain on, drawn anew at every look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ktlite.data.corpus import SENTENCE, WORD, Corpus
from ktlite.data.masking import Masking
from ktlite.encodings.field import Field
from ktlite.encodings.indexed import IndexedData
from ktlite.encodings.plan import padded_length
from ktlite.encodings.tokens import NAMES, as_batch, padded
from ktlite.errors import plural
from ktlite.inputs.tokenizer import Tokenizer
from ktlite.tasks.losses import IGNORE
from ktlite.tasks.masked_lm import ORDER, WORDS, MaskedLM

SWAPPED = 0.5  # share of the pairs whose segments change places


@dataclass(frozen=True)
class Example:
    """A text with words to guess.

    Args:
        ids: int64 [length], what the model sees.
        types: int64 [length], token types.
        positions: int64 [predictions], where the words are that it has to guess.
        hidden: int64 [predictions], their ids.
        swapped: 1 if the two segments changed places, 0 if not, `IGNORE` where there is one.
    """

    ids: np.ndarray
    types: np.ndarray
    positions: np.ndarray
    hidden: np.ndarray
    swapped: int


class PretrainingPreprocessor:
    """How chunks become inputs and targets: what a `Preprocessor` is to labelled texts.

    Args:
        tokenizer: The tokenizer.
        maxlen: Longest input in tokens.
        task: What is to be predicted.
        probability: Share of the tokens to mask.
        max_ngram: Longest run of words to mask.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        maxlen: int,
        task: MaskedLM,
        *,
        probability: float = 0.15,
        max_ngram: int = 1,
    ) -> None:
        self.tokenizer = tokenizer
        self.maxlen = maxlen
        self.task = task
        self.masking = Masking(tokenizer.mask_id, tokenizer.ordinary_ids(), probability, max_ngram)
        self.single, self.pair = tokenizer.frame(1), tokenizer.frame(2)

    @property
    def specials(self) -> int:
        """Special tokens of an input, at most."""
        return max(self.single.size, self.pair.size if self.task.sentence_order else 0)

    def write_files(self, folder: Path) -> None:
        """Writes the tokenizer's files beside a checkpoint."""
        self.tokenizer.save(folder)

    def example(self, ids: np.ndarray, flags: np.ndarray, random: np.random.Generator) -> Example:
        """Makes an example of a chunk: two segments, or one, and the words to guess.

        Args:
            ids: int64 [length].
            flags: uint8 [length], as in `Corpus`.
            random: What to draw with.
        """
        segments, swapped = [(ids, flags)], IGNORE
        cuts = _cuts(flags) if self.task.sentence_order else flags[:0]
        if len(cuts):
            cut = int(random.choice(cuts))
            segments = [(ids[:cut], flags[:cut]), (ids[cut:], flags[cut:])]
            swapped = int(random.random() < SWAPPED)
            if swapped:
                segments.reverse()
        frame = self.pair if len(segments) == 2 else self.single
        tokens, types, starts = frame.around([ids for ids, _ in segments])
        places = np.concatenate(
            [start + np.arange(len(ids)) for start, (ids, _) in zip(starts, segments, strict=True)]
        )
        words = np.flatnonzero(np.concatenate([flags for _, flags in segments]) & WORD)
        masked = places[self.masking.choose(words, len(places), random)]
        hidden = tokens[masked]
        tokens[masked] = self.masking.hide(hidden, random)
        return Example(tokens, types, masked, hidden, swapped)


def _cuts(flags: np.ndarray) -> np.ndarray:
    """Returns where a chunk can be cut in two: between sentences, or else between words."""
    sentences = np.flatnonzero(flags[1:] & SENTENCE)
    return 1 + (sentences if len(sentences) else np.flatnonzero(flags[1:] & WORD))


class PretrainingDataset(IndexedData):
    """Chunks of a corpus, with other words masked each time they are asked for.

    Args:
        corpus: The corpus.
        rows: int64 [chunks], which of its chunks.
        preproc: Makes the examples.
    """

    def __init__(self, corpus: Corpus, rows: np.ndarray, preproc: PretrainingPreprocessor) -> None:
        self.corpus = corpus
        self.chunks = rows
        self.preproc = preproc
        self.task = preproc.task
        self._lengths = corpus.lengths[rows] + preproc.specials

    @property
    def fields(self) -> tuple[Field, ...]:
        """What the inputs of a batch are; those that are not named differ in size, too."""
        return tuple(Field(name, "int32", (None,)) for name in NAMES)

    @property
    def lengths(self) -> np.ndarray:
        """int64 [chunks]: tokens of each."""
        return self._lengths

    def __len__(self) -> int:
        return len(self.chunks)

    def __repr__(self) -> str:
        tokens = int(self.lengths.sum())
        return f"{type(self).__name__}: {plural(len(self), 'chunk')}, {plural(tokens, 'token')}"

    def examples(self, rows: np.ndarray, seed: Sequence[int]) -> tuple[dict[str, Any], Any]:
        """Returns (inputs, targets) for some chunks.

        Args:
            rows: int [batch].
            seed: Numbers that determine what is masked and swapped.

        Returns:
            `input_ids`, `attention_mask`, `token_type_ids`, int32 [batch, length], and
            `masked_positions`, int32 [batch, predictions]; and the targets of `MaskedLM`.
        """
        random = np.random.default_rng(list(seed))
        made = [self.preproc.example(*self.corpus.chunk(self.chunks[r]), random) for r in rows]
        longest = max(len(e.ids) for e in made)
        width = padded_length(longest, self.preproc.maxlen)
        guesses = max(len(e.hidden) for e in made)
        pad_id = self.preproc.tokenizer.pad_id
        inputs = {
            **as_batch([e.ids for e in made], [e.types for e in made], width, pad_id),
            "masked_positions": padded([e.positions for e in made], guesses, 0),
        }
        words = padded([e.hidden for e in made], guesses, IGNORE)
        if not self.preproc.task.sentence_order:
            return inputs, words
        return inputs, {WORDS: words, ORDER: np.array([e.swapped for e in made], "int32")}
