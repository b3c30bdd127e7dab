"""`ktlite launch`."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ktlite.errors import Problems


def add_commands(add: Callable[..., Any]) -> None:
    """Adds the command."""
    made = add(
        "launch",
        run_launch,
        "Run a training script as several workers, on this machine or on one of several. The "
        "script makes its learner with strategy='multiworker'; when a worker dies, the others "
        "are ended.",
    )
    made.add_argument(
        "--workers",
        required=True,
        metavar="N|HOST:PORT,...",
        help="how many to run on this machine; or the addresses of all, one a machine, the same "
        "list on each",
    )
    made.add_argument(
        "--index",
        type=int,
        metavar="N",
        help="with addresses: which of them this machine is, from 0",
    )
    made.add_argument("--logs", metavar="FOLDER", help="where workers but the first write to")
    made.add_argument(
        "-m", "--module", action="store_true", help="SCRIPT is a module, as in python -m"
    )
    made.add_argument("script", metavar="SCRIPT", help="Python file to run")
    made.add_argument(
        "arguments", nargs=argparse.REMAINDER, metavar="...", help="arguments of the script"
    )


def run_launch(args: Any) -> tuple[str, Any]:
    """Runs the workers, and waits for them."""
    from ktlite.cli.launching import launch, local_addresses

    problems = Problems("launch")
    named = [address for address in args.workers.split(",") if address]
    if args.workers.isdecimal():
        count = int(args.workers)
        problems.add_unless(count > 0, "--workers 0; expected 1 or more.")
        problems.add_unless(
            args.index is None,
            "--index goes with addresses: --workers HOST:PORT,HOST:PORT --index 0.",
        )
    else:
        wrong = [address for address in named if not _is_address(address)]
        problems.add_unless(
            bool(named) and not wrong and len(set(named)) == len(named),
            f"--workers {args.workers!r}; expected a number, or different addresses such as "
            "10.0.0.1:2222,10.0.0.2:2222.",
        )
        problems.add_unless(
            not named or (args.index is not None and 0 <= args.index < len(named)),
            f"--index {args.index}; expected which of the {len(named)} addresses this machine is, "
            f"0 to {len(named) - 1}.",
        )
    problems.add_unless(
        args.module or Path(args.script).is_file(), f"there is no file {args.script}."
    )
    problems.raise_if_any()
    command = [sys.executable, *(["-m"] if args.module else []), args.script, *args.arguments]
    if args.workers.isdecimal():
        launch(command, local_addresses(count), range(count), args.logs)
    else:
        launch(command, named, [args.index], args.logs)
    return "", {"workers": args.workers}


def _is_address(text: str) -> bool:
    found = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^:\s\[\]]+):(\d+)", text)
    return found is not None and 0 < int(found[2]) < 2**16
