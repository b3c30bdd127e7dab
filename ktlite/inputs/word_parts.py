"""The words of an example, and which tokens of the model's rows are of each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ktlite.encodings.tokens import ContextEncodings, TokenEncodings
from ktlite.errors import ArgumentError, CheckpointError
from ktlite.inputs.contexts import as_question, trimmed
from ktlite.inputs.parts import Parts
from ktlite.inputs.word_rendering import as_html, as_text
from ktlite.inputs.words import Words, as_words, split_words


@dataclass(frozen=True, eq=False)
class WordParts(Parts):
    """The words of an example.

    A word is taken out by putting the mask token (without one, the unknown token) in the place of
    its tokens. So the others stay where they are, which deletion would not do.

    Args:
        texts: Its texts; of a pair two. Words are counted through both. Words that share a token
            are one: what a model reads at once can be taken out at once alone.
        part_of: For each row int64 [length], the number of the word that a token is of; -1 for
            special tokens.
        encodings: Of this example alone.
        filler: The id of what stands in for a word that is taken out.
    """

    noun, nouns = "word", "words"
    columns = ("text", "word", "start", "end")
    field = "input_ids"

    texts: tuple[Words, ...]
    part_of: list[np.ndarray]
    encodings: TokenEncodings
    filler: int

    def __len__(self) -> int:
        return sum(map(len, self.texts))

    def variants(self, row: int, kept: np.ndarray) -> TokenEncodings:
        start, end = self.encodings.offsets[row : row + 2]
        # A column more, for special tokens: they always stay.
        stays = np.pad(kept, ((0, 0), (0, 1)), constant_values=True)[:, self.part_of[row]]
        ids = np.where(stays, self.encodings.ids[start:end], self.filler).astype("int32")
        count, length = ids.shape
        types = self.encodings.type_ids
        return TokenEncodings(
            ids.reshape(-1),
            np.arange(count + 1) * length,
            None if types is None else np.tile(types[start:end], count),
            self.encodings.max_length,
            self.encodings.pad_id,
        )

    def places(self) -> list[tuple[Any, ...]]:
        return [
            (number, words.text[start:end], int(start), int(end))
            for number, words in enumerate(self.texts)
            for start, end in words.spans
        ]

    def as_html(self, scores: np.ndarray, seen: np.ndarray, summary: str, unit: str) -> str:
        return as_html(self.texts, scores, seen, summary, unit)

    def as_text(self, scores: np.ndarray, seen: np.ndarray, summary: str, unit: str) -> str:
        return as_text(self.texts, scores, summary, unit)

    def seen(self, rows: Iterable[int]) -> np.ndarray:
        """Returns bool [words]: whether the model reads a word in one of some rows.

        It does not read what `maxlen` cuts off.
        """
        seen = np.zeros(len(self), bool)
        first = 0
        for words in self.texts:
            for row in rows:
                numbers = self.part_of[row]
                there = numbers[(numbers >= first) & (numbers < first + len(words))]
                if len(there):
                    seen[there.min() : there.max() + 1] = True
            first += len(words)
        return seen


def words_of(example: Any, encodings: Any, tokenizer: Any) -> WordParts:
    """Finds the words in the rows of an example.

    Args:
        example: What a caller of `predict` gives.
        encodings: Of this example alone.
        tokenizer: What made them.
    """
    if not isinstance(encodings, TokenEncodings):
        raise ArgumentError("explain: these are no tokens of single texts; no words are known.")
    texts, rows = _located(example, encodings, tokenizer)
    return WordParts(texts, rows, encodings, _filler(tokenizer))


def _located(
    example: Any, encodings: TokenEncodings, tokenizer: Any
) -> tuple[tuple[Words, ...], list[np.ndarray]]:
    """Returns the texts of an example, and for each row the numbers of the words of its tokens."""
    if isinstance(encodings, ContextEncodings):
        question, context = map(split_words, as_question(example))
        ((asked, spans, _),) = tokenizer.words([question.text])
        spans = trimmed(question.text, spans)
        both = _joined(question, spans), _joined(context, encodings.spans[0])
        return both, _in_contexts(both, encodings, asked, spans, tokenizer)
    if encodings.words is not None:
        numbers = [encodings.words_in(row) for row in range(len(encodings))]
        return (as_words(example),), [number.astype("int64") for number in numbers]
    rows = tokenizer.located([example])
    if [len(row) for row in rows] != encodings.lengths.tolist():
        raise ArgumentError("these texts are tokenised in a way of their own; no words are known.")
    texts = tuple(
        _joined(split_words(text), np.concatenate([_spans_in(number, text, row) for row in rows]))
        for number, text in enumerate(_texts(example))
    )
    return texts, [_in_row(texts, row) for row in rows]


def shortened(example: Any, most: int) -> tuple[Any, int]:
    """Returns an example with so many words of each text at most, and how many are left out."""
    if isinstance(example, dict):
        example = as_question(example)
    if isinstance(example, tuple):
        parts = [shortened(part, most) for part in example]
        return tuple(part for part, _ in parts), sum(left for _, left in parts)
    words = as_words(example)
    if len(words) <= most:
        return example, 0
    if isinstance(example, list):
        return example[:most], len(words) - most
    spans = words.spans[:most]
    text = words.text[: spans[-1][1]]
    kept = text if isinstance(example, str) else Words(text, spans)
    return kept, len(words) - most


def _filler(tokenizer: Any) -> int:
    """Returns the id of what stands in for a word that is taken out."""
    try:
        return int(tokenizer.mask_id)
    except CheckpointError:
        return int(tokenizer.unknown_id)


def _texts(example: Any) -> tuple[str, ...]:
    return (example,) if isinstance(example, str) else tuple(example)


def _in_row(texts: Sequence[Words], row: Any) -> np.ndarray:
    """Returns the numbers of the words of a `tokenizers.Encoding`, int64 [length]."""
    numbers = np.full(len(row), -1)
    first = 0
    for number, words in enumerate(texts):
        there = _tokens_of(number, row)
        numbers[there] = _in_text(words, _spans_in(number, words.text, row), first)
        first += len(words)
    return numbers


def _tokens_of(number: int, row: Any) -> np.ndarray:
    """Returns bool [length]: which tokens of a `tokenizers.Encoding` are of a text."""
    return np.array([found == number for found in row.sequence_ids], bool)


def _spans_in(number: int, text: str, row: Any) -> np.ndarray:
    """Returns the characters of a text that its tokens are of, without white space."""
    spans = np.array(row.offsets, "int64").reshape(-1, 2)
    return trimmed(text, spans[_tokens_of(number, row)])


def _joined(words: Words, spans: np.ndarray) -> Words:
    """Returns the words with those as one that a token is of: 电影 is two where it is no token.

    Args:
        words: Of the text.
        spans: int64 [tokens, 2], the characters of the tokens, without white space.
    """
    starts, ends = np.array(words.spans, "int64").reshape(-1, 2).T
    first = np.searchsorted(ends, spans[:, 0], side="right")
    last = np.searchsorted(starts, spans[:, 1], side="left") - 1
    if not (first < last).any():
        return words
    begins = np.ones(len(words), bool)
    for i in np.flatnonzero(first < last):
        begins[first[i] + 1 : last[i] + 1] = False
    numbers = np.flatnonzero(begins)
    pairs = zip(starts[numbers], ends[np.append(numbers[1:], len(words)) - 1], strict=True)
    return Words(words.text, tuple((int(start), int(end)) for start, end in pairs))


def _in_contexts(
    texts: Sequence[Words],
    encodings: ContextEncodings,
    asked: np.ndarray,
    spans: np.ndarray,
    tokenizer: Any,
) -> list[np.ndarray]:
    """Returns the numbers of the words of questions beside their contexts, by row.

    Args:
        texts: The question and the context.
        encodings: Of these alone.
        asked: The question's ids, int [tokens].
        spans: Their characters, int64 [tokens, 2].
        tokenizer: What made them.
    """
    question, context = texts
    of_question = _in_text(question, spans, 0)
    of_context = _in_text(context, encodings.spans[0], len(question))
    rows = []
    for (begin, end, place), length in zip(encodings.windows, encodings.lengths, strict=True):
        _, _, (start, _) = tokenizer.frame(2).around([asked, asked[:0]])
        numbers = np.full(length, -1)
        numbers[start : start + len(asked)] = of_question
        numbers[place : place + end - begin] = of_context[begin:end]
        rows.append(numbers)
    return rows


def _in_text(words: Words, spans: np.ndarray, first: int) -> np.ndarray:
    """Returns the number of the word that each token starts in, int64 [tokens].

    Args:
        words: Of the text.
        spans: int64 [tokens, 2], the characters of the tokens, without white space.
        first: The number of the first word.
    """
    ends = np.array([end for _, end in words.spans], "int64")
    numbers = np.searchsorted(ends, spans[:, 0], side="right")
    inside = (spans[:, 0] < spans[:, 1]) & (numbers < len(words))
    return np.where(inside, numbers + first, -1)
