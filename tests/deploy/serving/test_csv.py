"""The files that the page reads, without a browser."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[3] / "ktlite" / "deploy" / "serving" / "page"
RUN = """
import { rowsOf } from "./csv.mjs";
const found = process.argv.slice(2).map((file) => {
  const [name, text] = JSON.parse(file);
  try { return rowsOf(name, text); } catch (error) { return error.message; }
});
console.log(JSON.stringify(found));
"""
CASES = {
    "a text a line, no header": (
        ["a.txt", "A fine, warm film\n\nDull; slow\r\nEnd"],
        [["text"], ["A fine, warm film"], ["Dull; slow"], ["End"]],
    ),
    "one column, commas in it": (
        ["a.csv", 'text\nA fine, warm film\n"B, ""b"""\n'],
        [["text"], ["A fine, warm film"], ['B, "b"']],
    ),
    "header in quotation marks": (["a.csv", '"a,b";c\n1;2\n'], [["a,b", "c"], ["1", "2"]]),
    "several columns": (["a.tsv", "id\ttext\n1\ta, b\n"], [["id", "text"], ["1", "a, b"]]),
    "empty fields after the last": (["a.csv", "a,b\n1,2,\n"], [["a", "b"], ["1", "2", ""]]),
    "more fields than the header has": (
        ["a.csv", 'id,text\r\n1,"two\nlines"\r\n2,A fine, warm film\r\n'],
        'line 4 has 3 fields with "," between them, the header has 2. '
        'A text with "," in it needs quotation marks around it.',
    ),
}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    """What the page makes of each case's file."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node")
    folder = tmp_path_factory.mktemp("page")
    shutil.copy(PAGE / "csv.js", folder / "csv.mjs")
    (folder / "run.mjs").write_text(RUN, encoding="utf-8")
    files = [json.dumps(file) for file, _ in CASES.values()]
    done = subprocess.run(
        [node, folder / "run.mjs", *files], capture_output=True, check=True, encoding="utf-8"
    )
    rows: list[object] = json.loads(done.stdout)
    return rows


@pytest.mark.parametrize("case", CASES)
def test_rows_of_files(case: str, found: list[object]) -> None:
    assert found[list(CASES).index(case)] == CASES[case][1]
