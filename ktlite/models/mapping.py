"""Hugging Face tensor names <-> our variables, from one table, in both directions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ktlite.models.core.spec import ModelSpec

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Op:
    """How one variable of ours is made of theirs, and the way back. No op loses anything.

    Args:
        name: For messages.
        join: Theirs, in the rule's order, to ours.
        split: Ours and the number of theirs, to theirs.
        shapes: As `split`, of shapes: what theirs must have for ours to come out right.
    """

    name: str
    join: Callable[[Sequence[np.ndarray]], np.ndarray]
    split: Callable[[np.ndarray, int], list[np.ndarray]]
    shapes: Callable[[Shape, int], list[Shape]]


SAME = Op(
    "same",
    join=lambda theirs: theirs[0],
    split=lambda ours, count: [ours],
    shapes=lambda ours, count: [ours],
)
# PyTorch keeps dense kernels as [out, in] and those of a convolution as [out, in, size],
# Keras as [in, out] and [size, in, out].
TRANSPOSE = Op(
    "transpose",
    join=lambda theirs: theirs[0].T,
    split=lambda ours, count: [ours.T],
    shapes=lambda ours, count: [ours[::-1]],
)
# Several dense layers of one size over one input, side by side as one: kernels, then biases.
CONCAT_TRANSPOSE = Op(
    "concat_transpose",
    join=lambda theirs: np.concatenate(list(theirs)).T,
    split=lambda ours, count: [part.T for part in np.split(ours, count, axis=1)],
    shapes=lambda ours, count: [(ours[1] // count, ours[0])] * count,
)
CONCAT = Op(
    "concat",
    join=lambda theirs: np.concatenate(list(theirs)),
    split=lambda ours, count: np.split(ours, count),
    shapes=lambda ours, count: [(ours[0] // count,)] * count,
)


# A convolution over images: theirs are [out, in, height, width], ours [height, width, in, out].
IMAGE_KERNEL = Op(
    "image_kernel",
    join=lambda theirs: theirs[0].transpose(2, 3, 1, 0),
    split=lambda ours, count: [ours.transpose(3, 2, 0, 1)],
    shapes=lambda ours, count: [(ours[3], ours[2], ours[0], ours[1])],
)


# A row that they keep as a matrix of one row.
ROW = Op(
    "row",
    join=lambda theirs: theirs[0][0],
    split=lambda ours, count: [ours[None]],
    shapes=lambda ours, count: [(1, *ours)],
)


# Fewer axes than ours, whose first one or two count one.
ONE_MORE = Op(
    "one_more",
    join=lambda theirs: theirs[0][None],
    split=lambda ours, count: [ours[0]],
    shapes=lambda ours, count: [ours[1:]],
)
TWO_MORE = Op(
    "two_more",
    join=lambda theirs: theirs[0][None, None],
    split=lambda ours, count: [ours[0, 0]],
    shapes=lambda ours, count: [ours[2:]],
)


def head_by_head(heads: int, parts: int) -> Op:
    """A dense layer of several, whose outputs lie head by head: all parts of the first head, ...

    Ours lie part by part, as in `fused_dense`. For kernels and for biases.
    """

    def join(theirs: Sequence[np.ndarray]) -> np.ndarray:
        (one,) = theirs
        by_head = one.reshape(heads, parts, -1, *one.shape[1:])
        return by_head.swapaxes(0, 1).reshape(one.shape).T

    def split(ours: np.ndarray, count: int) -> list[np.ndarray]:
        one = ours.T
        by_part = one.reshape(parts, heads, -1, *one.shape[1:])
        return [by_part.swapaxes(0, 1).reshape(one.shape)]

    return Op("head_by_head", join, split, lambda ours, count: [ours[::-1]])


@dataclass(frozen=True)
class Rule:
    """One line of a family's table.

    Args:
        ours: Attribute path of a variable below the model, such as
            `"encoder.blocks.{i}.attention.qkv.kernel"`; `{i}` runs over the blocks.
        theirs: The Hugging Face tensor name or names. A leading dot stands for the
            backbone's prefix (`"bert."` in a model with a head, nothing in a bare one).
        op: How ours is made of theirs.
        when: Says of a model whether the rule is of it. None: of any that has such a variable.
        optional: Whether the variable keeps its initial value where theirs are missing.
        op_of: Gives `op` for a model, where it depends on one.
    """

    ours: str
    theirs: str | tuple[str, ...]
    op: Op = SAME
    when: Callable[[ModelSpec], bool] | None = None
    optional: bool = False
    op_of: Callable[[ModelSpec], Op] | None = None

    def names(self, prefix: str) -> tuple[str, ...]:
        """Returns the tensor names in a checkpoint whose backbone has this prefix."""
        theirs = (self.theirs,) if isinstance(self.theirs, str) else self.theirs
        return tuple(prefix + name[1:] if name.startswith(".") else name for name in theirs)

    def at(self, index: int) -> Rule:
        """Returns the rule for block `index`."""
        theirs = (self.theirs,) if isinstance(self.theirs, str) else self.theirs
        return replace(
            self,
            ours=self.ours.replace("{i}", str(index)),
            theirs=tuple(name.replace("{i}", str(index)) for name in theirs),
        )


def dense(ours: str, theirs: str) -> tuple[Rule, Rule]:
    """Rules for the kernel and bias of a dense layer."""
    return (
        Rule(f"{ours}.kernel", f"{theirs}.weight", TRANSPOSE),
        Rule(f"{ours}.bias", f"{theirs}.bias"),
    )


def convolution(ours: str, theirs: str) -> tuple[Rule, Rule]:
    """Rules for the kernel and bias of a convolution over images."""
    return (
        Rule(f"{ours}.kernel", f"{theirs}.weight", IMAGE_KERNEL),
        Rule(f"{ours}.bias", f"{theirs}.bias"),
    )


def fused_dense(ours: str, theirs: Sequence[str]) -> tuple[Rule, Rule]:
    """Rules for several of their dense layers that are one of ours."""
    return (
        Rule(f"{ours}.kernel", tuple(f"{t}.weight" for t in theirs), CONCAT_TRANSPOSE),
        Rule(f"{ours}.bias", tuple(f"{t}.bias" for t in theirs), CONCAT),
    )


def mixed_dense(ours: str, theirs: str, op_of: Callable[[ModelSpec], Op]) -> tuple[Rule, Rule]:
    """Rules for a dense layer whose outputs PyTorch has in another order."""
    return (
        Rule(f"{ours}.kernel", f"{theirs}.weight", op_of=op_of),
        Rule(f"{ours}.bias", f"{theirs}.bias", op_of=op_of),
    )


def norm(ours: str, theirs: str) -> tuple[Rule, Rule]:
    """Rules for the scale and offset of a layer normalisation."""
    return (Rule(f"{ours}.gamma", f"{theirs}.weight"), Rule(f"{ours}.beta", f"{theirs}.bias"))


def when(condition: Callable[[ModelSpec], bool], rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """Returns rules that are of the models that meet a condition alone."""
    return tuple(replace(rule, when=condition) for rule in rules)


def embedding(ours: str, theirs: str) -> Rule:
    """The rule for an embedding table."""
    return Rule(f"{ours}.embeddings", f"{theirs}.weight")


def expand(rules: Iterable[Rule], spec: ModelSpec) -> Iterator[Rule]:
    """Yields the rules with `{i}` replaced by every block number of the tower they are of.

    Rules of layers that are one with others (`ModelSpec.tied`) are left out, and those of other
    models (`Rule.when`).
    """
    for rule in rules:
        if rule.when is not None and not rule.when(spec):
            continue
        if any(rule.ours.startswith(f"{path}.") for path in spec.tied):
            continue
        if rule.op_of is not None:
            rule = replace(rule, op=rule.op_of(spec), op_of=None)
        if "{i}" in rule.ours:
            yield from (rule.at(i) for i in range(spec.blocks_of(rule.ours)))
        else:
            yield rule


def variable_at(model: Any, path: str) -> Any:
    """Returns the variable, or layer, at an attribute path such as `"encoder.blocks.0.norm.gamma"`.

    None where the model does not have it: a dense layer without bias, a layer that
    the config leaves out.
    """
    found = model
    for part in path.split("."):
        found = found[int(part)] if part.isdigit() else getattr(found, part, None)
    return found


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Says whether a tensor name is one of `patterns`; `*` stands for anything."""
    return any(
        re.fullmatch(re.escape(p).replace(r"\*", ".*").replace(r"\{i\}", r"\d+"), name)
        for p in patterns
    )
