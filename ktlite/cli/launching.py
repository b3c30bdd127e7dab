"""Starts the workers of a training on several machines, and ends all of them when one dies.

TensorFlow is not imported here: a worker needs its cluster's description, `TF_CONFIG`, before it
does so, and whoever watches over workers needs none of it.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ktlite._interrupts import Interrupts
from ktlite._logging import logger
from ktlite.errors import ArgumentError, TrainingError, plural

#: Seconds that workers have to end by themselves, once one has died.
GRACE = 10.0
_EVERY = 0.05  # seconds between two looks at the workers
_LAST_LINES = 20
_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of Linux' prctl


@dataclass(frozen=True)
class Worker:
    """A worker that runs on this machine.

    Args:
        index: Its number among all workers.
        process: Its process.
        log: File that has what it wrote; None: the launcher's own outputs have.
    """

    index: int
    process: subprocess.Popen[bytes]
    log: Path | None


def local_addresses(count: int) -> list[str]:
    """Returns addresses of this machine that are free now."""
    with contextlib.ExitStack() as stack:  # all open at a time, so that they differ
        held = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{one.getsockname()[1]}" for one in held]


def launch(
    command: Sequence[str],
    addresses: Sequence[str],
    own: Sequence[int],
    logs: str | os.PathLike[str] | None = None,
    grace: float = GRACE,
) -> None:
    """Runs a command as workers of a cluster, and returns when all of this machine have ended.

    The first of them has the outputs of this process; what the others write goes to files.
    Ctrl-C and SIGTERM are passed on, so that a training takes a checkpoint; a terminal that is
    closed is as SIGTERM. On Linux, workers get SIGTERM also where this process is killed.

    Args:
        command: What to run, such as `[sys.executable, "train.py"]`.
        addresses: `host:port` of each worker of the cluster.
        own: The numbers of the workers to run on this machine.
        logs: Folder for the outputs of all but the first. Default: a temporary one, which stays
            where a worker fails.
        grace: Seconds between SIGTERM and SIGKILL, where others must be ended.

    Raises:
        ArgumentError: If there are GPUs, but not one for each worker.
        TrainingError: If a worker fails; the others are ended.
        KeyboardInterrupt: After Ctrl-C.
        SystemExit: After SIGTERM.

    Example:
        >>> launch([sys.executable, "train.py"], local_addresses(2), [0, 1])
    """
    gpus = _gpus()
    if 0 < len(gpus) < len(own):
        raise ArgumentError(
            f"{len(own)} workers for {plural(len(gpus), 'GPU')}: each needs one of its own. Start "
            "fewer, or set CUDA_VISIBLE_DEVICES= to train on the CPU."
        )
    folder = Path(tempfile.mkdtemp(prefix="ktlite-workers-") if logs is None else logs)
    folder.mkdir(parents=True, exist_ok=True)
    with Interrupts("passing it on to the workers; once more ends them") as interrupts:
        workers: list[Worker] = []
        try:
            for place, index in enumerate(own):
                log = folder / f"worker-{index}.log" if place else None
                environment = _environment(addresses, index)
                if len(own) > 1 and gpus:
                    environment["CUDA_VISIBLE_DEVICES"] = ",".join(gpus[place :: len(own)])
                workers.append(_start(command, index, environment, log))
            if len(workers) > 1:
                logger.info("workers other than the first write to %s", folder)
            failed = _first_failure(workers, interrupts)
        finally:
            _end(workers, grace)
    if failed is None and logs is None:
        shutil.rmtree(folder, ignore_errors=True)
    interrupts.raise_if_any()
    if failed is not None:
        raise TrainingError(_account(failed, len(addresses)))


def _environment(addresses: Sequence[str], index: int) -> dict[str, str]:
    config = {"cluster": {"worker": list(addresses)}, "task": {"type": "worker", "index": index}}
    return {**os.environ, "TF_CONFIG": json.dumps(config)}


def _gpus() -> list[str]:
    """Returns the GPUs that this process may use, as `CUDA_VISIBLE_DEVICES` names them."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        # As CUDA does: up to the first that is none.
        names = [name.strip() for name in chosen.split(",")]
        return list(itertools.takewhile(lambda name: name not in ("", "-1", "NoDevFiles"), names))
    return [str(i) for i, _ in enumerate(Path("/dev").glob("nvidia[0-9]*"))]


def _start(
    command: Sequence[str], index: int, environment: dict[str, str], log: Path | None
) -> Worker:
    # In sessions of their own: else Ctrl-C would reach the workers twice.
    settings: dict[str, Any] = {"env": environment, "start_new_session": True}
    if sys.platform == "linux":
        prctl = ctypes.CDLL(None).prctl
        settings["preexec_fn"] = lambda: prctl(_DEATH_SIGNAL, signal.SIGTERM)
    if log is None:
        return Worker(index, subprocess.Popen(command, **settings), None)
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, **settings)
    return Worker(index, process, log)


def _first_failure(workers: Sequence[Worker], interrupts: Interrupts) -> Worker | None:
    """Waits until all workers have ended, or one has failed; returns that one.

    Of several that are found at a time, one that was killed: its peers fail because of it.
    After a signal all end by themselves, the first when it has kept a checkpoint.
    """
    passed_on: int | None = None
    while True:
        codes = [worker.process.poll() for worker in workers]
        bad = [(code, worker) for code, worker in zip(codes, workers, strict=True) if code]
        if bad and passed_on is None:
            return min(bad, key=lambda found: found[0] > 0)[1]
        if None not in codes:
            return None
        if interrupts.noted != passed_on:
            passed_on = interrupts.noted
            _signal(workers, passed_on or signal.SIGTERM)
        time.sleep(_EVERY)


def _end(workers: Sequence[Worker], grace: float) -> None:
    """Ends the workers that still run: SIGTERM, and after some seconds SIGKILL."""
    for number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, None)):
        _signal(workers, number)
        deadline = None if seconds is None else time.monotonic() + seconds
        for worker in workers:
            with contextlib.suppress(subprocess.TimeoutExpired):
                left = None if deadline is None else max(0.0, deadline - time.monotonic())
                worker.process.wait(left)


def _signal(workers: Sequence[Worker], number: int) -> None:
    for worker in workers:
        if worker.process.poll() is None:
            worker.process.send_signal(number)


def _account(worker: Worker, count: int) -> str:
    """Says how a worker has ended; of one that a signal ended, how to go on."""
    code = worker.process.returncode
    how = f"failed with exit code {code}"
    number = -code if code < 0 else code - 128  # as shells have it, and training
    killed = number in signal.valid_signals()
    if killed:
        how = f"was ended by {signal.Signals(number).name}"
    if number == signal.SIGKILL:
        how += " (which the system also sends where memory runs out)"
    lines = [f"worker {worker.index} of {count} {how}; the others were ended with it."]
    if worker.log is not None:
        with worker.log.open(encoding="utf-8", errors="replace", newline="\n") as file:
            # Of a progress bar, what was shown in the end.
            last = [re.split(r"[\r\b]", line.rstrip())[-1] for line in deque(file, _LAST_LINES)]
        lines += [f"The end of {worker.log}:", *(f"    {line}" for line in last)]
    if killed:  # others say themselves what is to be done
        lines.append(
            "To go on from the newest checkpoint, start it again with resume=True and the same "
            "checkpoint_folder in its fit."
        )
    return "\n".join(lines)
