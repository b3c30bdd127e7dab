"""Run files: YAML and TOML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ktlite.cli.runfile import read_run, write_run
from ktlite.errors import ArgumentError

KNOWN = ["epochs", "lr", "label_columns", "text_column"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("run.yaml", "lr: 5e-5\nepochs: 2\nlabel-columns: [a, b]\ntext_column: '5e-5'\n"),
        ("run.yml", "{lr: 0.00005, epochs: 2, label_columns: [a, b], text-column: '5e-5'}"),
        (
            "run.toml",
            'lr = 5e-5\nepochs = 2\nlabel_columns = ["a", "b"]\ntext_column = "5e-5"\n',
        ),
    ],
)
def test_settings_have_their_types(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    found = read_run(str(tmp_path / name), KNOWN)
    assert found == {"lr": 5e-5, "epochs": 2, "label_columns": ["a", "b"], "text_column": "5e-5"}
    assert isinstance(found["lr"], float)


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("run.yaml", "epoch: 3\nlr: 1", "unknown argument 'epoch'. Did you mean 'epochs'?"),
        ("run.yaml", "[1, 2]", "a setting a line"),
        ("run.yaml", "a: [", "not YAML"),
        ("run.yaml", "lr: !!python/object/apply:os.getcwd []", "not YAML"),
        ("run.toml", "a = ", "not TOML"),
        ("none.yaml", None, "no file"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, name: str, text: str | None, problem: str) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(ArgumentError) as caught:
        read_run(str(tmp_path / name), KNOWN)
    assert problem in str(caught.value)


def test_what_is_written_is_read_as_it_was(tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "lr": 5e-05,
        "epochs": 1,
        "label_columns": ["房间", "no"],
        "text_column": "1e3",
    }
    write_run(tmp_path / "run.yaml", settings, "ktlite train")
    assert read_run(str(tmp_path / "run.yaml"), KNOWN) == settings
    lines = (tmp_path / "run.yaml").read_text().splitlines()
    assert lines[0].endswith("It repeats the run:")
    assert lines[1] == f"# ktlite train --config {tmp_path / 'run.yaml'} --out NEW"
