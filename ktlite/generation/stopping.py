"""Strings that end a text."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ktlite.generation.rules import Tokens
from ktlite.generation.search import Stop

#: Turns ids, int32 [length], into text.
Decode = Callable[[Tokens], str]


class StopStrings:
    r"""Ends a text as soon as one of some strings stands in it; a `Stop`.

    A token may bring more than the end of the string: `cut` takes the string, and what stands
    behind it, off a text.

    Args:
        strings: What ends a text.
        decode: Turns a text's new tokens into a string.
        also: Another reason to stop.

    Example:
        >>> stop = StopStrings(["\n\n"], decode=tokenizer.decode)
        >>> stop.cut("One line.\n\nAnother")
        'One line.'
    """

    def __init__(self, strings: Sequence[str], decode: Decode, also: Stop | None = None) -> None:
        self.strings, self.decode, self.also = tuple(strings), decode, also

    def __call__(self, example: int, ids: Tokens) -> bool:
        """Says whether the text with these new tokens, int32 [length], has ended."""
        # The whole text: what a token reads like may depend on those before it.
        text = self.decode(ids)
        if any(string in text for string in self.strings):
            return True
        return self.also is not None and self.also(example, ids)

    def cut(self, text: str) -> str:
        """Returns a text up to the first of the strings in it."""
        return text[: min((text.find(s) for s in self.strings if s in text), default=len(text))]
