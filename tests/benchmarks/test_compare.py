"""The benchmark: a small run gives figures for every job, and the table says what they are."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
JOBS = [
    "fit", "fit_long", "fit_full", "tokenize", "predict", "single", "cold", "find_rate", "replicas",
    "embed",
]  # fmt: skip


@pytest.fixture
def checkpoint(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """The tiny checkpoint, with room for 512 tokens."""
    folder = shutil.copytree(tiny_checkpoint, tmp_path / "tiny-bert")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 512}))
    weights = load_file(folder / "model.safetensors")
    (name,) = [name for name in weights if name.endswith("position_embeddings.weight")]
    weights[name] = np.resize(weights[name], (512, weights[name].shape[1]))
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return folder


def test_every_job_gives_figures(checkpoint: Path, tmp_path: Path) -> None:
    hotel = tmp_path / "hotel.csv"
    rows = [f"房间很好||，第{i}次。|{i % 2}|{1 - i % 2}" for i in range(80)]
    hotel.write_bytes("\n".join(["content|pos|neg", *rows]).encode("gb18030"))
    variants = ["ktlite-2"]
    if importlib.util.find_spec("onnxruntime"):
        variants.append("ktlite-int8")
    broken = tmp_path / "python"  # a peer that does not run is left out, and nothing else
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    done = subprocess.run(
        [
            sys.executable, str(BENCHMARKS / "compare.py"), str(checkpoint), "--quick",
            "--runs", "1", "--environments", str(tmp_path), "--hotel-reviews", str(hotel),
            "--systems", *variants, "pytorch",
            "--pythons", f"ktlite={sys.executable}", f"pytorch={broken}",
        ],
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "pytorch is left out" in done.stderr
    entries = json.loads((tmp_path / "quick" / "compare.json").read_text())["entries"]
    table = (tmp_path / "quick" / "compare.md").read_text(encoding="utf-8")
    assert [entry["job"] for entry in entries] == JOBS
    for entry in entries:
        job = entry["job"]
        others = {"replicas": ["ktlite-2"]} | dict.fromkeys(
            ("predict", "single", "cold"), variants[1:]
        )
        assert list(entry["systems"]) == ["ktlite", *others.get(job, [])]
        assert entry["data"] == ("hotel.csv" if job == "fit_long" else "movie_reviews.csv")
        assert entry["checkpoint"] == "tiny-bert"
        assert entry["title"] in table
        for told in entry["systems"].values():
            (run,) = told["runs"]
            assert min(run["wall_s"], run["cpu_s"], run["peak_mb"]) > 0
            assert "ktlite" in told["versions"]
    fit = entries[0]
    assert (fit["texts"], fit["epochs"]) == (96, 1)
    assert 0 <= fit["systems"]["ktlite"]["runs"][0]["accuracy"] <= 1
    assert fit["systems"]["ktlite"]["runs"][0]["wall_s"] > 1  # with the imports
    # The predictor reads as many tokens of a text as its peers are told to.
    work = tmp_path / "work"
    maxlen = json.loads((work / "spec.json").read_text())["maxlen"]["predict"]
    saved = json.loads((work / "fine-tuned" / "ktlite.json").read_text())
    assert saved["preprocessor"]["inputs"]["text"]["maxlen"] == maxlen


def test_wrong_folder_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "compare.py"), str(tmp_path), "--environments",
         str(tmp_path / "environments")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "holds no config.json" in done.stderr
    assert not list(tmp_path.iterdir())
