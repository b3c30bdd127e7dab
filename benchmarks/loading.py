"""Time and memory of loading a checkpoint: ktlite beside PyTorch `transformers`.

    python benchmarks/loading.py CHECKPOINT_FOLDER [--runs 7] [--reference-python PATH]

Every run is a fresh process, and the two take turns, so that a slow minute of the machine
meets both. The clock starts when the libraries are imported; the time for that is reported
apart. Memory is what the process grows by, at its peak and in the end. Linux only.

PyTorch maps the file into memory and reads no weight before it is used, so that its loading
alone is not yet a model that works. The second pair of figures therefore goes on to the
hidden states of a first text.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results" / "loading.json"
TEXT = list(range(5, 25))  # token ids
LOADERS = ("ktlite", "transformers")
FIGURES = {
    "load_s": "loading [s]",
    "load_peak_mb": "peak growth of memory [MB]",
    "first_s": "loading and a first text [s]",
    "first_peak_mb": "peak growth of memory [MB]",
    "kept_mb": "growth of memory [MB]",
    "import_s": "importing [s]",
    "imported_mb": "memory before loading [MB]",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path, help="a Hugging Face checkpoint folder")
    parser.add_argument("--runs", type=int, default=7, help="processes each (default: 7)")
    parser.add_argument(
        "--reference-python",
        default=sys.executable,
        help="interpreter that has torch and transformers (default: this one)",
    )
    parser.add_argument("--measure", choices=LOADERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        sys.stdout.write(json.dumps(measure(options.measure, options.checkpoint)))
        return

    pythons = {"ktlite": sys.executable, "transformers": options.reference_python}
    measured: dict[str, list[dict[str, Any]]] = {name: [] for name in LOADERS}
    for run in range(options.runs + 1):
        for name in LOADERS:
            figures = run_apart(pythons[name], name, options.checkpoint)
            if run:  # the first one reads the files from the disk
                measured[name].append(figures)
    report(options.checkpoint, measured)


def run_apart(python: str, name: str, checkpoint: Path) -> dict[str, Any]:
    """Measures one load in a process of its own."""
    root = Path(__file__).resolve().parents[1]
    command = [python, __file__, str(checkpoint), "--measure", name]
    environment = {**os.environ, "PYTHONPATH": str(root), "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{name} failed:\n{done.stderr}")
    return json.loads(done.stdout)


def measure(name: str, checkpoint: Path) -> dict[str, Any]:
    """Loads the checkpoint in this process and returns the figures."""
    start = time.perf_counter()
    load, apply, versions = {"ktlite": prepare_ktlite, "transformers": prepare_torch}[name](
        checkpoint
    )
    imported = time.perf_counter()
    before = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    begin = time.perf_counter()
    model = load()
    loaded = time.perf_counter()
    load_peak = memory("VmHWM")
    apply(model)
    end = time.perf_counter()
    return {
        "load_s": loaded - begin,
        "load_peak_mb": load_peak - before,
        "first_s": end - begin,
        "first_peak_mb": memory("VmHWM") - before,
        "kept_mb": memory("VmRSS") - before,
        "import_s": imported - start,
        "imported_mb": before,
        "versions": versions,
    }


Prepared = tuple[Callable[[], Any], Callable[[Any], Any], dict[str, str]]


def prepare_ktlite(checkpoint: Path) -> Prepared:
    import keras
    import numpy as np
    import safetensors.numpy  # noqa: F401  (the other side has it loaded, too)
    import tensorflow

    from ktlite.models import from_pretrained

    inputs = {"input_ids": np.array([TEXT], np.int32)}
    versions = {"keras": keras.__version__, "tensorflow": tensorflow.__version__}
    return lambda: from_pretrained(checkpoint), lambda model: np.asarray(model(inputs)), versions


def prepare_torch(checkpoint: Path) -> Prepared:
    import torch
    import transformers
    from transformers import AutoConfig, AutoModel

    def apply(model: Any) -> Any:
        with torch.no_grad():
            return model(torch.tensor([TEXT])).last_hidden_state.numpy()

    # Imports the module of the architecture, which from_pretrained would do.
    assert AutoModel._model_mapping[type(AutoConfig.from_pretrained(checkpoint))]
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    return lambda: AutoModel.from_pretrained(checkpoint), apply, versions


def memory(field: str) -> float:
    """Returns a field of /proc/self/status in MB."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{field}:")[2].split()[0]) * 1024 / 1e6


def report(checkpoint: Path, measured: dict[str, list[dict[str, Any]]]) -> None:
    """Prints the medians and writes them."""
    medians = {
        name: {figure: statistics.median(run[figure] for run in runs) for figure in FIGURES}
        for name, runs in measured.items()
    }
    lines = [
        f"{'median of ' + str(len(measured['ktlite'])):30}{'ktlite':>10}{'PyTorch':>10}  ratio"
    ]
    for figure, label in FIGURES.items():
        ours, theirs = (medians[name][figure] for name in LOADERS)
        lines.append(f"{label:30}{ours:10.3f}{theirs:10.3f}{ours / theirs:7.2f}")
    sys.stdout.write("\n".join(lines) + "\n")
    result = {
        "model_bytes": sum(file.stat().st_size for file in checkpoint.glob("*.safetensors")),
        "runs": len(measured["ktlite"]),
        "machine": {
            "cores": os.cpu_count(),
            "processor": platform.machine(),
            "python": platform.python_version(),
            **{key: v for runs in measured.values() for key, v in runs[0]["versions"].items()},
        },
        "medians": medians,
        "load_s": {name: [run["load_s"] for run in runs] for name, runs in measured.items()},
        "first_s": {name: [run["first_s"] for run in runs] for name, runs in measured.items()},
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
