"""What the model tests share: a tiny checkpoint in parts, which a test may damage and write."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

Tensors = dict[str, np.ndarray]


@pytest.fixture
def config(golden: Path) -> dict[str, Any]:
    """The config of a BERT with 3 labels, width 32, 2 blocks and 40 positions."""
    return json.loads((golden / "bert-gelu" / "config.json").read_text(encoding="utf-8"))


@pytest.fixture
def tensors(golden: Path) -> Tensors:
    """The tensors that belong to `config`, with a classification head."""
    return load_file(golden / "bert-gelu" / "model.safetensors")


@pytest.fixture
def batch(golden: Path) -> Tensors:
    """Inputs of `config`'s model: rows of 40, 23 and 6 tokens, padded to 40."""
    expected = load_file(golden / "bert-gelu" / "expected.safetensors")
    return {name: expected[name] for name in ("input_ids", "attention_mask", "token_type_ids")}


@pytest.fixture
def write_checkpoint(tmp_path: Path) -> Callable[..., Path]:
    """Writes config and tensors into `tmp_path / name` and returns that folder."""

    def write(config: dict[str, Any], tensors: Tensors, name: str = "tiny") -> Path:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
        # save_file writes a transposed view's memory, not its values.
        whole = {key: np.ascontiguousarray(tensor) for key, tensor in tensors.items()}
        save_file(whole, folder / "model.safetensors", metadata={"format": "pt"})
        return folder

    return write
