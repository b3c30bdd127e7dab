"""A text in pieces, while it is being written."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ktlite.encodings.targets import Spells
from ktlite.generation import StopStrings


class Pieces:
    """Turns tokens, one after the other, into pieces of the text that they are.

    A piece is given when no token behind it can change it any more: whole characters, where they
    take several tokens; nothing that may turn out to be the beginning of what ends the text. All
    pieces together are the text.

    Args:
        encodings: Which know what tokens are as text.
        text: Turns the tokens of the whole text, int32 [tokens], into it.
        stops: Strings that end the text, and are left out.
        strip: Whether white space around the text is left out.

    Example:
        >>> pieces = Pieces(encodings, lambda ids: encodings.decode(ids))
        >>> "".join([*map(pieces.add, ids), pieces.rest()]) == encodings.decode(ids)
        True
    """

    def __init__(
        self,
        encodings: Spells,
        text: Callable[[np.ndarray], str],
        stops: Sequence[str] = (),
        strip: bool = False,
    ) -> None:
        self._settled, self._text = encodings.settled, text
        self._stops, self._strip = StopStrings(stops, encodings.decode), strip
        self._ids: list[int] = []
        self._given = ""

    def add(self, token: int) -> str:
        """Takes the next token; returns what has become certain of the text, perhaps nothing."""
        self._ids.append(token)
        text = self._settled(np.array(self._ids, "int32"))
        whole = self._stops.cut(text)
        if whole == text:
            whole = text[: len(text) - self._begun(text)]
        if self._strip:
            whole = whole.strip()  # what is white at the end may yet be inside of the text
        return self._piece(whole)

    def rest(self) -> str:
        """Returns what is left when the last token is there."""
        return self._piece(self._text(np.array(self._ids, "int32")))

    def _piece(self, text: str) -> str:
        if not text.startswith(self._given):
            return ""
        piece = text[len(self._given) :]
        self._given = text
        return piece

    def _begun(self, text: str) -> int:
        """Returns how many characters at the end of a text may begin one of the strings."""
        longest = max(map(len, self._stops.strings), default=1) - 1
        for size in range(min(longest, len(text)), 0, -1):
            if any(string.startswith(text[-size:]) for string in self._stops.strings):
                return size
        return 0
