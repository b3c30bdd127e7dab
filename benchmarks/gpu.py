"""BERT-base on one GPU: ktlite's models under JAX beside PyTorch, as a share of the card's peak.

    python benchmarks/gpu.py [--pythons ktlite=PATH pytorch=PATH] [--shapes 32x128 64x128 16x512]
        [--peak TFLOPS] [--device cpu --quick]

A forward pass in bfloat16, and a training step (dropout, backward pass, AdamW) with float32
weights and bfloat16 computing, of the encoder without a head. Some texts of each batch are shorter
than the others, as real ones are. PyTorch is `transformers`' BertModel with its SDPA attention, as
it is and with `torch.compile`. Needs an interpreter with ktlite's libraries and `jax[cuda13]` or
`jax[cuda12]`, and one with `torch` and `transformers`; they may be the same. Without a GPU,
`--device cpu --quick` tries the code on a small model.

The work is counted as the matrix products of the layers at the padded length: a token takes
8 w^2 + 4 w f + 4 L w operations a layer (width w, feed-forward width f, length L); a training step
is three forward passes. What a system saves or spends beside that shows in the share. The peaks
are the makers' for dense bfloat16.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SYSTEMS = ("ktlite", "pytorch", "pytorch-compile")
# TFLOP/s by a part of the device's name; the first that fits.
PEAKS = {
    "B200": 2250, "H100 PCIe": 756, "H100 NVL": 835, "H100": 989, "H200": 989, "GH200": 989,
    "A100": 312, "L40S": 362, "L40": 181, "L4": 121, "A10G": 70, "A10": 125, "A30": 165,
    "RTX 4090": 165, "RTX 3090": 71,
}  # fmt: skip
BERT_BASE = {
    "model_type": "bert", "vocab_size": 30522, "hidden_size": 768, "num_hidden_layers": 12,
    "num_attention_heads": 12, "intermediate_size": 3072,
}  # fmt: skip
SMALL = {
    **BERT_BASE, "vocab_size": 1000, "hidden_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 2, "intermediate_size": 256,
}  # fmt: skip


def main() -> None:
    options = parse()
    pythons = dict(item.split("=", 1) for item in options.pythons)
    config = SMALL if options.quick else BERT_BASE
    spec = {
        "config": config,
        "shapes": [[2, 16]] if options.quick else options.shapes,
        "calls": 2 if options.quick else 20,
        "device": options.device,
    }
    measured = {}
    for system in options.systems:
        told = run(pythons.get(system.partition("-")[0], sys.executable), system, spec)
        if told is not None:
            measured[system] = told
    write(measured, config, options)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--pythons", nargs="+", default=[], metavar="SYSTEM=PATH")
    parser.add_argument(
        "--shapes", nargs="+", type=shape, default=[[32, 128], [64, 128], [16, 512]],
        metavar="BATCHxLENGTH",
    )  # fmt: skip
    parser.add_argument("--peak", type=float, help="TFLOP/s, where the device is not known here")
    parser.add_argument("--device", choices=("gpu", "cpu"), default="gpu")
    parser.add_argument("--quick", action="store_true", help="a small model: a smoke test")
    parser.add_argument("--results", type=Path, default=HERE / "results")
    options = parser.parse_args()
    if options.device == "cpu" and not options.quick:
        parser.error("--device cpu is to try the code; add --quick")
    options.systems = list(dict.fromkeys(["ktlite", *options.systems]))
    return options


def shape(text: str) -> list[int]:
    batch, length = map(int, text.split("x"))
    return [batch, length]


def run(python: str, system: str, spec: dict[str, Any]) -> dict[str, Any] | None:
    """Measures a system in a process of its own; None where only `torch.compile` failed."""
    script = HERE / "systems" / f"{system.partition('-')[0]}_gpu.py"
    environment = {
        **os.environ,
        "KERAS_BACKEND": "jax",
        "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent)]),
    }
    done = subprocess.run(
        [python, str(script), system, json.dumps(spec)],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode == 0:
        return json.loads(done.stdout.splitlines()[-1])
    said = "\n".join(done.stderr.splitlines()[-15:])
    if system != "pytorch-compile":
        sys.exit(f"{system} did not run with {python} (--pythons names another):\n{said}")
    say(f"{system} failed and is left out:\n{said}")
    return None


def operations(config: dict[str, Any], name: str, batch: int, length: int) -> float:
    """Returns the floating-point operations of a forward pass or a training step ("train")."""
    width, inner = config["hidden_size"], config["intermediate_size"]
    token = config["num_hidden_layers"] * (8 * width**2 + 4 * width * inner + 4 * length * width)
    return batch * length * token * (3 if name == "train" else 1)


def peak(device: str) -> float | None:
    """Returns the dense bfloat16 peak of a device in TFLOP/s, None where it is not known."""
    return next((tflops for name, tflops in PEAKS.items() if name in device), None)


def table(measured: dict[str, Any], config: dict[str, Any], top: float | None = None) -> list[str]:
    """Returns the figures in Markdown.

    Args:
        measured: What each system told.
        config: The model's.
        top: The device's peak in TFLOP/s.
    """
    lines = ["| pass | batch | system | time [ms] | TFLOP/s | share of peak |", "|---" * 6 + "|"]
    for number, ours in enumerate(measured["ktlite"]["rows"]):
        for system, told in measured.items():
            row = told["rows"][number]
            seconds, size = row["seconds"], (row["batch"], row["length"])
            rate = operations(config, row["pass"], *size) / seconds / 1e12
            times = "" if system == "ktlite" else f" ({seconds / ours['seconds']:.2f}x)"
            share = f"{rate / top:.0%}" if top else ""
            lines.append(
                f"| {row['pass']} | {size[0]} x {size[1]} | {system} | {1e3 * seconds:.2f}{times} "
                f"| {rate:.1f} | {share} |"
            )
    return lines


def write(measured: dict[str, Any], config: dict[str, Any], options: argparse.Namespace) -> None:
    device = measured["ktlite"]["device"]
    top = options.peak or peak(device)
    if options.device == "gpu" and top is None:
        say(f"The peak of {device!r} is not known here: give --peak TFLOPS for the shares.")
    lines = [
        *table(measured, config, top),
        "",
        f"On {device}" + (f", {top:g} TFLOP/s." if top else "."),
    ]
    for system, told in measured.items():
        lines.append(f"- {system}: {', '.join(f'{k} {v}' for k, v in told['versions'].items())}.")
    say("\n".join(lines))
    if options.quick:
        return
    options.results.mkdir(parents=True, exist_ok=True)
    content = {
        "date": datetime.date.today().isoformat(),
        "device": device,
        "peak_tflops": top,
        "config": config,
        "measured": measured,
    }
    (options.results / "gpu.json").write_text(json.dumps(content, indent=1) + "\n")
    (options.results / "gpu.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def say(text: str) -> None:
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    main()
