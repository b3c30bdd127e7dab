"""Texts that are far longer than what is read of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

# Characters that are looked at first for each token that is read; a token has four or so.
_CHARACTERS = 50


def encode_read(
    rust: Any, texts: Sequence[Any], maxlen: int | None, side: str = "right"
) -> list[Any]:
    """Tokenises texts that are cut at `maxlen` without looking at what is far beyond.

    Of a million characters the tokenizer would make all tokens, in seconds and hundreds of
    megabytes, and then throw them away.

    Args:
        rust: A tokenizer of the library `tokenizers`, which truncates.
        texts: Strings; pairs are tokenised whole.
        maxlen: Longest encoding in tokens; None tokenises all texts whole.
        side: Where texts are cut: `"right"`, at their ends, or `"left"`.

    Returns:
        What `rust.encode_batch_fast(texts)` does, but for what is cut off.
    """
    if maxlen is None:
        return list(rust.encode_batch_fast(list(texts)))
    read = _beginning if side == "right" else _end
    parts = [read(text, _CHARACTERS * maxlen) for text in texts]
    encoded: list[Any] = rust.encode_batch_fast(parts)
    for number, (text, part) in enumerate(zip(texts, parts, strict=True)):
        # Twice as many tokens as are read: so the cut has no effect on these.
        if len(part) < len(text) and len(encoded[number].overflowing) < 2:
            encoded[number] = rust.encode_batch_fast([text])[0]
    return encoded


def _beginning(text: Any, limit: int) -> Any:
    """Returns about the first `limit` characters of a long string, to the end of a word."""
    if not isinstance(text, str) or len(text) <= limit:
        return text
    part = text[:limit]
    words = part.rsplit(maxsplit=1)
    return words[0] if len(words) == 2 else part


def _end(text: Any, limit: int) -> Any:
    """Returns about the last `limit` characters of a long string, from the end of a word."""
    if not isinstance(text, str) or len(text) <= limit:
        return text
    part = text[-limit:]
    words = part.split(maxsplit=1)
    return part[len(part) - len(words[1]) - 1 :] if len(words) == 2 else part
