"""The same numbers under Keras' JAX backend, where JAX is installed."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDERS = {
    **dict.fromkeys(("albert", "bert-gelu", "deberta", "deberta-conv"), "text-classification"),
    **dict.fromkeys(("distilbert", "electra", "modernbert-mean"), "text-classification"),
    **dict.fromkeys(("mpnet", "roberta"), "text-classification"),
    **dict.fromkeys(("albert-mlm", "deberta-mlm"), "masked-lm"),
    "bert-span": "question-answering",
    "bert-token": "token-classification",
    **dict.fromkeys(("deberta-choice", "modernbert-choice"), "multiple-choice"),
    **dict.fromkeys(("albert-pretraining", "electra-pretraining"), "pretraining"),
    "vit": "image-classification",
}
# A process of its own: Keras settles on a backend when it is imported.
SCRIPT = """
import json, sys
from pathlib import Path
import numpy as np
from safetensors.numpy import load_file
from ktlite.models import from_pretrained

errors = {}
for name, task in json.loads(sys.argv[2]).items():
    folder = Path(sys.argv[1]) / name
    model = from_pretrained(folder, task)
    expected = load_file(folder / "expected.safetensors")
    outputs = model({n: expected[n] for n in (f.name for f in model.spec.fields)})
    mask = expected.get("attention_mask")
    errors[name] = 0.0
    for key, found in (outputs if isinstance(outputs, dict) else {"logits": outputs}).items():
        found, wanted = np.asarray(found), expected[key]
        if mask is not None and wanted.shape[: mask.ndim] == mask.shape:
            found, wanted = found[mask == 1], wanted[mask == 1]
        errors[name] = max(errors[name], float(np.abs(found - wanted).max()))
print(json.dumps(errors))
"""


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed")
def test_logits_under_jax_are_those_of_pytorch(golden: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(golden), json.dumps(FOLDERS)],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    errors = json.loads(done.stdout.splitlines()[-1])
    assert sorted(errors) == sorted(FOLDERS)
    assert {name: error for name, error in errors.items() if not error <= 1e-5} == {}
