"""What `augment=` asks for, of any kind of data: names of changes, and changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ktlite.errors import Problems, listing


def asked_changes(
    problems: Problems, augment: Any, known: Mapping[str, Callable[[], Any]]
) -> list[Any]:
    """Returns the changes that an `augment=` asks for, whatever else is among them.

    Args:
        problems: Takes names that are not known, and that there are none.
        augment: Names, and changes; one or a list; or names in one string, commas between.
        known: What makes the changes that have names.
    """
    if isinstance(augment, str):
        augment = [name.strip() for name in augment.split(",")]
    given = list(augment) if isinstance(augment, Sequence) else [augment]
    problems.add_unless(bool(given), f"it is empty; give some of {listing(known)}.")
    changes = []
    for one in given:
        if not isinstance(one, str):
            changes.append(one)
            continue
        problems.choice("augment", one, list(known))
        changes += [known[one]()] if one in known else []
    return changes
