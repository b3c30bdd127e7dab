"""The vocabulary of models that hear characters: texts to numbers, and back from frames."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ktlite._logging import logger
from ktlite.errors import CheckpointError, DataError, listing
from ktlite.inputs.settings import read_json

VOCABULARY, SETTINGS = "vocab.json", "tokenizer_config.json"
_SPECIAL, _ADDED = "special_tokens_map.json", "added_tokens.json"
_OF_HUGGING_FACE = "Wav2Vec2CTCTokenizer"
_MOST_UNKNOWN = 0.5  # of the characters of texts; more, and the vocabulary is of other texts


@dataclass(frozen=True)
class Characters:
    """Characters with numbers, and how words are told apart.

    The same as `Wav2Vec2CTCTokenizer` of `transformers`.

    Args:
        tokens: In the order of their numbers.
        blank: What a frame says that says nothing new: one of them.
        unknown: What stands for any other character; None: there is none.
        delimiter: What stands for a space.
        lower: Whether texts become upper case to be written, and lower case when they are read.

    Example:
        >>> Characters(("<pad>", "a", "b", "|")).numbers("a b")
        array([1, 3, 2], dtype=int32)
    """

    tokens: tuple[str, ...]
    blank: str = "<pad>"
    unknown: str | None = None
    delimiter: str = "|"
    lower: bool = False

    @classmethod
    def of_texts(cls, characters: Sequence[str], blank: int = 0) -> Characters:
        """Returns a vocabulary of its own for texts of these characters.

        Args:
            characters: Of the texts; white space counts as one of words.
            blank: The number of the blank, as the config of the model has it.
        """
        # As transformers' own has them: it adds those that are not there behind the others.
        tokens = ["<s>", "</s>", "<unk>", "|"]
        tokens += sorted({one for one in characters if not one.isspace() and one != "|"})
        tokens += [f"<{number}>" for number in range(len(tokens), blank)]
        tokens.insert(blank, "<pad>")
        return cls(tuple(tokens), unknown="<unk>")

    @classmethod
    def of_checkpoint(
        cls, folder: str | os.PathLike[str], size: int | None = None
    ) -> Characters | None:
        """Reads `vocab.json` and the settings beside it; None: there is none of characters.

        Args:
            folder: The checkpoint's.
            size: Outputs of the checkpoint's head: tokens that were added behind them are left
                out, and those that are missing have names of their own.

        Raises:
            CheckpointError: If a file is damaged, or of several languages.
        """
        path = Path(folder) / VOCABULARY
        settings = {
            **(read_json(Path(folder) / _SPECIAL) or {}),
            **(read_json(Path(folder) / SETTINGS) or {}),
        }
        if settings.get("tokenizer_class", _OF_HUGGING_FACE) != _OF_HUGGING_FACE:
            return None
        numbers = read_json(path)
        if numbers is None:
            return None
        if any(isinstance(number, dict) for number in numbers.values()):
            raise CheckpointError(f"{path} is of several languages, which is not supported.")
        most = len(numbers) if size is None else max(size, len(numbers))
        for added, number in _added(Path(folder), settings).items():
            if added not in numbers and (size is None or number < most):
                numbers[added] = number
        if size is not None and not {*range(len(numbers))} - {*numbers.values()}:
            numbers |= {f"<{number}>": number for number in range(len(numbers), size)}
        found = sorted(numbers.items(), key=lambda item: item[1])
        if [number for _, number in found] != list(range(len(found))):
            raise CheckpointError(f"{path}: expected the numbers 0 to {len(found) - 1}, once each.")
        tokens = tuple(one for one, _ in found)

        def token(name: str, default: str) -> str:
            value = settings.get(name, default)
            return str(value.get("content") if isinstance(value, dict) else value)

        made = cls(
            tokens,
            blank=token("pad_token", "<pad>"),
            unknown=token("unk_token", "<unk>"),
            delimiter=token("word_delimiter_token", "|"),
            lower=bool(settings.get("do_lower_case", False)),
        )
        for name, one in (("pad_token", made.blank), ("word_delimiter_token", made.delimiter)):
            if one not in tokens:
                raise CheckpointError(f"{path} has no {one!r}, which {SETTINGS} names as {name}.")
        return made if made.unknown in tokens else replace(made, unknown=None)

    @property
    def blank_number(self) -> int:
        """The number of the blank."""
        return self.tokens.index(self.blank)

    def __len__(self) -> int:
        return len(self.tokens)

    def numbers(self, text: str) -> np.ndarray:
        """Returns the numbers of a text's characters, int32 [characters].

        Unknown ones are left out where nothing stands for them.
        """
        found = {token: number for number, token in enumerate(self.tokens)}
        other = None if self.unknown is None else found[self.unknown]
        numbers = [found.get(one, other) for one in self._spelled(text)]
        return np.array([number for number in numbers if number is not None], "int32")

    def check(self, texts: Sequence[str], source: str) -> None:
        """Says which characters of texts are unknown.

        Raises:
            DataError: If most are: the vocabulary is of texts of another kind.
        """
        known = set(self.tokens)
        whole = [one for text in texts for one in self._spelled(text)]
        unknown = [one for one in whole if one not in known]
        if not unknown:
            return
        named = f"{listing(sorted(set(map(repr, unknown))), 10)}"
        if len(unknown) > _MOST_UNKNOWN * len(whole):
            upper = any(one.upper() in known for one in unknown)
            hint = " It is of upper case: give the texts as text.upper()." if upper else ""
            raise DataError(
                f"{source}: {len(unknown):,} of {len(whole):,} characters are not in the "
                f"checkpoint's vocabulary: {named}.{hint} For a vocabulary of these texts' own, "
                "task=ktlite.tasks.SpeechRecognition(characters)."
            )
        logger.warning(
            "%s: %d of %d characters are not in the vocabulary, and are learned as one unknown "
            "character: %s.", source, len(unknown), len(whole), named,
        )  # fmt: skip

    def text(self, numbers: Sequence[int] | np.ndarray) -> str:
        """Returns the text that numbers stand for."""
        tokens = [self.tokens[int(number)] for number in numbers]
        text = "".join(" " if one == self.delimiter else one for one in tokens).strip()
        return text.lower() if self.lower else text

    def heard(self, logits: np.ndarray) -> str:
        """Returns the text of the likeliest token of each frame (Graves et al., 2006).

        Of equal ones that follow each other the first counts, and blanks do not.

        Args:
            logits: float [frames, tokens].
        """
        best = logits.argmax(axis=-1) if len(logits) else np.zeros(0, "int64")
        changes = np.concatenate([[True], best[1:] != best[:-1]])[: len(best)]
        return self.text(best[changes & (best != self.blank_number)])

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Writes both files, as `transformers` reads them."""
        settings: dict[str, Any] = {
            "tokenizer_class": _OF_HUGGING_FACE,
            "pad_token": self.blank,
            "unk_token": self.unknown,
            "bos_token": "<s>" if "<s>" in self.tokens else None,
            "eos_token": "</s>" if "</s>" in self.tokens else None,
            "word_delimiter_token": self.delimiter,
            "do_lower_case": self.lower,
        }
        numbers = {token: number for number, token in enumerate(self.tokens)}
        for name, content in ((VOCABULARY, numbers), (SETTINGS, settings)):
            written = json.dumps(content, ensure_ascii=False, indent=1) + "\n"
            (Path(folder) / name).write_text(written, encoding="utf-8")

    def _spelled(self, text: str) -> list[str]:
        words = self.delimiter.join(text.split())
        return list(words.upper() if self.lower else words)


def _added(folder: Path, settings: Mapping[str, Any]) -> dict[str, int]:
    """Returns the numbers of tokens that are not in the vocabulary's own file."""
    found = dict(read_json(folder / _ADDED) or {})
    for number, token in (settings.get("added_tokens_decoder") or {}).items():
        found[str(token["content"] if isinstance(token, dict) else token)] = int(number)
    return found
