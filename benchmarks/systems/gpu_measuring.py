"""What the systems of `gpu.py` share: the batch, the clock, and how passes are run."""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from systems.measuring import tell

WARM_UP, ROUNDS = 3, 5

Pass = Callable[[dict[str, Any], list[int]], Callable[[], Any]]


def batch(config: dict[str, Any], shape: list[int]) -> dict[str, Any]:
    """Returns int32 tokens [batch, length]; every second text is an eighth shorter."""
    size, length = shape
    ids = np.random.default_rng(0).integers(0, config["vocab_size"], shape, dtype=np.int32)
    mask = np.ones(shape, np.int32)
    mask[size // 2 :, length - length // 8 :] = 0
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros(shape, np.int32)}


def seconds(run: Callable[[], Any], wait: Callable[[Any], Any], calls: int) -> float:
    """Returns the seconds of a call: the median of some rounds of `calls` calls each."""
    for _ in range(WARM_UP):
        wait(run())
    rounds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(calls):
            result = run()
        wait(result)
        rounds.append((time.perf_counter() - start) / calls)
    return statistics.median(rounds)


def main(
    device_name: Callable[[str], str],
    passes: Mapping[str, Pass],
    wait: Callable[[Any], Any],
    libraries: Sequence[str],
) -> None:
    """Measures what the command line asks for, and tells what it found.

    Args:
        device_name: Returns it; ends the process where the device is not the one asked for.
        passes: By name: what returns a function that runs it once, for a config and a shape.
        wait: Waits for a result.
        libraries: Those whose versions matter.
    """
    spec = json.loads(sys.argv[2])
    device = device_name(spec["device"])
    rows = []
    for name, prepare in passes.items():
        for shape in spec["shapes"]:
            took = seconds(prepare(spec["config"], shape), wait, spec["calls"])
            rows.append({"pass": name, "batch": shape[0], "length": shape[1], "seconds": took})
    tell({"device": device, "rows": rows}, libraries)
