"""ktlite's loggers, shown without set-up and silenced like any other.

Remarks go to standard error: an application that configures logging sees them in its own format,
and where nobody did (a notebook, a script) they are echoed as plain lines. Results, such as the
report of a validation, go to standard output as they are, like what a program prints.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator

from ktlite._progress import screen

#: Of remarks.
logger = logging.getLogger("ktlite")
#: Of results: what was asked for. Silenced with `logger`.
results = logging.getLogger("ktlite.results")


class _Echo(logging.StreamHandler):
    """Echoes records only while the application has configured no logging of its own."""

    def emit(self, record: logging.LogRecord) -> None:
        if logging.getLogger().handlers:
            return
        # Not setStream, which flushes the last stream: that one may be closed by now.
        self.stream = screen()
        super().emit(record)


class _Results(logging.Handler):
    """Writes records to the present standard output, and to the application's log files.

    Not to those of its handlers that write to the screen, where it would be read twice.
    """

    def emit(self, record: logging.LogRecord) -> None:
        if logger.disabled:
            return
        if sys.stdout is not None:  # pythonw has none
            _write(record.getMessage() + "\n")
        for handler in _log_files():
            if record.levelno >= handler.level:
                handler.handle(record)


@contextlib.contextmanager
def without_results() -> Iterator[None]:
    """Keeps what is called inside from writing its results: the caller has them, and says more."""
    before, results.disabled = results.disabled, True
    try:
        yield
    finally:
        results.disabled = before


def _write(text: str) -> None:
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    # Bars and other scripts' letters, which a terminal of an old code page lacks.
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
    sys.stdout.flush()


def _log_files() -> Iterator[logging.Handler]:
    """Yields the handlers of ktlite's records that write elsewhere than to the screen."""
    screens = (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)
    applications = logging.getLogger().handlers if logger.propagate else []
    for handler in (*logger.handlers, *applications):
        shown = isinstance(handler, _Echo) or getattr(handler, "stream", None) in screens
        if not shown and handler not in results.handlers:  # whose own turn comes
            yield handler


if not any(isinstance(handler, _Echo) for handler in logger.handlers):
    handler = _Echo()
    handler.setFormatter(logging.Formatter("ktlite: %(message)s"))
    logger.addHandler(handler)
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)
if not any(isinstance(handler, _Results) for handler in results.handlers):
    results.addHandler(_Results())
    results.propagate = False
