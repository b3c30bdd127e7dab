"""Trains as one of two workers, and writes what came of it as JSON, a file a worker.

    ktlite launch --workers 2 two_workers.py die|train STILL CHECKPOINT FOLDER

STILL is a checkpoint without dropout. `die` leaves a run that `train` goes on with, after all
else that two workers do. Then the first worker trains by itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from two_devices import TRAIN, VAL, texts, weights

import ktlite
from ktlite.errors import KtliteError
from ktlite.training.checkpoints import steps_in
from ktlite.training.distribution import make_strategy
from ktlite.training.optimizers import AdamW

INDEX = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
EPOCHS, DIES_AT = 3, 6  # 4 batches an epoch


class SendAt(keras.callbacks.Callback):
    """Sends this process a signal after some steps."""

    def __init__(self, step: int, number: int) -> None:
        super().__init__()
        self.left, self.number = step, number

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.left -= 1
        if not self.left:
            os.kill(os.getpid(), self.number)


class FailAt(SendAt):
    """Raises an error after some steps."""

    def __init__(self, step: int) -> None:
        super().__init__(step, 0)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.left -= 1
        if not self.left:
            raise OSError("the disk of worker 1 is full")


def learner(checkpoint: str, strategy: str | None = "multiworker", **options: Any) -> Any:
    settings = {"maxlen": 24, "batch_size": 8, "eval_batch_size": 8, "verbose": 0, **options}
    return ktlite.get_learner(
        checkpoint, texts(TRAIN, 0), texts(VAL, 1), strategy=strategy, **settings
    )


def train(checkpoint: str, strategy: str | None) -> dict[str, Any]:
    """Does what a user does, and returns all figures."""
    here = learner(checkpoint, strategy)
    before = weights(here.model)
    # A little clipping norm, so that it matters whose gradient is clipped.
    here.model.optimizer.global_clipnorm = 0.1
    found = here.lr_find(start_lr=1e-5, max_lr=1e-1, lr_mult=2.0, verbose=0)
    restored = bool((weights(here.model) == before).all())
    history = here.fit_onecycle(1e-3, 2, class_weight="balanced", verbose=0).history
    proba = here.predict()
    stopped = here.autofit(1e-3, 3, early_stopping=1, monitor="val_loss", verbose=0)
    here.freeze(1)
    here.fit(1e-3, 1, verbose=0)
    return {
        "sweep": found.losses.tolist(),
        "restored": restored,
        "val_loss": history["val_loss"],
        "val_accuracy": history["val_accuracy"],
        "loss": history["loss"],
        "proba": proba.tolist(),
        "epochs": len(stopped.history["loss"]),
        "frozen": here.predict().tolist(),
        "matrix": here.validate(print_report=False).tolist(),
    }


def with_dropout(checkpoint: str, resume: Path | None = None, dies: bool = False) -> dict[str, Any]:
    """Trains on two workers, maybe from checkpoints; returns predictions and history."""
    here = learner(checkpoint)
    keeping: dict[str, Any] = {}
    if resume is not None:
        keeping = {"checkpoint_folder": resume, "resume": not dies, "save_every": 1e-4}
    callbacks = [SendAt(DIES_AT, signal.SIGKILL)] if dies and INDEX == 1 else []
    history = here.fit_onecycle(1e-3, EPOCHS, callbacks=callbacks, verbose=0, **keeping).history
    return {"proba": here.predict().tolist(), "history": history}


def linear() -> Any:
    """Returns the learner of a Keras model, of four batches an epoch."""
    x = np.random.default_rng(0).normal(size=(32, 4)).astype("float32")
    with make_strategy("multiworker", None).scope():
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        model.compile("adam", loss="mse")
    return ktlite.get_learner(model, (x, x.sum(axis=1)), batch_size=8)


def accumulated(strategy: str | None, batch_size: int, group: int | None) -> list[float]:
    """Trains a Keras model with all of its 30 rows in a step; returns its weights."""
    x = np.random.default_rng(0).normal(size=(30, 4)).astype("float32")
    with contextlib.nullcontext() if strategy is None else make_strategy(strategy, None).scope():
        dense = keras.layers.Dense(1, kernel_initializer=keras.initializers.GlorotUniform(1))
        model = keras.Sequential([keras.Input((4,)), dense])
        model.compile(AdamW(epsilon=1.0, gradient_accumulation_steps=group), loss="mse")
    ktlite.get_learner(model, (x, x.sum(axis=1)), batch_size=batch_size).fit(0.5, 3, verbose=0)
    return weights(model).tolist()


def interrupted(folder: Path) -> dict[str, Any]:
    """Trains a Keras model; the second worker alone gets Ctrl-C, after 5 steps, and at the end."""
    here = linear()
    try:
        stop = [SendAt(5, signal.SIGINT)] if INDEX == 1 else []
        here.fit(1e-3, 3, callbacks=stop, checkpoint_folder=folder, verbose=0)
    except KeyboardInterrupt:
        found = {"steps": len(here.history.history["lr"]), "kept": steps_in(folder)}
    try:
        stop = [SendAt(4, signal.SIGINT)] if INDEX == 1 else []
        here.fit(1e-3, 1, callbacks=stop, verbose=0)
    except KeyboardInterrupt:
        return {**found, "at the end": len(here.history.history["lr"])}
    return {}


def shared(folder: Path) -> dict[str, Any]:
    """Reads what the first worker has just written; returns the weights, and the steps kept."""
    here = linear()
    here.fit(1e-3, 3, checkpoint_folder=folder, verbose=0)
    found = []
    for which in ("best", "last"):
        here.load_checkpoint(folder, which)
        found.append(weights(here.model).tolist())
    here.fit(1e-3, 3, checkpoint_folder=folder, resume=True, verbose=0)
    here.save_model(folder.parent / "model")
    here.load_model(folder.parent / "model")
    return {"weights": [*found, weights(here.model).tolist()], "kept": steps_in(folder)}


def refusals(checkpoint: str, own: Path) -> dict[str, str]:
    """Returns what is said of that which cannot work; `own` is a folder of this worker alone."""
    here = learner(checkpoint)
    x = np.zeros((8, 4), "float32")
    stream = tf.data.Dataset.from_tensor_slices((x, x)).batch(4, drop_remainder=True)
    with make_strategy("multiworker", None).scope():
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4)])
        model.compile("adam", loss="mse")
    arrays = ktlite.get_learner(model, (x, x), batch_size=4)
    other = ktlite.get_learner(model, (x + INDEX, x), batch_size=4)
    said = {}
    for name, call in {
        "folder": lambda: arrays.fit(1e-3, 1, checkpoint_folder=own),
        "data": lambda: other.fit(1e-3, 1),
        "sweep": lambda: other.lr_find(),
        "rate": lambda: arrays.fit(1e-3 * (1 + INDEX), 1),
        "saved": lambda: arrays.save_model(__file__),
        "batch_size": lambda: learner(checkpoint, batch_size=7),
        "fit_within": lambda: here.fit_within(minutes=1, lr=1e-3),
        "find_batch_size": lambda: here.find_batch_size(),
        "stream": lambda: ktlite.get_learner(model, stream).fit(1e-3, 1),
    }.items():
        try:
            call()
        except KtliteError as error:
            said[name] = str(error)
    return said


def failed() -> str:
    """Trains a Keras model, and the second worker fails; returns each worker's error."""
    fails = [FailAt(3)] if INDEX == 1 else []
    try:
        linear().fit(1e-3, 3, callbacks=fails)
    except (KtliteError, OSError) as error:
        return str(error)
    return ""


def saved(checkpoint: str, folder: Path) -> list[str]:
    """Saves to places that only this worker has; returns what is there then."""
    here = learner(checkpoint)
    here.get_predictor().save(folder / "predictor")
    here.save_model(folder / "model")
    return sorted(path.name for path in folder.glob("*"))


def main(what: str, still: str, checkpoint: str, place: str) -> None:
    # A process in the background ignores Ctrl-C, and so would what it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    folder = Path(place)
    if what == "train":
        own = folder / f"own-{INDEX}"
        own.mkdir()
        results: dict[str, Any] = {
            "workers": train(still, "multiworker"),
            "dropout": with_dropout(checkpoint),
            "accumulated": accumulated("multiworker", 8, 4),
            "interrupted": interrupted(folder / "interrupted"),
            "shared": shared(folder / "shared"),
            "refusals": refusals(still, folder / f"run-{INDEX}"),
            "saved": saved(still, own),
            "resumed": with_dropout(checkpoint, folder / "run"),
            "failed": failed(),
        }
        if INDEX == 0:
            results["alone"] = train(still, None)
            results["whole"] = accumulated(None, 30, None)
    else:
        results = with_dropout(checkpoint, folder / "run", dies=True)
    (folder / f"{what}-{INDEX}.json").write_text(json.dumps(results), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
