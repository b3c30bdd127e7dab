"""The checkpoints of a training run: each one whole, checked, and enough to go on from.

A checkpoint is a folder `step-000120` with all variables in a safetensors file, the rest of
the run's state as JSON, and the digests of both. It is written beside its place and moved
there when it is complete, so that a run may be killed at any time.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ktlite._json import plain
from ktlite._logging import logger
from ktlite._tensor_writing import save_tensors
from ktlite.errors import ArgumentError, CheckpointError, PredictorError, listing
from ktlite.storage import MANIFEST, atomic_folder, read_manifest, write_manifest
from ktlite.training.identity import differences

TENSORS, STATE = "state.safetensors", "state.json"
_NAME = re.compile(r"step-(\d{6,})")
_NEWEST = 2  # kept, and the best


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that has been read.

    Args:
        folder: Where it lies.
        state: What JSON holds: `step`, `epoch`, `position` (batches of the epoch that are
            done), `finished`, `score` (of the
            epoch that has just ended; lower is better), `run`, and what callbacks keep.
        tensors: Arrays by name.
    """

    folder: Path
    state: dict[str, Any]
    tensors: dict[str, np.ndarray]


class Checkpoints:
    """The checkpoints of one run: the newest two, and the best.

    Args:
        folder: Where to. It is made if it is missing.
        run: What `identify` says of the run.
        monitor: The figure of an epoch by which one is the best.
        mode: `"min"` or `"max"`: which way is better.
        minutes: Between two checkpoints inside an epoch.
        first_epoch: Epochs that the data was trained on before this run.

    Attributes:
        first_epoch: Likewise; of a run that goes on, as it began.
        last: The checkpoint to go on from; None: from the beginning.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        run: Mapping[str, str],
        monitor: str,
        mode: str,
        minutes: float,
        first_epoch: int = 0,
    ) -> None:
        self.folder = Path(folder)
        self.run = dict(run)
        self.monitor = monitor
        self.sign = 1 if mode == "min" else -1
        self.seconds = 60 * minutes
        self.first_epoch = first_epoch
        self.last: Checkpoint | None = None

    def prepare(self, size: int) -> None:
        """Tries the folder, before an hour of training is lost, and cleans up in it.

        Args:
            size: Bytes of a checkpoint, about.

        Raises:
            ArgumentError: If the folder cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder):
                pass
            for leftover in self.folder.glob(".step-*.tmp"):  # of a run that was killed
                shutil.rmtree(leftover)
        except OSError as error:
            raise ArgumentError(
                f"checkpoint_folder={self.folder}: cannot write there: {error}"
            ) from error
        needed, free = (_NEWEST + 2) * size, shutil.disk_usage(self.folder).free
        if free < needed:
            logger.warning(
                "checkpoint_folder=%s: %.1f GB are free, and the checkpoints may take %.1f GB",
                self.folder,
                free / 1e9,
                needed / 1e9,
            )

    def found(self) -> str:
        """Says what checkpoints are in the folder."""
        if not self.folder.is_dir():
            return "no such folder"
        return listing(step_name(step) for step in steps_in(self.folder)) or "no checkpoints"

    def open(self, resume: bool) -> None:
        """Reads where to go on.

        Args:
            resume: Whether to go on from the newest checkpoint.

        Raises:
            ArgumentError: If the folder holds checkpoints and `resume` is false; or those of
                a run with other arguments or data.
            CheckpointError: If all of its checkpoints are damaged.
        """
        if resume:
            self.last = self._newest()
            if self.last is not None:
                self.first_epoch = self.last.state["first_epoch"]
        elif steps_in(self.folder):
            raise ArgumentError(
                f"checkpoint_folder={self.folder} holds the checkpoints of an earlier run "
                f"({listing(step_name(step) for step in steps_in(self.folder))}). To go on with "
                "that run, call its fit again with resume=True; for a new run, name another "
                "folder, or remove this one."
            )

    def _newest(self) -> Checkpoint | None:
        steps = steps_in(self.folder)
        for step in reversed(steps):
            try:
                found = read_checkpoint(self.folder / step_name(step))
            except CheckpointError as error:
                logger.warning("%s It is left out.", error)
                continue
            changed = differences(found.state["run"], self.run)
            if changed:
                raise ArgumentError(
                    f"checkpoint_folder={self.folder} is of another run, so resume=True cannot "
                    f"go on with it: {'; '.join(changed)}. Call it with the arguments and the "
                    "data of that run, or name another folder."
                )
            return found
        if steps:
            raise CheckpointError(
                f"checkpoint_folder={self.folder}: all of its checkpoints are damaged; remove "
                "it to start from the beginning."
            )
        return None

    def _score(self, value: Any) -> float | None:
        """Returns a figure as lower is better; None of what is no number, or not finite."""
        number = np.asarray(value, "float64") if np.size(value) == 1 else np.nan
        return float(self.sign * number) if np.isfinite(number) else None

    def write(self, state: dict[str, Any], tensors: Mapping[str, np.ndarray]) -> None:
        """Writes a checkpoint, then removes those that are no longer needed.

        Where that fails, a warning says so, and what was there stays.

        Args:
            state: As `Checkpoint` has it, without `run` and `score`.
            tensors: Arrays by name.
        """
        from safetensors import SafetensorError

        folder = self.folder / step_name(state["step"])
        score = None
        if state["position"] == 0 and state["history"].get(self.monitor):
            score = self._score(state["history"][self.monitor][-1])
        state = {**state, "run": self.run, "first_epoch": self.first_epoch, "score": score}
        try:
            with atomic_folder(folder, replace=_is_checkpoint) as new:
                save_tensors(tensors, new / TENSORS)
                (new / STATE).write_text(json.dumps(state, default=plain), encoding="utf-8")
                write_manifest(new, {"kind": "training checkpoint"})
        except (OSError, SafetensorError) as error:
            kept = [step_name(step) for step in steps_in(self.folder)]
            logger.warning(
                "the checkpoint %s could not be written: %s. Training goes on; what is there: %s",
                folder,
                error,
                listing(kept) or "none",
            )
            return
        steps = steps_in(self.folder)
        now = steps.index(state["step"]) + 1  # those after it were found damaged
        keep = {*steps[max(0, now - _NEWEST) : now], best_step(self.folder)}
        for step in set(steps) - keep:
            shutil.rmtree(self.folder / step_name(step), ignore_errors=True)


def step_name(step: int) -> str:
    """Returns the name of a checkpoint's folder.

    Example:
        >>> step_name(120)
        'step-000120'
    """
    return f"step-{step:06d}"


def steps_in(folder: Path) -> list[int]:
    """Returns the steps of the checkpoints in a folder, from old to new."""
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return sorted(int(match[1]) for name in names if (match := _NAME.fullmatch(name)))


def best_step(folder: Path) -> int | None:
    """Returns the step of the checkpoint with the best score; None: none has one."""
    scores = {}
    for step in steps_in(folder):
        try:
            state = json.loads((folder / step_name(step) / STATE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue  # damaged: whoever reads it is told
        if state["score"] is not None:
            scores[step] = state["score"]
    return min(scores, key=lambda step: scores[step]) if scores else None


def read_checkpoint(folder: Path) -> Checkpoint:
    """Reads a checkpoint, after checking all of it by its digests.

    Raises:
        CheckpointError: If it is missing or damaged.
    """
    from safetensors.numpy import load_file

    try:
        read_manifest(folder)
        state = json.loads((folder / STATE).read_text(encoding="utf-8"))
        return Checkpoint(folder, state, load_file(folder / TENSORS))
    except (PredictorError, OSError, ValueError) as error:
        # The advice after it is for predictors.
        what = str(error).split(". ")[0]
        raise CheckpointError(f"the checkpoint {folder} is damaged: {what}.") from error


def rate_of_run(folder: str | os.PathLike[str]) -> float | None:
    """Returns the learning rate of the run that a folder holds; None where it holds none.

    Args:
        folder: The `checkpoint_folder` of a fit.
    """
    for step in reversed(steps_in(Path(folder))):
        try:
            path = Path(folder) / step_name(step) / STATE
            schedule = json.loads(path.read_text(encoding="utf-8"))["run"]["schedule"]
        except (OSError, ValueError, LookupError):
            continue  # damaged: whoever reads it is told
        # As schedules are written: OneCycle(max_lr=5e-05, steps=...), Constant(lr=0.001)
        found = re.match(r"\w+\((?:max_)?lr=([\d.e+-]+)[,)]", schedule)
        return float(found[1]) if found else None
    return None


def find_checkpoint(folder: str | os.PathLike[str], which: str | int) -> Checkpoint:
    """Reads the checkpoint of a run that a user names.

    Args:
        folder: The `checkpoint_folder` of a fit.
        which: `"best"`, `"last"`, or the number of a step.

    Raises:
        ArgumentError: If there is none of that name.
        CheckpointError: If it is damaged.
    """
    path = Path(folder)
    steps = steps_in(path)
    if not steps:
        raise ArgumentError(f"there are no checkpoints in {path}.")
    known: dict[str | int, int | None] = {step: step for step in steps}
    step = {**known, "last": steps[-1], "best": best_step(path)}.get(which)
    if step is None:
        raise ArgumentError(
            f"which={which!r} is not in {path}; expected 'last', 'best' (once an epoch has ended) "
            f"or a step of {listing(steps)}."
        )
    return read_checkpoint(path / step_name(step))


def _is_checkpoint(folder: Path) -> bool:
    return {path.name for path in folder.iterdir()} <= {TENSORS, STATE, MANIFEST}
