"""The benchmark for a GPU: its arithmetic, what it refuses, and its code on a small model."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.py"
spec = importlib.util.spec_from_file_location("benchmark_gpu", SCRIPT)
assert spec is not None and spec.loader is not None
gpu = importlib.util.module_from_spec(spec)
spec.loader.exec_module(gpu)


def has(*libraries: str) -> bool:
    return all(importlib.util.find_spec(library) for library in libraries)


def run(results: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), "--results", str(results), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_operations_are_those_of_the_matrix_products() -> None:
    batch, length, width, inner, heads = 3, 7, 8, 20, 2
    config = {"hidden_size": width, "intermediate_size": inner, "num_hidden_layers": 5}
    products = [  # (rows, inner size, columns) of each matrix product of a layer
        (batch * length, width, 3 * width),
        *[(length, width // heads, length)] * (batch * heads),
        *[(length, length, width // heads)] * (batch * heads),
        (batch * length, width, width),
        (batch * length, width, inner),
        (batch * length, inner, width),
    ]
    forward = 5 * sum(2 * a * b * c for a, b, c in products)
    assert gpu.operations(config, "forward", batch, length) == forward
    assert gpu.operations(config, "train", batch, length) == 3 * forward


@pytest.mark.parametrize(
    ("device", "tflops"),
    [("NVIDIA H200", 989), ("NVIDIA H100 PCIe", 756), ("NVIDIA A10G", 70), ("cpu", None)],
)
def test_peak_of_a_device(device: str, tflops: float | None) -> None:
    assert gpu.peak(device) == tflops


def test_share_of_the_peak() -> None:
    config = {"hidden_size": 1000, "intermediate_size": 4000, "num_hidden_layers": 10}
    row = {"pass": "train", "batch": 10, "length": 100, "seconds": 0.0073}
    measured = {"ktlite": {"rows": [row]}, "pytorch": {"rows": [{**row, "seconds": 0.0146}]}}
    # 3 x 10 x 100 x 10 x (8e6 + 16e6 + 0.4e6) = 7.32e11 operations
    assert gpu.table(measured, config, top=200)[2:] == [
        "| train | 10 x 100 | ktlite | 7.30 | 100.3 | 50% |",
        "| train | 10 x 100 | pytorch | 14.60 (2.00x) | 50.1 | 25% |",
    ]


def test_the_whole_size_is_for_gpus(tmp_path: Path) -> None:
    done = run(tmp_path, "--device", "cpu")
    assert done.returncode == 2
    assert "add --quick" in done.stderr


@pytest.mark.skipif(has("jax", "jax_cuda12_plugin"), reason="there may be a GPU")
@pytest.mark.skipif(has("jax", "jax_cuda13_plugin"), reason="there may be a GPU")
def test_without_a_gpu_nothing_is_measured(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 1
    assert ("JAX finds no GPU" if has("jax") else "No module named 'jax'") in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.torch
@pytest.mark.skipif(not has("jax"), reason="JAX is not installed")
def test_small_model_gives_figures_for_each_pass(tmp_path: Path) -> None:
    done = run(tmp_path, "--device", "cpu", "--quick", "--systems", "ktlite", "pytorch")
    assert done.returncode == 0, done.stderr
    rows = [line.split("|")[1:4] for line in done.stderr.splitlines() if "2 x 16" in line]
    assert [[cell.strip() for cell in row] for row in rows] == [
        [name, "2 x 16", system]
        for name in ("forward", "train")
        for system in ("ktlite", "pytorch")
    ]
    assert not list(tmp_path.iterdir())  # the figures of a GPU stay
