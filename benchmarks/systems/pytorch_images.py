"""The jobs of `images.py` with PyTorch `transformers`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

from systems.measuring import Stopwatch, tell


def fit(spec: dict[str, Any]) -> dict[str, Any]:
    """Trains the same weights on the same pictures in the same order, at the same rates."""
    model = ViTForImageClassification.from_pretrained(spec["checkpoint"])
    side = spec["config"]["image_size"]
    processor = ViTImageProcessor(size={"height": side, "width": side})
    (train, labels), (test, truth) = (
        read(Path(spec["data"], part), processor) for part in ("train", "test")
    )
    orders = json.loads(Path(spec["orders"]).read_text())
    rows = [batch for epoch in orders for batch in epoch]
    optimizer = adamw(model)
    model.train()
    losses = []
    for number, batch in enumerate(rows):
        rate, momentum = one_cycle(number, len(rows), spec["rate"])
        for group in optimizer.param_groups:
            group["lr"], group["betas"] = rate, (momentum, 0.999)
        losses.append(train_step(model, optimizer, train[batch], labels[batch]))
    model.eval()
    with torch.inference_mode():
        logits = torch.cat([model(part).logits for part in test.split(64)])
    accuracy = (logits.argmax(-1) == truth).float().mean().item()
    last = losses[-len(orders[-1]) :]
    weights = [len(batch) for batch in orders[-1]]
    loss = sum(a * b for a, b in zip(last, weights, strict=True)) / sum(weights)
    return {"accuracy": accuracy, "loss": loss}


def step(spec: dict[str, Any]) -> dict[str, Any]:
    """Times training steps on pictures that are in memory, after some to warm up."""
    model = ViTForImageClassification(ViTConfig(**spec["config"], num_labels=2))
    side = spec["config"]["image_size"]
    pictures = torch.rand(spec["batch_size"], 3, side, side) * 2 - 1
    labels = torch.arange(spec["batch_size"]) % 2
    optimizer = adamw(model)
    model.train()
    for _ in range(spec["warm_up"]):
        train_step(model, optimizer, pictures, labels)
    watch = Stopwatch()
    for _ in range(spec["steps"]):
        train_step(model, optimizer, pictures, labels)
    return {name: value / spec["steps"] for name, value in watch.read().items()}


def train_step(model: Any, optimizer: Any, pictures: Any, labels: Any) -> float:
    loss = model(pictures, labels=labels).loss
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return loss.item()


def adamw(model: Any) -> Any:
    """Returns AdamW as ktlite has it: biases and norms do not decay."""
    named = list(model.named_parameters())
    decay = [p for name, p in named if p.ndim > 1 and not name.endswith("bias")]
    others = [p for name, p in named if p.ndim <= 1 or name.endswith("bias")]
    groups = [{"params": decay, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=1e-4)


def one_cycle(step: int, steps: int, rate: float) -> tuple[float, float]:
    """Returns rate and momentum of a step: up from a tenth, down to a thousandth."""
    peak, last = (steps - 1) // 2, steps - 1
    up = step < peak
    height = step / peak if up else 1 - (step - peak) / max(1, last - peak)
    foot = rate / (10 if up else 1000)
    return foot + (rate - foot) * height, 0.95 - 0.1 * height


def read(folder: Path, processor: Any) -> tuple[Any, Any]:
    """Returns pictures [n, 3, height, width] and labels [n] of class folders."""
    from PIL import Image

    pictures, labels = [], []
    for number, name in enumerate(sorted(part.name for part in folder.iterdir())):
        for file in sorted((folder / name).iterdir()):
            picture = Image.open(file).convert("RGB")
            pictures.append(processor(picture, return_tensors="pt")["pixel_values"][0])
            labels.append(number)
    return torch.stack(pictures), torch.tensor(labels)


if __name__ == "__main__":
    torch.manual_seed(0)
    told = json.loads(sys.argv[2])
    tell({"figures": {"fit": fit, "step": step}[sys.argv[1]](told)}, ["torch", "transformers"])
