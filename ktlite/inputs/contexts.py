"""Questions beside windows of their contexts, for models that find answers in texts."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ktlite._progress import progress
from ktlite.encodings.tokens import ContextEncodings
from ktlite.errors import DataError
from ktlite.inputs.words import inside_word

_CHUNK = 2_000  # texts a call of the Rust tokenizer
_SPACES = [ord(c) for c in map(chr, range(0x3001)) if c.isspace()]

# Of a text: token ids, the characters of each, as `Tokenizer.words` has them.
Tokens = tuple[np.ndarray, np.ndarray]
Question = tuple[str, str]  # and its context


def as_question(item: Any, where: str = "") -> Question:
    """Returns (question, context).

    Args:
        item: Two strings, or a dict of `question` and `context`.
        where: What to call it in messages.

    Raises:
        DataError: If it is something else, or either is empty.
    """
    prefix = f"{where}: " if where else ""
    if isinstance(item, Mapping):
        item = (item.get("question"), item.get("context"))
    fine = isinstance(item, (tuple, list)) and len(item) == 2
    if not fine or not all(isinstance(part, str) for part in item):
        raise DataError(
            f"{prefix}expected a tuple (question, context) of two strings, or a dict of them; got "
            f"{item!r:.60} of type {type(item).__name__}."
        )
    for part, name in zip(item, ("question", "context"), strict=True):
        if not part.strip():
            raise DataError(f"{prefix}the {name} is empty.")
    return item[0], item[1]


def encode_contexts(
    tokenizer: Any, pairs: Sequence[tuple[str, str]], stride: int, verbose: int
) -> ContextEncodings:
    """Tokenises questions with their contexts; `Tokenizer.encode_contexts` describes it."""
    contexts = [context for _, context in pairs]
    bar = progress(len(pairs), "Tokenising", "text", shown=verbose and len(pairs) > _CHUNK)
    # Many questions share a context; each is tokenised once.
    known: dict[str, Tokens] = {}
    for text, ids, spans in _tokenised(tokenizer, list(dict.fromkeys(contexts))):
        known[text] = ids, trimmed(text, spans)
    frame = tokenizer.frame(2)
    ids_of, types_of = [np.zeros(0, "int32")], [np.zeros(0, "int8")]
    windows: list[tuple[int, int, int]] = []
    example_of: list[int] = []
    questions = _tokenised(tokenizer, [question for question, _ in pairs])
    for number, ((question, asked, _), context) in enumerate(zip(questions, contexts, strict=True)):
        room = tokenizer.maxlen - frame.size - len(asked)
        if room < 1:
            raise DataError(
                f"text {number}: the question has {len(asked)} tokens and leaves no room for its "
                f"context in maxlen={tokenizer.maxlen}. Shorten it, or take a larger maxlen: "
                f"{question!r:.60}"
            )
        ids = known[context][0]
        for first, last in overlapping(len(ids), room, stride):
            around, types, (_, place) = frame.around([asked, ids[first:last]])
            if not len(around):  # no words, and no special tokens
                around, types = np.array([tokenizer.unknown_id]), np.zeros(1, "int8")
            ids_of.append(around.astype("int32"))
            types_of.append(types.astype("int8"))
            windows.append((first, last, place))
            example_of.append(number)
        bar.update(1)
    bar.close()
    type_ids = np.concatenate(types_of)
    return ContextEncodings(
        ids=np.concatenate(ids_of),
        offsets=np.cumsum([len(ids) for ids in ids_of], dtype="int64"),
        type_ids=type_ids if type_ids.any() else None,
        max_length=tokenizer.maxlen,
        pad_id=tokenizer.pad_id,
        example_of=np.array(example_of, "int64"),
        contexts=contexts,
        spans=[known[context][1] for context in contexts],
        windows=np.array(windows, "int64").reshape(-1, 3),
    )


def overlapping(tokens: int, room: int, stride: int) -> Iterator[tuple[int, int]]:
    """Yields the windows over a text: the first token of each, and the one after its last.

    Args:
        tokens: Of the text.
        room: Tokens that fit into a window.
        stride: Tokens that a window shares with the next: as many as fit half into it, at most.

    Example:
        >>> list(overlapping(10, 6, 2))
        [(0, 6), (4, 10)]
    """
    step = room - min(stride, room // 2)
    first = 0
    while first + room < tokens:
        yield first, first + room
        first += step
    yield first, tokens


def trimmed(text: str, spans: np.ndarray) -> np.ndarray:
    """Takes white space off the ends of tokens, and puts accents to the letters they are on.

    Characters inside of a word that no token has (the tokenizer leaves them out, or begins its
    tokens late) go to the token before them, else to the one after.

    Args:
        text: The text.
        spans: int64 [tokens, 2], the characters that each token starts with and ends before.

    Returns:
        Likewise. Tokens of white space alone become empty.
    """
    size = len(text)
    places = np.arange(size + 1)
    codes = np.frombuffer(text.encode("utf-32-le"), "<u4")
    space = np.append(np.isin(codes, _SPACES), False)
    # The next place that is no space, and the end of the last character that is none.
    after = np.minimum.accumulate(np.where(space, size, places)[::-1])[::-1]
    before = np.maximum.accumulate(np.append(0, np.where(space, 0, places + 1)[:size]))
    starts, ends = after[spans[:, 0]], before[spans[:, 1]]
    if not text.isascii():
        accent = [unicodedata.category(character).startswith("M") for character in text]
        last = np.where([*accent, False], size, places)
        ends = np.minimum.accumulate(last[::-1])[::-1][ends]
    return _without_gaps(text, np.stack([starts, np.maximum(starts, ends)], axis=1), space)


def _without_gaps(text: str, spans: np.ndarray, space: np.ndarray) -> np.ndarray:
    """Gives characters of words that no token has to the tokens beside them.

    Args:
        text: The text.
        spans: int64 [tokens, 2].
        space: bool [characters + 1], which characters are white space.
    """
    size = len(text)
    apart = (spans[1:, 0] >= spans[:-1, 1]).all()
    if apart and (spans[:, 1] - spans[:, 0]).sum() == size - space.sum():
        return spans  # each character has its token, as nearly always
    change = np.zeros(size + 1, "int64")
    np.add.at(change, spans[:, 0], 1)
    np.add.at(change, spans[:, 1], -1)
    # Of each character, and of none before the first and after the last.
    free = np.concatenate([(np.cumsum(change)[:size] == 0) & ~space[:size], [False]])
    if not free.any():
        return spans
    filled = spans.copy()
    real = np.flatnonzero(spans[:, 0] < spans[:, 1])
    for i in real[free[spans[real, 1]]]:
        while free[filled[i, 1]] and inside_word(text, int(filled[i, 1])):
            filled[i, 1] += 1
    for i in real:
        free[filled[i, 0] : filled[i, 1]] = False
    for i in real[free[spans[real, 0] - 1]]:
        while free[filled[i, 0] - 1] and inside_word(text, int(filled[i, 0])):
            filled[i, 0] -= 1
    return filled


def _tokenised(
    tokenizer: Any, texts: Sequence[str]
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yields each text, its token ids, and the characters of each token."""
    for start in range(0, len(texts), _CHUNK):
        chunk = texts[start : start + _CHUNK]
        for text, (ids, spans, _) in zip(chunk, tokenizer.words(chunk), strict=True):
            yield text, ids, spans
