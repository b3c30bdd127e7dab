"""The logger shows itself where nobody configured logging, and nowhere else."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ktlite._logging import logger, results

ROOT = Path(__file__).parents[1]


def outputs_of(script: str, **environment: str) -> tuple[str, str]:
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT, capture_output=True, text=True, check=True,
        env={**os.environ, **environment},
    )  # fmt: skip
    return done.stdout, done.stderr


def stderr_of(script: str) -> str:
    out, err = outputs_of(script)
    assert out == ""
    return err


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


# ------------------------------------------------------------------------------------- results


@pytest.mark.parametrize(
    ("configure", "expected"),
    [
        ("pass", "a table\n"),
        ("logging.basicConfig(level='DEBUG')", "a table\n"),
        ("logging.basicConfig(stream=sys.stdout)", "a table\n"),
        ("logging.basicConfig(level='ERROR')", "a table\n"),
        ("logging.getLogger('ktlite').addHandler(logging.StreamHandler())", "a table\n"),
        ("logging.getLogger('ktlite').setLevel('WARNING')", ""),
        ("logging.getLogger('ktlite').disabled = True", ""),
        ("sys.stdout = None", ""),
    ],
)
def test_results_are_read_once_and_on_standard_output(configure: str, expected: str) -> None:
    script = f"import logging, sys; from ktlite._logging import results; {configure}"
    assert outputs_of(f"{script}\nresults.info('a %s', 'table')") == (expected, "")


def test_results_come_into_the_log_file_of_an_application(tmp_path: Path) -> None:
    file = tmp_path / "run.log"
    script = (
        "import logging; from ktlite._logging import results\n"
        f"logging.basicConfig(filename={str(file)!r}, format='%(levelname)s %(message)s')\n"
        "results.info('a table')"
    )
    assert outputs_of(script) == ("a table\n", "")
    assert file.read_text() == "INFO a table\n"


def test_results_that_a_terminal_has_no_letters_for_are_shown_all_the_same() -> None:
    script = "from ktlite._logging import results; results.info('+1 \u2588')"
    out, err = outputs_of(script, PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert (out, err) == ("+1 \\u2588\n", "")


def test_results_follow_the_present_standard_output() -> None:
    for message in ("one", "two"):
        with io.StringIO() as stream, contextlib.redirect_stdout(stream), unconfigured():
            results.info(message)
            assert stream.getvalue() == f"{message}\n"
