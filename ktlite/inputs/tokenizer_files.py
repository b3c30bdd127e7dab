"""What the files of a checkpoint's tokenizer say, as far as `tokenizer.json` does not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ktlite.errors import CheckpointError

FILE, SETTINGS = "tokenizer.json", "tokenizer_config.json"
TEMPLATE = "chat_template.jinja"
_SPECIAL, _ADDED = "special_tokens_map.json", "added_tokens.json"
# What can be made into tokenizer.json.
OLDER = (
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "spiece.model",
    "spm.model",
)
# What gives ids to the pieces of SentencePiece models, of texts that are read and written.
NUMBERED = ("vocab.json", "target_vocab.json", "source.spm", "target.spm")
FILES = tuple(dict.fromkeys((FILE, SETTINGS, _SPECIAL, _ADDED, TEMPLATE, *OLDER, *NUMBERED)))
_TOKEN_FIELDS = ("single_word", "lstrip", "rstrip", "normalized", "special")


@dataclass(frozen=True)
class Settings:
    """The settings of a tokenizer beside `tokenizer.json`, as `transformers` merges them.

    Args:
        values: Of `tokenizer_config.json`, and of `special_tokens_map.json` where the first has
            no `added_tokens_decoder`.
        added: The tokens that they add to the vocabulary, by id; the ids give the order alone.
        model_type: Of `config.json`, or "".
        tokenizer_class: Of `tokenizer_config.json`, else of `config.json`, or "".
        bare: Whether the options of `added` are guesses: `added_tokens.json` has none.
        rows: `vocab_size` of `config.json`: what ids the model knows. None: not said.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    added: Mapping[int, Any] = field(default_factory=dict)
    model_type: str = ""
    tokenizer_class: str = ""
    bare: bool = False
    rows: int | None = None

    @classmethod
    def read(cls, folder: Path) -> Settings:
        """Reads the files of a folder.

        Raises:
            CheckpointError: If one of them is not what it should be.
        """
        values, config = _json(folder / SETTINGS), _json(folder / "config.json")
        added = {}
        bare = not isinstance(values.get("added_tokens_decoder"), dict)
        if not bare:
            where = folder / SETTINGS
            for number, item in values["added_tokens_decoder"].items():
                added[_id(number, where)] = token(item, where)
        else:
            older = _json(folder / _SPECIAL)
            more = _more(values) or _more(older)
            values = values | older
            if more:
                values["extra_special_tokens"] = more
            special = {name(value) for value in (*_named(values), *_more(values))}
            for text, number in _json(folder / _ADDED).items():
                options = {"special": text in special, "normalized": text not in special}
                item = {"content": text, **options}
                added[_id(number, folder / _ADDED)] = token(item, folder / _ADDED)
        rows = config.get("vocab_size")
        return cls(
            values,
            added,
            str(config.get("model_type") or ""),
            str(values.get("tokenizer_class") or config.get("tokenizer_class") or ""),
            bare,
            rows if isinstance(rows, int) else None,
        )

    def get(self, setting: str, default: Any = None) -> Any:
        """Returns a setting."""
        return self.values.get(setting, default)

    @property
    def specials(self) -> list[Any]:
        """The special tokens that have a use, such as `mask_token`; each a string or a dict."""
        return _named(self.values)

    @property
    def more_specials(self) -> list[Any]:
        """Other special tokens, each a string or a dict."""
        return _more(self.values)


def with_class(files: Mapping[str, bytes], settings: Settings, of: str) -> dict[str, bytes]:
    """Returns files whose tokenizer_config.json names a class, which else config.json says."""
    if settings.get("tokenizer_class"):
        return dict(files)
    said = {**json.loads(files.get(SETTINGS, b"{}")), "tokenizer_class": of}
    return {**files, SETTINGS: json.dumps(said, indent=2, ensure_ascii=False).encode()}


def token(value: Any, where: Any = SETTINGS, **options: bool) -> Any:
    """Returns the `AddedToken` of a string, or of a dict that `transformers` wrote.

    Raises:
        CheckpointError: If it is neither.
    """
    from tokenizers import AddedToken

    text = name(value)
    if not isinstance(text, str):
        raise CheckpointError(
            f"{where}: {value!r:.60} is no token; expected a string or an object."
        )
    if isinstance(value, dict):
        options |= {key: bool(value[key]) for key in _TOKEN_FIELDS if value.get(key) is not None}
    return AddedToken(text, **options)


def with_options(added: Any, **options: bool) -> Any:
    """Returns an `AddedToken` like another one, with other options."""
    from tokenizers import AddedToken

    kept = {option: getattr(added, option) for option in _TOKEN_FIELDS}
    return AddedToken(added.content, **{**kept, **options})


def name(value: Any) -> Any:
    """Returns a token's text; transformers writes some as a dict with options."""
    return value.get("content") if isinstance(value, dict) else value


def _named(values: Mapping[str, Any]) -> list[Any]:
    return [
        value
        for key, value in values.items()
        if key.endswith("_token") and isinstance(name(value), str)
    ]


def _more(values: Mapping[str, Any]) -> list[Any]:
    more = values.get("extra_special_tokens") or values.get("additional_special_tokens") or ()
    return list(more.values() if isinstance(more, dict) else more)


def _id(number: Any, where: Path) -> int:
    try:
        return int(number)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{where}: {number!r} is no token id.") from error


def _json(path: Path) -> dict[str, Any]:
    """Returns a JSON object, an empty one where there is no such file."""
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_bytes()))
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{path} is not a JSON object ({error}); fetch it again.") from error


def field_of(path: Path, setting: str) -> Any:
    """Returns a field of a JSON object; None where there is no such file or field.

    Raises:
        CheckpointError: If the file is no JSON object.
    """
    return _json(path).get(setting)
