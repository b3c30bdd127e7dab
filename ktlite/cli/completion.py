"""`ktlite completion`: what makes a shell complete commands, options and their choices."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from typing import Any

_BASH = """\
_ktlite() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} words=""
    case "${{COMP_WORDS[1]}} $before" in
{choices}
    esac
    if [ -z "$words" ] && [ "$COMP_CWORD" -eq 1 ]; then
        words="{commands}"
    elif [ -z "$words" ] && [[ $word == -* ]]; then
        case "${{COMP_WORDS[1]}}" in
{options}
        esac
    fi
    COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o default -F _ktlite ktlite
"""
_ZSH = "#compdef ktlite\nautoload -U +X bashcompinit && bashcompinit\n"


def add_command(add: Callable[..., Any], parser: argparse.ArgumentParser) -> None:
    """Adds the command, which completes what `parser` takes."""
    made = add(
        "completion",
        lambda args: (_SHELLS[args.shell](_commands(parser)), None),
        'Print a script that completes commands and options. In bash: eval "$(ktlite completion '
        'bash)".',
    )
    made.add_argument("shell", choices=list(_SHELLS), help="which shell")


def _commands(parser: argparse.ArgumentParser) -> Mapping[str, argparse.ArgumentParser]:
    return next(
        action.choices
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
    )


def _flags(action: argparse.Action) -> Sequence[str]:
    if action.help == argparse.SUPPRESS:
        return []
    return [flag for flag in action.option_strings if flag.startswith("--")]


def _values(action: argparse.Action) -> list[str]:
    """Returns the values of an option that there are; none where they cannot be listed."""
    return [str(value) for value in action.choices or vars(action).get("completes", ())]


def _bash(commands: Mapping[str, argparse.ArgumentParser]) -> str:
    choices, options = [], []
    for name, command in commands.items():
        flags = [flag for action in command._actions for flag in _flags(action)]
        options.append(f"            {name}) words={' '.join(flags)!r} ;;")
        for action in command._actions:
            if _values(action):
                words = " ".join(_values(action))
                patterns = [f'"{name} {flag}"' for flag in action.option_strings or [name]]
                choices.append(f"        {'|'.join(patterns)}) words={words!r} ;;")
    return _BASH.format(
        commands=" ".join(commands), choices="\n".join(choices), options="\n".join(options)
    )


def _fish(commands: Mapping[str, argparse.ArgumentParser]) -> str:
    lines = []
    for name, command in commands.items():
        about = _quoted(str(command.description).partition(".")[0])
        lines.append(f"complete -c ktlite -n __fish_use_subcommand -a {name} -d {about}")
        seen = f"-n '__fish_seen_subcommand_from {name}'"
        for action in command._actions:
            takes = "" if action.nargs == 0 else " -r"
            values = _values(action)
            words = f" -f -a {_quoted(' '.join(values))}" if values else ""
            text = _quoted(str(action.help or "").replace("%%", "%").partition(".")[0])
            for flag in _flags(action):
                lines.append(f"complete -c ktlite {seen} -l {flag[2:]}{takes}{words} -d {text}")
            if not action.option_strings and words and action.help != argparse.SUPPRESS:
                lines.append(f"complete -c ktlite {seen}{words} -d {text}")
    return "\n".join(lines)


def _quoted(text: str) -> str:
    """Returns text as fish reads it between single quotes."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


_SHELLS: dict[str, Callable[[Mapping[str, argparse.ArgumentParser]], str]] = {
    "bash": _bash,
    "zsh": lambda commands: _ZSH + _bash(commands),
    "fish": _fish,
}
