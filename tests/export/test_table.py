"""The tables of docs/export.md, each cell tried."""

from __future__ import annotations

import functools
import gc
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ktlite.errors import ExportError
from ktlite.export import export_model, litert, saved_model, tracing, writing
from ktlite.inference.runner import Forward
from ktlite.models import from_pretrained
from ktlite.predictor import Predictor
from tests.export.conftest import TASKS

pytest.importorskip("tf2onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("ai_edge_litert")

PAGE = Path(__file__).parents[2] / "docs" / "export.md"
HEADS = {"masked-lm": "bert-mlm", "pretraining": "albert-pretraining",
         "multiple-choice": "bert-choice", "bare encoder": "mpnet"}  # fmt: skip
SCRATCH = {
    "nbsvm, words": ("nbsvm", 1),
    "nbsvm, n-grams": ("nbsvm", 2),
    "fasttext": ("fasttext", 1),
    "bigru": ("bigru", 1),
    "bilstm": ("bilstm", 1),
    "transformer": ("transformer", 1),
}


def table(first: str) -> dict[str, dict[str, str]]:
    """Returns the rows of the table whose first column has that title: {row: {column: cell}}."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {first} |"))
    rows = {}
    columns = cells(lines[start])[1:]
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        name, *values = cells(line)
        rows[name] = dict(zip(columns, values, strict=True))
    return rows


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def check(row: dict[str, str], export: Callable[..., Any], tmp_path: Path) -> None:
    """Tries each cell of a row."""
    wrong = []
    for column, said in row.items():
        format, _, quantize = column.partition(" ")
        try:
            written = export(tmp_path / column, format, quantize or None)
            found = "yes" if written.path.is_dir() else "nothing"
        except ExportError as error:
            reason = said.removeprefix("no: ")
            found = said if re.search(reason, str(error)) else f"no: {error}"
            assert not (tmp_path / column).exists()
        if found != said:
            wrong.append((column, said, found))
    assert wrong == []


@pytest.fixture(autouse=True)
def once_a_row(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Does once a row what is the same in its cells: all that comes before formats differ.

    These are the model's own outputs, its trace, its graph in ONNX, which int8 is made from, and
    its SavedModel, which LiteRT's three are. Each cell is still made of it, opened and compared.
    """
    import tf2onnx

    convert = functools.cache(tf2onnx.convert.from_function)

    def convert_once(function: Any, input_signature: Any, opset: int) -> Any:
        proto, tensors = convert(function, input_signature=tuple(input_signature), opset=opset)
        mine = type(proto)()
        mine.CopyFrom(proto)  # its caller changes it
        return mine, tensors

    @functools.cache
    def written(model: Any) -> Path:
        saved_model.write_saved_model(model, tmp_path / "saved_model of litert")
        return tmp_path / "saved_model of litert"

    def write_once(model: Any, folder: Path) -> None:
        shutil.copytree(written(model), folder, dirs_exist_ok=True)

    monkeypatch.setattr(writing, "Forward", functools.cache(Forward))
    monkeypatch.setattr(tracing, "traced", functools.cache(tracing.traced))
    monkeypatch.setattr(tf2onnx.convert, "from_function", convert_once)
    monkeypatch.setattr(litert, "write_saved_model", write_once)
    monkeypatch.setattr(gc, "collect", lambda *_: 0)  # LiteRT's converter calls it


def test_tables_have_every_task_and_head() -> None:
    assert list(table("task")) == list(TASKS)
    assert list(table("model")) == list(HEADS)
    assert list(table("from scratch")) == list(SCRATCH)


@pytest.mark.parametrize("task", TASKS)
def test_tasks(task: str, predictor_of: Callable[..., Predictor], tmp_path: Path) -> None:
    check(table("task")[task], predictor_of(task, layers=1).export, tmp_path)


@pytest.mark.parametrize("name", HEADS)
def test_models_without_predictor(
    name: str, checkpoint_of: Callable[[str], Path], tmp_path: Path
) -> None:
    head = None if name == "bare encoder" else name
    model = from_pretrained(checkpoint_of(HEADS[name]), head, layers=1)
    check(table("model")[name], lambda *a: export_model(model, *a, longest=24), tmp_path)


@pytest.mark.parametrize("family", table("family"))
def test_families(family: str, predictor_of: Callable[..., Predictor], tmp_path: Path) -> None:
    # ALBERT's blocks are two groups, and one of ModernBERT's attends to the tokens nearby.
    options = {} if family in ("albert", "modernbert") else {"layers": 1}
    predictor = predictor_of("classification", family, **options)
    check(table("family")[family], predictor.export, tmp_path)


@pytest.mark.parametrize("name", SCRATCH)
def test_models_from_scratch(
    name: str, baseline_of: Callable[..., Predictor], tmp_path: Path
) -> None:
    check(table("from scratch")[name], baseline_of(*SCRATCH[name]).export, tmp_path)
