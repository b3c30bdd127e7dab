"""What a training step's time goes into, by operator of TensorFlow: the profile of a ViT.

    OMP_NUM_THREADS=1 python benchmarks/operators.py [--config small|tiny] [--steps 4]

Trains `images.py`'s ViT on pictures in memory, on one thread, under TensorFlow's profiler, and adds
the time of each operator in `--steps` steps. Beside it stands what a matrix product of the blocks'
largest shape takes when it runs alone, as a rate: the most that the products of a step could reach.
"""

from __future__ import annotations

import argparse
import collections
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
from images import SMALL, TINY
from systems.ktlite_images import run_steps

CONFIGS = {"small": (SMALL, 32), "tiny": (TINY, 16)}
# What only holds or starts others.
_OUTER = (
    "Run",
    "Process",
    "while",
    "PartitionedCall",
    "StatefulPartitionedCall",
    "If",
    "IteratorGetNext",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", choices=CONFIGS, default="tiny")
    parser.add_argument("--steps", type=int, default=4)
    options = parser.parse_args()
    config, batch = CONFIGS[options.config]
    spent = profile(config, batch, options.steps)
    total = sum(spent.values())
    lines = ["| operator | ms a step | share |", "|---|---|---|"]
    for name, seconds in spent.most_common(15):
        lines.append(f"| {name} | {1000 * seconds / options.steps:.1f} | {seconds / total:.1%} |")
    work = products(config, batch)
    matmul = sum(seconds for name, seconds in spent.items() if "MatMul" in name) / options.steps
    rows = batch * tokens(config)
    alone = rate_alone(rows, config["hidden_size"], config["intermediate_size"])
    lines += [
        "",
        f"All operators: {1000 * total / options.steps:.0f} ms a step. Matrix products: "
        f"{work / 1e9:.1f} GFLOP a step in {1000 * matmul:.0f} ms, {work / matmul / 1e9:.0f} "
        f"GFLOP a second; alone, {rows} x {config['hidden_size']} times "
        f"{config['hidden_size']} x {config['intermediate_size']} reaches {alone / 1e9:.0f}.",
    ]
    sys.stdout.write("\n".join(lines) + "\n")


def tokens(config: dict[str, Any]) -> int:
    """Returns the tokens of a picture: its patches, and the one that stands for it."""
    return int((config["image_size"] // config["patch_size"]) ** 2) + 1


def products(config: dict[str, Any], batch: int) -> float:
    """Returns the floating-point operations of a step's matrix products, forward and backward."""
    width, inner, count = config["hidden_size"], config["intermediate_size"], tokens(config)
    kernels = 4 * width * width + 2 * width * inner
    a_block = 2 * count * kernels + 4 * count * count * width
    return 3.0 * batch * config["num_hidden_layers"] * a_block


def profile(config: dict[str, Any], batch: int, steps: int) -> collections.Counter[str]:
    """Returns the seconds that each operator took in some training steps, on one thread."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    with tempfile.TemporaryDirectory() as work:
        log = os.path.join(work, "log")
        spec = {"config": config, "batch_size": batch, "warm_up": 3, "steps": steps}
        spec["checkpoint"] = os.path.join(work, "vit")
        profiler = tf.profiler.experimental
        run_steps(spec, lambda: profiler.start(log), profiler.stop)
        return read(next(Path(log).rglob("*.xplane.pb")))


def read(file: Path) -> collections.Counter[str]:
    """Returns the seconds of each operator on the host, of a profile that TensorFlow wrote."""
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    space = xplane_pb2.XSpace()
    space.ParseFromString(file.read_bytes())
    spent: collections.Counter[str] = collections.Counter()
    for plane in space.planes:
        if not plane.name.startswith("/host:CPU"):
            continue
        for line in plane.lines:
            for event in line.events:
                name = plane.event_metadata[event.metadata_id].name
                # Operators are named "node:Kind".
                _, is_operator, kind = name.rpartition(":")
                if is_operator and kind.isidentifier() and kind not in _OUTER:
                    spent[kind] += event.duration_ps / 1e12
    return spent


def rate_alone(rows: int, width: int, inner: int, repeats: int = 20) -> float:
    """Returns the floating-point operations a second of one matrix product by itself."""
    import tensorflow as tf

    x, kernel = tf.random.normal((rows, width)), tf.random.normal((width, inner))
    run = tf.function(lambda: tf.matmul(x, kernel), autograph=False)
    run()
    start = time.process_time()
    for _ in range(repeats):
        run()
    return 2.0 * rows * width * inner * repeats / (time.process_time() - start)


if __name__ == "__main__":
    main()
