"""Scoring of folders: killed at any moment and started again, each row is there once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ktlite.deploy.resumable import PLAN, score_folder
from ktlite.errors import ArgumentError, DataError
from ktlite.predictor import load_predictor

ROOT = Path(__file__).parents[2]


def write(folder: Path, name: str, rows: list[dict[str, Any]]) -> None:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))


def written(folder: Path) -> list[dict[str, Any]]:
    parts = sorted(file for file in folder.rglob("*.jsonl") if not file.name.startswith("."))
    return [json.loads(line) for part in parts for line in part.read_text().splitlines()]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    rows = [{"id": i, "text": f"{'good' if i % 3 else 'bad'} film {i}"} for i in range(250)]
    write(tmp_path / "in", "a.jsonl", rows[:150])
    write(tmp_path / "in", "sub/b.jsonl", rows[150:])
    write(tmp_path / "in", "_ignored.jsonl", rows[:3])
    return tmp_path / "in"


def test_all_rows_are_scored(source: Path, tiny_predictors: Path, tmp_path: Path) -> None:
    folder = tiny_predictors / "classification"
    assert score_folder(folder, source, tmp_path / "out", block=64, verbose=0) == 250
    rows = written(tmp_path / "out")
    assert [row["id"] for row in rows] == list(range(250))
    texts = [row["text"] for row in rows]
    assert [row["prediction"] for row in rows] == load_predictor(folder).predict(texts)
    names = sorted(
        f.relative_to(tmp_path / "out").as_posix() for f in (tmp_path / "out").rglob("*")
    )
    assert names == [
        PLAN, "a.jsonl-00000.jsonl", "a.jsonl-00001.jsonl", "a.jsonl-00002.jsonl",
        "sub", "sub/b.jsonl-00000.jsonl", "sub/b.jsonl-00001.jsonl",
    ]  # fmt: skip


def test_killed_and_started_again_no_row_is_lost_or_doubled(
    source: Path, tiny_predictors: Path, tmp_path: Path
) -> None:
    out, folder = tmp_path / "out", tiny_predictors / "classification"
    words = ["predict", folder, "--input", source, "--output", out, "--block", "2", "-q"]
    command = [sys.executable, "-m", "ktlite.cli", *map(str, words)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    seen = 0
    for parts in (1, 40):  # kill it when it has written so many more
        process = subprocess.Popen(command, cwd=ROOT, env=environment)
        deadline = time.monotonic() + 120
        while process.poll() is None and len([*out.rglob("*.jsonl")]) < seen + parts:
            assert time.monotonic() < deadline
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
        seen = len([*out.rglob("*.jsonl")])
        assert process.returncode == -signal.SIGKILL
        assert parts <= seen < 125
    kept = {file: file.stat().st_mtime_ns for file in out.rglob("*-*.jsonl")}
    assert subprocess.run(command, cwd=ROOT, env=environment).returncode == 0
    assert [row["id"] for row in written(out)] == list(range(250))
    assert all(file.stat().st_mtime_ns == when for file, when in kept.items())
    assert not [*out.rglob(".*")]


def test_folder_within_the_one_that_is_read_can_be_gone_on_with(
    source: Path, tiny_predictors: Path
) -> None:
    folder, out = tiny_predictors / "classification", source / "scored"
    assert score_folder(folder, source, out, block=50, verbose=0) == 250
    os.utime(source / "a.jsonl", (1, 1))  # as after a copy
    (out / "a.jsonl-00001.jsonl").unlink()
    assert score_folder(folder, source, out, block=50, verbose=0) == 250
    assert [row["id"] for row in written(out)] == list(range(250))
    with pytest.raises(ArgumentError, match="something else"):
        score_folder(folder, source, source, verbose=0)


def test_parquet_keeps_its_types(tiny_predictors: Path, tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    schema = pyarrow.schema(
        [("when", pyarrow.timestamp("us")), ("n", pyarrow.int16()), ("text", pyarrow.string())]
    )
    rows = [{"when": i, "n": None, "text": "good film" if i > 3 else None} for i in range(10)]
    (tmp_path / "in").mkdir()
    parquet.write_table(pyarrow.Table.from_pylist(rows, schema), tmp_path / "in" / "a.parquet")
    folder = tiny_predictors / "multilabel"
    assert score_folder(folder, tmp_path / "in", tmp_path / "out", ["text"], block=4) == 10
    parts = sorted((tmp_path / "out").glob("*.parquet"))
    assert [parquet.read_metadata(part).num_rows for part in parts] == [4, 4, 2]
    for part in parts:
        found = parquet.read_table(part)
        assert found.schema.field("when").type == pyarrow.timestamp("us")
        assert found.schema.field("n").type == pyarrow.int16()
        assert found.schema.names == ["when", "n", "text", "prediction", "probability"]
    assert parquet.read_table(parts[0]).to_pylist()[0]["prediction"] is None
    assert {str(parquet.read_schema(p).field("prediction").type) for p in parts} == {"string"}


def test_what_cannot_go_on_is_refused(source: Path, tiny_predictors: Path, tmp_path: Path) -> None:
    folder, out = tiny_predictors / "classification", tmp_path / "out"
    score_folder(folder, source, out, verbose=0)
    with pytest.raises(ArgumentError, match="begun with other block"):
        score_folder(folder, source, out, block=3, verbose=0)
    with pytest.raises(ArgumentError, match="begun with other predictor"):
        score_folder(tiny_predictors / "regression", source, out, verbose=0)
    write(source, "a.jsonl", [{"id": 1, "text": "changed"}])
    with pytest.raises(ArgumentError, match="begun with other files"):
        score_folder(folder, source, out, verbose=0)
    with pytest.raises(ArgumentError, match="something else"):
        score_folder(folder, source, source / "sub", verbose=0)
    with pytest.raises(DataError, match="no such folder"):
        score_folder(folder, tmp_path / "none", tmp_path / "new", verbose=0)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no files"):
        score_folder(folder, tmp_path / "empty", tmp_path / "new", verbose=0)


def test_two_at_once_are_refused(source: Path, tiny_predictors: Path, tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl")
    out = tmp_path / "out"
    out.mkdir()
    descriptor = os.open(out, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        with pytest.raises(ArgumentError, match="another process"):
            score_folder(tiny_predictors / "classification", source, out, verbose=0)
    finally:
        os.close(descriptor)
