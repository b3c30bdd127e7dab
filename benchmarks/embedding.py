"""Time of turning texts into vectors: ktlite beside sentence-transformers.

    python benchmarks/embedding.py CHECKPOINT_FOLDER [--texts 2000] [--runs 5]
        [--batch-size 32] [--threads 0] [--reference-python PATH]

The texts are the film reviews in data/. Both libraries are loaded in a process of their own
which has embedded some texts before the clock starts, and the two take turns, so that a slow
minute of the machine meets both. CPU time is that of all threads. Where other programs use the
cores as well, take `--threads 1`: PyTorch's threads wait for each other by spinning, and one that
is held up costs the others time that says nothing. The vectors are compared, too. Linux only.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "embedding.json"
LIBRARIES = ("ktlite", "sentence-transformers")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path, help="a sentence-transformers checkpoint folder")
    parser.add_argument("--texts", type=int, default=2000, help="texts a run (default: 2000)")
    parser.add_argument("--runs", type=int, default=5, help="runs each (default: 5)")
    parser.add_argument("--batch-size", type=int, default=32, help="texts a batch (default: 32)")
    parser.add_argument("--threads", type=int, default=0, help="of each (default: all cores)")
    parser.add_argument(
        "--reference-python",
        default=sys.executable,
        help="interpreter that has sentence-transformers (default: this one)",
    )
    parser.add_argument("--serve", choices=LIBRARIES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options)
        return
    measured, vectors = take_turns(options)
    report(options, measured, vectors)


def take_turns(options: argparse.Namespace) -> tuple[dict[str, list[Any]], list[Any]]:
    """Runs both libraries, one after the other, again and again."""
    import numpy as np

    pythons = {"ktlite": sys.executable, "sentence-transformers": options.reference_python}
    processes = {name: start(pythons[name], name, options) for name in LIBRARIES}
    measured: dict[str, list[Any]] = {name: [] for name in LIBRARIES}
    with tempfile.TemporaryDirectory() as folder:
        for run in range(options.runs + 1):
            for name, process in processes.items():
                process.stdin.write(f"{folder}/{name}.npy\n")
                process.stdin.flush()
                answer = process.stdout.readline()
                if not answer:
                    sys.exit(f"{name} failed; its messages are above")
                if run:  # the first one warms up
                    measured[name].append(json.loads(answer))
        for process in processes.values():
            process.stdin.close()
            process.wait()
        return measured, [np.load(f"{folder}/{name}.npy") for name in LIBRARIES]


def start(python: str, name: str, options: argparse.Namespace) -> Any:
    """Starts a process that embeds the texts each time it is asked to."""
    command = [python, __file__, str(options.checkpoint), "--serve", name]
    command += ["--texts", str(options.texts), "--batch-size", str(options.batch_size)]
    command += ["--threads", str(options.threads)]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "CUDA_VISIBLE_DEVICES": "",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    return subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def serve(options: argparse.Namespace) -> None:
    """Embeds the texts for each line of the input, which names the file for the vectors."""
    import numpy as np

    with (ROOT / "data" / "movie_reviews.csv").open(encoding="utf-8", newline="") as file:
        texts = [row["text"] for row in csv.DictReader(file)][: options.texts]
    prepare = {"ktlite": ktlite_embed, "sentence-transformers": reference_embed}
    embed, versions = prepare[options.serve](
        options.checkpoint, options.batch_size, options.threads
    )
    embed(texts[:64])
    for line in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        vectors = embed(texts)
        figures = {
            "wall_s": time.perf_counter() - wall,
            "cpu_s": time.process_time() - cpu,
            "versions": versions,
        }
        np.save(line.strip(), vectors)
        sys.stdout.write(json.dumps(figures) + "\n")
        sys.stdout.flush()


Prepared = tuple[Callable[[list[str]], Any], dict[str, str]]


def ktlite_embed(checkpoint: Path, batch_size: int, threads: int) -> Prepared:
    import keras
    import tensorflow

    import ktlite

    tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
    tensorflow.config.threading.set_inter_op_parallelism_threads(threads)
    embedder = ktlite.get_embedder(checkpoint, batch_size=batch_size)
    return embedder.embed, {"keras": keras.__version__, "tensorflow": tensorflow.__version__}


def reference_embed(checkpoint: Path, batch_size: int, threads: int) -> Prepared:
    import sentence_transformers
    import torch

    if threads:
        torch.set_num_threads(threads)
    model = sentence_transformers.SentenceTransformer(str(checkpoint), device="cpu")
    versions = {
        "torch": torch.__version__,
        "sentence-transformers": sentence_transformers.__version__,
    }
    return lambda texts: model.encode(
        texts, batch_size=batch_size, show_progress_bar=False
    ), versions


def report(options: argparse.Namespace, measured: dict[str, Any], vectors: list[Any]) -> None:
    """Prints the medians and writes them."""
    figures = ("wall_s", "cpu_s")
    medians = {
        name: {figure: statistics.median(run[figure] for run in runs) for figure in figures}
        for name, runs in measured.items()
    }
    difference = float(abs(vectors[0] - vectors[1]).max())
    lines = [f"{'median of ' + str(options.runs):20}{'ktlite':>10}{'sentence-tr.':>14}  ratio"]
    for figure, label in zip(figures, ("wall time [s]", "CPU time [s]"), strict=True):
        ours, theirs = (medians[name][figure] for name in LIBRARIES)
        lines.append(f"{label:20}{ours:10.2f}{theirs:14.2f}{ours / theirs:7.2f}")
    lines.append(f"largest difference of a number in the vectors: {difference:.1e}")
    sys.stdout.write("\n".join(lines) + "\n")
    result = {
        "texts": options.texts,
        "batch_size": options.batch_size,
        "threads": options.threads or os.cpu_count(),
        "machine": {
            "cores": os.cpu_count(),
            "processor": platform.machine(),
            "python": platform.python_version(),
            **{key: v for runs in measured.values() for key, v in runs[0]["versions"].items()},
        },
        "medians": medians,
        "largest_difference": difference,
        **{f: {n: [run[f] for run in runs] for n, runs in measured.items()} for f in figures},
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
