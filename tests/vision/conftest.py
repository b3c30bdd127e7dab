"""Pictures of two kinds in folders and arrays, and a tiny ViT that reads them."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tests.vision.drawn import SIDE, pictures


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 pictures in `train/CLASS`, 8 in `valid/CLASS`, all 32 in `flat`. Do not write here."""
    top = tmp_path_factory.mktemp("pictures")
    shown, names = pictures(32)
    for number, (picture, name) in enumerate(zip(shown, names, strict=True)):
        part = top / ("train" if number < 24 else "valid") / name
        for place, file in ((part, f"{number}.png"), (top / "flat", f"{name}_{number}.jpg")):
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(place / file)
    return top


@pytest.fixture(scope="session")
def vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ViT of random weights for pictures of 16 x 16, without a head. Do not write here."""
    from ktlite.models import from_config

    config = {
        "model_type": "vit", "image_size": SIDE, "patch_size": 8, "hidden_size": 16,
        "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
    }  # fmt: skip
    path = tmp_path_factory.mktemp("checkpoints") / "tiny-vit"
    from_config(config).save_pretrained(path)
    return path
