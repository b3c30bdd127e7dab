"""Texts as words that know where in the text they are."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ktlite.errors import DataError

Span = tuple[int, int]

# Scripts without spaces, where each character is a word: Thai, Lao, Tibetan, Burmese, Khmer,
# kana, and Chinese characters.
_ALONE = (
    (0x0E00, 0x0FFF),
    (0x1000, 0x109F),
    (0x1780, 0x17FF),
    (0x2E80, 0x2FDF),
    (0x3005, 0x3007),
    (0x3040, 0x30FF),
    (0x31F0, 0x31FF),
    (0x3400, 0x9FFF),
    (0xF900, 0xFAFF),
    (0xFF66, 0xFF9D),
    (0x1B000, 0x1B16F),
    (0x20000, 0x3FFFF),
)
_LETTER, _MARK, _SINGLE, _PUNCTUATION = "l", "m", "s", "p"
_JOINS = frozenset(".-'’_/@&+")  # inside a word: 3.5, don't, U.S, AT&T
_JOINS_DIGITS = frozenset(",:")  # 1,000 and 10:30
_RUNS = frozenset(".-")  # ... and -- are one
_INITIALS = re.compile(r"(?:[^\W\d_]\.)*[^\W\d_]")  # what a full stop may belong to: U.S.
_POSSESSIVE = re.compile(r".['’][sS]", re.DOTALL)


@dataclass(frozen=True)
class Words:
    """A text and its words.

    Args:
        text: The text, unchanged.
        spans: The characters that each word starts with and ends before; in their order.

    Example:
        >>> split_words("John's in Berlin.").words
        ['John', "'s", 'in', 'Berlin', '.']
    """

    text: str
    spans: tuple[Span, ...]

    @classmethod
    def of(cls, words: Sequence[str]) -> Words:
        """Takes words that are known already; the text is them with spaces between."""
        spans, position = [], 0
        for word in words:
            spans.append((position, position + len(word)))
            position += len(word) + 1
        return cls(" ".join(words), tuple(spans))

    @property
    def words(self) -> list[str]:
        return [self.text[start:end] for start, end in self.spans]

    def __len__(self) -> int:
        return len(self.spans)

    def __str__(self) -> str:
        return self.text


def as_words(item: Any, tokenizer: Callable[[str], Sequence[Any]] | None = None) -> Words:
    """Returns the words of a text, or of a list of words.

    Args:
        item: A string, a list of strings, or `Words`.
        tokenizer: Cuts a string into words: returns these in their order, each as it stands
            in the text, or its (start, end). Default: `split_words`.

    Raises:
        DataError: If `item` is something else, or the tokenizer changes the text.
    """
    if isinstance(item, Words):
        return item
    if isinstance(item, str):
        return split_words(item) if tokenizer is None else _located(item, tokenizer(item))
    if isinstance(item, tuple) and len(item) == 2:
        raise DataError(
            f"a pair of texts, {item!r:.60}, cannot be tagged; give each text by itself, or a list "
            "of its words."
        )
    if isinstance(item, (list, tuple)) and all(isinstance(word, str) for word in item):
        return Words.of(item)
    raise DataError(
        f"expected a text or a list of its words, got {item!r:.60} of type {type(item).__name__}."
    )


def _located(text: str, words: Sequence[Any]) -> Words:
    """Finds the words of somebody's tokenizer in the text."""
    spans: list[Span] = []
    position = 0
    for word in words:
        if isinstance(word, str):
            start = text.find(word, position)
            span = (start, start + len(word))
        else:
            span = (int(word[0]), int(word[1]))
        if not position <= span[0] < span[1] <= len(text):
            raise DataError(
                f"custom_tokenizer: {word!r} is not in the text after character {position}. "
                "It must return the words as they stand in the text, in their order, or their "
                f"(start, end). The text: {text!r:.60}"
            )
        spans.append(span)
        position = span[1]
    return Words(text, tuple(spans))


def split_words(text: str) -> Words:
    """Cuts a text into words and punctuation marks, as treebanks do.

    Every character but white space is in exactly one word. Marks inside of words stay (`don't`,
    `3.5`, `Franco-German`, `U.S.`), a final `'s` is a word. Where a script has no spaces
    (Chinese, Japanese, Thai, ...), each character is a word.
    """
    spans: list[Span] = []
    for chunk in re.finditer(r"\S+", text):
        word, start = chunk.group(), chunk.start()
        if word.isascii() and word.isalnum():
            spans.append(chunk.span())
        else:
            spans += [(start + first, start + end) for first, end in _pieces(word)]
    return Words(text, tuple(spans))


def _pieces(chunk: str) -> Iterator[Span]:
    """Yields the words of a stretch without white space."""
    kinds = "".join(map(_kind, chunk)) + " "  # the end is no letter
    start = 0
    while start < len(chunk):
        end = start + 1
        opens = chunk[start] in "@#" and kinds[end] == _LETTER  # @user, #tag
        if kinds[start] in (_LETTER, _MARK) or opens:
            end = _word_end(chunk, kinds, end)
            if chunk[end : end + 1] == "." and _INITIALS.fullmatch(chunk[start:end]):
                end += 1
            elif end - start > 2 and _POSSESSIVE.fullmatch(chunk[end - 3 : end]):
                yield start, end - 2
                start = end - 2
        elif chunk[start] in _RUNS:
            while chunk[end : end + 1] == chunk[start]:
                end += 1
        while kinds[end] == _MARK:
            end += 1
        yield start, end
        start = end


def _word_end(chunk: str, kinds: str, end: int) -> int:
    """Returns where the word goes on to that `end` is inside of."""
    while True:
        if kinds[end] in (_LETTER, _MARK):
            end += 1
        elif chunk[end : end + 3] == "://" and kinds[end + 3] == _LETTER:
            end += 3
        elif kinds[end : end + 2] == _PUNCTUATION + _LETTER and _joins(chunk, end):
            end += 1
        else:
            return end


def _joins(chunk: str, at: int) -> bool:
    """Says whether a mark between two letters or digits joins them."""
    digits = chunk[at - 1].isdigit() and chunk[at + 1].isdigit()
    return chunk[at] in _JOINS or (digits and chunk[at] in _JOINS_DIGITS)


@functools.cache
def _kind(character: str) -> str:
    category = unicodedata.category(character)
    if category[0] in "MC":  # accents, vowel signs, joiners
        return _MARK
    if any(first <= ord(character) <= last for first, last in _ALONE):
        return _SINGLE
    return _LETTER if category[0] in "LN" else _PUNCTUATION


def stands_alone(character: str) -> bool:
    """Says whether a character is of a script that is written without spaces."""
    return _kind(character) == _SINGLE


def inside_word(text: str, at: int) -> bool:
    """Says whether a place is between two characters of one word, or of one number.

    Marks inside of words join no words here (`Franco|-|German`), and a Korean word may end before
    its particle.

    Example:
        >>> [at for at in range(10) if not inside_word("be 3.5 km", at)]
        [0, 2, 3, 6, 7, 9]
    """
    if not 0 < at < len(text):
        return False
    before, after = text[at - 1], text[at]
    if unicodedata.category(after).startswith("M"):
        return not before.isspace()
    if _in_run(after):
        point = before in ".," and at > 1 and text[at - 2].isdigit() and after.isdigit()
        return point or _in_run(before)
    return after in ".," and before.isdigit() and text[at + 1 : at + 2].isdigit()


@functools.cache
def _in_run(character: str) -> bool:
    """Says whether a character with others like it makes a word."""
    if unicodedata.category(character).startswith("M"):
        return True
    return _kind(character) == _LETTER and not "\uac00" <= character <= "\ud7a3"
