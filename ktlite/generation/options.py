"""How a text is generated: `Generation`, with the names and meanings of transformers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ktlite._logging import logger
from ktlite.errors import ArgumentError, CheckpointError, Problems
from ktlite.generation.config_files import options_of_config, read_options

#: New tokens where nothing says how many.
DEFAULT_NEW_TOKENS = 20

Ids = tuple[int, ...]


@dataclass(frozen=True)
class Generation:
    """How to search for a text, and when to stop.

    Each field means what it means in transformers 5, and has the same default, so that the
    `generation_config.json` of a checkpoint gives the same texts here. Where several say
    something, a call's arguments count first, then the file, then these defaults.

    Args:
        max_new_tokens: The most tokens that are generated, without the prompt. With neither
            this nor `max_length` it is 20, or what is left of the model's positions.
        max_length: The most tokens with the prompt (of encoder-decoders: with the start token).
            `max_new_tokens` wins over it.
        min_length: No end before so many tokens, the prompt counted.
        min_new_tokens: No end before so many generated tokens; wins over `min_length`.
        num_beams: Hypotheses that are followed; 1 is no beam search.
        do_sample: Whether tokens are drawn, and not chosen.
        early_stopping: When beam search ends: True as soon as there are `num_beams` finished
            hypotheses; False when the best running one, at its present length, is no better than
            the worst finished; "never" when no longer one could be better either.
        length_penalty: A hypothesis' score is its summed log-probability divided by its length
            to the power of this: above 0 favours long ones.
        num_return_sequences: Texts for each prompt: at most `num_beams`, or any number of draws.
        temperature: What scores are divided by before a draw.
        top_k: Draw from so many best tokens; 0 or None from all.
        top_p: Draw from the fewest best tokens whose probabilities sum to this or more.
        min_p: Draw from tokens with this share of the best one's probability or more.
        typical_p: Draw from the fewest tokens, nearest to the expected surprise, whose
            probabilities sum to this or more (Meister et al., 2022, arXiv 2202.00666).
        repetition_penalty: Above 1 makes tokens that are there already, in the prompt too, less
            likely: positive scores are divided by it, negative ones multiplied.
        no_repeat_ngram_size: No run of so many tokens comes twice, the prompt counted; 0 is off.
        encoder_no_repeat_ngram_size: No run of so many tokens of the source is repeated.
        bad_words_ids: Sequences of tokens that are never generated.
        suppress_tokens: Tokens that are never generated.
        begin_suppress_tokens: Tokens that are not generated first.
        forced_bos_token_id: The first generated token, of prompts of one token.
        forced_eos_token_id: The last token where the greatest length is reached: one, or several
            to choose from.
        renormalize_logits: Whether scores are log-probabilities again after all rules.
        eos_token_id: The token that ends a text, or several.
        pad_token_id: What fills up; the first end token where None.
        bos_token_id: The start where there is no `decoder_start_token_id`.
        decoder_start_token_id: What a decoder with an encoder starts with.
        stop_strings: A text ends when one of these comes up in it; they need `decode=`.
        seed: What is drawn depends on it and on the example's number, not on the batch.

    Raises:
        ArgumentError: If values are of another kind or exclude one another; all that is wrong
            at once.

    Example:
        >>> how = Generation.of_folder("opus-mt-en-de").with_(num_beams=4, max_new_tokens=100)
        >>> how.num_beams
        4
    """

    max_new_tokens: int | None = None
    max_length: int | None = None
    min_length: int = 0
    min_new_tokens: int | None = None
    num_beams: int = 1
    do_sample: bool = False
    early_stopping: bool | str = False
    length_penalty: float = 1.0
    num_return_sequences: int = 1
    temperature: float = 1.0
    top_k: int | None = 50
    top_p: float = 1.0
    min_p: float | None = None
    typical_p: float = 1.0
    repetition_penalty: float = 1.0
    no_repeat_ngram_size: int = 0
    encoder_no_repeat_ngram_size: int = 0
    bad_words_ids: tuple[Ids, ...] = ()
    suppress_tokens: Ids = ()
    begin_suppress_tokens: Ids = ()
    forced_bos_token_id: int | None = None
    forced_eos_token_id: Ids = ()
    renormalize_logits: bool = False
    eos_token_id: Ids = ()
    pad_token_id: int | None = None
    bos_token_id: int | None = None
    decoder_start_token_id: int | None = None
    stop_strings: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value in _as_tuples(self).items():
            object.__setattr__(self, name, value)
        problems = Problems("generate")
        _check_values(problems, self)
        if not problems.found:
            _check_together(problems, self)
        problems.raise_if_any()

    @classmethod
    def of_folder(cls, folder: str | Path) -> Generation:
        """Reads a checkpoint's own way to generate.

        As transformers 5 does: `generation_config.json` alone where there is one, or else the
        fields of this kind in `config.json` (and in its `decoder`, `generator` or `text_config`
        where the outer ones say nothing). `task_specific_params` count in neither.

        Args:
            folder: A folder with a Hugging Face checkpoint.

        Returns:
            The options; defaults where the folder has neither file.

        Raises:
            CheckpointError: If a file cannot be read, holds values that no model can generate
                with, or asks for a search that there is none of here.
        """
        names = frozenset(field.name for field in dataclasses.fields(cls)) - {"seed"}
        found, path = read_options(folder, names)
        try:
            return cls(**found)
        except ArgumentError as error:
            raise CheckpointError(f"{path}: {str(error).removeprefix('generate: ')}") from error

    @classmethod
    def of_config(cls, config: Mapping[str, Any]) -> Generation:
        """Reads the fields of generation in a model's config, for one that is in no folder.

        Raises:
            CheckpointError: As `of_folder`.
        """
        names = frozenset(field.name for field in dataclasses.fields(cls)) - {"seed"}
        try:
            return cls(**options_of_config(config, names))
        except ArgumentError as error:
            raise CheckpointError(f"config: {str(error).removeprefix('generate: ')}") from error

    def with_(self, **given: Any) -> Generation:
        """Returns these options with a call's arguments in place of some.

        A `max_length` that is given here counts even where a file has `max_new_tokens`, and
        `min_length` where it has `min_new_tokens` (in transformers it would not). None stands
        for "off" or "not set".

        Args:
            **given: Fields of `Generation`.

        Raises:
            ArgumentError: If an argument is unknown or its value impossible; all at once.

        Example:
            >>> Generation(max_new_tokens=100).with_(max_length=30, top_k=None)
        """
        names = [field.name for field in dataclasses.fields(self)]
        problems = Problems("generate")
        problems.unknown([name for name in given if name not in names], names)
        for name in names:
            if name in given and given[name] is None:
                given[name] = _OFF.get(name, _DEFAULTS[name])
        for length, new_tokens in (("max_length", "max_new_tokens"),
                                   ("min_length", "min_new_tokens")):  # fmt: skip
            if length in given and given.get(new_tokens) is None:
                given[new_tokens] = None
            elif given.get(length) and given.get(new_tokens) is not None:
                logger.warning("generate: %s is given as well, and counts in place of %s",
                               new_tokens, length)  # fmt: skip
        known = {name: value for name, value in given.items() if name in names}
        try:
            merged = dataclasses.replace(self, **known)
        except ArgumentError as error:
            if not problems.found:
                raise
            problems.add(str(error).removeprefix("generate: "))
        problems.raise_if_any()
        return merged

    def first_token(self) -> int:
        """Returns the token that a decoder with an encoder starts with.

        Raises:
            ArgumentError: If neither `decoder_start_token_id` nor `bos_token_id` says one.
        """
        start = self.decoder_start_token_id
        start = self.bos_token_id if start is None else start
        if start is None:
            raise ArgumentError(
                "generate: neither decoder_start_token_id nor bos_token_id is set, so the decoder "
                "has nothing to start with: give decoder_start_token_id=..."
            )
        return start

    @property
    def fill(self) -> int:
        """What stands after the end of a finished text: the pad, or the first end token, or 0."""
        if self.pad_token_id is not None:
            return self.pad_token_id
        return self.eos_token_id[0] if self.eos_token_id else 0

    @property
    def copies(self) -> int:
        """Rows for each prompt: beams, or draws."""
        return max(self.num_beams, self.num_return_sequences)

    def limits(self, prompts: np.ndarray, positions: int | None = None) -> np.ndarray:
        """Returns how long each text may be, with its prompt.

        Args:
            prompts: int array [rows]: lengths of the prompts.
            positions: The positions that the model has, or None for any number.

        Returns:
            int array [rows].

        Raises:
            ArgumentError: If a prompt leaves no room for a token.
        """
        if self.max_new_tokens is not None:
            limits = prompts + self.max_new_tokens
        elif self.max_length is not None:
            limits = np.full_like(prompts, self.max_length)
        else:
            limits = prompts + DEFAULT_NEW_TOKENS
        if positions is not None:
            asked = self.max_new_tokens is not None or self.max_length is not None
            if asked and (limits > positions).any():
                logger.warning("generate: texts end at %d tokens with their prompts: the model "
                               "has no more positions", positions)  # fmt: skip
            limits = np.minimum(limits, positions)
        full = np.flatnonzero(prompts >= limits)
        if len(full):
            raise ArgumentError(
                f"generate: prompt {full[0]} has {prompts[full[0]]} tokens, and "
                f"{limits[full[0]]} is the most with what is generated ({len(full)} such prompts "
                "in all). Shorten them, or raise max_length."
            )
        return limits

    def to_config(self) -> dict[str, Any]:
        """Returns what differs from the defaults, as `generation_config.json` has it."""
        config: dict[str, Any] = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name == "seed" or value == field.default:
                continue
            if field.name in ("eos_token_id", "forced_eos_token_id") and len(value) == 1:
                value = value[0]
            if field.name == "bad_words_ids":
                value = [list(word) for word in value]
            value = _OFF.get(field.name) if value is None else value
            config[field.name] = list(value) if isinstance(value, tuple) else value
        return config


_DEFAULTS = {field.name: field.default for field in dataclasses.fields(Generation)}
#: What None means where it is not the default.
_OFF: dict[str, Any] = {"top_k": 0}

_TOKENS = ("pad_token_id", "bos_token_id", "decoder_start_token_id", "forced_bos_token_id")
_SETS = ("eos_token_id", "forced_eos_token_id", "suppress_tokens", "begin_suppress_tokens")


def _as_tuples(options: Generation) -> dict[str, Any]:
    """Returns fields of several values as tuples; what cannot be one stays as it is."""
    changed: dict[str, Any] = {}
    for name in _SETS:
        value = getattr(options, name)
        changed[name] = (value,) if _is_whole(value) else _as_tuple(value)
    words = _as_tuple(options.bad_words_ids)
    changed["bad_words_ids"] = (
        tuple(_as_tuple(word) for word in words) if isinstance(words, tuple) else words
    )
    strings = options.stop_strings
    changed["stop_strings"] = (strings,) if isinstance(strings, str) else _as_tuple(strings)
    return changed


def _as_tuple(value: Any) -> Any:
    if value is None:
        return ()
    many = isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping))
    return tuple(int(v) if isinstance(v, np.integer) else v for v in value) if many else value


def _is_whole(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def _is_id(value: Any) -> bool:
    return _is_whole(value) and value >= 0


def _check_values(problems: Problems, o: Generation) -> None:
    """Records each value that is of another kind or out of its range."""
    for name in ("max_new_tokens", "max_length", "num_beams", "num_return_sequences"):
        value = getattr(o, name)
        optional = name.startswith("max_")
        fine = (value is None and optional) or (_is_whole(value) and value >= 1)
        problems.add_unless(fine, f"{name}={value!r}; expected a whole number of 1 or more.")
    for name in ("min_length", "min_new_tokens", "top_k", "no_repeat_ngram_size",
                 "encoder_no_repeat_ngram_size", "seed"):  # fmt: skip
        value = getattr(o, name)
        optional = name in ("min_new_tokens", "top_k")
        fine = (value is None and optional) or (_is_whole(value) and value >= 0)
        problems.add_unless(fine, f"{name}={value!r}; expected a whole number of 0 or more.")
    fine = _is_number(o.repetition_penalty) and 0 < o.repetition_penalty < float("inf")
    problems.add_unless(
        fine, f"repetition_penalty={o.repetition_penalty!r}; expected a number above 0."
    )
    # Files of models that are to be greedy say a temperature of 0.
    fine = _is_number(o.temperature) and 0 <= o.temperature < float("inf")
    problems.add_unless(
        fine and (o.temperature > 0 or o.do_sample is not True),
        f"temperature={o.temperature!r}; expected a number above 0. do_sample=False chooses the "
        "likeliest token.",
    )
    for name, lowest in (("top_p", "0"), ("min_p", "0"), ("typical_p", "above 0")):
        value = getattr(o, name)
        fine = (value is None and name == "min_p") or (
            _is_number(value) and 0 <= value <= 1 and (value > 0 or name != "typical_p")
        )
        problems.add_unless(fine, f"{name}={value!r}; expected a number from {lowest} to 1.")
    fine = _is_number(o.length_penalty) and abs(o.length_penalty) < float("inf")
    problems.add_unless(fine, f"length_penalty={o.length_penalty!r}; expected a number.")
    for name in ("do_sample", "renormalize_logits"):
        value = getattr(o, name)
        problems.add_unless(isinstance(value, bool), f"{name}={value!r}; expected True or False.")
    fine = isinstance(o.early_stopping, bool) or o.early_stopping == "never"
    problems.add_unless(
        fine, f"early_stopping={o.early_stopping!r}; expected True, False or 'never'."
    )
    for name in _TOKENS:
        value = getattr(o, name)
        fine = value is None or _is_id(value)
        problems.add_unless(fine, f"{name}={value!r}; expected the id of a token, or None.")
    for name in _SETS:
        value = getattr(o, name)
        fine = isinstance(value, tuple) and all(map(_is_id, value))
        problems.add_unless(fine, f"{name}={value!r}; expected ids of tokens.")
    words = o.bad_words_ids
    fine = isinstance(words, tuple) and all(
        isinstance(word, tuple) and len(word) > 0 and all(map(_is_id, word)) for word in words
    )
    problems.add_unless(
        fine, f"bad_words_ids={words!r}; expected lists of ids, one for each word: [[5], [7, 9]]."
    )
    fine = isinstance(o.stop_strings, tuple) and all(
        isinstance(s, str) and s for s in o.stop_strings
    )
    problems.add_unless(
        fine, f"stop_strings={o.stop_strings!r}; expected strings that are not empty."
    )


def _check_together(problems: Problems, o: Generation) -> None:
    """Records values that exclude one another."""
    several = o.num_return_sequences > 1
    problems.add_unless(
        not several or o.do_sample or o.num_beams > 1,
        f"num_return_sequences={o.num_return_sequences} with num_beams=1 and do_sample=False would "
        "be the same text each time; set num_beams or do_sample=True.",
    )
    problems.add_unless(
        o.num_beams == 1 or o.num_return_sequences <= o.num_beams,
        f"num_return_sequences={o.num_return_sequences}; expected at most num_beams={o.num_beams}.",
    )
    suppressed = set(o.suppress_tokens)
    forced = {"forced_bos_token_id": o.forced_bos_token_id,
              "forced_eos_token_id": o.forced_eos_token_id}  # fmt: skip
    for name, value in forced.items():
        ids = {value} if isinstance(value, int) else set(value or ())
        problems.add_unless(
            not ids or not ids <= suppressed,
            f"{name}={value!r} is among suppress_tokens, so that nothing could come there.",
        )
