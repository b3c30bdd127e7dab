"""Commands that cannot work say so before anything is loaded."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ktlite.errors import ArgumentError, CheckpointError, DataError, ExportError
from ktlite.learner import Learner
from ktlite.predictor import load_predictor
from ktlite.workflow import get_learner

ROOT = Path(__file__).parents[2]
# Runs commands, of which `lacks` names the packages that are not installed.
SCRIPT = """
import contextlib, importlib.abc, io, json, sys
lacks = set()
class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in lacks:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
from ktlite.cli.main import main
found = []
for missing, words in json.load(sys.stdin):
    lacks.clear()
    lacks.update(missing)
    for name in [name for name in sys.modules if name.partition(".")[0] in lacks]:
        del sys.modules[name]  # which reading a table has imported
    with contextlib.redirect_stderr(io.StringIO()) as shown:
        try:
            code = main(words)
        except SystemExit as end:
            code = end.code
    loaded = sorted({"keras", "tensorflow", "onnxruntime", "transformers"} & set(sys.modules))
    found.append([code, shown.getvalue(), loaded])
sys.stdout.write(json.dumps(found))
"""
TRAIN = (
    "train --model {model} --data {data} --text text --label label --lr 1e-3 --epochs 1 --out {new}"
)
# Packages that are not installed, a command, what it has to say.
CASES: list[tuple[str, str, str]] = [
    ("", TRAIN.replace("--lr 1e-3", ""), "--lr is not given"),
    ("", TRAIN.replace("--epochs 1", "--epochs 0"), "epochs=0; expected"),
    ("", TRAIN.replace("--epochs 1", ""), "--epochs is not given"),
    ("", TRAIN.replace("--lr 1e-3", "--lr -1"), "lr=-1.0; expected a positive number"),
    ("", TRAIN.replace("{new}", "{taken}"), "something else. cannot save to"),
    ("", TRAIN.replace("--text text", "--text txt"), "no column is 'txt'"),
    ("", TRAIN.replace("--label label", "--label lable"), "no column is 'lable'"),
    ("", TRAIN.replace("{data}", "{top}/no.csv"), "there is no file"),
    ("", TRAIN.replace("{data}", "{top}/no/rows.csv"), "there is no folder"),
    ("", TRAIN + " --val-data {top}/row.csv", "Did you mean 'rows.csv'"),
    ("", TRAIN.replace("{model}", "{top}/no"), "no checkpoint folder at"),
    ("", "lr-find --model {model} --data {data} --text text --label label --plot {top}/no/a.png",
     "--plot='{top}/no/a.png': there is no folder"),
    ("ai_edge_litert", "export {predictor} {new} --format litert", "pip install 'ktlite[litert]'"),
    ("tf2onnx", "export {predictor} {new}", "pip install 'ktlite[onnx]'"),
    ("onnxruntime", "export {predictor} {new}", "pip install 'ktlite[onnx]'"),
    ("", "export {predictor} {new} --format onxx", "Did you mean 'onnx'"),
    ("", "export {predictor} {new} --format litert --quantize int4", "quantize='int4'"),
    ("", "export {predictor} {taken}", "cannot save to"),
    ("", "export {predictor} {predictor}", "is a saved predictor, which an export does not"),
    ("", "predict {predictor} --input {top}/no.csv", "there is no such file"),
    ("", "predict {predictor} --input {data} --output {data}", "--overwrite"),
    ("", "predict {predictor} --input {data} --output {top}/no/x.csv", "there is no folder"),
    ("", "predict {top}/no text", "there is no such folder"),
    ("pyarrow", "predict {predictor} --input {data} --output {top}/x.parquet", "ktlite[parquet]"),
    ("", "evaluate {predictor} --data {top}/no.csv", "--data: there is no file"),
    ("", "explain {predictor} text --html {top}/no/x.html", "there is no folder"),
    ("", "convert {top} {taken}", "something else. cannot save to"),
    *[("", f"{command} {{predictor}}", "--out {predictor}: it is there already. Give --overwrite")
      for command in (TRAIN.replace("{new}", ""), "convert {top} --out")],
    ("", "export {predictor} --out {exported}", "--out {exported}: it is there already."),
    ("", TRAIN.replace("{new}", "{predictor} --overwrite").replace("{model}", "{top}/no"),
     "ktlite: get_learner: no checkpoint folder at"),
    ("", "lr-find --model {model} --data {data} --text text --label label --plot {data}",
     "--plot {data}: it is there already"),
    ("", "explain {predictor} text --html {data}", "--html {data}: it is there already"),
    ("fastapi", "serve {predictor}", "pip install 'ktlite[serve]'"),
]  # fmt: skip


@pytest.fixture(scope="module")
def places(
    tiny_checkpoint: Path, tiny_predictors: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    top = tmp_path_factory.mktemp("places")
    (top / "taken").mkdir()
    (top / "taken" / "thesis.txt").write_text("mine")
    (top / "exported").mkdir()
    (top / "exported" / "ktlite.json").write_text('{"difference": 1e-6}')
    (top / "rows.csv").write_text("text,label\ngood,a\nbad,b\n" * 10)
    predictor = next(folder for folder in sorted(tiny_predictors.iterdir()) if folder.is_dir())
    return {
        "top": str(top),
        "taken": str(top / "taken"),
        "exported": str(top / "exported"),
        "data": str(top / "rows.csv"),
        "new": str(top / "new"),
        "model": str(tiny_checkpoint),
        "predictor": str(predictor),
    }


def test_commands_are_refused_before_anything_is_loaded(places: dict[str, str]) -> None:
    asked = [
        [lacks.split(), [word.format(**places) for word in command.split()]]
        for lacks, command, _ in CASES
    ]
    before = {file: file.read_bytes() for file in Path(places["top"]).rglob("*") if file.is_file()}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, input=json.dumps(asked), capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    for (_, command, said), (code, shown, loaded) in zip(
        CASES, json.loads(done.stdout), strict=True
    ):
        assert code in (1, 2), (command, shown)
        assert said.format(**places) in shown, (command, shown)
        assert loaded == [], (command, loaded)
    after = {file: file.read_bytes() for file in Path(places["top"]).rglob("*") if file.is_file()}
    assert after == before


def test_get_learner_names_all_places_at_once(places: dict[str, str]) -> None:
    top = places["top"]
    columns = {"text_column": "text", "label_columns": "label"}
    with pytest.raises(DataError) as error:
        get_learner(f"{top}/no", f"{top}/a.csv", f"{top}/no/b.csv", **columns)
    assert all(said in str(error.value) for said in ("a.csv", "/no'", "no checkpoint folder"))
    with pytest.raises(CheckpointError, match="no checkpoint folder"):
        get_learner(f"{top}/no", places["data"], **columns)


def test_exports_are_refused_before_the_model_is_converted(
    places: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = load_predictor(places["predictor"])
    monkeypatch.setattr("ktlite.export.writing.atomic_folder", lambda *_: pytest.fail("late"))
    with pytest.raises(ArgumentError, match="cannot save to"):
        predictor.export(places["taken"])
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    for call in (
        lambda: predictor.export(places["new"], "litert"),
        lambda: predictor.compare_exports(["a"], ["b"], ["onnx", "litert"]),
    ):
        with pytest.raises(ExportError, match=r"pip install 'ktlite\[litert\]'"):
            call()


def test_a_report_has_a_place_before_it_is_made(places: dict[str, str]) -> None:
    learner = Learner.__new__(Learner)  # nothing of it may be looked at
    with pytest.raises(ArgumentError, match="there is no folder"):
        learner.report(f"{places['top']}/no/report.html")
