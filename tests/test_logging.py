"""The logger shows itself where nobody configured logging, and nowhere else."""

from __future__ import annotations

import contextlib
import io
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ktlite._logging import logger

ROOT = Path(__file__).parents[1]


def stderr_of(script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == ""
    return done.stderr


@contextlib.contextmanager
def unconfigured() -> Iterator[None]:
    """Logging as in a fresh process: pytest's own handlers are put aside."""
    root = logging.getLogger()
    handlers, root.handlers = root.handlers, []
    try:
        yield
    finally:
        root.handlers = handlers


@pytest.mark.parametrize(
    ("configure", "expected"),
    [
        ("pass", "ktlite: 3 rows\n"),
        ("logging.basicConfig(format='app %(message)s', level='INFO')", "app 3 rows\n"),
        ("logging.getLogger('ktlite').setLevel('WARNING')", ""),
        ("logging.getLogger('ktlite').disabled = True", ""),
    ],
)
def test_application_decides_how_records_are_shown(configure: str, expected: str) -> None:
    script = f"import logging; from ktlite._logging import logger; {configure}"
    assert stderr_of(f"{script}\nlogger.info('%d rows', 3)") == expected


def test_level_that_was_set_before_the_import_is_kept() -> None:
    script = "import logging; logging.getLogger('ktlite').setLevel('ERROR')\n"
    script += "from ktlite._logging import logger; logger.warning('3 rows')"
    assert stderr_of(script) == ""


def test_records_follow_the_present_stderr() -> None:
    for message in ("one", "two"):  # At the second one, the stream of the first is closed.
        with io.StringIO() as stream, contextlib.redirect_stderr(stream), unconfigured():
            logger.info(message)
            assert stream.getvalue() == f"ktlite: {message}\n"


def test_notebook_gets_plain_output_and_no_red_block(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ipykernel", logging)  # any module does
    with unconfigured():
        logger.info("one")
    assert capsys.readouterr() == ("ktlite: one\n", "")
