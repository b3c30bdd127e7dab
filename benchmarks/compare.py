"""ktlite beside its peers: the same data, checkpoint and epochs, on the same machine, in turns.

    python benchmarks/compare.py CHECKPOINT_FOLDER [--quick] [--jobs fit predict ...]
        [--systems ktlite pytorch ktrain] [--runs 3] [--texts 2000] [--long-texts hotel.csv]
        [--environments DIR] [--pythons pytorch=/path/to/python ...]

Every measurement is a process of its own. The systems take turns, so that a slow minute of the
machine meets all of them, and the table gives medians and their ratios. Each system runs in a
virtual environment that is made for it in `--environments` (kept between runs), or by an
interpreter that is named with `--pythons`.

Wall seconds, CPU seconds and peak memory of `fit`, `fit_long` and `cold` are those of the whole
process: from its start, with all imports, to the accuracy on the validation data, or to the first
prediction. Of the other jobs they are those of the work alone, without imports and loading.

Linux and macOS only (`os.wait4`).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
import venv
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import data  # noqa: E402  (beside this file)

JOBS = {
    "fit": "film reviews: data on disk to validated model",
    "fit_long": "long texts, 256 tokens: data on disk to validated model",
    "tokenize": "tokenise texts",
    "predict": "predict texts of mixed length",
    "single": "one text at a time",
    "cold": "new process to first prediction",
    "find_rate": "learning-rate finder",
}
WHOLE = ("fit", "fit_long", "cold")  # measured from outside of the process
KTRAIN = [
    "ktrain==0.41.4", "tensorflow-cpu==2.19.1", "tf-keras~=2.19.0", "transformers==4.57.6",
    "ipython", "numpy==1.26.4", "pandas<3", "ml-dtypes<0.6", "scipy<1.16", "scikit-learn<1.7",
    "safetensors",
]  # fmt: skip
REQUIREMENTS = {
    "ktlite": [str(HERE.parent)],
    "pytorch": ["torch", "transformers>=5", "accelerate", "pandas", "scikit-learn"],
    "ktrain": KTRAIN,
}
ENVIRONMENT = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "",
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "true",
}
FIGURES = {"wall_s": "wall [s]", "cpu_s": "CPU [s]", "peak_mb": "peak memory [MB]"}


def main() -> None:
    options = parse()
    work = options.environments.resolve() / "work"
    work.mkdir(parents=True, exist_ok=True)
    sizes = dict(data.QUICK if options.quick else data.FULL)
    if options.texts:
        sizes |= {name: min(options.texts, size) for name, size in sizes.items()}
    pythons = dict(item.split("=", 1) for item in options.pythons)
    for system in options.systems:
        if system not in pythons:
            pythons[system] = environment(system, options.environments.resolve() / system)
    spec = data.prepare(work, options.checkpoint, sizes, options.long_texts)
    if not options.long_texts:
        options.jobs = [job for job in options.jobs if job != "fit_long"]
    (work / "spec.json").write_text(json.dumps(spec, indent=1))
    needed = {"predict", "single", "cold"} & set(options.jobs)
    for system in options.systems:
        run(pythons[system], system, "prepare", work, bool(needed))
    measured: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for job in options.jobs:
        for number in range(options.runs):
            for system in options.systems:
                figures = run(pythons[system], system, job, work)
                if figures is None:
                    continue
                measured.setdefault(job, {}).setdefault(system, []).append(figures)
                say(f"{job} {number + 1}/{options.runs} {system}: {figures}")
    write(measured, options)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path, help="a BERT-like Hugging Face checkpoint folder")
    parser.add_argument("--quick", action="store_true", help="little data: a smoke test")
    parser.add_argument("--jobs", nargs="+", choices=JOBS, default=list(JOBS))
    parser.add_argument("--systems", nargs="+", choices=REQUIREMENTS, default=list(REQUIREMENTS))
    parser.add_argument("--runs", type=int, default=3, help="processes each (default: 3)")
    parser.add_argument("--texts", type=int, help="at most so many texts a job")
    parser.add_argument("--long-texts", type=Path, help="CSV file with columns text and label")
    parser.add_argument("--environments", type=Path, default=HERE / ".environments")
    parser.add_argument("--pythons", nargs="+", default=[], metavar="SYSTEM=PATH")
    parser.add_argument("--results", type=Path, default=HERE / "results")
    return parser.parse_args()


def environment(system: str, folder: Path) -> str:
    """Returns the interpreter of a system's environment, which is made where it is missing."""
    python, done = folder / "bin" / "python", folder / "done"
    if not done.exists():
        say(f"making an environment for {system} in {folder}")
        venv.create(folder, clear=True, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *REQUIREMENTS[system]], check=True)
        done.touch()
    return str(python)


def run(python: str, system: str, job: str, work: Path, *arguments: Any) -> dict[str, Any] | None:
    """Runs one job of one system in a process; returns its figures, None if it has no such job."""
    script = HERE / "systems" / f"{system}_jobs.py"
    command = [python, str(script), job, str(work), *map(str, arguments)]
    start = time.perf_counter()
    process = subprocess.Popen(
        command,
        env={**os.environ, **ENVIRONMENT, "PYTHONPATH": str(HERE)},
        cwd=work,  # ktrain writes its reports to where it is
        stdout=subprocess.PIPE,
        stderr=(work / f"{system}-{job}.log").open("w"),
    )
    assert process.stdout is not None
    output = process.stdout.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{system} {job} failed; see {work / f'{system}-{job}.log'}")
    told = json.loads(output.splitlines()[-1]) if output.strip() else None
    if told is None:
        return None
    unit = 1e6 if platform.system() == "Darwin" else 1e3  # bytes there, KiB elsewhere
    outside = {"wall_s": wall, "cpu_s": usage.ru_utime + usage.ru_stime}
    figures = {**told, **(outside if job in WHOLE else {}), "peak_mb": usage.ru_maxrss / unit}
    return {name: round(value, 4) for name, value in figures.items()}


def write(measured: dict[str, Any], options: argparse.Namespace) -> None:
    """Writes the figures as JSON and as a table, and a plot where matplotlib is installed."""
    results = options.results / ("quick" if options.quick else "")
    results.mkdir(parents=True, exist_ok=True)
    machine = {"cores": os.cpu_count(), "processor": platform.machine()}
    content = {"machine": machine, "runs": options.runs, "measured": measured}
    (results / "compare.json").write_text(json.dumps(content, indent=1) + "\n")
    table = "\n".join(lines(measured, options.systems))
    (results / "compare.md").write_text(table + "\n", encoding="utf-8")
    say(table)
    plot(measured, options.systems, results / "compare.png")


def lines(measured: dict[str, Any], systems: list[str]) -> list[str]:
    """Returns the table, in Markdown: medians, and how many times ktlite's the others' are."""
    table = ["| job | figure | " + " | ".join(systems) + " |", "|---" * (len(systems) + 2) + "|"]
    for job, by_system in measured.items():
        told = [set(runs[0]) for runs in by_system.values()]
        names = [*FIGURES, *sorted({"accuracy"} & set.intersection(*told))]
        for name in names:
            cells = []
            for system in systems:
                if system not in by_system:
                    cells.append("")
                    continue
                median = statistics.median(run[name] for run in by_system[system])
                ours = statistics.median(run[name] for run in by_system["ktlite"])
                times = f" ({median / ours:.2f}x)" if system != "ktlite" and name in FIGURES else ""
                cells.append(f"{median:.4g}{times}")
            title = JOBS[job] if name == "wall_s" else ""
            table.append(f"| {title} | {FIGURES.get(name, name)} | " + " | ".join(cells) + " |")
    return table


def plot(measured: dict[str, Any], systems: list[str], path: Path) -> None:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return
    figure = Figure(figsize=(10, 1.2 + 0.6 * len(measured)), layout="constrained")
    for axes, (name, title) in zip(figure.subplots(1, len(FIGURES)), FIGURES.items(), strict=True):
        for place, system in enumerate(systems):
            jobs = [job for job in measured if system in measured[job]]
            values = []
            for job in jobs:
                mine = statistics.median(run[name] for run in measured[job][system])
                values.append(mine / statistics.median(r[name] for r in measured[job]["ktlite"]))
            rows = [list(measured).index(job) + place * 0.25 for job in jobs]
            axes.barh(rows, values, height=0.22, label=system)
        axes.set_yticks([i + 0.25 for i in range(len(measured))], list(measured))
        axes.set_xlabel(f"{title}, ktlite = 1")
        axes.invert_yaxis()
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper right", ncols=len(systems))
    figure.savefig(path, dpi=110)


def say(text: str) -> None:
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    main()
