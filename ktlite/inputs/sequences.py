"""Texts to write from, texts to go on with, and texts to be written, as tokens."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from ktlite._logging import logger
from ktlite.encodings.targets import (
    ContinuedEncodings,
    PromptEncodings,
    SourceEncodings,
    TargetEncodings,
)
from ktlite.encodings.tokens import TokenEncodings
from ktlite.errors import ArgumentError, DataError, plural
from ktlite.inputs.chats import EXPECTED, checked_chat, is_chat
from ktlite.inputs.languages import START
from ktlite.inputs.tokenizer import Tokenizer


def encode_sources(tokenizer: Tokenizer, texts: Sequence[str], verbose: int = 0) -> SourceEncodings:
    """Returns the tokens of texts to write from."""
    made = tokenizer.encode(texts, verbose=verbose)
    return SourceEncodings(**_held(made), **_spelled(tokenizer.for_targets))


def encode_targets(tokenizer: Tokenizer, texts: Sequence[str]) -> TargetEncodings:
    """Returns the tokens of texts to be written.

    Raises:
        ArgumentError: If the model has no decoder beside its encoder.
    """
    start = tokenizer.first_options.get(START, tokenizer.start_id)
    if start is None:
        raise ArgumentError(
            "this checkpoint has no decoder that could write texts: choose one that reads and "
            "writes, such as T5, BART or Marian."
        )
    return TargetEncodings(**_held(tokenizer.for_targets.encode(texts)), start_id=start)


def encode_prompts(tokenizer: Tokenizer, prompts: Sequence[Any]) -> PromptEncodings:
    """Returns the tokens of what texts begin with.

    A text comes with what the tokenizer puts before one, not with what it puts behind it, since it
    goes on; an empty one is the token that ends texts, where nothing is put before them. A chat
    comes as the checkpoint's template has it.

    Args:
        tokenizer: The model's.
        prompts: Texts, or chats (lists of messages).

    Raises:
        DataError: If there are both, or something else.
        CheckpointError: If there are chats and the checkpoint has no template for them.
    """
    chats = [is_chat(prompt) for prompt in prompts]
    if any(chats) and not all(chats):
        chat, other = prompts[chats.index(True)], prompts[chats.index(False)]
        raise DataError(
            f"expected texts, or chats ({EXPECTED}), not both; got {chat!r:.60} and {other!r:.60}."
        )
    end = [] if tokenizer.end_id is None else [tokenizer.end_id]
    before = tokenizer.frame(1).specials[0].astype("int32")
    if any(chats):
        template = tokenizer.chat_template
        end = tokenizer.plain_ids([template.end()])[0].tolist() or end
        texts = [template.parts(checked_chat(prompt, "chat")) for prompt in prompts]
        before = before[:0]
    else:
        texts = [[(prompt, False)] for prompt in prompts]
    ids = iter(tokenizer.plain_ids([text for parts in texts for text, _ in parts]))
    empty = before if len(before) else np.array(end[:1], "int32")
    rows, counted = [], []
    for parts in texts:
        found = [(before, False), *((next(ids), learned) for _, learned in parts)]
        if not any(len(part) for part, _ in found):
            found = [(empty, False)]
        rows.append(np.concatenate([part for part, _ in found]))
        counted.append(np.concatenate([np.full(len(part), learned) for part, learned in found]))
    return _of_rows(PromptEncodings, rows, counted, np.array(end, "int32"), tokenizer)


def encode_continued(
    tokenizer: Tokenizer, prompts: PromptEncodings, texts: Sequence[str]
) -> ContinuedEncodings:
    """Returns the tokens of prompts, each with a text behind it that is to be written.

    Prompt and text are tokens apart, as in a prediction, where the prompt is there first. The text
    ends with what ends one, as far as there is room for it.

    Args:
        tokenizer: The model's.
        prompts: Of `encode_prompts`.
        texts: A text for each; "": the prompt itself is what is to be written.
    """
    rows, counted = [], []
    for row, ids in enumerate(tokenizer.plain_ids(texts)):
        given = slice(prompts.offsets[row], prompts.offsets[row + 1])
        rows.append(np.concatenate([prompts.ids[given], ids, prompts.end]))
        before = prompts.counted[given] if texts[row] else np.ones(given.stop - given.start, bool)
        counted.append(np.concatenate([before, np.ones(len(ids) + len(prompts.end), bool)]))
    made: ContinuedEncodings = _of_rows(ContinuedEncodings, rows, counted, prompts.end, tokenizer)
    # The first token of a row follows nothing.
    learned = np.add.reduceat(made.counted, made.offsets[:-1]) - made.counted[made.offsets[:-1]]
    lost = int((learned == 0).sum())
    if lost:
        logger.warning(
            "nothing is learned of %s: the prompt takes all of maxlen=%d tokens, or there is one "
            "token alone. Raise maxlen, or leave them out.",
            plural(lost, "example"),
            tokenizer.maxlen,
        )
    return made


def _of_rows(
    kind: Any, rows: list[Any], counted: list[Any], end: np.ndarray, tokenizer: Tokenizer
) -> Any:
    """Returns encodings of a kind, a row a text, none longer than the tokenizer has it.

    What is too long is cut as the tokenizer says, so that of a prompt the end may stay.
    """
    longest = tokenizer.maxlen
    kept = slice(-longest, None) if tokenizer.truncation_side == "left" else slice(longest)
    rows, counted = ([row[kept] for row in part] for part in (rows, counted))
    return kind(
        ids=np.concatenate([np.zeros(0, "int32"), *rows]).astype("int32"),
        offsets=np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype("int64"),
        type_ids=None,
        max_length=longest,
        pad_id=tokenizer.pad_id,
        counted=np.concatenate([np.zeros(0, bool), *counted]),
        end=end,
        **_spelled(tokenizer),
    )


def _spelled(tokenizer: Tokenizer) -> dict[str, Any]:
    """Returns what turns the tokens that are written into text, by `SourceEncodings`' names."""
    # As it is written: with the space that parts it from its prompt.
    decode = functools.partial(tokenizer.decode, strip=False)
    return {"decode": decode, "settled": tokenizer.settled}


def _held(made: TokenEncodings) -> dict[str, Any]:
    return {field.name: getattr(made, field.name) for field in fields(TokenEncodings)}
