"""Models that write: ktlite beside PyTorch `transformers` and CTranslate2.

    OMP_NUM_THREADS=1 python benchmarks/generation.py [--pythons ktlite=PATH pytorch=PATH]
    OMP_NUM_THREADS=1 python benchmarks/generation.py --jobs step

`write` takes the CPU seconds of 1,000 new tokens, greedy and of four beams, one text at a time and
sixteen, of a model the size of Marian and of one that of a small GPT-2. Weights are random, so
that texts do not end early, and the same for all systems, which have to write the same tokens
(8 bits excepted). `step` times a training step of the first: 16 texts of 64 tokens, as many to be
written. The systems take turns; what is told are medians, and of runs of one turn the median of
their ratios.
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

from turns import Runs, run, say, table

HERE = Path(__file__).resolve().parent
SYSTEMS = {
    "ktlite": "ktlite",
    "pytorch": "PyTorch",
    "ctranslate2": "CTranslate2",
    "int8": "CTranslate2, int8",
}
#: The one that runs each, where it is not called like the system.
SCRIPTS = {"ctranslate2": "ktlite", "int8": "ktlite"}
JOBS = {"write": tuple(SYSTEMS), "step": ("ktlite", "pytorch")}
PAIR = {
    "model_type": "marian", "vocab_size": 32000, "decoder_vocab_size": 32000, "d_model": 512,
    "encoder_layers": 6, "decoder_layers": 6, "encoder_attention_heads": 8,
    "decoder_attention_heads": 8, "encoder_ffn_dim": 2048, "decoder_ffn_dim": 2048,
    "activation_function": "swish", "dropout": 0.0, "attention_dropout": 0.0,
    "activation_dropout": 0.0, "max_position_embeddings": 512, "scale_embedding": True,
    "pad_token_id": 31999, "eos_token_id": 0, "bos_token_id": 0, "forced_eos_token_id": None,
    "decoder_start_token_id": 31999, "init_std": 0.1,
}  # fmt: skip
ALONE = {
    "model_type": "gpt2", "vocab_size": 50257, "n_embd": 384, "n_layer": 6, "n_head": 6,
    "n_positions": 512, "bos_token_id": 50256, "eos_token_id": 50256, "pad_token_id": 50256,
    "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0, "initializer_range": 0.1,
}  # fmt: skip
MODELS = {"Marian-like": PAIR, "GPT-2-like": ALONE}
SMALL = {
    "Marian-like": {
        "d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 32,
        "decoder_ffn_dim": 32, "encoder_attention_heads": 2, "decoder_attention_heads": 2,
    },
    "GPT-2-like": {"n_embd": 16, "n_layer": 1, "n_head": 2},
}  # fmt: skip
#: Texts, beams, tokens of each text, new tokens.
CASES = [(1, 1, 20, 64), (16, 1, 20, 32), (16, 4, 20, 32)]


def main() -> None:
    options = parse()
    pythons = dict(item.split("=", 1) for item in options.pythons)
    with tempfile.TemporaryDirectory() as work:
        jobs: dict[str, Runs] = {}
        for name, systems, job, spec in plan(options, Path(work)):
            first = pythons.get("ktlite", sys.executable)
            run(first, "ktlite_generation", "prepare", "ktlite", json.dumps(spec))
            runs: dict[str, list[dict[str, Any]]] = {system: [] for system in systems}
            for _ in range(options.runs):
                for system in systems:
                    script = SCRIPTS.get(system, system)
                    python = pythons.get(script, sys.executable)
                    told = run(python, f"{script}_generation", job, system, json.dumps(spec))
                    runs[system].append(told)
                    say(f"{name}, {system}: {told['figures']}")
            check(name, runs)
            jobs[name] = {
                system: [{k: v for k, v in one.items() if k != "texts"} for one in told]
                for system, told in runs.items()
            }
    lines = table(jobs, SYSTEMS)
    say("\n".join(lines))
    if options.quick:
        return
    content = {"date": datetime.date.today().isoformat(), "cores": os.cpu_count(), "runs": jobs}
    options.results.mkdir(parents=True, exist_ok=True)
    (options.results / "generation.json").write_text(json.dumps(content, indent=1) + "\n")
    (options.results / "generation.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--jobs", nargs="+", choices=tuple(JOBS), default=list(JOBS))
    parser.add_argument("--systems", nargs="+", choices=tuple(SYSTEMS), default=list(SYSTEMS))
    parser.add_argument("--pythons", nargs="+", default=[], metavar="SYSTEM=PATH")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="smaller models: a smoke test")
    parser.add_argument("--results", type=Path, default=HERE / "results")
    return parser.parse_args()


def plan(
    options: argparse.Namespace, work: Path
) -> list[tuple[str, list[str], str, dict[str, Any]]]:
    """Returns (name, systems, job, what each of its runs has to know)."""
    found = []
    for job in options.jobs:
        for name, config in MODELS.items():
            if job == "step" and name != "Marian-like":
                continue
            place = work / f"{job}-{name}"
            spec: dict[str, Any] = {"config": config, "folder": str(place), "job": job}
            if job == "write":
                spec |= {"cases": CASES, "repeats": 1 if options.quick else 3}
            else:
                spec |= {"batch_size": 16, "length": 64, "warm_up": 3, "steps": 8}
            if options.quick:
                spec["config"] = {**config, **SMALL[name]}
                spec |= {"cases": [(2, 2, 5, 4)], "batch_size": 2, "warm_up": 2, "steps": 2}
            systems = [x for x in JOBS[job] if x in ("ktlite", *options.systems)]
            found.append((f"{job}, {name}", systems, job, spec))
    return found


def check(name: str, runs: Runs) -> None:
    """Ends the program if systems that compute in float32 wrote other tokens."""
    texts = {
        system: [each.get("texts") for each in told]
        for system, told in runs.items()
        if system != "int8"
    }
    others = [system for system, told in texts.items() if told != texts["ktlite"]]
    if others:
        sys.exit(f"{name}: {', '.join(others)} wrote other tokens than ktlite.")


if __name__ == "__main__":
    main()
