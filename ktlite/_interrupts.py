"""Ctrl-C, SIGTERM and a closed terminal during a training: the step is finished first."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable, Mapping
from types import FrameType, TracebackType
from typing import Any

from ktlite._logging import logger

# Windows has no SIGHUP.
_SIGNALS = tuple(getattr(signal, n) for n in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, n))


def set_handlers(handler: Any, signals: Iterable[int] = _SIGNALS) -> dict[int, Any]:
    """Sets a handler of signals, but those that the process ignores; returns what was there.

    Only the main thread can: elsewhere nothing changes, and nothing is returned.
    """
    if threading.current_thread() is not threading.main_thread():
        return {}
    before = {number: signal.getsignal(number) for number in signals}
    # None: not set from Python.
    before = {n: one for n, one in before.items() if one not in (signal.SIG_IGN, None)}
    for number in before:
        signal.signal(number, handler)
    return before


def put_back(handlers: Mapping[int, Any]) -> None:
    """Sets the handlers that `set_handlers` returned."""
    for number, handler in handlers.items():
        signal.signal(number, handler)


class Interrupts:
    """Notes the first Ctrl-C or SIGTERM inside a `with`; a second one stops at once.

    SIGHUP, of a terminal that is closed, is taken for SIGTERM. Only the main thread can handle
    signals; elsewhere nothing changes. A signal that the process ignores (as under `nohup`)
    stays ignored. The handlers that were there are put back at the end.

    Args:
        then: What is done after the first signal, for the log.

    Attributes:
        noted: The signal's number; None: there was none.

    Example:
        >>> with Interrupts() as interrupts:
        ...     for step in range(1000):
        ...         train(step)
        ...         interrupts.raise_if_any()
    """

    def __init__(
        self, then: str = "stopping after this step, or this validation; once more stops at once"
    ) -> None:
        self._then = then
        self.noted: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        self._before = set_handlers(self._note)
        return self

    def __exit__(
        self,
        error: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._put_back()

    def raise_if_any(self) -> None:
        """Ends the training, if a signal has asked for it.

        Raises:
            KeyboardInterrupt: After Ctrl-C.
            SystemExit: After SIGTERM, with the usual exit code of 143.
        """
        if self.noted == signal.SIGTERM:
            raise SystemExit(128 + signal.SIGTERM)
        if self.noted is not None:
            raise KeyboardInterrupt

    def _note(self, number: int, frame: FrameType | None) -> None:
        again = self.noted is not None
        self.noted = signal.SIGINT if number == signal.SIGINT else signal.SIGTERM
        if again:
            self._put_back()
            self.raise_if_any()
        logger.info("%s: %s", signal.Signals(number).name, self._then)

    def _put_back(self) -> None:
        put_back(self._before)
        self._before = {}
