"""The passes of `gpu.py` with PyTorch: `transformers`' BERT with SDPA, and `torch.compile`."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable
from typing import Any

import torch
from transformers import BertConfig, BertModel

from systems.gpu_measuring import batch, main

PLACE = "cuda" if torch.cuda.is_available() else "cpu"


def device_name(wanted: str) -> str:
    if wanted == "gpu" and PLACE == "cpu":
        sys.exit("PyTorch finds no GPU: install a build of torch with CUDA.")
    return torch.cuda.get_device_name() if PLACE == "cuda" else platform.machine()


def get_model(config: dict[str, Any], training: bool) -> Any:
    made = BertModel(BertConfig(**config, attn_implementation="sdpa"), add_pooling_layer=False).to(
        PLACE
    )
    return made.train(training)


def compiled(model: Any) -> Any:
    return torch.compile(model) if sys.argv[1] == "pytorch-compile" else model


def forward(config: dict[str, Any], shape: list[int]) -> Callable[[], Any]:
    model = compiled(get_model(config, training=False).to(torch.bfloat16))
    inputs = {name: torch.tensor(x, device=PLACE) for name, x in batch(config, shape).items()}

    @torch.inference_mode()
    def run() -> Any:
        return model(**inputs).last_hidden_state

    return run


def train(config: dict[str, Any], shape: list[int]) -> Callable[[], Any]:
    weights = get_model(config, training=True)
    model = compiled(weights)
    optimizer = torch.optim.AdamW(weights.parameters(), lr=1e-5, fused=True)
    inputs = {name: torch.tensor(x, device=PLACE) for name, x in batch(config, shape).items()}

    def run() -> Any:
        optimizer.zero_grad()
        with torch.autocast(PLACE, torch.bfloat16):
            hidden = model(**inputs).last_hidden_state
        loss = hidden.float().square().mean()
        loss.backward()
        optimizer.step()
        return loss

    return run


def wait(result: Any) -> None:
    if PLACE == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main(device_name, {"forward": forward, "train": train}, wait, ["torch", "transformers"])
