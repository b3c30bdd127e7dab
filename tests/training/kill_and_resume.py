"""Kills a training again and again, and compares what it ends with to one that was left alone.

    python tests/training/kill_and_resume.py --checkpoint FOLDER --kills 20 --ways onecycle ema

Each run is a process of its own, forked from one that has imported everything and computed
nothing. It kills itself (SIGKILL) from a second thread, some time after its first step: inside
a step, a validation or the writing of a checkpoint. Then the same call is made again with
`resume=True`, and is killed again, until there were as many kills as were asked for. Weights,
the optimizer's variables and the whole history must be those of the run that was left alone,
bit by bit.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

import ktlite

EPOCHS = 3
# What each way gives to get_learner, and how it trains.
WAYS: dict[str, tuple[dict[str, Any], str]] = {
    "small": ({}, "fit_onecycle"),
    "onecycle": ({}, "fit_onecycle"),
    "autofit": ({}, "autofit"),
    "accumulation": ({"accumulate": 4}, "fit_onecycle"),
    "ema": ({"ema": 0.9}, "fit_onecycle"),
    "bfloat16": ({"precision": "bfloat16"}, "fit_onecycle"),
}


class AfterFirstStep(keras.callbacks.Callback):
    """Calls a function once, when the graph is traced and the steps are fast."""

    def __init__(self, function: Callable[[], None]) -> None:
        super().__init__()
        self.function: Callable[[], None] | None = function

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.function is not None:
            self.function()
        self.function = None


def make_data(rows: int, seed: int = 0) -> tuple[list[str], list[str]]:
    """Returns texts of the letters of their class, and the classes."""
    choose = random.Random(seed)
    letters = {"ham": "abc", "spam": "mno", "toast": "xyz"}
    labels = [choose.choice(sorted(letters)) for _ in range(rows)]
    return [" ".join(choose.choices(letters[c], k=choose.randint(2, 12))) for c in labels], labels


def make_learner(checkpoint: str | None, way: str, rows: int) -> Any:
    """Returns the learner of a way: of texts, or of a few numbers."""
    if way != "small":
        options = {"maxlen": 24, "batch_size": 8, "val_pct": 0.2, "verbose": 0, **WAYS[way][0]}
        return ktlite.get_learner(checkpoint, make_data(rows), **options)
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(rows, 4)).astype("float32")
    layers = [keras.Input((4,)), keras.layers.Dropout(0.2, seed=1), keras.layers.Dense(1)]
    model = keras.Sequential(layers)
    model.compile("adam", loss="mse", metrics=["mae"])
    return ktlite.get_learner(model, (x, x.sum(axis=1)), (x, x.sum(axis=1)), batch_size=4)


def train(
    checkpoint: str | None,
    way: str,
    rows: int,
    folder: Path,
    checkpoints: bool = True,
    die_after: float | None = None,
) -> None:
    """Trains, or goes on, in this process; writes what came of it to `result.json`."""
    learner, method = make_learner(checkpoint, way, rows), WAYS[way][1]
    started: list[float] = []

    def begin() -> None:
        started.append(time.monotonic())
        if die_after is not None:
            threading.Thread(target=die, daemon=True).start()

    def die() -> None:
        time.sleep(die_after or 0)
        os.kill(os.getpid(), signal.SIGKILL)

    keeping: dict[str, Any] = {}
    if checkpoints:
        keeping = {"checkpoint_folder": folder / "run", "resume": True, "save_every": 0.001}
    plateau = {"early_stopping": 2, "reduce_on_plateau": 1} if method == "autofit" else {}
    history = getattr(learner, method)(
        2e-3, EPOCHS, callbacks=[AfterFirstStep(begin)], verbose=0, **keeping, **plateau
    )
    seconds = time.monotonic() - started[0] if started else 0.0
    digest = hashlib.sha256()
    for variable in (*learner.model.variables, *learner.model.optimizer.variables):
        digest.update(np.ascontiguousarray(keras.ops.convert_to_numpy(variable)).tobytes())
    result = {"variables": digest.hexdigest(), "history": history.history, "epochs": history.epoch}
    text = json.dumps({"seconds": seconds, "result": result})
    (folder / "result.json").write_text(text, encoding="utf-8")


def run(*arguments: Any) -> int:
    """Runs `train` in a process; returns its exit code."""
    process = multiprocessing.get_context("fork").Process(target=train, args=arguments)
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def compare(checkpoint: str | None, way: str, rows: int, kills: int, seed: int) -> str:
    """Kills a run `kills` times; returns a line on it.

    Raises:
        SystemExit: If the runs end differently.
    """
    moments, done, restarts = random.Random(seed), 0, 0
    with tempfile.TemporaryDirectory() as scratch:
        alone = Path(scratch, "alone")
        alone.mkdir()
        if run(checkpoint, way, rows, alone, False):
            raise SystemExit(f"{way}: the run that was left alone failed")
        expected = json.loads((alone / "result.json").read_text(encoding="utf-8"))
        while done < kills:
            restarts += 1
            folder = Path(scratch, f"killed{restarts}")
            folder.mkdir()
            while True:
                # So that the kills are spread over the run.
                wait = moments.uniform(0, 2 * expected["seconds"] / kills)
                die_after = wait if done < kills else None
                code = run(checkpoint, way, rows, folder, True, die_after)
                if code == 0:
                    break
                if code != -signal.SIGKILL:
                    raise SystemExit(f"{way}: a resumed run failed with exit code {code}")
                done += 1
            found = json.loads((folder / "result.json").read_text(encoding="utf-8"))
            if found["result"] != expected["result"]:
                raise SystemExit(f"{way}: after {done} kills the run ended differently")
    return f"{way}: {done} kills in {restarts} runs, equal to the run that was left alone"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--checkpoint", help="folder of one, for all ways but small")
    parser.add_argument("--kills", type=int, default=4)
    parser.add_argument("--rows", type=int, default=160)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    given = parser.parse_args()
    for way in given.ways:
        line = compare(given.checkpoint, way, given.rows, given.kills, given.seed)
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
