"""Labels that carry names are compared by name: of a head and data, of two data sets."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


def label_names(config: Any) -> list[str]:
    """Returns the names that a Hugging Face config gives to a head's outputs, in their order.

    Empty where `id2label` is missing, or does not name the outputs 0, 1, 2, ... one by one.

    Example:
        >>> label_names({"id2label": {"1": "good", "0": "bad"}})
        ['bad', 'good']
    """
    found = config.get("id2label") if isinstance(config, Mapping) else None
    if not isinstance(found, Mapping):
        return []
    try:
        names = {int(number): str(name) for number, name in found.items()}
    except (TypeError, ValueError):
        return []
    return [names[i] for i in range(len(names))] if set(names) == set(range(len(names))) else []


def label_fields(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Returns the fields of a Hugging Face config that name a head's outputs."""
    return {
        "id2label": {str(i): name for i, name in enumerate(names)},
        "label2id": {name: i for i, name in enumerate(names)},
    }


def carry_names(labels: Sequence[Any]) -> bool:
    """Says whether labels are more than numbers of outputs.

    `LABEL_0`, `LABEL_1`, ... are not, which transformers writes where it is told no names; nor
    are 0, 1, 2, ... themselves.
    """
    names = [_folded(label) for label in labels]
    return bool(names) and all(
        names != [f"{prefix}{i}" for i in range(len(names))] for prefix in ("label_", "")
    )


@dataclass(frozen=True)
class Matched:
    """How the labels of one side lie to those of the other.

    Args:
        order: For each of the first its place among the second; None where they are not the same.
        named: Whether both sides carry names. Labels that are not the same, and of which one side
            has numbers alone, can only be taken in their order.
    """

    order: tuple[int, ...] | None
    named: bool

    @property
    def differ(self) -> bool:
        """Whether both have names, and these are not the same."""
        return self.named and self.order is None

    @property
    def moved(self) -> bool:
        """Whether they are the same in another order."""
        return self.order is not None and self.order != tuple(range(len(self.order)))


def matched(first: Sequence[Any], second: Sequence[Any]) -> Matched:
    """Compares labels by name.

    1 and "1" are the same label: files keep no types. So are "Good" and "good", where no two
    labels of a side differ by case alone.

    Example:
        >>> matched(["bad", "good"], ["Good", "Bad"]).order
        (1, 0)
    """
    named = carry_names(first) and carry_names(second)
    for form in (str, _folded):
        ours, theirs = ([form(label) for label in side] for side in (first, second))
        places = {label: i for i, label in enumerate(theirs)}
        if len(set(ours)) == len(ours) == len(theirs) and set(ours) == set(places):
            return Matched(tuple(places[label] for label in ours), named)
    return Matched(None, named)


def shared(first: Sequence[Any], second: Sequence[Any]) -> list[str]:
    """Returns those of the first that the second has, too."""
    known = {_folded(label) for label in second}
    return [str(label) for label in first if _folded(label) in known]


def _folded(label: Any) -> str:
    return unicodedata.normalize("NFC", str(label)).strip().casefold()
