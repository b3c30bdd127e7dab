"""What Whisper writes of a sound: texts, behind tokens that say language and kind."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ktlite._logging import logger
from ktlite.encodings.targets import TargetEncodings
from ktlite.errors import ArgumentError, CheckpointError, Problems, listing, plural
from ktlite.generation.options import Generation
from ktlite.generation.rules import Rule
from ktlite.generation.times import paired_times
from ktlite.inputs.settings import read_json
from ktlite.inputs.tokenizer import Tokenizer

#: The place of a token that the model chooses: the language, where none is said.
OPEN = -1
TASKS = ("transcribe", "translate")
_GENERATION = "generation_config.json"
_LANGUAGE = re.compile(r"<\|([a-z]{2,3})\|>")
_MULTILINGUAL = 51_865  # entries of the vocabulary, from which on there are several languages
# Scripts whose first words have no space before them, by the names of their characters.
_NO_SPACE = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN")
_SHOWN = 12
_STEP = 0.02  # seconds from one time to the next
Segment = tuple[float, float, str]


@dataclass(frozen=True)
class Transcripts:
    """The texts of a checkpoint that writes what it hears.

    Args:
        tokenizer: Of the texts.
        start: The token that all begin with.
        end: The one that ends them.
        languages: Tokens by the code of their language, such as `"de"`; none: English alone.
        tasks: Tokens of `TASKS`; none, where there is one language.
        no_times: The token that says that texts have no times; the tokens of times come behind
            it, one for each 0.02 seconds. None: there are none.
        latest: How many of these steps after 0 a text with times may begin; None: any number.
    """

    tokenizer: Tokenizer
    start: int
    end: int
    languages: Mapping[str, int]
    tasks: Mapping[str, int]
    no_times: int | None
    latest: int | None = None

    @classmethod
    def of_checkpoint(cls, folder: Path, spec: Any) -> Transcripts | None:
        """Returns those of a checkpoint; None: its model writes no texts.

        Args:
            folder: The checkpoint's.
            spec: Of its model.

        Raises:
            CheckpointError: If there is no tokenizer, or one of another kind.
        """
        if spec is None or not spec.last.causal:
            return None
        front = spec.last.front
        tokenizer = Tokenizer(folder, front.max_positions, framed=False)
        known = tokenizer.added_tokens
        wanted = {"<|startoftranscript|>", "<|endoftext|>"} - known.keys()
        if wanted or tokenizer.vocab_size > front.vocab_size:
            raise CheckpointError(
                f"{folder}: the tokenizer has {tokenizer.vocab_size:,} tokens, without "
                f"{listing(sorted(wanted)) or 'any lack'}, and config.json's vocab_size is "
                f"{front.vocab_size:,}: it is of another checkpoint."
            )
        said = read_json(folder / _GENERATION) or {}
        options = Generation.of_folder(folder)
        languages, tasks = _languages(said, known, front.vocab_size), {}
        if languages:
            given = said.get("task_to_id") or {}
            named = {task: given.get(task, known.get(f"<|{task}|>")) for task in TASKS}
            tasks = {task: token for task, token in named.items() if token is not None}
        return cls(
            tokenizer,
            options.first_token(),
            options.eos_token_id[0] if options.eos_token_id else known["<|endoftext|>"],
            languages,
            tasks,
            said.get("no_timestamps_token_id", known.get("<|notimestamps|>")),
            said.get("max_initial_timestamp_index"),
        )

    def code(self, language: str) -> str:
        """Returns the code of a language that is called by its name, its code or its token."""
        plain = language.strip().lower().removeprefix("<|").removesuffix("|>")
        if plain in self.languages:
            return plain
        from transformers.models.whisper.tokenization_whisper import TO_LANGUAGE_CODE

        return str(TO_LANGUAGE_CODE.get(plain, plain))

    def check(self, language: str | None, task: str) -> None:
        """Says what of a language and a task the checkpoint does not have.

        Raises:
            ArgumentError: If it does not have one.
        """
        problems = Problems("speech recognition")
        problems.choice("task", task, TASKS)
        if self.languages:
            if language is not None and self.code(language) not in self.languages:
                near = sorted(
                    sorted(self.languages),
                    key=lambda one: -difflib.SequenceMatcher(None, one, language).ratio(),
                )
                problems.add(
                    f"language={language!r} is none of the {len(near)} languages of this "
                    f"checkpoint: {listing(near, _SHOWN)}."
                )
        else:
            problems.add_unless(
                language is None or self.code(language) == "en",
                f"language={language!r}, and this checkpoint knows English alone; choose one of "
                "several languages, without .en in its name.",
            )
            problems.add_unless(
                task != "translate", "task='translate', and this checkpoint knows English alone."
            )
        problems.raise_if_any()

    def prompt(
        self, language: str | None = None, task: str = TASKS[0], times: bool = False
    ) -> np.ndarray:
        """Returns what texts begin with, int32 [tokens]; `OPEN` for a language that is not said.

        Args:
            language: Its code, name or token.
            task: One of `TASKS`.
            times: Whether there are times between the words.

        Raises:
            ArgumentError: If the checkpoint does not have the language, the task or times.
        """
        self.check(language, task)
        if times and self.no_times is None:
            raise ArgumentError("return_timestamps=True, and this checkpoint writes no times.")
        found = [self.start]
        if self.languages:
            found.append(OPEN if language is None else self.languages[self.code(language)])
            found += [self.tasks[task]] if task in self.tasks else []
        without = [] if times or self.no_times is None else [self.no_times]
        return np.array(found + without, "int32")

    def times_rule(self) -> Rule:
        """Returns the rule of generation for texts with times."""
        assert self.no_times is not None
        return paired_times(self.no_times + 1, self.end, self.no_times, self.latest)

    def segments(self, ids: np.ndarray, start: float, end: float) -> list[Segment]:
        """Returns the parts of a text with times, as (begin, end, text), in seconds.

        Args:
            ids: int [tokens].
            start: When the sound begins.
            end: When it ends, as does a part that has no end of its own.
        """
        assert self.no_times is not None
        found: list[Segment] = []
        begun, words = float(start), []
        past = round((end - start) / _STEP)  # what ends no part before ends the sound
        for token in [*(int(number) for number in ids), self.no_times + 1 + past]:
            if token <= self.no_times:
                words.append(token)
                continue
            time = float(start) + (token - self.no_times - 1) * _STEP
            if words:
                found.append((round(begun, 2), round(time, 2), self.tokenizer.decode(words)))
            begun, words = time, []
        return found

    def encode(self, texts: Sequence[str], prompt: np.ndarray) -> TargetEncodings:
        """Returns the tokens of texts to be written, behind those of a prompt but the first.

        Args:
            texts: What is said.
            prompt: What they begin with.
        """
        longest, before = self.tokenizer.maxlen, prompt[1:]
        ids = self.tokenizer.plain_ids([_spaced(text) for text in texts])
        rows = [np.concatenate([before, one, [self.end]]).astype("int32") for one in ids]
        cut = sum(len(row) > longest for row in rows)
        if cut:
            logger.warning(
                "%s of more than %d tokens, which the model cannot write: what is beyond is left "
                "out.", plural(cut, "text"), longest,
            )  # fmt: skip
        rows = [row[:longest] for row in rows]
        return TargetEncodings(
            ids=np.concatenate([np.zeros(0, "int32"), *rows]),
            offsets=np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype("int64"),
            type_ids=None,
            max_length=longest,
            pad_id=self.end,
            start_id=int(prompt[0]),
        )

    def decode(self, ids: np.ndarray) -> str:
        """Returns the text of tokens, with white space around it and without times."""
        return self.tokenizer.decode(self._of_text(ids), strip=False)

    def settled(self, ids: np.ndarray) -> str:
        """Returns the beginning of a text, as far as no token behind these can change it."""
        return self.tokenizer.settled(self._of_text(ids))

    def _of_text(self, ids: np.ndarray) -> np.ndarray:
        found = np.asarray(ids)
        return found if self.no_times is None else found[found < self.no_times]

    def save(self, folder: Path) -> dict[str, Any]:
        """Writes the tokenizer's files; returns the rest for JSON."""
        numbers = {name: getattr(self, name) for name in ("start", "end", "no_times", "latest")}
        maps = {"languages": dict(self.languages), "tasks": dict(self.tasks)}
        return {**numbers, **maps, "tokenizer": self.tokenizer.save(folder)}

    @classmethod
    def load(cls, folder: Path, config: Mapping[str, Any]) -> Transcripts:
        """Makes it again from what `save` wrote and returned."""
        return cls(**{**config, "tokenizer": Tokenizer.load(folder, config["tokenizer"])})


def _languages(said: Mapping[str, Any], known: Mapping[str, int], size: int) -> dict[str, int]:
    """Returns the languages of a checkpoint by code; none: it knows English alone."""
    if not said.get("is_multilingual", "lang_to_id" in said or size >= _MULTILINGUAL):
        return {}
    tokens = said.get("lang_to_id") or known
    found = {_LANGUAGE.fullmatch(token): number for token, number in tokens.items()}
    return {match[1]: number for match, number in found.items() if match}


def _spaced(text: str) -> str:
    """Returns a text as the model writes it: with a space before it, where its script has any."""
    text = text.strip()
    bare = not text or unicodedata.name(text[0], "").startswith(_NO_SPACE)
    return text if bare else f" {text}"
