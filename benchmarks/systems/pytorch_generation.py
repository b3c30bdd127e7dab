"""The jobs of `generation.py` with PyTorch `transformers`."""

from __future__ import annotations

import json
import sys
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

from systems.measuring import Stopwatch, tell
from systems.pytorch_images import adamw
from systems.writing import inputs_of, measured


def opened(spec: dict[str, Any]) -> Any:
    kind = AutoModelForCausalLM if spec["config"]["model_type"] == "gpt2" else AutoModelForSeq2SeqLM
    return kind.from_pretrained(spec["folder"])


def write(spec: dict[str, Any]) -> dict[str, Any]:
    """Times the writing of texts, of each case after a first call."""
    model = opened(spec).eval()
    alone = spec["config"]["model_type"] == "gpt2"

    def texts(rows: int, beams: int, length: int, new: int) -> list[list[int]]:
        ids = torch.from_numpy(inputs_of(spec["config"]["vocab_size"], rows, length)).long()
        with torch.inference_mode():
            found = model.generate(
                input_ids=ids, attention_mask=torch.ones_like(ids), num_beams=beams,
                early_stopping=True, max_new_tokens=new, min_new_tokens=new, do_sample=False,
            )  # fmt: skip
        return found[:, length if alone else 1 :].tolist()

    return measured(texts, spec)


def step(spec: dict[str, Any]) -> dict[str, Any]:
    """Times training steps, after some to warm up."""
    model = opened(spec).train()
    optimizer = adamw(model)
    rows = 2 * spec["batch_size"]
    ids = inputs_of(spec["config"]["vocab_size"], rows, spec["length"])
    sources, targets = torch.from_numpy(ids).long().chunk(2)

    def once() -> None:
        loss = model(sources, attention_mask=torch.ones_like(sources), labels=targets).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    for _ in range(spec["warm_up"]):
        once()
    watch = Stopwatch()
    for _ in range(spec["steps"]):
        once()
    return {"figures": {name: value / spec["steps"] for name, value in watch.read().items()}}


if __name__ == "__main__":
    torch.manual_seed(0)
    found = {"write": write, "step": step}[sys.argv[1]](json.loads(sys.argv[3]))
    tell(found, ["torch", "transformers"])
