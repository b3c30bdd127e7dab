"""The benchmark's medians, ratios, table and chart; and the reading of its texts."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", BENCHMARKS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


figures, inputs = load("figures"), load("inputs")


def run(wall: float, cpu: float, **more: float) -> dict[str, float]:
    return {"wall_s": wall, "cpu_s": cpu, "peak_mb": 500.0, **more}


def entry(job: str = "fit", texts: int | None = 1000, **systems: list[Any]) -> dict[str, Any]:
    told = {name: {"versions": {name: "1.0"}, "runs": runs} for name, runs in systems.items()}
    return {
        "job": job, "title": f"to {job}", "texts": texts, "epochs": 2,
        "data": "a.csv", "checkpoint": "tiny", "model": "bert", "date": "2026-11-21",
        "cores": 2, "processor": "x86_64", "systems": told,
    }  # fmt: skip


TWO = {
    "ktlite": [run(1, 4, accuracy=0.9), run(3, 6, accuracy=0.8), run(2, 50, accuracy=0.7)],
    "pytorch": [run(8, 12, accuracy=0.8), run(6, 12, accuracy=0.8), run(4, 12, accuracy=0.8)],
}


def test_medians_and_their_ratios() -> None:
    found = figures.medians(entry(**TWO))
    assert found["ktlite"] == {
        "wall_s": 2, "cpu_s": 6, "peak_mb": 500, "accuracy": 0.8, "cpu_ms_a_text": 3,
    }  # fmt: skip
    assert figures.ratios(entry(**TWO)) == {"pytorch": {"wall_s": 3, "cpu_s": 2, "peak_mb": 1}}


def test_table_shows_medians_ratios_and_set_up() -> None:
    lines = figures.table([entry(**TWO), entry("cold", None, ktlite=[run(5, 5, steps=7)])])
    assert lines[2:5] == [
        "| to fit: 1,000 texts of a.csv, tiny, 2 epochs | ktlite | 2 | 6 | 3 | 500 | 0.8 |  |",
        "|  | pytorch | 6 (3.00x) | 12 (2.00x) | 6 | 500 (1.00x) | 0.8 |  |",
        "| to cold: a.csv, tiny, 2 epochs | ktlite | 5 | 5 |  | 500 |  | 7 |",
    ]
    assert "- fit: 2026-11-21, medians of 3 runs, 2 cores (x86_64), bert." in lines
    assert "- cold: 2026-11-21, one run, 2 cores (x86_64), bert." in lines
    assert "- pytorch: pytorch 1.0." in lines


def test_systems_measured_again_are_replaced_others_stay_with_their_turns(tmp_path: Path) -> None:
    figures.add(tmp_path, entry(ktlite=[run(1, 1)], pytorch=[run(2, 2)], ktrain=[run(4, 4)]))
    figures.add(tmp_path, entry("cold", ktlite=[run(9, 9)]))
    figures.add(tmp_path, entry(ktlite=[run(3, 3)], ktrain=[run(6, 6)]))
    assert rows(tmp_path) == ["1", "2 (2.00x)", "3", "6 (2.00x)", "9"]
    figures.add(tmp_path, entry(ktlite=[run(5, 5)], pytorch=[run(5, 5)]))
    assert rows(tmp_path) == ["3", "6 (2.00x)", "5", "5 (1.00x)", "9"]
    if importlib.util.find_spec("matplotlib"):
        assert (tmp_path / "compare.png").read_bytes().startswith(b"\x89PNG")


def test_other_data_and_other_checkpoints_are_other_results(tmp_path: Path) -> None:
    figures.add(tmp_path, entry(ktlite=[run(1, 1)]))
    figures.add(tmp_path, {**entry(ktlite=[run(2, 2)]), "data": "b.csv"})
    figures.add(tmp_path, {**entry(ktlite=[run(3, 3)]), "checkpoint": "other"})
    figures.add(tmp_path, entry(texts=10, ktlite=[run(4, 4)]))
    figures.add(tmp_path, entry(ktlite=[run(5, 5)]))
    assert rows(tmp_path) == ["5", "2", "3", "4"]


def rows(folder: Path) -> list[str]:
    """Returns the wall seconds of each row of the table."""
    lines = (folder / "compare.md").read_text().splitlines()
    return [line.split("|")[3].strip() for line in lines[2:] if line.startswith("|")]


def test_hotel_reviews_are_read_as_they_come(tmp_path: Path) -> None:
    path = tmp_path / "hotel.csv"
    path.write_bytes('content|pos|neg\n很"好||。|1|0\n |1|0\n真的很差!|0|1\n'.encode("gb18030"))
    assert inputs.read_hotel_reviews(path) == [
        ('很"好||。', "positive"),
        ("真的很差!", "negative"),
    ]
