"""Whether a model of a config can have a head, and how many outputs it has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ktlite.errors import CheckpointError, Problems, listing
from ktlite.models.config import ConfigReader, label_count
from ktlite.models.core.spec import ModelSpec
from ktlite.models.decoding import check_writes
from ktlite.models.families import Family
from ktlite.models.heads import EMBEDDING, HEADS, Head, MaskedLMHead, get_head
from ktlite.models.pooling import POOLINGS


def head_class(spec: ModelSpec, task: str) -> type[Head]:
    return get_head(spec.heads[task].kind or task)


def check_head(family: Family, spec: ModelSpec, task: str | None, num_labels: int | None) -> None:
    # Which of two sequences would be the text's?
    known_heads = dict.fromkeys([*family.heads, *([EMBEDDING] if len(spec.towers) == 1 else [])])
    if task in HEADS and task not in known_heads:
        spec.check_texts()
        check_writes(family, task)
    problems = Problems("TransformerModel")
    # Without a head, which of the towers' states would be the model's?
    bare = [None] if spec.both is None else []
    problems.choice("task", task, [*bare, *known_heads])
    problems.choice("pooling", spec.heads[EMBEDDING].pooling, POOLINGS)
    if num_labels is not None:
        problems.add_unless(num_labels > 0, f"num_labels={num_labels!r}; expected at least 1.")
        problems.add_unless(
            task is not None, f"num_labels={num_labels!r} without a task: only a head has labels."
        )
        known = task is not None and task in spec.heads
        fixed = head_class(spec, str(task)).fixed_outputs if known else None
        problems.add_unless(
            fixed in (None, num_labels),
            f"num_labels={num_labels!r} for {task}, whose outputs are not those of labels.",
        )
    problems.raise_if_any()
    if task is not None and task not in spec.heads:
        raise CheckpointError(
            f"a {family.model_types[0]} model with this config has no head for {task} that ktlite "
            f"supports; it has {listing(spec.heads)}."
        )


def check_decoder(spec: ModelSpec, config: Mapping[str, Any], task: str | None) -> None:
    decodes = task is not None and issubclass(head_class(spec, task), MaskedLMHead)
    if decodes and config.get("tie_word_embeddings") is False:
        raise CheckpointError(
            f"config field tie_word_embeddings=False is not supported for {task}, where the "
            "decoder is the table of word embeddings."
        )


def count_labels(
    spec: ModelSpec, config: Mapping[str, Any], task: str | None, num_labels: int | None
) -> int | None:
    """Returns the outputs of a head that has labels, or a fixed number of outputs; else None."""
    if task is None:
        return None
    head = head_class(spec, task)
    if head.fixed_outputs is not None:
        return head.fixed_outputs or None
    if head.counted_by != "num_labels":
        return num_labels or ConfigReader(config).size(head.counted_by, 32)
    return num_labels or label_count(config)
