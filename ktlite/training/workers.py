"""Several machines: what Keras leaves to be done for `MultiWorkerMirroredStrategy`.

Each worker is a process with a replica of the model on each of its devices. All run the same
program over the same data, and each takes its share of every batch. A collective operation
waits for all workers, so all must run the same ones in the same order: what only one worker
can know, such as that it got a signal, is told to all before anything follows from it (`agreed`).
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import re
import signal
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ktlite._interrupts import put_back, set_handlers
from ktlite._logging import logger
from ktlite._stderr import stderr_without
from ktlite.errors import ArgumentError, Problems, TrainingError

_HOW = (
    "Start the script on all machines with `ktlite launch --workers HOST:PORT,HOST:PORT --index N "
    "script.py`, or on this one with `ktlite launch --workers 2 script.py`; `ktlite train` with "
    "`-m ktlite.cli train ...` in place of script.py"
)


# Once a process.
@functools.cache
def warn_if_alone() -> None:
    """Warns where `TF_CONFIG` tells of workers, and this process trains by itself all the same."""
    with contextlib.suppress(ValueError, TypeError, AttributeError):
        if len(_addresses()) > 1:
            logger.warning(
                "TF_CONFIG tells of %d workers, but this model is not made with "
                "strategy='multiworker': each trains by itself, and writes to the same places",
                len(_addresses()),
            )


def check_cluster(problems: Problems) -> None:
    """Records what is wrong with `TF_CONFIG`, which tells a worker of the others."""
    try:
        whole = bool(_addresses()) and {"type", "index"} <= _config().get("task", {}).keys()
    except (ValueError, TypeError, AttributeError) as error:
        problems.add(f"strategy='multiworker': TF_CONFIG cannot be read: {error}. {_HOW}.")
        return
    problems.add_unless(
        whole,
        "strategy='multiworker': TF_CONFIG does not tell of the workers, and which of them this "
        f"is. {_HOW}.",
    )


def _config() -> Any:
    return json.loads(os.environ.get("TF_CONFIG") or "{}")


def _addresses() -> list[str]:
    """Returns the addresses of the workers that `TF_CONFIG` tells of."""
    jobs = _config().get("cluster", {})
    return [*jobs.get("chief", ()), *jobs.get("worker", ())]


# One a process, as TensorFlow's server is.
@functools.cache
def multiworker() -> Any:
    """Returns the strategy over the workers of `TF_CONFIG`; waits until all are there.

    Raises:
        ArgumentError: If TensorFlow has been used already.
        TrainingError: If the workers do not meet.
    """
    import tensorflow as tf

    logger.info("waiting for all of the workers %s", ", ".join(_addresses()))
    try:
        with ending_at_signals(), stderr_without(r"[IW]\d{4} |/job:"):  # how the workers meet
            return tf.distribute.MultiWorkerMirroredStrategy()
    except tf.errors.OpError as error:
        raise TrainingError(
            f"worker {json.dumps(_config()['task'])} of {', '.join(_addresses())} did not meet the "
            f"others: {error.message}. Is its port in use, maybe by a worker of an earlier run? "
            "Are the addresses the same on all machines, and do all of their workers run?"
        ) from error
    except RuntimeError as error:
        raise ArgumentError(
            f"strategy='multiworker': {error}. Make the learner before anything else in the "
            "process uses TensorFlow."
        ) from error


@contextlib.contextmanager
def ending_at_signals() -> Iterator[None]:
    """Lets Ctrl-C end the process at once: TensorFlow's waiting does not return to Python."""
    before = set_handlers(signal.SIG_DFL, (signal.SIGINT, signal.SIGTERM))
    try:
        yield
    finally:
        put_back(before)


def has_workers(strategy: Any) -> bool:
    """Says whether a strategy spans several processes."""
    return strategy is not None and bool(strategy.extended._in_multi_worker_mode())


def workers_strategy(model: Any) -> Any:
    """Returns the strategy of a model that several processes train; else None."""
    strategy = getattr(model, "distribute_strategy", None)  # TensorFlow's models have one
    return strategy if has_workers(strategy) else None


def check_alone(problems: Problems, model: Any, why: str) -> None:
    """Records a problem if several processes train a model."""
    problems.add_unless(
        workers_strategy(model) is None, f"several workers train this model: {why}."
    )


def is_first(model: Any) -> bool:
    """Says whether this process is the one that writes: with several workers, the first."""
    strategy = workers_strategy(model)
    return strategy is None or bool(strategy.extended.should_checkpoint)


@contextlib.contextmanager
def first_writes(model: Any, what: object) -> Iterator[bool]:
    """Gives whether this process writes something; no worker goes on before it is there.

    Args:
        model: The model.
        what: What is written.

    Raises:
        TrainingError: If the first worker could not write it; that one has its own error.

    Example:
        >>> with first_writes(model, path) as first:
        ...     if first:
        ...         model.save(path)
    """
    failed = 1
    try:
        yield is_first(model)
        failed = 0
    finally:
        failed_anywhere = agreed(model, failed)
    if failed_anywhere and not failed:
        raise TrainingError(f"{what}: the first worker could not write it; see what it says.")


def agreed(model: Any, number: int) -> int:
    """Returns the largest of the numbers that the workers give; all must call it."""
    return int(_gathered(model, [number]).max())


def check_same(model: Any, settings: Mapping[str, Any]) -> None:
    """Refuses to train where workers are about to do different things; all must call it.

    Args:
        model: The model.
        settings: What must be the same on all workers, by names that a user knows.

    Raises:
        ArgumentError: If something is not.
    """
    if workers_strategy(model) is None:
        return
    names = {"what is set": ", ".join(settings)}
    for some in (names, settings):  # of other names, there may be another number
        found = _gathered(model, [_number(value) for value in some.values()])
        differs = (found != found[0]).any(axis=0)
        if differs.any():
            told = [
                f"{name} is here {value}, and another elsewhere"
                for name, value, other in zip(some, some.values(), differs, strict=True)
                if other
            ]
            raise ArgumentError(
                "all workers must do the same, with the same arguments on the same data: "
                f"{'; '.join(told)}."
            )


def _number(value: Any) -> int:
    return int.from_bytes(hashlib.sha256(str(value).encode()).digest()[:4], "little")


def _gathered(model: Any, numbers: Sequence[int]) -> np.ndarray:
    """Returns the numbers (below 2^32) of each worker, shape (workers, numbers)."""
    strategy = workers_strategy(model)
    if strategy is None:
        return np.array([numbers])
    import tensorflow as tf

    rows = np.zeros((strategy.extended._num_workers, 1 + len(numbers)))
    rows[strategy.extended._id_in_cluster] = [1, *numbers]
    with strategy.scope():
        mean = strategy.reduce("MEAN", tf.constant(rows), axis=None).numpy()
    return np.rint(mean[:, 1:] / mean[:, :1]).astype("int64")


def let_workers_fit(model: Any) -> None:
    """Lets `keras.Model.fit` and `evaluate` of a model run on several workers.

    Keras takes the mean of a step's figures over the workers along their first axis, which a
    number does not have; and it builds the metrics on a batch that it averages over them.
    """
    strategy = workers_strategy(model)
    if strategy is None or "test_step" in vars(model):
        return
    import keras

    def with_axis(step: Any) -> Any:
        return lambda data: keras.tree.map_structure(
            lambda figure: keras.ops.expand_dims(figure, 0), step(data)
        )

    def build(iterator: Any) -> None:
        _, _, batches = next(iter(iterator))
        own = strategy.experimental_local_results(next(batches))[0]
        with strategy.scope():
            model._symbolic_build(data_batch=own)

    # Past Keras, which tracks what is set.
    object.__setattr__(model, "train_step", with_axis(model.train_step))
    object.__setattr__(model, "test_step", with_axis(model.test_step))
    object.__setattr__(model, "_maybe_symbolic_build", build)


def is_lost(error: BaseException) -> bool:
    """Says whether an error of TensorFlow's is what a worker gets when another one has gone."""
    from tensorflow import errors

    kinds = (errors.UnavailableError, errors.AbortedError, errors.DeadlineExceededError)
    return isinstance(error, (*kinds, errors.CancelledError))


def tell_others(error: BaseException) -> None:
    """Tells the other workers that this one has left the training, for which they would wait."""
    from tensorflow import errors
    from tensorflow.python.eager import context

    reason = f"its training ended with {type(error).__name__}: {error}"
    with contextlib.suppress(errors.OpError):  # a cluster that has ended already
        context.context().report_error_to_cluster(errors.UNAVAILABLE, reason.splitlines()[0])


def worker_lost(error: BaseException) -> TrainingError:
    """Returns the error for a training whose other workers have gone."""
    found = re.search(r"aborted by: (.*?)\n(?:Additional|The )", str(error), re.DOTALL)
    reason = str(error).splitlines()[0] if found is None else found[1].replace("\n", " ")
    return TrainingError(
        f"another worker has gone, and training has stopped with it ({reason}). To go on from the "
        "newest checkpoint, start all workers again, with resume=True and the same "
        "checkpoint_folder in the fit."
    )
