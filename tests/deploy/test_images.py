"""Pictures scored by path, by bytes and by the folder, in files and in engines' tables."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ktlite.cli.main import main
from ktlite.deploy.frames import Scorer
from ktlite.deploy.resumable import score_folder
from ktlite.errors import DataError
from ktlite.predictor import Predictor


@pytest.fixture(scope="module")
def saved(image_predictor: Predictor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "colours"
    image_predictor.save(folder)
    return folder


def rows(files: list[Path]) -> list[dict[str, str]]:
    return [row for file in files for row in csv.DictReader(file.open(encoding="utf-8"))]


def test_a_folder_of_pictures_goes_on_where_it_stopped(
    saved: Path, class_folders: Path, tmp_path: Path
) -> None:
    assert score_folder(saved, class_folders / "valid", tmp_path / "out", block=5, verbose=0) == 12
    parts = sorted((tmp_path / "out").glob("images-*.csv"))
    assert len(parts) == 3
    found = rows(parts)
    assert [row["prediction"] for row in found] == [row["image"].split("/")[0] for row in found]
    kept = parts[0].stat().st_mtime_ns
    parts[1].unlink()
    assert score_folder(saved, class_folders / "valid", tmp_path / "out", block=5, verbose=0) == 12
    assert parts[0].stat().st_mtime_ns == kept and rows(parts) == found


def test_a_damaged_picture_has_no_prediction(
    saved: Path, class_folders: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = next((class_folders / "valid" / "red").glob("*.png"))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(file.read_bytes())
    (tmp_path / "in" / "b.png").write_bytes(file.read_bytes()[:-40])
    score_folder(saved, tmp_path / "in", tmp_path / "out", format="jsonl", verbose=0)
    (part,) = (tmp_path / "out").glob("images-*.jsonl")
    found = [json.loads(line) for line in part.read_text(encoding="utf-8").splitlines()]
    assert [row["prediction"] for row in found] == ["red", None]
    assert "1 image cannot be read, without a prediction: a damaged file, such as" in caplog.text


def test_paths_in_a_table_are_relative_to_it(
    saved: Path, class_folders: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = class_folders / "valid" / "green" / "0.jpg"
    (tmp_path / "a.jpg").write_bytes(file.read_bytes())
    (tmp_path / "t.csv").write_text("id,image\n7,a.jpg\n8,\n", encoding="utf-8")
    arguments = ["predict", str(saved), "--input", str(tmp_path / "t.csv")]
    assert main([*arguments, "--out", str(tmp_path / "scored.csv")]) == 0
    found = rows([tmp_path / "scored.csv"])
    assert [(row["id"], row["prediction"]) for row in found] == [("7", "green"), ("8", "")]


def test_the_name_of_a_picture_on_the_command_line(
    saved: Path, class_folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(class_folders / "valid" / "blue" / "0.jpg")
    assert main(["predict", str(saved), file, "--json"]) == 0
    said = capsys.readouterr()
    (row,) = json.loads(said.out)
    assert (row["image"], row["prediction"]) == (file, "blue")
    assert "taken for a text" not in said.err
    assert main(["predict", str(saved), "nowhere.jpg"]) == 1
    assert "there is no file 'nowhere.jpg'" in capsys.readouterr().err
    assert main(["info", str(saved)]) == 0
    assert "reads      images" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["path", "bytes", "dict"])
def test_columns_of_engines(saved: Path, class_folders: Path, kind: str) -> None:
    file = class_folders / "valid" / "red" / "1.png"
    cells: dict[str, Any] = {
        "path": str(file),
        "bytes": file.read_bytes(),
        "dict": {"bytes": file.read_bytes(), "path": None},
    }
    found = Scorer.of(saved).columns([pd.Series([cells[kind], None])])
    assert found["prediction"].tolist()[0] == "red" and found["prediction"].isna().tolist()[1]


def test_a_folder_without_pictures(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.doc").write_text("a", encoding="utf-8")
    with pytest.raises(DataError, match="and no images"):
        score_folder(saved, tmp_path / "in", tmp_path / "out", verbose=0)
