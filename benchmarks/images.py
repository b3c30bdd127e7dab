"""A ViT trained on pictures: ktlite beside PyTorch, its accuracy, seconds and memory.

    python benchmarks/images.py --data FOLDER [--pythons ktlite=PATH pytorch=PATH] [--seeds 3]
    python benchmarks/images.py --jobs step

`fit` trains a small ViT from scratch on FOLDER/train/CLASS/*, in as many runs as there are seeds,
and takes the accuracy on FOLDER/test. PyTorch is `transformers`' ViTForImageClassification, which
starts from the weights that ktlite wrote, and gets the same pictures in the same order, AdamW with
the same settings and the same one-cycle schedule. `step` times a training step on pictures that are
in memory, and takes the peak memory of the process. The systems take turns; what is told are
medians, and of pairs of runs the median of their ratios.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from turns import run, say, table

HERE = Path(__file__).resolve().parent
SYSTEMS = {"ktlite": "ktlite", "pytorch": "PyTorch"}
SMALL = {
    "model_type": "vit", "image_size": 64, "patch_size": 8, "hidden_size": 96,
    "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 384,
}  # fmt: skip
TINY = {  # ViT-Ti/16 (Touvron et al., 2021, arXiv:2012.12877)
    "model_type": "vit", "image_size": 224, "patch_size": 16, "hidden_size": 192,
    "num_hidden_layers": 12, "num_attention_heads": 3, "intermediate_size": 768,
}  # fmt: skip
#: Name, config, pictures a batch, steps to warm up and to measure.
STEPS = {
    "ViT 64/8, width 96, 4 layers": (SMALL, 32, 8, 40),
    "ViT-Ti 224/16": (TINY, 16, 3, 8),
}
QUICK = {**SMALL, "image_size": 16, "hidden_size": 16, "num_hidden_layers": 1,
         "num_attention_heads": 2, "intermediate_size": 32}  # fmt: skip


def main() -> None:
    options = parse()
    pythons = dict(item.split("=", 1) for item in options.pythons)
    content: dict[str, Any] = {
        "date": datetime.date.today().isoformat(), "cores": os.cpu_count(), "runs": {},
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as work:
        for name, job, specs in plan(options, Path(work)):
            content["runs"][name] = runs = {system: [] for system in SYSTEMS}
            for spec in specs:
                for system in SYSTEMS:
                    python = pythons.get(system, sys.executable)
                    runs[system].append(run(python, f"{system}_images", job, json.dumps(spec)))
                    say(f"{name}, {system}: {runs[system][-1]['figures']}")
    lines = table(content["runs"], SYSTEMS)
    say("\n".join(lines))
    if options.quick:
        return
    options.results.mkdir(parents=True, exist_ok=True)
    (options.results / "images.json").write_text(json.dumps(content, indent=1) + "\n")
    (options.results / "images.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--jobs", nargs="+", choices=("fit", "step"), default=["fit", "step"])
    parser.add_argument("--data", type=Path, help="class folders in train, valid and test")
    parser.add_argument("--pythons", nargs="+", default=[], metavar="SYSTEM=PATH")
    parser.add_argument("--seeds", type=int, default=3, help="runs of fit")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--runs", type=int, default=3, help="runs of step")
    parser.add_argument("--quick", action="store_true", help="a smaller model: a smoke test")
    parser.add_argument("--results", type=Path, default=HERE / "results")
    options = parser.parse_args()
    if "fit" in options.jobs and options.data is None:
        parser.error("fit needs --data; or leave it out: --jobs step")
    return options


def plan(options: argparse.Namespace, work: Path) -> list[tuple[str, str, list[dict[str, Any]]]]:
    """Returns (name, job, what each of its runs has to know)."""
    found = []
    if "fit" in options.jobs:
        fits = [
            {
                "data": str(options.data), "checkpoint": str(work / f"start-{seed}"),
                "orders": str(work / f"orders-{seed}.json"), "seed": seed, "batch_size": 32,
                "config": QUICK if options.quick else SMALL, "epochs": options.epochs,
                "rate": options.rate,
            }
            for seed in range(options.seeds)
        ]  # fmt: skip
        found.append((f"fit, {options.epochs} epochs", "fit", fits))
    if "step" in options.jobs:
        steps = {"quick": (QUICK, 4, 2, 3)} if options.quick else STEPS
        for number, (name, (config, batch, warm_up, measured)) in enumerate(steps.items()):
            spec = {
                "config": config, "checkpoint": str(work / f"step-{number}"), "batch_size": batch,
                "warm_up": warm_up, "steps": measured,
            }  # fmt: skip
            found.append((f"step, {name}, batch {batch}", "step", [spec] * options.runs))
    return found


if __name__ == "__main__":
    main()
