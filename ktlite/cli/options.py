"""Options of commands, read from the signatures and docstrings of the functions that take them.

They are read from the source, without importing it: TensorFlow would take seconds, and
`ktlite train --help` and the completion of a shell are to take none.
"""

from __future__ import annotations

import argparse
import ast
import functools
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ktlite.cli.wording import REST, Group, Word

PACKAGE = Path(__file__).parents[1]


@dataclass(frozen=True)
class Option:
    """An argument of a function.

    Args:
        name: Its name.
        annotation: Its type, as the source has it.
        default: Its default, as the source has it; None where it has none.
        help: What its docstring says.
    """

    name: str
    annotation: str
    default: str | None
    help: str

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")

    def add_to(self, parser: Any, flag: str | None = None, word: Word | None = None) -> None:
        """Adds it to a parser; it leaves no trace where it is not given.

        Args:
            parser: Where to.
            flag: What it is called before its own name, such as `"--data"`.
            word: How it is shown. Default: as its docstring has it.
        """
        shown = self.help if word is None else word.help
        if word is None and re.match(r"[\d.'-]", self.default or "") and "Default:" not in shown:
            shown += f" Default: {self.default}."
        settings: dict[str, Any] = {
            "dest": self.name,
            "default": argparse.SUPPRESS,
            "help": shown.replace("%", "%%"),
        }
        kinds = set(re.split(r"\s*\|\s*", self.annotation)) - {"None"}
        if kinds == {"bool"}:
            settings["action"] = argparse.BooleanOptionalAction
        elif kinds <= {"int", "float"}:
            settings |= {"type": float if "float" in kinds else int, "metavar": "N"}
        elif kinds <= {"str", "os.PathLike[str]"}:
            settings["metavar"] = self.name.upper()
        else:
            listed = "Sequence" in self.annotation or "Iterable" in self.annotation
            settings |= {
                "action": _Values,
                "nargs": "+" if listed or kinds == {"Any"} else 1,
                "metavar": "VALUE",
                "always_list": listed,
            }
        if word is not None and kinds != {"bool"}:
            settings["metavar"] = word.metavar
            if word.choices:
                settings["help"] += f"; one of {', '.join(word.choices)}"
        added = parser.add_argument(*filter(None, (flag, self.flag)), **settings)
        # For shells. Whoever gives another value is told by the function, which knows more names.
        vars(added)["completes"] = word.choices if word else ()


def add_grouped(
    parser: Any,
    options: Mapping[str, Option],
    groups: Mapping[str, Group],
    flags: Mapping[str, str] | None = None,
) -> None:
    """Adds options to a parser, in groups; those that no group has come last."""
    left = dict(options)
    for title, words in groups.items():
        named = {name: left.pop(name) for name in words if name in left}
        if named:
            group = parser.add_argument_group(title)
            for name, option in named.items():
                option.add_to(group, (flags or {}).get(name), words[name])
    if left:
        group = parser.add_argument_group(REST)
        for option in left.values():
            option.add_to(group)


class _Values(argparse.Action):
    """Values that may be numbers, `true`, lists or objects, written as JSON, or plain strings."""

    def __init__(self, *args: Any, always_list: bool = False, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.always_list = always_list

    def __call__(self, parser: Any, namespace: Any, values: Any, option: Any = None) -> None:
        found = [parsed(value) for value in values]
        single = len(found) == 1 and not self.always_list
        setattr(namespace, self.dest, found[0] if single else found)


def parsed(value: str) -> Any:
    """Returns what a value stands for: JSON where it is, else the string itself.

    Example:
        >>> parsed("2"), parsed("true"), parsed("balanced"), parsed('{"spam": 2}')
        (2, True, 'balanced', {'spam': 2})
    """
    try:
        return json.loads(value)
    except ValueError:
        return value


@functools.cache
def options_of(module: str, function: str, owner: str | None = None) -> Mapping[str, Option]:
    """Returns the arguments of a function or method, by name.

    Args:
        module: A file of the package, such as `"learner/fitting.py"`.
        function: The function's name.
        owner: Its class.
    """
    body: Any = ast.parse((PACKAGE / module).read_text(encoding="utf-8")).body
    for name in [owner, function] if owner else [function]:
        found = next(node for node in body if getattr(node, "name", None) == name)
        body = found.body
    arguments = found.args
    named = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(named) - len(arguments.defaults)) + arguments.defaults
    pairs = [
        *zip(named, defaults, strict=True),
        *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
    ]
    texts = _argument_texts(ast.get_docstring(found) or "")
    return {
        argument.arg: Option(
            argument.arg,
            ast.unparse(argument.annotation) if argument.annotation else "Any",
            None if default is None else ast.unparse(default),
            texts.get(argument.arg, ""),
        )
        for argument, default in pairs
        if argument.arg != "self"
    }


def _argument_texts(docstring: str) -> dict[str, str]:
    """Returns what the section `Args:` of a docstring says of each argument."""
    section = re.search(r"^Args:\n((?:[ ]{4}.*\n?|\n)*)", docstring, re.MULTILINE)
    if section is None:
        return {}
    items = re.split(r"^[ ]{4}(\*{0,2}\w+): ", section[1], flags=re.MULTILINE)
    pairs = zip(items[1::2], items[2::2], strict=True)
    return {name: " ".join(text.split()) for name, text in pairs}


def without(options: Mapping[str, Option], names: Collection[str]) -> dict[str, Option]:
    """Returns the options but those of these names."""
    return {name: option for name, option in options.items() if name not in names}
