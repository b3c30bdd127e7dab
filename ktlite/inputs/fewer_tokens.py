"""A tokenizer with a part of its vocabulary: `tokenizer.json` rewritten, with new ids.

Texts all of whose tokens are kept have the same tokens as before, at the same places, by other
numbers. What has to stay for that depends on how a model of the vocabulary finds its tokens:

- WordPiece and WordLevel take the longest entry that fits. Entries that were never the longest
  can go.
- BPE joins neighbours in the order of its merges. A token that is kept needs all that it is made
  of, down to single characters, and the merges that make it; merges that were never applied to a
  text can go without another being applied in their place.
- Unigram takes the most probable way to cut a text. Pieces that are on no such way can go. The
  score of what is unknown is that of the least probable piece, less ten: that piece stays.

Single characters and bytes stay, and tokens that were added: other texts are cut into smaller
pieces, and few become unknown.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np

from ktlite.encodings.encodings import Encodings
from ktlite.errors import ArgumentError, listing
from ktlite.inputs.tokenizer_files import FILE, OLDER, SETTINGS

_ADDED = "added_tokens.json"
_CHUNK = 512  # rows whose tokens are counted at a time
_MODELS = ("WordPiece", "WordLevel", "BPE", "Unigram")


def token_counts(encodings: Encodings, size: int) -> np.ndarray:
    """Returns how often each token is in the texts that a model reads, int64 [size]."""
    counts = np.zeros(size, "int64")
    for start in range(0, len(encodings), _CHUNK):
        batch = encodings.batch(np.arange(start, min(start + _CHUNK, len(encodings))))
        counts += np.bincount(batch["input_ids"][batch["attention_mask"] > 0], minlength=size)
    return counts


def kept_tokens(content: bytes, used: Collection[int]) -> np.ndarray:
    """Returns the ids that stay where some are used, ascending.

    Args:
        content: Of tokenizer.json.
        used: Ids of the tokens that must stay as they are.

    Returns:
        int64 [kept]: the old id of each new one.

    Raises:
        ArgumentError: If the vocabulary is of a kind whose tokens cannot be taken away.
    """
    tokenizer = json.loads(content)
    model = tokenizer["model"]
    kind = model.get("type")
    if kind not in _MODELS:
        raise ArgumentError(
            f"vocabulary: the tokenizer's model is {kind!r}; tokens can be taken from "
            f"{listing(_MODELS)}."
        )
    ids = _ids(model)
    names = {number: name for name, number in ids.items()}
    kept = {number for number in map(int, used) if number in names}
    kept |= {number for name, number in ids.items() if _is_small(name, model)}
    if model.get("unk_token") in ids:
        kept.add(ids[model["unk_token"]])
    if kind == "Unigram":
        if model.get("unk_id") is not None:
            kept.add(model["unk_id"])
        kept.add(min(range(len(model["vocab"])), key=lambda i: model["vocab"][i][1]))
    if kind == "BPE":
        kept = _with_parts(kept, ids, names, model)
    kept |= {token["id"] for token in tokenizer.get("added_tokens", ())}
    return np.array(sorted(kept), "int64")


def with_tokens(files: Mapping[str, bytes], kept: np.ndarray) -> dict[str, bytes]:
    """Returns a tokenizer's files with some of its tokens alone.

    Older files, which `transformers` reads no more where there is a tokenizer.json, are left out.

    Args:
        files: By name; `tokenizer.json` is among them.
        kept: int64 [kept], the old id of each new one.
    """
    new = {int(old): number for number, old in enumerate(kept)}
    left = {name: content for name, content in files.items() if name not in OLDER}
    left[FILE] = _dumped(_renumbered(json.loads(files[FILE]), new))
    if SETTINGS in files:
        said = json.loads(files[SETTINGS])
        if isinstance(said.get("added_tokens_decoder"), dict):
            said["added_tokens_decoder"] = {
                str(new[int(number)]): token
                for number, token in said["added_tokens_decoder"].items()
                if int(number) in new
            }
        left[SETTINGS] = _dumped(said, indent=2)
    if _ADDED in files:
        added = json.loads(files[_ADDED])
        numbers = {text: new[number] for text, number in added.items() if number in new}
        left[_ADDED] = _dumped(numbers, indent=2)
    return left


def _dumped(value: Any, indent: int | None = None) -> bytes:
    return json.dumps(value, ensure_ascii=False, indent=indent).encode()


def _ids(model: Mapping[str, Any]) -> dict[str, int]:
    """Returns the ids of a model's entries by name."""
    if model["type"] == "Unigram":
        return {name: number for number, (name, _) in enumerate(model["vocab"])}
    return dict(model["vocab"])


def _is_small(name: str, model: Mapping[str, Any]) -> bool:
    """Says whether an entry is a single character or byte, at whatever place in a word."""
    if model.get("byte_fallback") and len(name) == 6 and name.startswith("<0x"):
        return True
    prefix = model.get("continuing_subword_prefix") or ""
    suffix = model.get("end_of_word_suffix") or ""
    inside = bool(prefix) and name.startswith(prefix) and len(name) > len(prefix)
    bare = name.removeprefix(prefix) if inside else name
    if inside and len(bare) == 1 and _is_ideograph(bare) and model["type"] == "WordPiece":
        return False  # each is a word of its own there, so that none goes on with one
    return len(bare) == 1 or bool(suffix) and len(bare.removesuffix(suffix)) == 1


def _is_ideograph(character: str) -> bool:
    return (
        "\u3400" <= character <= "\u9fff"
        or "\uf900" <= character <= "\ufaff"
        or ("\U00020000" <= character <= "\U0002ffff")
    )


def _pair(merge: Any) -> tuple[str, str]:
    """Returns the two parts of a merge, which older files have as one string."""
    left, right = merge.split(" ") if isinstance(merge, str) else merge
    return left, right


def _joined(left: str, right: str, model: Mapping[str, Any]) -> str:
    return left + right.removeprefix(model.get("continuing_subword_prefix") or "")


def _with_parts(
    kept: set[int], ids: Mapping[str, int], names: Mapping[int, str], model: Mapping[str, Any]
) -> set[int]:
    """Returns tokens of BPE, and all that they are made of by any merge."""
    parts: dict[str, list[str]] = {}
    for merge in model["merges"]:
        left, right = _pair(merge)
        parts.setdefault(_joined(left, right, model), []).extend((left, right))
    found, waiting = set(kept), [names[number] for number in kept]
    while waiting:
        for part in parts.get(waiting.pop(), ()):
            if ids[part] not in found:
                found.add(ids[part])
                waiting.append(part)
    return found


def _renumbered(tokenizer: dict[str, Any], new: Mapping[int, int]) -> dict[str, Any]:
    """Returns the content of tokenizer.json with the tokens that have a new id."""
    model = dict(tokenizer["model"])
    if model["type"] == "Unigram":
        model["vocab"] = [entry for i, entry in enumerate(model["vocab"]) if i in new]
        if model.get("unk_id") is not None:
            model["unk_id"] = new[model["unk_id"]]
    else:
        model["vocab"] = {
            name: new[number] for name, number in model["vocab"].items() if number in new
        }
    if model["type"] == "BPE":
        there = model["vocab"]
        model["merges"] = [
            merge
            for merge in model["merges"]
            if _all_in(there, *_pair(merge), _joined(*_pair(merge), model))
        ]
    made = {**tokenizer, "model": model}
    made["added_tokens"] = [
        {**token, "id": new[token["id"]]} for token in tokenizer.get("added_tokens", ())
    ]
    made["post_processor"] = _processor(tokenizer.get("post_processor"), new)
    if isinstance(tokenizer.get("padding"), dict):
        padding = tokenizer["padding"]
        made["padding"] = {**padding, "pad_id": new.get(padding["pad_id"], 0)}
    return made


def _all_in(vocab: Mapping[str, int], *names: str) -> bool:
    return all(name in vocab for name in names)


def _processor(processor: Any, new: Mapping[int, int]) -> Any:
    """Returns what puts special tokens around texts, with their new ids."""
    if processor is None:
        return None
    if processor["type"] == "Sequence":
        return {**processor, "processors": [_processor(p, new) for p in processor["processors"]]}
    made = dict(processor)
    for name in ("cls", "sep"):  # of BertProcessing and RobertaProcessing
        if isinstance(made.get(name), (list, tuple)):
            text, number = made[name]
            made[name] = [text, new[number]]
    if isinstance(made.get("special_tokens"), dict):  # of a template
        made["special_tokens"] = {
            name: {**token, "ids": _numbers(token["ids"], new)}
            for name, token in made["special_tokens"].items()
        }
    return made


def _numbers(ids: Iterable[int], new: Mapping[int, int]) -> list[int]:
    return [new[number] for number in ids]
