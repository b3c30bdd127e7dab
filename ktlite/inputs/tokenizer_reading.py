"""From a checkpoint's folder to the Rust tokenizer, with all that its files say."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ktlite._logging import logger
from ktlite.errors import CheckpointError, listing
from ktlite.inputs.languages import Languages
from ktlite.inputs.m2m100 import M2M100, read_m2m100
from ktlite.inputs.marian import MARIAN, SOURCE, read_marian
from ktlite.inputs.reading import Reading
from ktlite.inputs.tokenizer_files import (
    FILE,
    FILES,
    OLDER,
    SETTINGS,
    Settings,
    field_of,
    name,
    token,
    with_options,
)
from ktlite.inputs.tokenizer_kinds import Kind, class_of, kind_of
from ktlite.inputs.tokenizer_parts import members, part, put, sequence, with_fields

# The class of `transformers` that takes tokenizer.json as it is, in versions 4 and 5.
_AS_IT_IS = "PreTrainedTokenizerFast"
_INPUTS = ["input_ids", "token_type_ids", "attention_mask"]
_WITHOUT_TYPES = ("distilbert", "mpnet", "modernbert")  # models, whatever their tokenizer
#: What a saved tokenizer_config.json says of languages in.
LANGUAGES = "languages"
SIDES = ("right", "left")


def read_tokenizer(folder: Path, *, lowercase: bool = False, framed: bool = True) -> Reading:
    """Reads a checkpoint's tokenizer, so that its tokens are those of `transformers`.

    Args:
        folder: The folder.
        lowercase: Whether texts are lower-cased before all else, as sentence-transformers does
            where its files say so.
        framed: Whether its model wants special tokens around texts, so that it is said where
            there are none. One that only writes needs none.

    Raises:
        CheckpointError: If there is no tokenizer, or its files are damaged.
    """
    settings = Settings.read(folder)
    kind = kind_of(settings)
    files = {n: (folder / n).read_bytes() for n in FILES if (folder / n).is_file()}
    given = FILE in files
    if class_of(settings) == MARIAN and (SOURCE in files or not given):
        return read_marian(folder, files, settings, _side(folder, settings))
    if class_of(settings) == M2M100 and not given:
        return read_m2m100(folder, files, settings, _side(folder, settings))
    rust = (
        rust_tokenizer(files[FILE], folder / FILE) if given else _convert(folder, files, settings)
    )
    side = _side(folder, settings, rust.truncation)
    rust.no_padding()
    rust.no_truncation()
    changed = _without_sampling(rust, folder) or not given
    if kind is not None:
        changed |= kind.settle(rust, settings)
    if lowercase:
        changed |= _lowercased(rust)
    # Around SentencePiece added tokens are found before the text is normalised.
    raw = not given and type(rust.model).__name__ == "Unigram"
    changed |= _add_tokens(rust, settings, kind, folder, raw)
    framed_by = _frame(rust, settings, kind, folder) if framed else ""
    if changed or framed_by:
        files[FILE] = rust.to_str().encode()
    if kind is not None and (SETTINGS not in files or not _rebuilt(rust, settings, kind)):
        files[SETTINGS] = _as_it_is(rust, settings, kind, side)
    return Reading(
        rust, files, side, _pad_id(folder, rust), framed_by, languages=_languages(settings, kind)
    )


def _languages(settings: Settings, kind: Kind | None) -> Languages | None:
    """Returns what a tokenizer says of languages; one that ktlite has saved says it itself."""
    if isinstance(settings.get(LANGUAGES), dict):
        return Languages.from_config(settings.get(LANGUAGES))
    return None if kind is None or kind.languages is None else kind.languages(settings)


def _side(folder: Path, settings: Settings, truncation: Mapping[str, Any] | None = None) -> str:
    """Returns where texts that are too long are cut."""
    side = settings.get("truncation_side") or (truncation or {}).get("direction") or "right"
    if side not in SIDES:
        raise CheckpointError(
            f"{folder / SETTINGS}: truncation_side is {side!r}; expected 'right' or 'left'."
        )
    return str(side)


def read_saved(folder: Path, side: str = "right") -> Reading:
    """Reads a tokenizer whose `tokenizer.json` has all that decides about ids, as ktlite saves it.

    Raises:
        CheckpointError: If there is none, or it is damaged.
    """
    files = {n: (folder / n).read_bytes() for n in FILES if (folder / n).is_file()}
    if FILE not in files:
        return read_tokenizer(folder)
    rust = rust_tokenizer(files[FILE], folder / FILE)
    rust.no_padding()
    rust.no_truncation()
    if _without_sampling(rust, folder):
        files[FILE] = rust.to_str().encode()
    languages = _languages(Settings.read(folder), None)
    return Reading(rust, files, side, _pad_id(folder, rust), languages=languages)


def rust_tokenizer(content: bytes, path: Path) -> Any:
    """Returns the Rust tokenizer of a tokenizer.json.

    Raises:
        CheckpointError: If it is damaged.
    """
    from tokenizers import Tokenizer as RustTokenizer

    try:
        return RustTokenizer.from_buffer(content)
    except Exception as error:  # the library raises plain Exception
        raise CheckpointError(f"{path} is damaged ({error}); fetch it again.") from error


def with_all_offsets(rust: Any) -> Any:
    """Takes from a Rust tokenizer that it trims spaces off offsets; returns it.

    It takes a character off each token that begins with a space, also where that space was put
    there and is none of the text: the token would begin inside of its word.
    """

    def change(member: dict[str, Any]) -> dict[str, Any]:
        return {"trim_offsets": False} if "trim_offsets" in member else {}

    put(rust, "post_processor", with_fields(part(rust, "post_processor"), change))
    return rust


def for_words(rust: Any) -> Any:
    """Lets a Rust tokenizer take each word as one after a space; returns it.

    Byte-level vocabularies (RoBERTa, ModernBERT) hold words with the space before them.
    """
    fields: dict[str, dict[str, Any]] = {
        "ByteLevel": {"add_prefix_space": True},
        "Metaspace": {"prepend_scheme": "always"},
    }
    whole = with_fields(
        part(rust, "pre_tokenizer"), lambda member: fields.get(str(member.get("type")), {})
    )
    put(rust, "pre_tokenizer", whole)
    return rust


def has_specials(rust: Any) -> bool:
    """Says whether a Rust tokenizer puts special tokens around texts."""
    return bool(rust.num_special_tokens_to_add(False))


def _convert(folder: Path, files: Mapping[str, bytes], settings: Settings) -> Any:
    """Turns the older tokenizer files into the Rust tokenizer."""
    if not any(name in files for name in OLDER):
        found = sorted(p.name for p in folder.iterdir())
        raise CheckpointError(
            f"no tokenizer in {folder}: expected {FILE}, or vocab.txt or a *.model file. "
            f"Found: {listing(found) or 'nothing'}."
        )
    kind = kind_of(settings)
    try:
        if kind is not None:
            names = kind.names(settings)
            made = kind.convert(files, settings, names)
            if made is not None:
                if kind.mask_takes_space:
                    _add(made, [token(names["mask"], special=True, lstrip=True)])
                return made
        from transformers import AutoTokenizer

        loaded = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        made = getattr(loaded, "backend_tokenizer", None)
        if made is None:
            raise ValueError(f"{type(loaded).__name__} has no form as {FILE}")
        return made
    except Exception as error:  # `tokenizers` raises plain Exception
        raise CheckpointError(
            f"{folder}: its tokenizer files cannot be converted to {FILE}: {error}"
        ) from error


def _without_sampling(rust: Any, folder: Path) -> bool:
    """Lets the same text have the same tokens at each call; says whether that was otherwise."""
    found = False
    for setting in ("dropout", "alpha", "nbest_size"):  # of BPE; of Unigram
        if getattr(rust.model, setting, None):
            setattr(rust.model, setting, None)
            found = True
    if found:
        logger.warning(
            "%s splits words at random (%s dropout); that is off here: a text has the same tokens "
            "at each call.",
            folder / FILE,
            type(rust.model).__name__,
        )
    return found


def _lowercased(rust: Any) -> bool:
    """Lets a tokenizer lower-case texts; says whether it did not do that before."""
    found = members(part(rust, "normalizer"))
    if any(member["type"] == "Lowercase" or member.get("lowercase") for member in found):
        return False
    return put(rust, "normalizer", sequence("normalizer", [{"type": "Lowercase"}, *found]))


def _add_tokens(rust: Any, settings: Settings, kind: Kind | None, folder: Path, raw: bool) -> bool:
    """Adds the tokens that the settings name; says whether there were new ones."""
    there = {repr(added) for added in rust.get_added_tokens_decoder().values()}
    decided = {added.content for added in rust.get_added_tokens_decoder().values()}
    names = set(kind.names(settings).values()) if kind is not None else set()
    wanted = []
    for _, added in sorted(settings.added.items()):
        # added_tokens.json has no options: those of tokenizer.json stay.
        if repr(added) in there or (settings.bare and added.content in decided):
            continue
        if added.content in names:
            added = with_options(added, special=True, normalized=False)
        wanted.append(with_options(added, normalized=False) if raw else added)
    known = {added.content for added in (*rust.get_added_tokens_decoder().values(), *wanted)}
    for value in (*settings.specials, *settings.more_specials, *sorted(names)):
        if name(value) not in known:
            known.add(name(value))
            # A name for a use is not meant to make the vocabulary larger, unless there is room.
            new = value not in settings.more_specials and rust.token_to_id(name(value)) is None
            if not (new and settings.rows is None):
                wanted.append(token(value, folder / SETTINGS, special=True, normalized=False))
    explicit = {t.content for t in settings.added.values()} | set(map(name, settings.more_specials))
    fitting, left_out = [], []
    size = max(rust.get_vocab(with_added_tokens=True).values(), default=-1) + 1
    for new in wanted:
        if rust.token_to_id(new.content) is None:
            if settings.rows is not None and size >= settings.rows:
                left_out.append(new.content)
                continue
            size += 1
        fitting.append(new)
    left_out = [text for text in left_out if text in explicit]
    if left_out:
        logger.warning(
            "%s adds %s to the vocabulary, of which the model has no vectors (config.json's "
            "vocab_size is %s): left out.",
            folder / SETTINGS,
            listing(left_out),
            settings.rows,
        )
    _add(rust, fitting)
    return bool(fitting)


def _add(rust: Any, tokens: list[Any]) -> None:
    for new in tokens:  # one by one: they keep their order
        (rust.add_special_tokens if new.special else rust.add_tokens)([new])


def _frame(rust: Any, settings: Settings, kind: Kind | None, folder: Path) -> str:
    """Puts the special tokens of its class around texts where a tokenizer puts none.

    Returns:
        The class; "" where there was nothing to do, or nothing known to be done.
    """
    if has_specials(rust):
        return ""
    if kind is not None:
        names = kind.names(settings)
        if all(rust.token_to_id(names[use]) is not None for use in _around(kind)):
            rust.post_processor = _template(rust, kind, names)
            if FILE not in (p.name for p in folder.iterdir()):
                return ""
            logger.warning(
                "%s puts no special tokens around texts; %s are put there, as the model knows "
                "them from its pretraining.",
                folder / FILE,
                " and ".join(names[use] for use in _around(kind)),
            )
            return settings.tokenizer_class or settings.model_type
    logger.warning(
        "%s puts no special tokens such as [CLS] and [SEP] around texts; most models need them. "
        "Set its post_processor, unless this one was trained without.",
        folder / FILE,
    )
    return ""


def _around(kind: Kind) -> list[str]:
    """Returns what the special tokens are for that a kind puts around a text."""
    return list(dict.fromkeys(re.findall(r"{(\w+)}", kind.frame[0])))


def _template(rust: Any, kind: Kind, names: Mapping[str, str]) -> Any:
    from tokenizers import processors

    single, pair = (form.format(**names) for form in kind.frame)
    around = [(names[use], rust.token_to_id(names[use])) for use in _around(kind)]
    return processors.TemplateProcessing(single=single, pair=pair, special_tokens=around)


def _rebuilt(rust: Any, settings: Settings, kind: Kind) -> bool:
    """Says whether `transformers` makes the same tokenizer of tokenizer.json and the settings.

    Its version 5 takes the vocabulary alone and makes the rest anew for most classes.
    """
    names = kind.names(settings)
    if not kind.rebuilt(rust) or any(rust.token_to_id(t) is None for t in names.values()):
        return False
    kept = {*names.values(), *(t.content for t in settings.added.values())}
    kept |= {name(value) for value in (*settings.specials, *settings.more_specials)}
    added = {t.content for t in rust.get_added_tokens_decoder().values()}
    if settings.added and not added <= kept:
        return False
    own, probe = rust.post_processor, ("a", "a")
    before = rust.encode(*probe)
    rust.post_processor = _template(rust, kind, names)
    after = rust.encode(*probe)
    rust.post_processor = own
    return bool(before.ids == after.ids and before.type_ids == after.type_ids)


def _as_it_is(rust: Any, settings: Settings, kind: Kind, side: str) -> bytes:
    """Returns a tokenizer_config.json with which `transformers` takes tokenizer.json as it is."""
    values = {**settings.values, "tokenizer_class": _AS_IT_IS, "truncation_side": side}
    for use, text in kind.names(settings).items():
        if rust.token_to_id(text) is not None:
            values.setdefault(f"{use}_token", text)
    types = kind.types and settings.model_type not in _WITHOUT_TYPES
    values.setdefault("model_input_names", [i for i in _INPUTS if types or "type" not in i])
    splitter = part(rust, "pre_tokenizer") or {}
    if splitter.get("type") == "ByteLevel":  # version 4 sets it for every class
        values["add_prefix_space"] = bool(splitter["add_prefix_space"])
    return json.dumps(values, indent=2, ensure_ascii=False).encode()


def _pad_id(folder: Path, rust: Any) -> int:
    """Returns the id that padding is filled with: the tokenizer's, else the config's, else 0."""
    text = name(field_of(folder / SETTINGS, "pad_token"))
    number = rust.token_to_id(text) if text else None
    if number is None:
        number = field_of(folder / "config.json", "pad_token_id")
    return number if isinstance(number, int) else 0
