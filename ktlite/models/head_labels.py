"""The labels of a head: those of a checkpoint, and those that a caller asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ktlite._labels import carry_names, label_fields, label_names, matched, shared
from ktlite.errors import listing
from ktlite.models.heads import HEADS


@dataclass(frozen=True)
class HeadLabels:
    """How a head's labels lie to those of a checkpoint's head.

    Args:
        order: For each label its place in the checkpoint. None: as they stand there.
        differ: Whether they are others: the rows of the checkpoint are of no use.
        say: What a user should know of it, in a line; empty where there is nothing to say.

    Example:
        >>> HeadLabels.of(["bad", "good"], ["good", "bad"]).order
        (1, 0)
    """

    order: tuple[int, ...] | None = None
    differ: bool = False
    say: str = ""

    @classmethod
    def of(cls, wanted: Sequence[Any], stored: Sequence[str]) -> HeadLabels:
        """Compares labels by name, as far as they have names.

        Args:
            wanted: Those that are asked for; empty where none are.
            stored: Those of the checkpoint; empty where it names none.
        """
        if not wanted:
            return cls()
        sides = f"the checkpoint's labels are {listing(stored)}, those asked for {listing(wanted)}"
        found = matched(wanted, stored)
        if found.differ:
            some = set(shared(wanted, stored)) == set(map(str, wanted))
            hint = "; name them all in class_names= to keep its head" if some else ""
            return cls(differ=True, say=f"{sides}{hint}.")
        if found.moved:
            return cls(found.order, say=f"head: rows put in order by name: {listing(wanted)}.")
        if found.order is None and len(stored) in (0, len(wanted)) and carry_names([*wanted]):
            return cls(say=f"head: its rows have no names; taken for {listing(wanted)}, in order.")
        if found.order is None and len(stored) == len(wanted):
            return cls(say=f"head: {sides}; taken for them in this order.")
        return cls()


def labelled(
    stored: Mapping[str, Any],
    changed: Mapping[str, Any],
    task: str | None,
    num_labels: int | None,
    labels: Sequence[Any] | None,
    of_adapters: Sequence[str] | None = None,
) -> tuple[dict[str, Any], HeadLabels, int | None]:
    """Returns a model's config, how its labels lie to the stored ones, and their number, if any.

    Args:
        stored: The checkpoint's config.
        changed: The fields that the user changes.
        task: Hugging Face task name, or None for the bare encoder.
        num_labels: As in `from_pretrained`.
        labels: Likewise.
        of_adapters: The labels of the head that comes with adapters, empty where they do not say;
            None: there are no adapters.
    """
    config = {**stored, **changed}
    renamed = label_names(changed)
    if "num_labels" in changed and not renamed:  # transformers' way to ask for so many
        config.pop("id2label", None)
        config.pop("label2id", None)
    if task not in HEADS or HEADS[task].fixed_outputs is not None:
        return config, HeadLabels(), num_labels
    known = label_names(stored) if of_adapters is None else list(of_adapters)
    if labels is not None:
        names = [str(label) for label in labels]
        return config | label_fields(names), HeadLabels.of(names, known), len(names)
    if renamed:  # other names for the same rows; but the same names are of the same rows
        found = HeadLabels.of(renamed, known)
        moved = found if found.order is not None else HeadLabels()
        return config | label_fields(renamed), moved, num_labels
    if of_adapters:
        config |= label_fields(of_adapters)
    return config, HeadLabels(), num_labels


def labels_of(model: Any) -> list[str]:
    """Returns the names of a model's outputs; empty where they have none, or are none of labels."""
    names = label_names(getattr(model, "config", None))
    return names if len(names) == getattr(model, "num_labels", None) else []
