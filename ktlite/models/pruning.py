"""A smaller model made of another one's weights: fewer blocks, units, heads or words.

What is left is said by a spec, and the config by the spec: its fields are changed until the
family reads the smaller spec from them. Where none do, the family's config cannot say it, and a
checkpoint of it could not be opened elsewhere.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from keras import ops

from ktlite.errors import ArgumentError, CheckpointError
from ktlite.models.config import ConfigReader
from ktlite.models.core.spec import AttentionSpec, ModelSpec, StackSpec
from ktlite.models.families.family import Family
from ktlite.models.mapping import expand, variable_at
from ktlite.models.part import part_config

_ID, _IDS = "_token_id", "_token_ids"
_MOST_FIELDS = 3  # of a config that say one thing together: heads, those of keys, their width


@dataclass(frozen=True)
class Kept:
    """What stays of a model.

    Args:
        blocks: Numbers of the blocks, in their new order. None: all, as they are.
        units: For each block with weights of its own that the whole model has, the units of its
            feed-forward network, ascending; of each block as many. None: all.
        heads: Likewise the heads of keys and values of its attention; each goes with the heads of
            queries that share it. None: all.
        words: int64 [kept], the old token id of each new one. None: all.
    """

    blocks: tuple[int, ...] | None = None
    units: Sequence[np.ndarray] | None = None
    heads: Sequence[np.ndarray] | None = None
    words: np.ndarray | None = None


def pruned(model: Any, kept: Kept) -> Any:
    """Returns a new `TransformerModel` with a part of another one's weights; not compiled.

    Args:
        model: A `TransformerModel` with one tower.
        kept: What stays.

    Raises:
        ArgumentError: If the model's config cannot say what would be left.
    """
    config = pruned_config(model, kept)
    fields = {**model.get_config(), "config": config}
    small = type(model).from_config(fields)
    small.source = model.source if kept.words is None else None  # whose tokenizer is another now
    rules = (*model.family.names, *model.family.heads.get(model.stored_task, ()))
    for rule in expand(rules, small.spec):
        variable = variable_at(small, rule.ours)
        if variable is not None:
            path, block = _before(rule.ours, kept)
            value = ops.convert_to_numpy(variable_at(model, path))
            variable.assign(_part(path, value, block, kept, model.spec))
    return small


def pruned_config(model: Any, kept: Kept) -> dict[str, Any]:
    """Returns the config of a model of which a part is kept.

    Raises:
        ArgumentError: If no config of the family says it, for each of the reasons.
    """
    family: Family = model.family
    config = dict(model.config)
    if kept.blocks is not None:
        config = part_config(config, {}, model.spec, family, kept.blocks, None, "prune")
    if kept.words is not None:
        config = _renumbered(config, kept.words)
    ignored = model.ignore_config_fields
    wanted: list[tuple[str, Mapping[str, Any]]] = []
    if kept.units is not None:
        wanted.append(("feed_forward", {"units": len(kept.units[0])}))
    if kept.heads is not None:
        wanted.append(("heads", {"heads": len(kept.heads[0])}))
    if kept.words is not None:
        wanted.append(("vocabulary", {"words": kept.words}))
    for name, change in wanted:
        spec = _spec(family, config, ignored)
        target = _smaller(spec, model.spec, **change)
        found = _fields_for(family, config, ignored, target)
        if found is None:
            raise ArgumentError(f"{name}: {_CANNOT[name].format(config['model_type'])}")
        config = {**config, **found}
    return config


_CANNOT = {
    "feed_forward": "no field of the config of {!r} says how wide the feed-forward network is.",
    "heads": "the config of {!r} ties the number of heads to the width of the model, so that "
    "PyTorch transformers would not open what is left. Take feed_forward= or layers= instead; "
    "families whose config says the width of a head by itself can lose heads, such as Llama, "
    "Mistral, Qwen3 and Gemma 3.",
    "vocabulary": "the config of {!r} does not say where padding would be then.",
}


def shares_heads(attention: AttentionSpec) -> int:
    """Returns how many heads of queries share a head of keys."""
    return attention.heads // (attention.kv_heads or attention.heads)


def _spec(family: Family, config: Mapping[str, Any], ignored: Sequence[str]) -> ModelSpec:
    return family.spec(ConfigReader(config, ignored))


def _smaller(
    spec: ModelSpec,
    whole: ModelSpec,
    units: int | None = None,
    heads: int | None = None,
    words: np.ndarray | None = None,
) -> ModelSpec:
    """Returns a spec with so many units, heads of keys, or words."""
    ((name, tower),) = spec.towers.items()
    stack: StackSpec = tower.stack
    front: Any = tower.front
    if units is not None:
        stack = replace(stack, feed_forward=replace(stack.feed_forward, width=units))
    if heads is not None:
        local = stack.local_attention
        stack = replace(
            stack,
            attention=_fewer_heads(stack.attention, heads),
            local_attention=None if local is None else _fewer_heads(local, heads),
        )
    if words is not None:
        pad = whole.tokens.pad_id
        pad = int(np.searchsorted(words, pad)) if pad >= 0 else pad
        front = replace(front, vocab_size=len(words), pad_id=pad)
    return replace(spec, towers={name: replace(tower, stack=stack, front=front)})


def _fewer_heads(attention: AttentionSpec, heads: int) -> AttentionSpec:
    kv = None if attention.kv_heads is None else heads
    return replace(attention, heads=heads * shares_heads(attention), kv_heads=kv)


def _fields_for(
    family: Family, config: Mapping[str, Any], ignored: Sequence[str], target: ModelSpec
) -> dict[str, int] | None:
    """Returns the fields of a config, with new values, from which a family reads a spec.

    Those are tried that hold a number or are left to their default, in all combinations with the
    numbers that can be meant.
    """
    reader = ConfigReader(config, ignored)
    before = family.spec(reader)
    if before == target:
        return {}
    fields = [name for name in sorted(reader.read) if type(config.get(name)) in (int, type(None))]
    values = _numbers(target) - _numbers(before) | _attention_numbers(target)
    matter = [
        name
        for name in fields
        if any(_read(family, {**config, name: v}, ignored) != before for v in values)
        or config.get(name) is None
    ]
    for count in range(1, _MOST_FIELDS + 1):
        for names in itertools.combinations(matter, count):
            for numbers in itertools.product(sorted(values), repeat=count):
                found = dict(zip(names, numbers, strict=True))
                if _read(family, {**config, **found}, ignored) == target:
                    return found
    return None


def _read(family: Family, config: Mapping[str, Any], ignored: Sequence[str]) -> ModelSpec | None:
    """Returns the spec of a config that may make no sense."""
    try:
        return _spec(family, config, ignored)
    except (CheckpointError, ArithmeticError):
        return None


def _numbers(spec: ModelSpec) -> set[int]:
    """Returns the sizes that a spec says and that pruning changes."""
    front: Any = spec.first.front
    words = {getattr(front, "vocab_size", 0), getattr(front, "pad_id", 0)}
    return {spec.first.stack.feed_forward.width, *words} | _attention_numbers(spec)


def _attention_numbers(spec: ModelSpec) -> set[int]:
    attention = spec.first.stack.attention
    return {attention.heads, attention.kv_heads or attention.heads, attention.head_width}


def _renumbered(config: Mapping[str, Any], words: np.ndarray) -> dict[str, Any]:
    """Returns a config whose fields of token ids say the new ones."""
    new = {int(old): number for number, old in enumerate(words)}

    def renumber(value: Any) -> Any:
        if isinstance(value, list):
            return [new[one] for one in value if one in new]
        return new.get(value)

    return {
        name: renumber(value) if name.endswith((_ID, _IDS)) and value is not None else value
        for name, value in config.items()
    }


def _before(path: str, kept: Kept) -> tuple[str, int | None]:
    """Returns where a variable of the small model was, and the number of its block there."""
    parts = path.split(".")
    if len(parts) < 3 or parts[1] != "blocks":
        return path, None
    number = int(parts[2])
    block = number if kept.blocks is None else kept.blocks[number]
    return ".".join([*parts[:2], str(block), *parts[3:]]), block


def _part(path: str, value: np.ndarray, block: int | None, kept: Kept, spec: ModelSpec) -> Any:
    """Returns what is kept of a variable of the whole model."""
    names = path.split(".")
    layer = ".".join(names[-3:-1])
    if kept.words is not None and (names[-2:] == ["word", "embeddings"] or layer == "head.decoder"):
        return value[kept.words]
    if block is None:
        return value
    stack = spec.first.stack
    if kept.units is not None and names[-3] == "feed_forward":
        units, width = kept.units[block], stack.feed_forward.width
        halves = value.shape[-1] // width if names[-2] == "up" else 1
        rows = np.concatenate([units + half * width for half in range(halves)])
        if names[-2] == "up":
            return value[..., rows]
        return value[rows] if names[-1] == "kernel" else value
    if kept.heads is not None and names[-3] == "attention":
        return _heads_of(names[-2], names[-1], value, kept.heads[block], stack.attention_of(block))
    return value


def _heads_of(
    layer: str, kind: str, value: np.ndarray, heads: np.ndarray, attention: AttentionSpec
) -> np.ndarray:
    """Returns what is kept of a kernel or bias of attention."""
    width, share = attention.head_width, shares_heads(attention)
    queries = (heads[:, None] * share + np.arange(share)).reshape(-1)
    per = {"qkv": (3, attention.heads, queries), "query": (1, attention.heads, queries),
           "key_value": (2, attention.kv_heads or attention.heads, heads)}  # fmt: skip
    if layer == "out":
        if kind != "kernel":
            return value
        return value.reshape(attention.heads, width, -1)[queries].reshape(-1, value.shape[-1])
    if layer not in per:  # norms of heads, which are as wide as before
        return value
    parts, count, chosen = per[layer]
    by_head = value.reshape(*value.shape[:-1], parts, count, width)
    return np.take(by_head, chosen, axis=-2).reshape(*value.shape[:-1], -1)
