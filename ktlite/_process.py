"""Notices a process that was forked from one in which TensorFlow has computed."""

from __future__ import annotations

import os
import sys

from ktlite.errors import ProcessError

_first: int | None = None  # the process in which a model of ktlite was made first


def check_process() -> None:
    """Remembers the first process that it is called in; raises in those that are forked from it.

    A fork copies the memory and one thread. TensorFlow waits there for its other threads, for
    ever. Importing it does no harm: it starts them for the first tensor.

    Raises:
        ProcessError: In a forked process.
    """
    keras = sys.modules.get("keras")
    if keras is not None and keras.config.backend() != "tensorflow":
        return
    global _first
    here = os.getpid()
    if _first is None:
        _first = here
    elif _first != here:
        raise ProcessError(
            f"this process ({here}) was forked from one ({_first}) in which TensorFlow had "
            "computed; its threads are not here, and it would never answer. Load predictors and "
            "make learners in each worker, and none before the fork (gunicorn: without --preload); "
            "or start workers with multiprocessing.get_context('spawn'); or export the predictor "
            "with predictor.export(folder, 'onnx') or 'litert': these work after a fork."
        )
