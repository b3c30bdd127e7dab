"""What the jobs of all systems share: their inputs, a clock, and how figures are told."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Job = Callable[["Work"], "dict[str, float] | None"]


class Work:
    """The folder with the data, and what the jobs have to know.

    Args:
        folder: What `data.prepare` wrote to.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spec = json.loads((folder / "spec.json").read_text())

    def texts(self, job: str) -> list[str]:
        return json.loads((self.folder / f"{job}.json").read_text(encoding="utf-8"))

    def maxlen(self, job: str) -> int:
        return self.spec["maxlen"][job]


def timed(work: Callable[[], Any]) -> dict[str, float]:
    """Runs something and returns its seconds of wall and CPU time."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}


def predicting(
    load: Callable[[Work], Callable[..., Any]],
    options: Callable[[Work], dict[str, Any]] = lambda work: {},
) -> dict[str, Job]:
    """Returns the jobs that predict.

    Args:
        load: Returns what takes a text, or a list of them, and predicts.
        options: What it takes besides for a list.
    """

    def predict(work: Work) -> dict[str, float]:
        model, texts = load(work), work.texts("predict")
        model(texts[:2])
        return timed(lambda: model(texts, **options(work)))

    def single(work: Work) -> dict[str, float]:
        model, texts = load(work), work.texts("single")
        model(texts[0])
        return timed(lambda: [model(text) for text in texts])

    def cold(work: Work) -> dict[str, float]:
        load(work)(work.texts("single")[0])
        return {}

    return {"predict": predict, "single": single, "cold": cold}


def main(jobs: dict[str, Job]) -> None:
    """Runs the job that the command line names, and prints its figures as the last line."""
    name, folder = sys.argv[1:3]
    job = jobs.get(name)
    figures = None if job is None else job(Work(Path(folder)))
    if figures is not None:
        sys.stdout.write("\n" + json.dumps({k: float(v) for k, v in figures.items()}) + "\n")
