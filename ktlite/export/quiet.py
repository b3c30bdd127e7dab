"""Converters that do not talk."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from ktlite._stderr import stderr_without

_INFORMATION = r"I\d{4} "  # as TensorFlow's compiled part begins such lines


@contextmanager
def quiet(*names: str) -> Iterator[None]:
    """Keeps other libraries' loggers at errors, and TensorFlow's compiled part from informing.

    The root logger has a handler meanwhile: where it has none, `logging.info`, which some call,
    gives it one for good, and all libraries' records appear.
    """
    handler = logging.NullHandler()
    logging.getLogger().addHandler(handler)
    loggers = [logging.getLogger(name) for name in names]
    levels = [log.level for log in loggers]
    for log in loggers:
        log.setLevel(logging.ERROR)
    try:
        with stderr_without(_INFORMATION):
            yield
    finally:
        for log, level in zip(loggers, levels, strict=True):
            log.setLevel(level)
        logging.getLogger().removeHandler(handler)
