"""Languages of texts: checkpoints that translate between several are told which by tokens."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ktlite.errors import Problems, listing

# Options of generation.
START, FIRST = "decoder_start_token_id", "forced_bos_token_id"
_SHOWN = 12


@dataclass(frozen=True)
class Languages:
    """The languages of a tokenizer, and where their tokens stand.

    Args:
        pattern: What their tokens are like; the group, if it has one, is the code.
        sources: What stands around a text that is read: `{source}` and `{target}` are the tokens
            of its language and of the text to be written, `{end}` the end, `$A` the text.
        targets: The same of a text to be written.
        end: The token that ends texts.
        option: The option of generation that is the id of the target's token; "" where there is
            none.
        source: The language of texts that are read; None: not said.
        target: That of texts to be written.
        required: Whether both must be said; otherwise texts may bring the token.
    """

    pattern: str
    sources: str
    targets: str
    end: str = "</s>"
    option: str = ""
    source: str | None = None
    target: str | None = None
    required: bool = True

    def tokens(self, rust: Any) -> dict[str, str]:
        """Returns the tokens of a Rust tokenizer's languages, by code."""
        added = (token.content for token in rust.get_added_tokens_decoder().values())
        found = {text: re.fullmatch(self.pattern, text) for text in added}
        return {match[match.lastindex or 0]: text for text, match in found.items() if match}

    def chosen(self, rust: Any, source: str | None, target: str | None) -> Languages:
        """Returns these with other languages in place of those that were said.

        Raises:
            ArgumentError: If the tokenizer does not have them, or one is needed and not said.
        """
        tokens = self.tokens(rust)
        problems = Problems("languages")
        codes = {}
        for name, given, said in (
            ("src_lang", source, self.source),
            ("tgt_lang", target, self.target),
        ):
            code = said if given is None else given
            found = {text: one for one, text in tokens.items()}.get(str(code), code)
            codes[name] = found
            if found is not None and found not in tokens:
                problems.add(
                    f"{name}={found!r} is none of the {len(tokens)} languages of this checkpoint: "
                    f"{listing(_nearest(str(found), tokens), _SHOWN)}."
                )
            needed = "{source}" if name == "src_lang" else "{target}"
            frame = self.sources if name == "src_lang" else self.targets
            if found is None and needed in frame and self.required:
                problems.add(
                    f"{name} is not said, and this checkpoint has {len(tokens)} languages: give "
                    "task=ktlite.tasks.Translation(src_lang=..., tgt_lang=...), one of "
                    f"{listing(sorted(tokens), _SHOWN)} each."
                )
        problems.raise_if_any()
        return dataclasses.replace(self, source=codes["src_lang"], target=codes["tgt_lang"])

    def framed(self, rust: Any, *, targets: bool = False) -> Any:
        """Returns a Rust tokenizer like another one, which puts the tokens around texts."""
        from tokenizers import processors

        tokens = self.tokens(rust)
        filled = {"end": self.end, "source": tokens.get(self.source or "", ""),
                  "target": tokens.get(self.target or "", "")}  # fmt: skip
        frame = (self.targets if targets else self.sources).format(**filled).split()
        around = [(token, rust.token_to_id(token)) for token in {*frame} - {"$A"}]
        made = alike(rust)
        pair = [part for token in frame for part in (("$A", "$B") if token == "$A" else (token,))]
        made.post_processor = processors.TemplateProcessing(
            single=frame, pair=pair, special_tokens=around
        )
        return made

    def first(self, rust: Any) -> dict[str, int]:
        """Returns the options of generation that choose the language of what is written."""
        if not self.option or self.target is None:
            return {}
        return {self.option: rust.token_to_id(self.tokens(rust)[self.target])}

    def get_config(self) -> dict[str, Any]:
        """Returns what makes this again, as JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Languages:
        return cls(**config)


def _nearest(code: str, known: Iterable[str]) -> list[str]:
    """Returns codes, those first that are most like one."""

    def likeness(other: str) -> tuple[bool, float]:
        one, two = code.lower(), other.lower()
        return two.startswith(one), difflib.SequenceMatcher(None, one, two).ratio()

    return sorted(sorted(known), key=likeness, reverse=True)


def before(pattern: str, option: str, source: str | None, target: str | None) -> Languages:
    """Returns languages whose tokens stand in front of texts."""
    frames = "{source} $A {end}", "{target} $A {end}"
    return Languages(pattern, *frames, option=option, source=source, target=target)


def after(pattern: str, option: str, source: str | None, target: str | None) -> Languages:
    """Returns languages whose tokens stand behind the end of texts."""
    frames = "$A {end} {source}", "$A {end} {target}"
    return Languages(pattern, *frames, option=option, source=source, target=target)


def alike(rust: Any) -> Any:
    """Returns a Rust tokenizer like another one, which shares its model."""
    from tokenizers import Tokenizer

    made = Tokenizer(rust.model)
    for name in ("normalizer", "pre_tokenizer", "decoder", "post_processor"):
        if getattr(rust, name) is not None:
            setattr(made, name, getattr(rust, name))
    for _, token in sorted(rust.get_added_tokens_decoder().items()):
        (made.add_special_tokens if token.special else made.add_tokens)([token])
    if rust.truncation is not None:
        made.enable_truncation(**rust.truncation)
    return made
