"""How Keras is imported."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "ktlite"
START = "ktlite._keras_start"

SCRIPT = """
import gc, sys, threading

import ktlite.models

heavy = {"sklearn", "matplotlib"}
assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()
for module in sys.modules.values():  # as `inspect` and `pickle` look through them
    hasattr(module, "__file__")
assert not heavy & sys.modules.keys()
assert gc.isenabled()

import keras, tensorflow

found = []
threads = [
    threading.Thread(target=lambda: found.append(keras.wrappers.SKLearnClassifier))
    for _ in range(8)
]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert len(found) == 8 and len(set(found)) == 1
assert tensorflow.keras.wrappers.SKLearnClassifier is found[0]
assert "plot_image_gallery" in dir(keras.visualization)
from keras.wrappers import *

assert SKLearnRegressor is keras.wrappers.SKLearnRegressor
assert not hasattr(keras.wrappers, "nothing")
"""


def test_what_a_text_model_never_uses_is_imported_when_it_is_asked_for() -> None:
    subprocess.run([sys.executable, "-c", SCRIPT], check=True, timeout=300)


# ---------------------------------------------------------------------------- start-up lines


@functools.cache
def imported(file: Path) -> list[str]:
    """Returns what a module imports where it is loaded, in the order of its lines."""
    names = []
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom):
            names += [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names


def starts_keras(module: str, seen: set[str]) -> bool:
    """Says whether loading a module loads `_keras_start`, and no bare Keras before it."""
    parents = [".".join(module.split(".")[:i]) for i in range(2, module.count(".") + 2)]
    for name in parents:
        path = PACKAGE.joinpath(*name.split(".")[1:])
        file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        if name in seen or not file.is_file():
            continue
        seen.add(name)
        for other in imported(file):
            if other == START:
                return True
            if other.split(".")[0] in ("keras", "tensorflow"):
                raise ValueError(f"{name} imports {other} before {START}")
            if other.startswith("ktlite.") and starts_keras(other, seen):
                return True
    return False


def test_whatever_is_imported_first_keras_starts_without_noise() -> None:
    wrong = {}
    for file in PACKAGE.rglob("*.py"):
        name = ".".join(("ktlite", *file.relative_to(PACKAGE).with_suffix("").parts))
        if name.removesuffix(".__init__") not in (START, "ktlite._memory"):  # which models import
            try:
                starts_keras(name.removesuffix(".__init__"), set())
            except ValueError as error:
                wrong[name] = str(error)
    assert not wrong


@pytest.mark.parametrize("first", ["import keras", "import tensorflow"])
def test_keras_that_was_imported_first_logs_nothing_more(first: str) -> None:
    script = (
        f"{first}, sys\nsys.stderr.write('\\n---')\nimport ktlite.models, keras\n"
        "keras.layers.Dense(2)(keras.ops.ones((1, 2)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=300
    )
    assert done.stderr.rpartition("---")[2] == ""
