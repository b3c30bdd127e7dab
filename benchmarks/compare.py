"""ktlite beside its peers: the same data, checkpoint and epochs, on the same machine, in turns.

    python benchmarks/compare.py CHECKPOINT_FOLDER [--quick] [--jobs fit predict ...]
        [--systems ktlite pytorch ktrain ...] [--runs 3] [--texts 2000] [--epochs 1]
        [--hotel-reviews chinese_hotel_reviews.csv | --long-texts reviews.csv]
        [--environments DIR] [--pythons pytorch=/path/to/python ...] [--results DIR]

Every measurement is a process of its own. The systems take turns, so that a slow minute of the
machine meets all of them, and the table gives medians and how many times ktlite's they are; ktlite
is always measured too. A system that fails is left out from there on; only ktlite's failure ends
the run. Each system runs in a virtual environment that is made for it in `--environments` (kept
between runs), or by an interpreter that is named with `--pythons`; models and exports are made anew
in each run. Results are added, after each turn, to those that are there, see `figures.add`.

Wall seconds, CPU seconds and peak memory of `fit`, `fit_long`, `fit_full` and `cold` are those of
the whole process: from its start, with all imports, to the accuracy on the validation data, or to
the first prediction. Of the other jobs they are those of the work alone, without imports and
loading; peak memory is always that of the process.

Linux and macOS only (`os.wait4`).
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
import venv
from pathlib import Path
from typing import Any, NamedTuple

import figures  # beside this file, as inputs
import inputs

HERE = Path(__file__).resolve().parent


class Job(NamedTuple):
    """One row of the table.

    Args:
        title: What is done.
        whole: Whether it is measured from outside, as a whole process.
        epochs: Whether it trains for `--epochs`.
    """

    title: str
    whole: bool = False
    epochs: bool = False


JOBS = {
    "fit": Job("fine-tune, data on disk to validated model", True, True),
    "fit_long": Job("fine-tune on long texts, data on disk to validated model", True, True),
    "fit_full": Job(
        "fine-tune on texts of 256 tokens, data on disk to validated model", True, True
    ),
    "tokenize": Job("tokenise texts"),
    "predict": Job("predict texts of mixed length"),
    "single": Job("predict one text at a time"),
    "cold": Job("new process to first prediction", True),
    "find_rate": Job("learning-rate finder"),
    "replicas": Job("train with one replica, and with two (ktlite-2), the same global batch"),
    "embed": Job("texts to vectors"),
}
PREDICTING = ("predict", "single", "cold")
# The jobs of each system. What comes after a hyphen in its name is another way to use the same
# system, in the same environment.
SYSTEMS: dict[str, Any] = {
    system: jobs
    for file in sorted((HERE / "systems").glob("*_jobs.py"))
    for system, jobs in importlib.import_module(f"systems.{file.stem}").JOBS.items()
}
ENVIRONMENT = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "",
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "true",
    "PYTHONDONTWRITEBYTECODE": "",  # a source tree is compiled once, as installed packages are
}


def main() -> None:
    options = parse()
    work = options.environments.resolve() / "work"
    spec = prepare(work, options)
    pythons = dict(item.split("=", 1) for item in options.pythons)
    for system in options.systems:
        base = system.partition("-")[0]
        if base not in pythons:
            pythons[base] = environment(base, options.environments.resolve() / base)
    systems = [s for s in options.systems if run(pythons, s, "convert", work) is not None]
    if set(PREDICTING) & set(options.jobs):
        systems = [s for s in systems if run(pythons, s, "prepare", work) is not None]
    for job in options.jobs:
        measured: dict[str, Any] = {}
        for number in range(options.runs):
            for system in [system for system in systems if job in SYSTEMS[system]]:
                told = run(pythons, system, job, work)
                if told is None:
                    systems.remove(system)
                    continue
                one = measured.setdefault(system, {"versions": told["versions"], "runs": []})
                one["runs"].append(told["figures"])
                say(f"{job} {number + 1}/{options.runs} {system}: {told['figures']}")
            figures.add(options.results, {**about(job, spec, options), "systems": measured})
    say((options.results / "compare.md").read_text(encoding="utf-8"))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path, help="a BERT-like Hugging Face checkpoint folder")
    parser.add_argument("--quick", action="store_true", help="little data: a smoke test")
    parser.add_argument("--jobs", nargs="+", choices=JOBS, default=list(JOBS))
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--runs", type=int, default=3, help="processes each (default: 3)")
    parser.add_argument("--texts", type=int, help="at most so many texts a job")
    parser.add_argument("--epochs", type=int, default=1, help="of fine-tuning (default: 1)")
    long = parser.add_mutually_exclusive_group()
    long.add_argument("--hotel-reviews", type=Path, help="ktrain's chinese_hotel_reviews.csv")
    long.add_argument("--long-texts", type=Path, help="CSV file with columns text and label")
    parser.add_argument("--environments", type=Path, default=HERE / ".environments")
    parser.add_argument("--pythons", nargs="+", default=[], metavar="SYSTEM=PATH")
    parser.add_argument("--results", type=Path, help="default: benchmarks/results")
    options = parser.parse_args()
    if not (options.checkpoint / "config.json").is_file():
        parser.error(f"{options.checkpoint} holds no config.json; expected a checkpoint folder")
    if not (options.hotel_reviews or options.long_texts):
        options.jobs = [job for job in options.jobs if job != "fit_long"]
    if not options.jobs:
        parser.error("fit_long needs --hotel-reviews or --long-texts")
    if options.results is None:  # a smoke test leaves the real figures alone
        options.results = options.environments / "quick" if options.quick else HERE / "results"
    options.systems = list(dict.fromkeys([figures.BASE, *options.systems]))
    return options


def environment(system: str, folder: Path) -> str:
    """Returns the interpreter of a system's environment, which is made where it is missing."""
    python, done = folder / "bin" / "python", folder / "installed.txt"
    needed = HERE / "systems" / f"{system}.txt"
    if not done.exists() or done.read_text() != needed.read_text():
        say(f"installing what {system} needs in {folder}")
        if not python.exists():
            venv.create(folder, with_pip=True)
        command = [python, "-m", "pip", "install", "-q", "-r", needed]
        subprocess.run(command, cwd=HERE.parent, check=True)
        shutil.copy(needed, done)
    return str(python)


def prepare(work: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Writes the data to a new folder, in place of an earlier one; returns what jobs get."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    sizes = dict(inputs.QUICK if options.quick else inputs.FULL)
    if options.texts:
        sizes = {name: min(options.texts, size) for name, size in sizes.items()}
    long_texts: inputs.Labelled = []
    if options.hotel_reviews:
        long_texts = inputs.read_hotel_reviews(options.hotel_reviews)
    elif options.long_texts:
        long_texts = inputs.read_texts(options.long_texts)
    spec = inputs.prepare(work, options.checkpoint, sizes, options.epochs, long_texts)
    (work / "spec.json").write_text(json.dumps(spec, indent=1))
    return spec


def run(pythons: dict[str, str], system: str, job: str, work: Path) -> dict[str, Any] | None:
    """Runs one job of one system in a process; returns what it found, None where it failed."""
    if job not in SYSTEMS[system]:  # nothing to convert or to prepare
        return {}
    base, log = system.partition("-")[0], work / f"{system}-{job}.log"
    script = HERE / "systems" / f"{base}_jobs.py"
    paths = [str(HERE), *([str(HERE.parent)] if base == figures.BASE else [])]
    if "PYTHONPATH" in os.environ:
        paths.append(os.environ["PYTHONPATH"])
    start = time.perf_counter()
    with log.open("w") as errors:
        process = subprocess.Popen(
            [pythons[base], str(script), system, job, str(work)],
            env={**os.environ, **ENVIRONMENT, "PYTHONPATH": os.pathsep.join(paths)},
            cwd=work,  # ktrain writes its reports to where it is
            stdout=subprocess.PIPE,
            stderr=errors,
        )
    assert process.stdout is not None
    output = process.stdout.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        end = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        said = f"{system} {job} failed with status {process.returncode}:\n{end}\nSee {log}."
        if system == figures.BASE:
            sys.exit(said)
        say(f"{said}\n{system} is left out.")
        return None
    told = json.loads(output.splitlines()[-1])
    if job in JOBS and JOBS[job].whole:
        told["figures"] |= {"wall_s": wall, "cpu_s": usage.ru_utime + usage.ru_stime}
    unit = 1 if platform.system() == "Darwin" else 1024  # bytes there, KiB elsewhere
    told["figures"]["peak_mb"] = usage.ru_maxrss * unit / 1e6
    told["figures"] = {name: round(value, 4) for name, value in told["figures"].items()}
    return told


def about(job: str, spec: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """Says what was measured, on what, and when."""
    config = json.loads((options.checkpoint / "config.json").read_text())
    long = options.hotel_reviews or options.long_texts
    return {
        "job": job,
        "title": JOBS[job].title,
        "texts": spec["texts"].get(job),
        "epochs": spec["epochs"] if JOBS[job].epochs else None,
        "data": (long if job == "fit_long" else inputs.REVIEWS).name,
        "checkpoint": options.checkpoint.absolute().name,
        "model": "{model_type}, {num_hidden_layers} layers of {hidden_size}".format(**config),
        "date": datetime.date.today().isoformat(),
        "cores": os.cpu_count(),
        "processor": platform.machine(),
    }


def say(text: str) -> None:
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    main()
