"""The parts of a Rust tokenizer (normalizer, pre-tokenizer, post-processor) as JSON values."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

Part = dict[str, Any]

_LISTS = ("normalizers", "pretokenizers", "processors")  # what sequences name their members


def part(rust: Any, which: str) -> Part | None:
    """Returns a part of a tokenizer: `"normalizer"`, `"pre_tokenizer"` or `"post_processor"`."""
    found = getattr(rust, which)
    return None if found is None else dict(json.loads(found.__getstate__()))


def put(rust: Any, which: str, new: Part | None) -> bool:
    """Puts a part into a tokenizer in place of the one it has; says whether it is another one."""
    if new == part(rust, which):
        return False
    from tokenizers import Tokenizer as RustTokenizer

    bare: dict[str, Any] = {"version": "1.0", "added_tokens": [], "decoder": None}
    parts = dict.fromkeys(("normalizer", "pre_tokenizer", "post_processor"))
    model = {"type": "WordLevel", "vocab": {}, "unk_token": ""}
    made = RustTokenizer.from_str(json.dumps({**bare, **parts, which: new, "model": model}))
    setattr(rust, which, getattr(made, which))
    return True


def members(whole: Part | None) -> list[Part]:
    """Returns what a part consists of: a sequence's members, or the part itself."""
    if whole is None:
        return []
    inner = next((whole[name] for name in _LISTS if name in whole), None)
    if whole.get("type") != "Sequence" or inner is None:
        return [whole]
    return [member for item in inner for member in members(item)]


def sequence(which: str, parts: list[Part]) -> Part | None:
    """Returns normalizers or pre-tokenizers as one part."""
    if len(parts) < 2:
        return parts[0] if parts else None
    name = "normalizers" if which == "normalizer" else "pretokenizers"
    return {"type": "Sequence", name: parts}


def with_fields(whole: Part | None, change: Callable[[Part], Part]) -> Part | None:
    """Returns a part with something else in it, at any depth.

    Args:
        whole: The part.
        change: Takes each member and returns the fields that are to be other ones.
    """
    if whole is None:
        return None
    inner = {
        name: [with_fields(member, change) for member in whole[name]]
        for name in _LISTS
        if isinstance(whole.get(name), list)
    }
    return {**whole, **inner, **change(whole)}
