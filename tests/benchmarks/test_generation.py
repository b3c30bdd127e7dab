"""The benchmark of models that write, on small ones: all systems write the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "generation.py"


@pytest.mark.torch
def test_small_models_are_measured() -> None:
    pytest.importorskip("ctranslate2", reason="ktlite[ctranslate2] is not installed")
    command = [sys.executable, str(SCRIPT), "--quick", "--runs", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for row in (
        "| write, Marian-like | 2 x 5 + 4, 2 beams, cpu_s of 1,000 |",
        "| write, GPT-2-like | 2 x 5 + 4, 2 beams, cpu_s of 1,000 |",
        "| step, Marian-like | cpu_s |",
    ):
        assert row in done.stderr
