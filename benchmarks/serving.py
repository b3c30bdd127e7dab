"""A process that serves a predictor: cold start, peak memory and the time of one text.

    python benchmarks/serving.py PREDICTOR_FOLDER [--runs 3] [--reference-python PATH]

The predictor is exported to ONNX, in float32 and int8. Each run is a new process that loads the
model and predicts: with Keras, with ONNX Runtime, and with PyTorch's pipeline where the reference
interpreter has `torch` and `transformers`. They take turns. Cold start is from the start of the
process to the first prediction. Set OMP_WAIT_POLICY=PASSIVE where other programs use the cores.
Linux only.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TEXT = "A warm, funny, engaging film that the whole family will enjoy, from beginning to end."
LOAD = {
    "ktlite": "import ktlite; predict = ktlite.load_predictor({folder!r}).predict",
    "pytorch": "from transformers import pipeline; import torch; "
    "predict = pipeline('text-classification', {folder!r}, device='cpu')",
}
SCRIPT = """
import resource, statistics, time
{load}
predict({text!r})
used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
born = int(open("/proc/self/stat").read().rpartition(")")[2].split()[19]) / 100
wall = float(open("/proc/uptime").read().split()[0]) - born
times = []
for _ in range(100):
    start = time.perf_counter()
    predict({text!r})
    times.append(time.perf_counter() - start)
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]
print(wall, used, int(peak) / 1024, 1e3 * statistics.median(times))
"""
FIGURES = ("cold start, wall [s]", "cold start, CPU [s]", "peak memory [MiB]", "one text [ms]")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("predictor", type=Path, help="a folder that Predictor.save wrote")
    parser.add_argument("--runs", type=int, default=3, help="processes each (default: 3)")
    parser.add_argument(
        "--reference-python",
        default=sys.executable,
        help="interpreter that has torch and transformers (default: this one)",
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as top:
        systems = {"Keras": (sys.executable, "ktlite", options.predictor)}
        for name, quantize in (("ONNX", "None"), ("ONNX int8", "'int8'")):
            folder = Path(top, name)
            export = f"ktlite.load_predictor({str(options.predictor)!r}).export({str(folder)!r}, "
            run(sys.executable, f"import ktlite; {export}'onnx', {quantize})")
            systems[name] = (sys.executable, "ktlite", folder)
        systems["PyTorch"] = (options.reference_python, "pytorch", options.predictor)
        measured: dict[str, list[list[float]]] = {name: [] for name in systems}
        for _ in range(options.runs):
            for name, (python, library, folder) in systems.items():
                load = LOAD[library].format(folder=str(folder))
                printed = run(python, SCRIPT.format(load=load, text=TEXT))
                measured[name].append([float(x) for x in printed.split()[-4:]])
    lines = ["".join(f"{title:>22}" for title in ("", *FIGURES))]
    for name, runs in measured.items():
        medians = [statistics.median(column) for column in zip(*runs, strict=True)]
        lines.append(f"{name:>22}" + "".join(f"{x:22.2f}" for x in medians))
    sys.stdout.write("\n".join(lines) + "\n")


def run(python: str, script: str) -> str:
    """Runs a script in a new process and returns what it prints."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [python, "-c", script], env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


if __name__ == "__main__":
    main()
