"""What a tokenizer's tokens are: ids and texts of them, special ones, templates."""

from __future__ import annotations

import abc
import functools
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ktlite.errors import CheckpointError
from ktlite.inputs.chats import ChatTemplate
from ktlite.inputs.frame import Frame
from ktlite.inputs.tokenizer_files import SETTINGS, name

# A byte of a character that the vocabulary lacks, in SentencePiece's spelling.
_BYTE = re.compile(r"<0x[0-9A-Fa-f]{2}>")
# What stands in a text for bytes that are no character, perhaps not yet.
_HALF = "\N{REPLACEMENT CHARACTER}"


class Vocabulary(abc.ABC):
    """The part of a `Tokenizer` that looks things up."""

    _files: Mapping[str, bytes]
    _rust: Any
    _writer: Any
    _numbers: Any
    pad_id: int

    @abc.abstractmethod
    def _whole_texts(self) -> Any:
        """Returns a Rust tokenizer that cuts nothing."""

    @property
    def vocab_size(self) -> int:
        """One more than the largest token id."""
        if self._numbers is not None:
            return self._numbers.size
        return max(self._rust.get_vocab(with_added_tokens=True).values()) + 1

    @property
    def added_tokens(self) -> dict[str, int]:
        """The tokens that no text is cut into by itself, by what they are called."""
        added = self._rust.get_added_tokens_decoder()
        return {token.content: number for number, token in added.items()}

    @property
    def chat_template(self) -> ChatTemplate:
        """What makes texts of messages.

        Raises:
            CheckpointError: If the checkpoint has none.
        """
        return ChatTemplate(self._files)

    @property
    def mask_id(self) -> int:
        """The id of the mask token.

        Raises:
            CheckpointError: If the tokenizer has none.
        """
        number = self._special("mask_token", "[MASK]", "<mask>")
        if number is None:
            raise CheckpointError("the tokenizer has no mask token such as '[MASK]' or '<mask>'.")
        return number

    @property
    def unknown_id(self) -> int:
        """The id of the token for what is not in the vocabulary; without one, of padding."""
        number = self._special("unk_token", "[UNK]", "<unk>")
        return self.pad_id if number is None else number

    def _special(self, setting: str, *usual: str) -> int | None:
        """Returns the id of a special token, by its setting or a usual name."""
        named = name(json.loads(self._files.get(SETTINGS, b"{}")).get(setting))
        for token in (named, *usual):
            number: int | None = self._rust.token_to_id(token) if token else None
            if number is not None:
                return number
        return None

    def token(self, number: int) -> str:
        """Returns the vocabulary's entry of an id."""
        entry: str = self._writer.id_to_token(number)
        return entry

    def all_tokens(self) -> list[str | None]:
        """Returns the vocabulary's entries by id; None for ids that have none."""
        return [self._writer.id_to_token(number) for number in range(self.vocab_size)]

    def whole_token(self, word: str) -> int | None:
        """Returns the id of a word that is one token, as it is inside of a text; else None."""
        for text in (f" {word}", word):
            ids = self._whole_texts().encode(text, add_special_tokens=False).ids
            if len(ids) == 1 and ids[0] != self.unknown_id:
                return int(ids[0])
        return None

    def decode(
        self, ids: Sequence[int] | np.ndarray, keep: Sequence[int] = (), *, strip: bool = True
    ) -> str:
        """Returns the text of tokens, without special ones but those to keep.

        Args:
            ids: int [tokens].
            keep: Special tokens that are shown.
            strip: Whether white space around the text is left out.
        """
        text: str = self._writer.decode(self._shown(ids, keep), skip_special_tokens=False)
        return text.strip() if strip else text

    def settled(self, ids: Sequence[int] | np.ndarray) -> str:
        """Returns the beginning of a text, as far as no token behind these can change it.

        A character may take several tokens, each of some of its bytes.

        Args:
            ids: int [tokens], with which the text begins.
        """
        shown = self._shown(ids)
        # Tokens that are a byte each become characters only where all of a run are some.
        while shown and _BYTE.fullmatch(self.token(shown[-1])):
            shown.pop()
        text: str = self._writer.decode(shown, skip_special_tokens=False)
        return text.removesuffix(_HALF)

    def _shown(self, ids: Sequence[int] | np.ndarray, keep: Sequence[int] = ()) -> list[int]:
        """Returns those of tokens that are part of a text."""
        hidden = self._special_ids - set(keep)
        return [int(number) for number in ids if int(number) not in hidden]

    @functools.cached_property
    def _special_ids(self) -> frozenset[int]:
        added = self._rust.get_added_tokens_decoder().items()
        return frozenset(number for number, token in added if token.special)

    def ordinary_ids(self) -> np.ndarray:
        """Returns the ids of all entries but special tokens, int64 [entries]."""
        added = self._rust.get_added_tokens_decoder()
        return np.setdiff1d(np.array(list(self._rust.get_vocab().values()), "int64"), list(added))

    def frame(self, texts: int) -> Frame:
        """Returns the special tokens around an input of one text or two."""
        return Frame.of(self._whole_texts(), texts)

    def special_tokens(self) -> list[str]:
        """Returns the tokens that are put around a text."""
        probe = self._whole_texts().encode("a")
        return [t for t, of in zip(probe.tokens, probe.sequence_ids, strict=True) if of is None]
