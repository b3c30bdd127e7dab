"""Systems that take turns, each run a process of its own; and a table of what they told."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
BASE = "ktlite"
Runs = Mapping[str, list[dict[str, Any]]]


def run(python: str, script: str, *arguments: str) -> dict[str, Any]:
    """Runs a script of `systems/` in a process of its own.

    Args:
        python: The interpreter.
        script: Its name, such as `"ktlite_images"`.
        *arguments: Of the script.

    Returns:
        What it told in its last line, with its seconds and its memory under `process`.
    """
    path = os.pathsep.join([str(HERE), str(HERE.parent)])
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as error:
        process = subprocess.Popen(
            [python, str(HERE / "systems" / f"{script}.py"), *arguments],
            env={**os.environ, "PYTHONPATH": path}, stdout=out, stderr=error, text=True,
        )  # fmt: skip
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        for file in (out, error):
            file.seek(0)
        if process.returncode:
            said = "\n".join(error.read().splitlines()[-15:])
            sys.exit(f"{script} did not run with {python} (--pythons names another):\n{said}")
        told: dict[str, Any] = json.loads(out.read().splitlines()[-1])
    told["process"] = {
        "cpu_s": used.ru_utime + used.ru_stime, "peak_mib": used.ru_maxrss / 1024,
    }  # fmt: skip
    return told


def table(jobs: Mapping[str, Runs], names: Mapping[str, str]) -> list[str]:
    """Returns the figures in Markdown, ktlite's beside those of each other system.

    Args:
        jobs: For each job the runs of each system, ktlite's among them.
        names: How the systems are called here, in the order of the columns.
    """
    others = [name for name in names if name != BASE]
    head = [names[BASE], *(f"{names[x]} | ratio, or difference" for x in others)]
    lines = [f"| job | figure | {' | '.join(head)} |", "|---" * (3 + 2 * len(others)) + "|"]
    for job, systems in jobs.items():
        told = {
            name: [{**r["figures"], **_prefixed(r["process"])} for r in runs]
            for name, runs in systems.items()
        }
        for figure in told[BASE][0]:
            values = {
                name: [run[figure] for run in each if figure in run] for name, each in told.items()
            }
            cells = [_shown(figure, values[BASE])]
            for other in others:
                cells += _beside(figure, values[BASE], values.get(other, []))
            lines.append(f"| {job} | {figure} | {' | '.join(cells)} |")
    return lines


def _prefixed(process: Mapping[str, float]) -> dict[str, float]:
    return {f"process {name}": value for name, value in process.items()}


def _beside(figure: str, ours: list[float], theirs: list[float]) -> list[str]:
    """Returns another system's figure, and how many times ktlite's it is."""
    if not theirs:
        return ["", ""]
    if figure == "accuracy":
        points = round(100 * (statistics.mean(ours) - statistics.mean(theirs)), 1) + 0.0
        return [_shown(figure, theirs), f"{points:+.1f} points"]  # which has no minus
    ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
    return [_shown(figure, theirs), f"{statistics.median(ratios):.2f}"]


def _shown(figure: str, values: list[float]) -> str:
    """Returns of accuracies the mean and all of them, of other figures the median."""
    if figure == "accuracy":
        each = ", ".join(f"{value:.3f}" for value in values)
        return f"{statistics.mean(values):.3f} ({each})"
    return f"{statistics.median(values):.4g}"


def say(text: str) -> None:
    """Shows a line while the work goes on."""
    sys.stderr.write(text + "\n")
