"""Checks on calls: unknown keywords name the nearest known one."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from ktlite.errors import Problems

F = TypeVar("F", bound=Callable[..., Any])

_WHOLE_NUMBERS = (int, np.integer)
_NUMBERS = (*_WHOLE_NUMBERS, float, np.floating)


def checked(function: F) -> F:
    """Makes a function answer unknown keywords with the nearest known one.

    Example:
        >>> learner.fit_onecycle(1e-4, epoch=2)
        ArgumentError: fit_onecycle: unknown argument 'epoch'. Did you mean 'epochs'?
    """
    names = [name for name in inspect.signature(function).parameters if name != "self"]

    @functools.wraps(function)
    def call(*args: Any, **keywords: Any) -> Any:
        problems = Problems(function.__name__)
        problems.unknown([k for k in keywords if k not in names], names)
        problems.raise_if_any()
        return function(*args, **keywords)

    return call  # type: ignore[return-value]


def positive(problems: Problems, **arguments: Any) -> None:
    """Records a problem for each argument that is not a finite number above 0."""
    for name, value in arguments.items():
        fine = isinstance(value, _NUMBERS) and 0 < value < float("inf")
        problems.add_unless(bool(fine), f"{name}={value!r}; expected a positive number.")


def between_0_and_1(problems: Problems, **arguments: Any) -> None:
    """Records a problem for each argument that is not a number above 0 and below 1."""
    for name, value in arguments.items():
        fine = isinstance(value, (int, float)) and 0 < value < 1
        problems.add_unless(fine, f"{name}={value!r}; expected more than 0, below 1.")


def at_least_one(problems: Problems, **arguments: Any) -> None:
    """Records a problem for each argument that is not a whole number of 1 or more."""
    for name, value in arguments.items():
        fine = isinstance(value, _WHOLE_NUMBERS) and value >= 1
        problems.add_unless(bool(fine), f"{name}={value!r}; expected a whole number of 1 or more.")


def not_a_string(problems: Problems, **arguments: Any) -> None:
    """Records a problem for each argument that is one string where a list of them is due.

    Python would take it for the list of its characters.
    """
    for name, value in arguments.items():
        problems.add_unless(
            not isinstance(value, (str, bytes)), f"{name}={value!r}; expected a list: [{value!r}]."
        )
