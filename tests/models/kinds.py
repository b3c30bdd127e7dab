"""Which golden folders stand for every kind of layer and head.

The numbers of every golden folder are compared with PyTorch's. That XLA gives the same, and that
half precision comes near, depends on the kinds of layers alone, and is slow to try: one model of
each kind shows it. `kinds_of` reads from a spec which kinds a model has, so that a test can ask
whether the chosen folders leave one out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from ktlite.models.auto import read_spec

READERS = (
    *("albert-pretraining", "bert-gelu", "deberta-conv", "deberta-mlm", "deit-distilled"),
    *("electra-pretraining", "modernbert-mean", "modernbert-span", "mpnet-choice"),
    *("roberta-token", "vit"),
)
WRITERS = (
    *("bart", "gemma3_text", "gpt_neox", "m2m_100", "marian", "pegasus", "qwen2", "t5-gated"),
    *("umt5", "whisper"),
)
# An activation is one element-wise function, whatever it is called.
ONLY_WHETHER = ("activation",)
NO_LAYER = ("zero_start",)


def kinds_of(folder: Path, task: str) -> set[str]:
    """Returns the choices of a model's towers and of its head, as `"NormSpec.place='pre'"`.

    A number counts for being there or not: with 2 heads, attention computes as with 4.
    """
    spec = read_spec(folder)
    head = spec.heads[task]
    of_head = {f"head of {task}", f"head of kind {head.kind}", f"pooling of kind {head.pooling}"}
    return of_head | {kind for tower in spec.towers.values() for kind in _choices(tower)}


def _choices(spec: Any) -> Iterator[str]:
    for one in fields(spec):
        value, path = getattr(spec, one.name), f"{type(spec).__name__}.{one.name}"
        if is_dataclass(value):
            yield from _choices(value)
        if one.name in NO_LAYER:
            continue
        if isinstance(value, (str, bool)) and one.name not in ONLY_WHETHER:
            yield f"{path}={value!r}"
        else:
            yield f"{path}: {'none' if value is None or value == () else 'some'}"
