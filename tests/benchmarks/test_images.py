"""The benchmark of images: its table, what it refuses, and its code on a small model."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SCRIPT = BENCHMARKS / "images.py"
spec = importlib.util.spec_from_file_location("benchmark_turns", BENCHMARKS / "turns.py")
assert spec is not None and spec.loader is not None
turns = importlib.util.module_from_spec(spec)
spec.loader.exec_module(turns)


def runs(*figures: dict[str, float]) -> list[dict[str, Any]]:
    return [{"figures": each, "process": {"cpu_s": 2.0}} for each in figures]


def test_means_of_accuracies_and_medians_of_ratios() -> None:
    ours = runs(*({"accuracy": a, "cpu_s": s} for a, s in ((0.5, 1.0), (0.6, 2.0), (0.7, 9.0))))
    theirs = runs(*({"accuracy": a, "cpu_s": s} for a, s in ((0.6, 3.0), (0.6, 2.0), (0.6, 18.0))))
    names = {"ktlite": "ktlite", "pytorch": "PyTorch"}
    assert turns.table({"fit": {"ktlite": ours, "pytorch": theirs}}, names)[2:] == [
        "| fit | accuracy | 0.600 (0.500, 0.600, 0.700) | 0.600 (0.600, 0.600, 0.600) "
        "| +0.0 points |",
        "| fit | cpu_s | 2 | 3 | 2.00 |",
        "| fit | process cpu_s | 2 | 2 | 1.00 |",
    ]


def run(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_accuracy_needs_data() -> None:
    done = run("--jobs", "fit")
    assert done.returncode == 2
    assert "fit needs --data" in done.stderr


@pytest.mark.torch
def test_a_small_model_is_measured() -> None:
    done = run("--jobs", "step", "--quick", "--runs", "1")
    assert done.returncode == 0, done.stderr
    assert "| step, quick, batch 4 | cpu_s |" in done.stderr
