"""Checks on calls: which arguments are unknown, missing, too many, or of another kind."""

from __future__ import annotations

import functools
import inspect
import os
import re
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from ktlite._logging import logger
from ktlite.errors import ArgumentError, Problems, listing

F = TypeVar("F", bound=Callable[..., Any])

_WHOLE_NUMBERS = (int, np.integer)
_NUMBERS = (*_WHOLE_NUMBERS, float, np.floating)


class CallError(ArgumentError, TypeError):
    """A call with arguments that are not there, or without some that have to be.

    It is a `TypeError` as well, which is what Python itself raises for these.
    """


# What an argument looks like, where its name alone does not tell a newcomer.
_SUCH_AS = {
    "lr": "lr=5e-5",
    "learning_rate": "learning_rate=5e-5",
    "epochs": "epochs=3",
    "text_column": "text_column='text'",
    "label_columns": "label_columns='label'",
}


def checked(function: F) -> F:
    """Makes a function say which of its arguments are unknown, missing or too many.

    Unknown keywords name the nearest known one, missing arguments say what they are.

    Example:
        >>> learner.fit_onecycle(1e-4, epoch=2)
        CallError: fit_onecycle: unknown argument 'epoch'. Did you mean 'epochs'?
    """
    signature = inspect.signature(function)
    where = function.__name__

    @functools.wraps(function)
    def call(*args: Any, **keywords: Any) -> Any:
        try:
            signature.bind(*args, **keywords)
        except TypeError:
            # Of a class, its name is what the caller wrote.
            called = type(args[0]).__name__ if where == "__init__" else where
            problems = _call_problems(called, function, signature, args, keywords)
        else:
            return function(*args, **keywords)
        problems.raise_if_any()
        return function(*args, **keywords)

    return call  # type: ignore[return-value]


def _call_problems(
    where: str,
    function: Callable[..., Any],
    signature: inspect.Signature,
    args: tuple[Any, ...],
    keywords: dict[str, Any],
) -> Problems:
    """Returns what is wrong with a call that does not fit a signature."""
    problems = Problems(where, CallError)
    kinds = inspect.Parameter
    parameters = list(signature.parameters.values())
    if parameters and parameters[0].name in ("self", "cls"):
        parameters, args = parameters[1:], args[1:]
    named = [p for p in parameters if p.kind not in (kinds.VAR_POSITIONAL, kinds.VAR_KEYWORD)]
    by_position = [p for p in named if p.kind != kinds.KEYWORD_ONLY]
    if not any(p.kind == kinds.VAR_KEYWORD for p in parameters):
        names = [p.name for p in named]
        problems.unknown([k for k in keywords if k not in names], names)
    if len(args) > len(by_position) and not any(p.kind == kinds.VAR_POSITIONAL for p in parameters):
        others = [p.name for p in named if p.kind == kinds.KEYWORD_ONLY]
        problems.add(
            f"{len(args)} arguments without a name; it takes at most {len(by_position)} of these"
            + (f" ({listing(p.name for p in by_position)})." if by_position else ".")
            + (f" Name the others, such as {others[0]}=..." if others else "")
        )
    placed = [p.name for p in by_position[: len(args)]]
    for name in placed:
        problems.add_unless(name not in keywords, f"{name} is given twice.")
    for p in named:
        missing = p.default is kinds.empty and p.name not in keywords and p.name not in placed
        if missing and not any(repr(p.name) in problem for problem in problems.found):
            such = f", such as {_SUCH_AS[p.name]}" if p.name in _SUCH_AS else ""
            problems.add(f"{p.name} is not given{such}{_described(p.name, function)}")
    return problems


def _described(name: str, function: Callable[..., Any]) -> str:
    """Returns `": the first sentence that a docstring has on an argument."`, or `"."`."""
    lines = inspect.getdoc(function) or inspect.getdoc(_owner(function)) or ""
    found = re.search(rf"^    {name}: (.+(?:\n {{8}}.+)*)", lines, re.MULTILINE)
    if found is None:
        return "."
    sentence = re.split(r"(?<=[.;])\s|: ", " ".join(found[1].split()))[0].rstrip(".;:")
    if sentence.startswith(("As in", "Likewise", "As for")):
        return "."
    return f": {sentence[0].lower()}{sentence[1:]}."


def _owner(function: Callable[..., Any]) -> Any:
    """Returns the class that has a method: its docstring has the arguments of `__init__`."""
    owner: Any = sys.modules.get(function.__module__)
    for part in function.__qualname__.split(".")[:-1]:
        owner = getattr(owner, part, None)
    return owner


def without_effect(where: str, **given: Any) -> None:
    """Says once a call that arguments are accepted for ktrain's sake; None is one not given.

    For those that change how something is computed there, and nothing of the result.
    """
    names = [name for name, value in given.items() if value is not None]
    if names:
        logger.info("%s: without effect here: %s", where, listing(names))


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


# What takes in memory what a loader takes of files.
_IN_MEMORY = {
    "texts_from_csv": " texts_from_df takes data frames, texts_from_array lists.",
    "entities_from_txt": " entities_from_df takes data frames, entities_from_array lists.",
}


def check_paths(where: str, **arguments: Any) -> None:
    """Raises unless each argument is a path or None.

    Args:
        where: What was called.
        **arguments: Its arguments.
    """
    problems = Problems(where)
    instead = _IN_MEMORY.get(where, "")
    for name, value in arguments.items():
        problems.add_unless(
            value is None or isinstance(value, (str, os.PathLike)),
            f"{name} is of type {type(value).__name__}; expected a path.{instead}",
        )
    problems.raise_if_any()


def not_a_string(problems: Problems, **arguments: Any) -> None:
    """Records a problem for each argument that is one string where a list of them is due.

    Python would take it for the list of its characters.
    """
    for name, value in arguments.items():
        problems.add_unless(
            not isinstance(value, (str, bytes)), f"{name}={value!r}; expected a list: [{value!r}]."
        )
