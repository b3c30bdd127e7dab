"""What ktrain's tutorials call: the cells that need no checkpoint run; the page tells of all."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def script() -> Any:
    spec = importlib.util.spec_from_file_location("tutorials", DOCS / "ktrain_tutorials.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_cells_do_what_the_page_says(script: Any) -> None:
    # Quick ones that need no checkpoint.
    quick = [
        "tutorial-05-learning_from_unlabeled_text_data",
        "tutorial-A4-customdata-text_regression_with_extra_regressors",
        "IMDb-fasttext",
        "shallownlp-examples",
    ]
    found = script.run_all(quick)
    assert list(found) == quick
    for cells in found.values():
        for cell in cells:
            if "instead" in cell:
                assert cell["kind"] == "changed", cell
            elif "reason" in cell:
                assert cell["kind"] == "not here", cell
            else:
                assert cell["kind"] in ("unchanged", "import changed"), cell


def test_the_page_counts_every_cell(script: Any) -> None:
    page = (DOCS / "from-ktrain.md").read_text(encoding="utf-8")
    for tutorial in script.read_cells():
        cells = tutorial["cells"]
        row = re.search(rf"^\| {re.escape(tutorial['name'])} \| (.*) \|$", page, re.MULTILINE)
        assert row is not None, tutorial["name"]
        total, unchanged, imported, changed, missing = map(int, row[1].split(" | "))
        assert total == len(cells) == unchanged + imported + changed + missing
        assert changed == sum("instead" in cell for cell in cells)
        assert missing == sum("reason" in cell and "instead" not in cell for cell in cells)
        assert imported == sum(
            script.here(cell["code"]) != cell["code"] and "reason" not in cell for cell in cells
        )
