"""How configs say the angles of rotary positions, by the names of old files or of new ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ktlite.errors import CheckpointError
from ktlite.models.config import ConfigReader
from ktlite.models.core.spec import RotarySpec

_SHARE = "partial_rotary_factor"


def rotary(
    config: ConfigReader,
    head_width: int,
    *,
    base: tuple[str, float] = ("rope_theta", 10_000.0),
    share: tuple[str, float] | None = None,
) -> RotarySpec:
    """Reads the angles of all layers.

    Args:
        config: The config.
        head_width: That of a head of attention.
        base: The name that old files have for the base of the angles, and its default.
        share: The same of the share of a head that turns. None: all of it, in this family.

    Raises:
        CheckpointError: If they are of a kind that ktlite does not have.
    """
    new, old = config.get("rope_parameters", {}), config.get("rope_scaling", {})
    fields: dict[str, Any] = dict(old or new)
    theta = config.get(*base)
    part = 1.0 if share is None else float(fields.pop(_SHARE, config.get(*share)))
    found = rotary_of(fields, theta)
    if part == 1.0:
        return found
    width = int(head_width * part)
    if width < 2 or width % 2 or width > head_width:
        raise CheckpointError(
            f"config: {part} of a head of width {head_width} is {width} numbers; rotary positions "
            "turn an even number of them."
        )
    return replace(found, width=width)


def rotary_of(fields: Mapping[str, Any], theta: float, name: str = "rope_parameters") -> RotarySpec:
    """Reads the angles from a mapping of transformers' fields.

    Args:
        fields: The mapping.
        theta: The base of the angles, where it says none.
        name: What the mapping is called in the config.

    Raises:
        CheckpointError: If they are of a kind that ktlite does not have, or not complete.
    """
    theta = float(fields.get("rope_theta", theta))
    kind = fields.get("rope_type", fields.get("type", "default"))
    wrong = f"config field {name}={dict(fields)!r}"
    if fields.get(_SHARE, 1.0) != 1.0:
        raise CheckpointError(f"{wrong} is not supported; expected heads that turn as a whole.")
    try:
        if kind == "default":
            return RotarySpec(theta)
        if kind == "linear":
            return RotarySpec(theta, float(fields["factor"]))
        if kind == "llama3":
            return RotarySpec(
                theta,
                float(fields["factor"]),
                float(fields["low_freq_factor"]),
                float(fields["high_freq_factor"]),
                int(fields["original_max_position_embeddings"]),
            )
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{wrong} is not complete: {error!r}.") from error
    raise CheckpointError(
        f"{wrong} is not supported; expected rope_type 'default', 'linear' or 'llama3'."
    )
