"""What the jobs of all systems share: their inputs, a clock, and how figures are told."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

Job = Callable[["Work"], "dict[str, float]"]


class Work:
    """The folder with the data, and what the jobs have to know.

    Args:
        folder: What `inputs.prepare` wrote to.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spec = json.loads((folder / "spec.json").read_text())

    def texts(self, job: str) -> list[str]:
        return json.loads((self.folder / f"{job}.json").read_text(encoding="utf-8"))

    def maxlen(self, job: str) -> int:
        return self.spec["maxlen"][job]


class Stopwatch:
    """The seconds of wall and CPU time since it was made."""

    def __init__(self) -> None:
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def read(self) -> dict[str, float]:
        return {
            "wall_s": time.perf_counter() - self.wall,
            "cpu_s": time.process_time() - self.cpu,
        }


def timed(work: Callable[[], Any]) -> dict[str, float]:
    """Runs something and returns its seconds of wall and CPU time."""
    watch = Stopwatch()
    work()
    return watch.read()


def predicting(load: Callable[[Work], Callable[[Any], Any]]) -> dict[str, Job]:
    """Returns the jobs that predict.

    Args:
        load: Returns what takes a text, or a list of them, reads `work.maxlen("predict")` tokens
            of each, and predicts.
    """

    def predict(work: Work) -> dict[str, float]:
        model, texts = load(work), work.texts("predict")
        model(texts[:2])
        return timed(lambda: model(texts))

    def single(work: Work) -> dict[str, float]:
        model, texts = load(work), work.texts("single")
        model(texts[0])
        return timed(lambda: [model(text) for text in texts])

    def cold(work: Work) -> dict[str, float]:
        load(work)(work.texts("single")[0])
        return {}

    return {"predict": predict, "single": single, "cold": cold}


def main(jobs: Mapping[str, Mapping[str, Job]], libraries: Sequence[str]) -> None:
    """Runs the job that the command line names, and tells what it found.

    Args:
        jobs: For each system, its jobs by name. `prepare`, where there is one, comes before those
            that predict and leaves the models that they need.
        libraries: Those whose versions matter.
    """
    system, name, folder = sys.argv[1:]
    figures = jobs[system][name](Work(Path(folder))) or {}
    tell({"figures": {k: float(v) for k, v in figures.items()}}, libraries)


def tell(found: dict[str, Any], libraries: Sequence[str]) -> None:
    """Writes the last line of output: what was found, and the versions of what was imported."""
    versions = {name: sys.modules[name].__version__ for name in libraries if name in sys.modules}
    sys.stdout.write("\n" + json.dumps({**found, "versions": versions}) + "\n")
