"""The jobs of `images.py` with ktlite."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from systems.measuring import Stopwatch, tell


def make_checkpoint(spec: dict[str, Any]) -> str:
    """Writes the model to start from, for both systems; returns its folder."""
    from ktlite.models import from_config

    names = sorted(folder.name for folder in Path(spec["data"], "train").iterdir())
    config = {**spec["config"], "id2label": dict(enumerate(names))}
    model = from_config(config, "image-classification", num_labels=len(names), seed=spec["seed"])
    model.save_pretrained(spec["checkpoint"])
    return spec["checkpoint"]


def fit(spec: dict[str, Any]) -> dict[str, Any]:
    """Trains on class folders; leaves the order of the training pictures for the others."""
    import ktlite

    learner = ktlite.get_learner(
        make_checkpoint(spec),
        f"{spec['data']}/train",
        f"{spec['data']}/valid",
        batch_size=spec["batch_size"],
        seed=spec["seed"],
        check=False,
        verbose=0,
    )
    orders = [[rows.tolist() for rows in learner._train.plan(n)] for n in range(spec["epochs"])]
    Path(spec["orders"]).write_text(json.dumps(orders))
    learner.fit_onecycle(spec["rate"], spec["epochs"], verbose=0)
    found = learner.get_predictor().metrics(f"{spec['data']}/test")
    return {"accuracy": found["accuracy"], "loss": learner.history.history["loss"][-1]}


def step(spec: dict[str, Any]) -> dict[str, Any]:
    """Times training steps on pictures that are in memory, after some to warm up."""
    watch: list[Stopwatch] = []
    measured: dict[str, float] = {}

    def end() -> None:
        measured.update({k: v / spec["steps"] for k, v in watch[0].read().items()})

    run_steps(spec, lambda: watch.append(Stopwatch()), end)
    return measured


def run_steps(spec: dict[str, Any], begin: Callable[[], None], end: Callable[[], None]) -> None:
    """Trains on noise.

    Args:
        spec: `config`, `batch_size`, `warm_up` and `steps`, and the folder of the `checkpoint`.
        begin: Called after the steps to warm up.
        end: Called after `steps` more.
    """
    import keras
    import numpy as np

    import ktlite
    from ktlite.models import from_config

    random, config = np.random.default_rng(0), spec["config"]
    warm_up, steps = spec["warm_up"], spec["steps"]
    count, side = spec["batch_size"] * (warm_up + steps), config["image_size"]
    names = ["no", "yes"]
    model = from_config(
        {**config, "id2label": dict(enumerate(names))}, "image-classification", num_labels=2
    )
    model.save_pretrained(spec["checkpoint"])
    pictures = list(random.integers(0, 256, (count, side, side, 3), "uint8"))

    class Counter(keras.callbacks.Callback):
        done = 0

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.done += 1
            if self.done == warm_up:
                begin()
            elif self.done == warm_up + steps:
                end()

    train, val = (pictures, (names * count)[:count]), (pictures[:2], names)
    learner = ktlite.get_learner(
        spec["checkpoint"], train, val, batch_size=spec["batch_size"], check=False, verbose=0
    )
    learner.fit_onecycle(1e-4, 1, callbacks=[Counter()], verbose=0)


if __name__ == "__main__":
    told = json.loads(sys.argv[2])
    tell({"figures": {"fit": fit, "step": step}[sys.argv[1]](told)}, ["keras", "tensorflow"])
