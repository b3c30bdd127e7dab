"""The figures of `compare.py`: kept as JSON, shown as a table and as a chart."""

from __future__ import annotations

import json
import statistics
import textwrap
from pathlib import Path
from typing import Any

BASE = "ktlite"
FIGURES = {
    "wall_s": "wall [s]",
    "cpu_s": "CPU [s]",
    "cpu_ms_a_text": "CPU a text [ms]",
    "peak_mb": "peak memory [MB]",
    "accuracy": "accuracy",
    "steps": "steps",
}
COMPARED = ("wall_s", "cpu_s", "peak_mb")
SAME = ("job", "texts", "data", "epochs", "checkpoint")  # measured again: replaced

Entry = dict[str, Any]


def add(folder: Path, entry: Entry) -> None:
    """Adds a job to the results in a folder.

    Where the same job has been measured on the same data, the systems measured again are replaced.
    Others stay, beside the runs of ktlite with which they took turns: a ratio never compares runs
    of two calls.

    Args:
        folder: Where `compare.json`, `compare.md` and, with matplotlib, `compare.png` are.
        entry: What was measured, on what and when; `systems` holds versions and runs of each.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "compare.json"
    entries = json.loads(path.read_text())["entries"] if path.exists() else []
    entries = merged(entries, entry)
    path.write_text(json.dumps({"entries": entries}, indent=1) + "\n")
    (folder / "compare.md").write_text("\n".join(table(entries)) + "\n", encoding="utf-8")
    plot(entries, folder / "compare.png")


def merged(entries: list[Entry], entry: Entry) -> list[Entry]:
    def key(one: Entry) -> list[Any]:
        return [one[name] for name in SAME]

    again = entry["systems"].keys() - {BASE}
    kept = []
    for old in entries:
        left = {name: told for name, told in old["systems"].items() if name not in again}
        if key(old) != key(entry):
            kept.append(old)
        elif left.keys() > {BASE}:
            kept.append({**old, "systems": left})
    keys = [key(one) for one in [*entries, entry]]
    return sorted([*kept, entry], key=lambda one: keys.index(key(one)))


def medians(entry: Entry) -> dict[str, dict[str, float]]:
    """Returns each system's figures: the medians of its runs, and the CPU time of a text."""
    found = {}
    for system, told in entry["systems"].items():
        runs = told["runs"]
        found[system] = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
        if entry["texts"]:
            work = entry["texts"] * (entry["epochs"] or 1)
            found[system]["cpu_ms_a_text"] = 1e3 * found[system]["cpu_s"] / work
    return found


def ratios(entry: Entry) -> dict[str, dict[str, float]]:
    """Returns how many times ktlite's figures those of each other system are."""
    found = medians(entry)
    return {
        system: {name: figures[name] / found[BASE][name] for name in COMPARED}
        for system, figures in found.items()
        if system != BASE
    }


def title(entry: Entry) -> str:
    number = f"{entry['texts']:,} texts of " if entry["texts"] else ""
    text = f"{entry['title']}: {number}{entry['data']}, {entry['checkpoint']}"
    if entry["epochs"]:
        text += f", {entry['epochs']} epoch{'s' if entry['epochs'] > 1 else ''}"
    return text


def table(entries: list[Entry]) -> list[str]:
    """Returns the medians in Markdown, with how many times ktlite's they are, and the set-up."""
    lines = ["| job | system | " + " | ".join(FIGURES.values()) + " |"]
    lines.append("|---" * (len(FIGURES) + 2) + "|")
    for entry in entries:
        times = ratios(entry)
        for system, figures in medians(entry).items():
            cells = [title(entry) if system == BASE else "", system]
            for name in FIGURES:
                ratio = times.get(system, {}).get(name)
                cell = f"{figures[name]:.4g}" if name in figures else ""
                cells.append(cell + (f" ({ratio:.2f}x)" if ratio else ""))
            lines.append("| " + " | ".join(cells) + " |")
    return [*lines, "", *set_up(entries)]


def set_up(entries: list[Entry]) -> list[str]:
    """Returns a line for each set of jobs that were measured alike, and the versions."""
    alike: dict[str, list[str]] = {}
    versions: dict[str, set[str]] = {}
    for entry in entries:
        numbers = sorted({len(told["runs"]) for told in entry["systems"].values()})
        runs = f"medians of {' or '.join(map(str, numbers))} runs"
        how = (
            f"{entry['date']}, {'one run' if numbers == [1] else runs}, {entry['cores']} cores "
            f"({entry['processor']}), {entry['model']}"
        )
        alike.setdefault(how, []).append(entry["job"])
        for system, told in entry["systems"].items():
            used = {f"{library} {version}" for library, version in told["versions"].items()}
            versions.setdefault(system.partition("-")[0], set()).update(used)
    return [
        *(f"- {', '.join(dict.fromkeys(jobs))}: {how}." for how, jobs in alike.items()),
        *(f"- {system}: {', '.join(sorted(used))}." for system, used in versions.items()),
    ]


def plot(entries: list[Entry], path: Path) -> None:
    """Draws how many times ktlite's wall and CPU seconds each system took, on a log scale."""
    try:
        from matplotlib.figure import Figure
        from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter
    except ImportError:
        return
    rows = [(entry, times) for entry in entries if (times := ratios(entry))]
    if not rows:
        return
    systems = list(dict.fromkeys(system for _, times in rows for system in times))
    figure = Figure(figsize=(9, 1.6 + 0.55 * len(rows)), layout="constrained")
    axes = figure.subplots()
    for number, system in enumerate(systems):
        for name, fill, offset in (("wall_s", "full", -0.12), ("cpu_s", "none", 0.12)):
            places = [i + offset for i, (_, times) in enumerate(rows) if system in times]
            values = [times[system][name] for _, times in rows if system in times]
            label = system if fill == "full" else None
            axes.plot(
                values, places, "o", fillstyle=fill, color=f"C{number}", markersize=7, label=label
            )
    axes.axvline(1, color="0.3", linewidth=1)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.set_xlabel(
        "times ktlite's seconds (filled: wall, hollow: CPU); right of 1: ktlite is faster"
    )
    axes.set_yticks(range(len(rows)), [textwrap.fill(title(entry), 45) for entry, _ in rows])
    axes.invert_yaxis()
    axes.grid(alpha=0.3)
    figure.legend(loc="outside upper center", ncols=len(systems), frameon=False)
    figure.savefig(path, dpi=110)
