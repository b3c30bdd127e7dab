"""Exported predictors where nothing is installed but what services without TensorFlow ask for."""

from __future__ import annotations

import configparser
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ktlite._extras import TRAIN
from ktlite.predictor import Predictor

ROOT = Path(__file__).parents[2]
EXAMPLES: dict[str, Any] = {
    "classification": ["a good film", ["who?", "a bad room"]],
    "several labels": ["a good film"],
    "regression": ["a good film"],
    "tags of words": ["a good film"],
    "answers": [["who?", "a good film by a bad room"]],
    "similarity": [["a good film", "a bad film"]],
}
# Does not find some packages.
WITHOUT = """
import importlib.abc, json, sys
missing = set(json.loads(sys.argv.pop(1)))
class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in missing:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
"""
PREDICT = """
import ktlite, numpy as np
found = {}
for task, (folder, examples) in json.load(sys.stdin).items():
    predictor = ktlite.load_predictor(folder)
    examples = [tuple(e) if isinstance(e, list) else e for e in examples]
    found[task] = np.asarray(predictor.logits(examples)[0], "float64").tolist()
    predictor.predict(examples)
    if task != "similarity":  # which has no words
        for method in ("occlusion", "lime"):
            json.dumps(predictor.explain(examples[0], method=method).to_dict())
sys.stdout.write(json.dumps(found))
"""
COMMAND = "from ktlite.cli.main import main; sys.exit(main(sys.argv[1:]))"
# What each public name, and each module, says of itself.
NAMES = """
import pkgutil, importlib, ktlite
wrong = []
def tried(what, run):
    try:
        run()
    except ktlite.errors.ArgumentError as error:
        if "pip install 'ktlite[train]'" not in str(error):
            wrong.append(f"{what}: {error}")
    except Exception as error:
        wrong.append(f"{what}: {error!r}")
for name in ktlite.__all__:
    tried(name, lambda: getattr(ktlite, name))
for module in pkgutil.walk_packages(ktlite.__path__, "ktlite.", onerror=lambda name: None):
    if not module.name.rpartition(".")[2].startswith("_"):
        tried(module.name, lambda: importlib.import_module(module.name))
tried("to_frame", lambda: ktlite.load_predictor(sys.argv[1]).explain("a b").to_frame())
tried("texts_from_csv", lambda: ktlite.text.texts_from_csv(sys.argv[2], "text", ["label"]))
sys.stdout.write("\\n".join(wrong))
"""


def requirements(extra: str | None) -> list[str]:
    """Returns what `setup.cfg` asks for."""
    found = configparser.ConfigParser()
    found.read(ROOT / "setup.cfg")
    options = found["options.extras_require"] if extra else found["options"]
    return [line for line in options[extra or "install_requires"].splitlines() if line]


def distributions(names: Iterable[str]) -> set[str]:
    """Returns some distributions and all that they ask for, without their extras."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        asked = waiting.pop()
        own = re.fullmatch(r"ktlite\[([\w-]+)\]", asked)
        if own:
            waiting += requirements(own[1])
            continue
        name = re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", asked)[0]).lower()  # type: ignore[index]
        if name in found or "extra ==" in asked:
            continue
        try:
            waiting += metadata.requires(name) or []
        except metadata.PackageNotFoundError:  # for another Python or system
            continue
        found.add(name)
    return found


@pytest.fixture(scope="module")
def missing() -> str:
    """The names of the packages that are here, but not in such an environment, as JSON."""
    extras = (None, "serve-onnx", "serve-litert")
    asked = distributions(line for extra in extras for line in requirements(extra))
    names = [
        package
        for package, owners in metadata.packages_distributions().items()
        if not any(re.sub(r"[-_.]+", "-", owner).lower() in asked for owner in owners)
        and package != "ktlite"
    ]
    assert {"tensorflow", "keras", "transformers", "pandas", "sklearn", "matplotlib"} <= set(names)
    return json.dumps(names)


@pytest.fixture(scope="module")
def exported(
    predictor_of: Callable[..., Predictor], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[Predictor, Path]]:
    """Each task's predictor and its ONNX export. Do not write there."""
    pytest.importorskip("tf2onnx")
    pytest.importorskip("onnxruntime")
    top = tmp_path_factory.mktemp("exported")
    made = {task: predictor_of(task) for task in EXAMPLES}
    return {task: (one, one.export(top / task).path) for task, one in made.items()}


def run(
    missing: str, script: str, *arguments: object, given: str = ""
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WITHOUT + script, missing, *map(str, arguments)],
        cwd=ROOT,
        input=given,
        capture_output=True,
        text=True,
    )


def test_every_task_is_predicted_and_explained(
    missing: str, exported: dict[str, tuple[Predictor, Path]]
) -> None:
    asked = {task: [str(exported[task][1]), examples] for task, examples in EXAMPLES.items()}
    done = run(missing, PREDICT, given=json.dumps(asked))
    assert done.returncode == 0, done.stderr
    for task, logits in json.loads(done.stdout).items():
        first = EXAMPLES[task][0]
        expected = exported[task][0].logits([tuple(first) if isinstance(first, list) else first])
        np.testing.assert_allclose(logits, expected[0], atol=1e-5, err_msg=task)


def test_litert_predicts(
    missing: str, exported: dict[str, tuple[Predictor, Path]], tmp_path: Path
) -> None:
    pytest.importorskip("ai_edge_litert")
    predictor = exported["classification"][0]
    made = predictor.export(tmp_path / "litert", "litert").path
    done = run(missing, PREDICT, given=json.dumps({"classification": [str(made), ["a film"]]}))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["classification"]
    np.testing.assert_allclose(found, predictor.logits(["a film"])[0], atol=1e-4)


def test_files_are_predicted_on_the_command_line(
    missing: str, exported: dict[str, tuple[Predictor, Path]], tmp_path: Path
) -> None:
    predictor, folder = exported["classification"]
    rows = tmp_path / "rows.csv"
    rows.write_text('id,text\n007,"a good, long film"\nNA,bad\n', encoding="utf-8")
    out = tmp_path / "scored.csv"
    done = run(missing, COMMAND, "predict", folder, "--input", rows, "--output", out)
    assert done.returncode == 0, done.stderr
    lines = [line.split(",") for line in out.read_text(encoding="utf-8").splitlines()]
    assert [line[0] for line in lines] == ["id", "007", "NA"]
    assert [line[-2] for line in lines[1:]] == predictor.predict(["a good, long film", "bad"])
    done = run(missing, COMMAND, "info", folder)
    assert "runtime    onnx" in done.stdout.splitlines()


def test_a_predictor_is_served(
    missing: str, exported: dict[str, tuple[Predictor, Path]], tmp_path: Path
) -> None:
    pytest.importorskip("fastapi")
    pytest.importorskip("prometheus_client")
    script = """
import asyncio, ktlite
app = ktlite.create_app(sys.argv[1])
body, sent = json.dumps({"texts": ["a good film"]}).encode(), []
async def receive():
    return {"type": "http.request", "body": body, "more_body": False}
async def send(message):
    sent.append(message)
headers = [(b"content-type", b"application/json"), (b"host", b"localhost")]
scope = {"type": "http", "http_version": "1.1", "method": "POST", "path": "/predict",
         "raw_path": b"/predict", "query_string": b"", "headers": headers, "scheme": "http",
         "root_path": "", "server": ("localhost", 80), "client": ("localhost", 1)}
asyncio.run(app(scope, receive, send))
sys.stdout.write(sent[1]["body"].decode())
sys.stdout.flush()
import os
os._exit(sent[0]["status"] != 200)
"""
    predictor, folder = exported["classification"]
    done = run(missing, script, folder)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["predictions"] == predictor.predict(["a good film"])


def test_what_needs_more_says_how_to_get_it(
    missing: str, exported: dict[str, tuple[Predictor, Path]], tmp_path: Path
) -> None:
    (tmp_path / "rows.csv").write_text("text,label\na,b\n")
    done = run(missing, NAMES, exported["classification"][1], tmp_path / "rows.csv")
    assert (done.stdout, done.returncode) == ("", 0), done.stderr


def test_a_predictor_of_keras_says_what_it_needs(
    missing: str, exported: dict[str, tuple[Predictor, Path]], tmp_path: Path
) -> None:
    exported["classification"][0].save(tmp_path / "keras")
    done = run(missing, COMMAND, "predict", tmp_path / "keras", "a good film")
    assert done.returncode == 2
    assert "needs keras, which is not installed: pip install 'ktlite[train]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_extra_for_training_is_what_the_errors_know() -> None:
    owners = metadata.packages_distributions()
    imported = {
        name.lower().replace("_", "-"): package
        for package in TRAIN
        for name in owners.get(package, ())
    }
    asked = {re.match(r"[\w.-]+", line)[0].lower().replace("_", "-")  # type: ignore[index]
             for line in requirements("train") if ";" not in line}  # fmt: skip
    assert asked <= set(imported)
