"""Writes `explanations/vit.safetensors`: which patches moved the logits of `vit`, by PyTorch.

    pip install torch transformers==5.24.0 safetensors
    python tests/golden/make_explanations.py

Integrated gradients are means of 1,000 gradients by the midpoint rule, in float64, with respect
to pixels, from zeros on. Occlusion is a run of the model without each patch.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from transformers import AutoModelForImageClassification

HERE = Path(__file__).parent
PATCH, SIZE, POINTS = 4, 12, 1_000


def by_patch(values: torch.Tensor) -> torch.Tensor:
    """Returns the sums of [height, width] over patches, from left to right, then down."""
    count = SIZE // PATCH
    return values.reshape(count, PATCH, count, PATCH).sum(dim=(1, 3)).reshape(-1)


def contrasted(logits: torch.Tensor) -> torch.Tensor:
    """Returns each logit less the mean of the others, [rows, classes]."""
    classes = logits.shape[-1]
    return (logits * classes - logits.sum(dim=-1, keepdim=True)) / (classes - 1)


def integrated(model: torch.nn.Module, image: torch.Tensor, target: int) -> torch.Tensor:
    where = ((torch.arange(POINTS) + 0.5) / POINTS).reshape(-1, 1, 1, 1)
    way = (where * image).requires_grad_()
    contrasted(model(pixel_values=way).logits)[:, target].sum().backward()
    return by_patch((way.grad.mean(dim=0) * image).sum(dim=0))


@torch.no_grad()
def occluded(model: torch.nn.Module, image: torch.Tensor) -> torch.Tensor:
    whole = contrasted(model(pixel_values=image[None]).logits)[0]
    scores = []
    for top in range(0, SIZE, PATCH):
        for left in range(0, SIZE, PATCH):
            less = image.clone()
            less[:, top : top + PATCH, left : left + PATCH] = 0
            scores.append(whole - contrasted(model(pixel_values=less[None]).logits)[0])
    return torch.stack(scores, dim=1)


def main() -> None:
    model = AutoModelForImageClassification.from_pretrained(HERE / "vit").double().eval()
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (2, SIZE, SIZE, 3)).astype("uint8")
    images = (torch.tensor(pixels).permute(0, 3, 1, 2).double() / 255 - 0.5) / 0.5
    classes = model.config.num_labels
    found = {
        "integrated_gradients": [
            torch.stack([integrated(model, image, target) for target in range(classes)])
            for image in images
        ],
        "occlusion": [occluded(model, image) for image in images],
    }
    arrays = {name: torch.stack(values).numpy() for name, values in found.items()}
    folder = HERE / "explanations"
    folder.mkdir(exist_ok=True)
    save_file({"pixels": pixels, **arrays}, folder / "vit.safetensors")


if __name__ == "__main__":
    main()
