"""Learning rate and momentum as functions of the training step.

Every schedule is a frozen dataclass with one method, `at(step)`, which gives the
learning rate and the momentum (`None`: leave it alone) for the batch number
`step`, counted from 0 over all epochs. Adding a schedule is adding a class.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from ktlite._arguments import at_least_one, positive
from ktlite.errors import Problems

# The peak of a triangle over the rate where it starts, and over that where a one-cycle ends.
START_DIVISOR = 10
END_DIVISOR = 1000
HIGH_LOW = (0.95, 0.85)


class Schedule(Protocol):
    """What a training loop asks: the learning rate and the momentum at a step."""

    def at(self, step: int) -> tuple[float, float | None]:
        """Returns learning rate and momentum for batch `step` (from 0, over all epochs)."""
        ...


@dataclass(frozen=True)
class Constant:
    """The same learning rate throughout.

    Args:
        lr: The learning rate.

    Raises:
        ArgumentError: If `lr` is not a positive number.

    Example:
        >>> Constant(3e-5).at(1000)
        (3e-05, None)
    """

    lr: float

    def __post_init__(self) -> None:
        problems = Problems("Constant")
        positive(problems, lr=self.lr)
        problems.raise_if_any()

    def at(self, step: int) -> tuple[float, float | None]:
        return self.lr, None


@dataclass(frozen=True)
class OneCycle:
    """One triangle over the whole training: Smith's 1cycle policy (arXiv 1803.09820).

    The rate rises linearly from `max_lr / 10` to exactly `max_lr` over the first
    half of the steps and falls linearly to `max_lr / 1000` at the last one. The
    momentum does the opposite: high, low at the peak, high.

    Args:
        max_lr: The learning rate at the peak.
        steps: Batches in the whole training. Later steps get the last values.
        momentum: `(high, low)`, or `None` to leave the momentum alone.

    Raises:
        ArgumentError: If a rate or a number of steps is not positive, or a momentum
            is not in [0, 1).

    Example:
        >>> [OneCycle(0.1, steps=3).at(step) for step in range(3)]
        [(0.01, 0.95), (0.1, 0.85), (0.0001, 0.95)]
    """

    max_lr: float
    steps: int
    momentum: tuple[float, float] | None = HIGH_LOW

    def __post_init__(self) -> None:
        problems = Problems("OneCycle")
        positive(problems, max_lr=self.max_lr)
        at_least_one(problems, steps=self.steps)
        _pair(problems, self.momentum)
        problems.raise_if_any()

    def at(self, step: int) -> tuple[float, float | None]:
        peak, last = (self.steps - 1) // 2, self.steps - 1
        if step < peak:
            foot, height = self.max_lr / START_DIVISOR, step / peak
        else:
            foot = self.max_lr / END_DIVISOR
            height = 1 - min(1.0, (step - peak) / max(1, last - peak))
        return _line(foot, self.max_lr, height), _momentum(self.momentum, height)


@dataclass(frozen=True)
class Triangular:
    """The same triangle again and again: cyclical learning rates (Smith 2017, arXiv 1506.01186).

    In each cycle the rate rises linearly from `max_lr / 10` to exactly `max_lr` over
    the first half of the steps and falls back to `max_lr / 10`, where the next cycle
    starts. The momentum does the opposite.

    Args:
        max_lr: The learning rate at each peak.
        steps_per_cycle: Batches in one cycle, for instance those of an epoch.
        momentum: `(high, low)`, or `None` to leave the momentum alone.

    Raises:
        ArgumentError: If a rate or a number of steps is not positive, or a momentum
            is not in [0, 1).

    Example:
        >>> [Triangular(0.1, 2).at(step)[0] for step in range(4)]
        [0.01, 0.1, 0.01, 0.1]
    """

    max_lr: float
    steps_per_cycle: int
    momentum: tuple[float, float] | None = HIGH_LOW

    def __post_init__(self) -> None:
        problems = Problems("Triangular")
        positive(problems, max_lr=self.max_lr)
        at_least_one(problems, steps_per_cycle=self.steps_per_cycle)
        _pair(problems, self.momentum)
        problems.raise_if_any()

    def at(self, step: int) -> tuple[float, float | None]:
        step, peak = step % self.steps_per_cycle, self.steps_per_cycle // 2
        # `height` is 0 at the foot of the triangle and 1 at its peak.
        if step < peak:
            height = step / peak
        else:
            height = (self.steps_per_cycle - step) / (self.steps_per_cycle - peak)
        foot = self.max_lr / START_DIVISOR
        return _line(foot, self.max_lr, height), _momentum(self.momentum, height)


@dataclass(frozen=True)
class CosineRestarts:
    """Cosine annealing with warm restarts: SGDR (Loshchilov & Hutter 2017, arXiv 1608.03983).

    Each cycle starts at `lr` and falls to almost 0 along half a cosine.

    Args:
        lr: The learning rate at the start of the first cycle.
        steps_per_cycle: Batches in the first cycle.
        cycle_mult: How many times longer each cycle is than the one before, at least 1.
        lr_decay: How each cycle's first rate relates to that of the one before, in (0, 1].

    Raises:
        ArgumentError: If one of these is out of its range.

    Example:
        >>> schedule = CosineRestarts(0.1, steps_per_cycle=2, cycle_mult=2, lr_decay=0.5)
        >>> [round(schedule.at(step)[0], 4) for step in range(6)]
        [0.1, 0.05, 0.05, 0.0427, 0.025, 0.0073]
    """

    lr: float
    steps_per_cycle: int
    cycle_mult: float = 1
    lr_decay: float = 1

    def __post_init__(self) -> None:
        problems = Problems("CosineRestarts")
        positive(problems, lr=self.lr)
        at_least_one(problems, steps_per_cycle=self.steps_per_cycle)
        problems.add_unless(
            1 <= self.cycle_mult < math.inf, f"cycle_mult={self.cycle_mult!r}; expected 1 or more."
        )
        problems.add_unless(
            0 < self.lr_decay <= 1, f"lr_decay={self.lr_decay!r}; expected above 0, at most 1."
        )
        problems.raise_if_any()

    def at(self, step: int) -> tuple[float, float | None]:
        lr, length = self.lr, self.steps_per_cycle
        while step >= length:
            step -= length
            length = math.ceil(length * self.cycle_mult)
            lr *= self.lr_decay
        return lr * (1 + math.cos(math.pi * step / length)) / 2, None


def _line(start: float, end: float, part: float) -> float:
    """Returns the point at `part` in [0, 1] of a line; exact at both ends."""
    return start * (1 - part) + end * part


def _momentum(pair: tuple[float, float] | None, height: float) -> float | None:
    return None if pair is None else _line(*pair, height)


def _pair(problems: Problems, momentum: tuple[float, float] | None) -> None:
    fine = momentum is None or (len(momentum) == 2 and all(0 <= m < 1 for m in momentum))
    problems.add_unless(
        fine, f"momentum={momentum!r}; expected (high, low), both from 0 to below 1, or None."
    )
