"""Texts in one language, and texts in another that are to be written."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

from ktlite.errors import ArgumentError
from ktlite.inputs.languages import Languages
from ktlite.inputs.reading import Reading
from ktlite.inputs.tokenizer_files import FILE, SETTINGS
from ktlite.inputs.tokenizer_reading import LANGUAGES


class Translates:
    """What a tokenizer has for models that write."""

    #: What a decoder that writes starts with; None where the model has none.
    start_id: int | None = None
    #: None where texts are of no particular language.
    languages: Languages | None
    _rust: Any
    _targets: Any
    _apart: bool

    def _take_targets(self: Any, reading: Reading, maxlen: int, stride: int | None) -> None:
        self._targets, self._apart = None, reading.targets is not None
        if self._apart:
            self._targets = copy.copy(self)
            self._targets._take(reading.targets, maxlen, stride)
        self.languages = reading.languages
        if self.languages is not None:
            self._rust = self.languages.framed(self._rust)

    @property
    def for_targets(self: Any) -> Any:
        """What tokenises texts that a decoder is to write, and turns its tokens into texts."""
        if self._targets is None and self.languages is not None:
            self._targets = self._with(self.languages.framed(self._rust, targets=True))
        if self._targets is None:
            return self
        self._targets.start_id = self.start_id
        return self._targets

    def vocabularies(self: Any) -> list[list[str | None]]:
        return [self.all_tokens(), self.for_targets.all_tokens()]

    def in_languages(self: Any, src_lang: str | None, tgt_lang: str | None) -> Any:
        """Returns a tokenizer of texts in one language, and of what is to be written in another.

        Args:
            src_lang: The code of the first, as the checkpoint has it (`"eng_Latn"`, `"en_XX"`,
                `"en"`). Default: as its files say.
            tgt_lang: That of the second.

        Raises:
            ArgumentError: If the checkpoint does not have a language, or one must be given.
        """
        if self.languages is None:
            given = {"src_lang": src_lang, "tgt_lang": tgt_lang}
            said = [f"{name}={code!r}" for name, code in given.items() if code is not None]
            if said:
                raise ArgumentError(
                    f"{', '.join(said)}: this checkpoint's tokenizer has no languages to choose "
                    "from; leave it out."
                )
            return self
        chosen = self.languages.chosen(self._rust, src_lang, tgt_lang)
        if chosen == self.languages:
            return self
        made = self._with(chosen.framed(self._rust))
        made.languages = chosen
        made._targets = self._targets if self._apart else None
        return made

    def _with(self: Any, rust: Any) -> Any:
        """Returns a tokenizer with other tokens around texts."""
        made = copy.copy(self)
        made._rust, made._whole, made._by_words = rust, None, None
        made.languages = None
        return made

    @property
    def first_options(self) -> dict[str, int]:
        """The options of generation that say in what language texts are written."""
        return {} if self.languages is None else self.languages.first(self._rust)

    def _said(self: Any, files: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """Returns files that say the languages, where they have to be said."""
        if self.languages is None or not self.languages.required:
            return files
        said = json.loads(files.get(SETTINGS, b"{}"))
        said |= {"src_lang": self.languages.source, "tgt_lang": self.languages.target}
        new = {}
        if FILE in files:  # of no class that would know about languages
            said[LANGUAGES] = self.languages.get_config()
            new[FILE] = self._whole_texts().to_str().encode()
        return {**files, **new, SETTINGS: json.dumps(said, indent=2, ensure_ascii=False).encode()}
