"""Texts that are sent while they are written, as server-sent events.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Executor
from typing import Any

from fastapi.responses import StreamingResponse

from ktlite._logging import logger
from ktlite.errors import KtliteError

EVENTS = "text/event-stream"


class Stream:
    """The pieces of a text; whatever becomes of them, what they hold is given back once.

    Args:
        pieces: Computes each when it is asked for.
        release: Gives back what they hold.
    """

    def __init__(self, pieces: Iterator[str], release: Callable[[], None]) -> None:
        self._pieces, self._release = pieces, release
        self._lock = threading.Lock()
        self._closed = False

    def next(self) -> str | None:
        """Returns the next piece; None at the end, and once it is closed."""
        with self._lock:
            return None if self._closed else next(self._pieces, None)

    def close(self) -> None:
        """Stops the model, behind the token that is being computed."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._pieces = iter(())
                self._release()


class StreamedText(StreamingResponse):
    """Sends the pieces of a text, each as an event; stops the model where the client goes.

    Args:
        stream: The pieces.
        pool: Computes them.
        done: Told at the end, in the event loop.
    """

    def __init__(self, stream: Stream, pool: Executor, done: Callable[[], None]) -> None:
        # A proxy is not to gather the events.
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        super().__init__(_events(stream, pool), headers=headers, media_type=EVENTS)
        self._end = lambda: pool.submit(stream.close)
        self._done = done

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._end()
            self._done()


async def _events(stream: Stream, pool: Executor) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    try:
        while (piece := await loop.run_in_executor(pool, stream.next)) is not None:
            yield _event({"piece": piece})
    except KtliteError as error:
        yield _event({"error": str(error)})
        return
    except Exception:  # the status is out already
        logger.exception("a text was not written to its end")
        yield _event({"error": "the server failed; its log says where."})
        return
    yield _event({"done": True})


def _event(content: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(content, ensure_ascii=False)}\n\n".encode()
