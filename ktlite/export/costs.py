"""What an export costs: its accuracy, size and time beside the model's."""

from __future__ import annotations

import statistics
import time
from typing import Any

import numpy as np

from ktlite.encodings.indexed import noun_of
from ktlite.inference.answers import answers
from ktlite.inference.runner import Runner


def costs(runner: Runner, data: Any, batch_size: int) -> dict[str, float]:
    """Measures a runner.

    Args:
        runner: Runs the model.
        data: A `Dataset` with labels.
        batch_size: Texts a batch.

    Returns:
        What the task's report has, such as `accuracy`; `one_text_ms`, the median time of 30 runs of
        a text of middle length; `texts_per_s`, of all texts in batches. Of another kind of input,
        its name stands in place of `text`.
    """
    task, noun = data.preproc.task, noun_of(data)
    middle = data.encodings.batch(np.argsort(data.lengths)[len(data) // 2 :][:1])
    runner(middle)  # the first run readies it
    start = time.perf_counter()
    logits = answers(runner, data.encodings, task, batch_size=batch_size)
    seconds = time.perf_counter() - start
    times = []
    for _ in range(30):
        begun = time.perf_counter()
        runner(middle)
        times.append(time.perf_counter() - begun)
    return {
        **task.report(logits, data.targets).metrics,
        f"one_{noun}_ms": 1e3 * statistics.median(times),
        f"{noun}s_per_s": len(data.items) / seconds,
    }
