"""ktlite's one logger, shown without set-up and silenced like any other.

An application that configures logging sees ktlite's records in its own format.
Where nobody did (a notebook, a script), they are echoed as plain lines.
"""

from __future__ import annotations

import logging

from ktlite._progress import screen

logger = logging.getLogger("ktlite")


class _Echo(logging.StreamHandler):
    """Echoes records only while the application has configured no logging of its own."""

    def emit(self, record: logging.LogRecord) -> None:
        if logging.getLogger().handlers:
            return
        # Not setStream, which flushes the last stream: that one may be closed by now.
        self.stream = screen()
        super().emit(record)


if not any(isinstance(handler, _Echo) for handler in logger.handlers):
    handler = _Echo()
    handler.setFormatter(logging.Formatter("ktlite: %(message)s"))
    logger.addHandler(handler)
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)
