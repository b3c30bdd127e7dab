"""`ktlite`: the parser of all commands, and what becomes of their results and errors."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import logging
import math
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from ktlite._extras import needs_extra
from ktlite._version import __version__
from ktlite.cli import completion, folders, launch, training, using
from ktlite.cli.wording import EXAMPLES
from ktlite.errors import ArgumentError, KtliteError, did_you_mean, listing

DESCRIPTION = "Fine-tune Hugging Face checkpoints, and use what was trained: files in, files out."
FAILED, WRONG_USAGE, INTERRUPTED, PIPE_CLOSED = 1, 2, 130, 141


class _Formatter(argparse.HelpFormatter):
    """Wraps what is said of a command, and leaves its examples as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if text.startswith("examples:"):
            return text
        return super()._fill_text(text, width, indent)


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser; what it parses has `run`, the command's function."""
    parser = argparse.ArgumentParser("ktlite", description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"ktlite {__version__}")
    common = argparse.ArgumentParser(add_help=False)
    shown = common.add_argument_group("what is shown")
    shown.add_argument("--json", action="store_true", help="write the result as JSON")
    loudness = shown.add_mutually_exclusive_group()
    loudness.add_argument("--quiet", "-q", action="store_true", help="no bars, no remarks")
    loudness.add_argument("--verbose", action="store_true", help="with traces of errors")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, run: Any, description: str) -> argparse.ArgumentParser:
        made = commands.add_parser(
            name,
            help=description.partition(".")[0],
            description=description,
            epilog=f"examples:\n{EXAMPLES[name]}" if name in EXAMPLES else None,
            formatter_class=_Formatter,
            parents=[common],
            allow_abbrev=False,
        )
        made.set_defaults(run=run, parser=made)
        return made

    for group in (training, launch, using, folders):
        group.add_commands(add)
    completion.add_command(add, parser)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    A command returns what to show, as text and as JSON values. All else that is written to
    standard output on the way goes to standard error.

    Args:
        arguments: Of the command line. Default: the process's own.

    Returns:
        The exit code: 0, 1 for work that failed, 2 for wrong usage, 130 for Ctrl-C, 141 where
        nobody reads the output any more.
    """
    parser = make_parser()
    args, unknown = parser.parse_known_args(arguments)
    # argparse takes positional words up to an option; those that come later are texts, too.
    if hasattr(args, "texts") and not _options(unknown):
        args.texts, unknown = [*args.texts, *(word for word in unknown if word != "--")], []
    if unknown:
        args.parser.error(_unknown(unknown, args.parser))
    args.out_stream = sys.stdout
    logger = logging.getLogger("ktlite")
    level = logger.level
    logger.setLevel(logging.ERROR if args.quiet else logging.INFO)
    try:
        needed = needs_extra("train", args.parser.prog)
        with needed, contextlib.redirect_stdout(sys.stderr):
            text, data = args.run(args)
        shown = json.dumps(_finite(data), ensure_ascii=False, indent=2) if args.json else text
        if shown:
            sys.stdout.write(f"{shown}\n")
        sys.stdout.flush()
    except KtliteError as error:
        return _say(error, args, WRONG_USAGE if isinstance(error, ArgumentError) else FAILED)
    except BrokenPipeError:
        # Python flushes standard output once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except OSError as error:
        return _say(error, args, FAILED)
    except KeyboardInterrupt:
        return _say("stopped.", args, INTERRUPTED)
    finally:
        logger.setLevel(level)  # of whoever calls this in a process of their own
    return 0


def _finite(value: Any) -> Any:
    """Returns JSON values in which what is no number is null: JSON has no NaN."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _say(problem: object, args: Any, code: int) -> int:
    if args.verbose and isinstance(problem, BaseException):
        import traceback

        traceback.print_exception(problem)
    else:
        sys.stderr.write(f"ktlite: {problem}\n")
    return code


def _options(words: Sequence[str]) -> list[str]:
    """Returns those of some words that are options, as argparse tells them: none after `--`."""
    first = itertools.takewhile(lambda word: word != "--", words)
    return [w.partition("=")[0] for w in first if w.startswith("-") and w != "-" and " " not in w]


def _unknown(words: Sequence[str], parser: argparse.ArgumentParser) -> str:
    """Says which words of a command line are none of the command's."""
    known = [flag for action in parser._actions for flag in action.option_strings]
    options = _options(words)
    if not options:
        return f"unexpected: {listing(words)}"
    return f"unknown option {options[0]}.{did_you_mean(options[0], known)}"
