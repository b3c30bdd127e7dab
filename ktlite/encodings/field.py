"""One input of a model, and what checks data against what a model reads."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Field:
    """One input of a model, or what data gives for it.

    Args:
        name: Such as `"input_ids"` or `"pixel_values"`.
        dtype: Such as `"int32"`.
        shape: Without the batch; None: differs from batch to batch.
        fill: What padding is.
        optional: The model does without it.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]
    fill: float = 0
    optional: bool = False

    @property
    def is_ragged(self) -> bool:
        """Whether its size differs from batch to batch."""
        return None in self.shape

    def __str__(self) -> str:
        sides = ", ".join("?" if side is None else str(side) for side in ("batch", *self.shape))
        return f"{self.name} ({self.dtype} [{sides}])"


def mismatches(reads: Iterable[Field], given: Iterable[Field]) -> list[str]:
    """Says where data does not give what a model reads, a line each.

    What the model does not read is passed over.

    Args:
        reads: Of the model.
        given: Of the data.

    Example:
        >>> mismatches([Field("input_ids", "int32", (None,))], [])
        ['the model reads input_ids (int32 [batch, ?]), which the data does not give']
    """
    found, problems = {field.name: field for field in given}, []
    for field in reads:
        other = found.get(field.name)
        if other is None:
            if not field.optional:
                problems.append(f"the model reads {field}, which the data does not give")
        elif not _fits(field, other):
            problems.append(f"the model reads {field}, and the data gives {other}")
    return problems


def _fits(field: Field, other: Field) -> bool:
    """Says whether some data is what a model reads; it may have more axes of groups in front."""
    sides = other.shape[len(other.shape) - len(field.shape) :]
    return field.dtype == other.dtype and all(
        None in (mine, theirs) or mine == theirs
        for mine, theirs in zip(field.shape, sides, strict=False)
    )
