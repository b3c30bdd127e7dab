"""What a process sees of ktlite: a quick import, no noise, nothing of its own changed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import ktlite

ROOT = Path(__file__).parents[1]
HEAVY = ("tensorflow", "keras", "transformers", "pandas", "sklearn", "matplotlib")


def run(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        cwd=ROOT,
        env={k: v for k, v in os.environ.items() if not k.startswith(("TF_", "KERAS_"))},
        capture_output=True,
        text=True,
        check=True,
    )


def test_import_loads_no_heavy_library_and_says_nothing() -> None:
    script = f"import ktlite, sys; print([name for name in {HEAVY} if name in sys.modules])"
    done = run(script)
    assert (done.stdout, done.stderr) == ("[]\n", "")


WORKFLOW = """
import os, sys
environment = dict(os.environ)
import matplotlib
# To ask for the "backend" would choose one.
settings = lambda: {k: matplotlib.rcParams[k] for k in matplotlib.rcParams if k != "backend"}
before = settings()
backend = dict.__getitem__(matplotlib.rcParams, "backend")
import numpy as np
random_state = np.random.get_state()[1].tolist()

import ktlite
texts = [f"{end} {letter} {end}" for letter in "abcdefghij" for end in "mx"]
learner = ktlite.get_learner(
    sys.argv[1], (texts, ["ham", "spam"] * 10), maxlen=16, batch_size=8, verbose=0)
learner.lr_find(max_epochs=4, verbose=0)
learner.lr_plot(return_fig=True)
learner.fit_onecycle(1e-3, 1, verbose=0)
learner.plot(return_fig=True)
print(learner.predict("a b"))

tensorflow = lambda e: {k: v for k, v in e.items() if k.startswith(("TF_", "KERAS_", "CUDA_"))}
assert tensorflow(os.environ) == tensorflow(environment), tensorflow(os.environ)
assert settings() == before
assert dict.__getitem__(matplotlib.rcParams, "backend") == backend
assert np.random.get_state()[1].tolist() == random_state
"""


def test_the_workflow_makes_no_noise_and_changes_no_settings(tiny_checkpoint: Path) -> None:
    done = run(WORKFLOW, tiny_checkpoint)
    assert done.stdout.strip() in ("ham", "spam")
    noise = ("I0000", "W0000", "E0000", "WARNING: All log messages", "To enable the following")
    assert [line for line in done.stderr.splitlines() if line.startswith(noise)] == []
    # With verbose=0 only warnings are left to be shown.
    assert [
        line for line in done.stderr.splitlines() if "new, and in need of training" not in line
    ] == []


def test_public_names_are_found_and_listed() -> None:
    for name in ktlite.__all__:
        assert getattr(ktlite, name) is not None
        assert name in dir(ktlite)


@pytest.mark.parametrize(
    ("name", "nearest"), [("get_lerner", "get_learner"), ("Lerner", "Learner")]
)
def test_unknown_names_name_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(AttributeError, match=f"'ktlite' has no attribute '{name}'.*'{nearest}'"):
        getattr(ktlite, name)
