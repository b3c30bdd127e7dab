"""What every request goes through, whatever it asks for."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

from ktlite.deploy.serving.limits import Limits
from ktlite.deploy.serving.metrics import Metrics

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = [
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]


class Observed:
    """Counts requests, and gives every answer the headers that keep a page safe.

    Args:
        app: An ASGI application.
        metrics: What counts.
    """

    def __init__(self, app: Any, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begin, status = time.monotonic(), 500

        async def observed(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message["headers"], *_HEADERS]}
            await send(message)

        try:
            await self.app(scope, receive, observed)
        finally:
            # What nobody knows is one route: clients must not be able to make new ones.
            route = getattr(scope.get("route"), "path", "other")
            self.metrics.request(route, status, time.monotonic() - begin)


class WholeBody:
    """Reads a request's body before it is passed on; refuses one too large or too slow.

    Args:
        app: An ASGI application.
        limits: Of the body.
    """

    def __init__(self, app: Any, limits: Limits) -> None:
        self.app, self.limits = app, limits

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body, end = bytearray(), time.monotonic() + self.limits.slow
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        too_large = int(announced) > self.limits.body if announced.isdigit() else False
        while not too_large:
            message = await _within(end, receive)
            if message is None:
                await _refuse(
                    send, 408, f"the request took longer than {self.limits.slow:g} s to arrive."
                )
                return
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            too_large = len(body) > self.limits.body
            if not message.get("more_body"):
                break
        if too_large:
            await _refuse(
                send,
                413,
                f"the request is larger than {self.limits.body:,} bytes. Send it in several.",
                receive,
                end,
            )
            return
        messages = [{"type": "http.request", "body": bytes(body), "more_body": False}]

        async def replay() -> Any:
            return messages.pop() if messages else await receive()

        await self.app(scope, replay, send)


async def _within(end: float, receive: Any) -> Any:
    """Returns the next message, None where there is none in time."""
    try:
        return await asyncio.wait_for(receive(), max(0.0, end - time.monotonic()))
    except asyncio.TimeoutError:
        return None


async def _refuse(send: Any, status: int, why: str, receive: Any = None, end: float = 0.0) -> None:
    """Answers, and closes the connection.

    With `receive`, what the client still sends is taken and thrown away: many clients look at the
    answer only when they have sent everything, and see none where the connection is closed before.
    """
    content = json.dumps({"detail": why}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(content)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content, "more_body": True})
    more = receive is not None
    while more:
        message = await _within(end, receive)
        more = message is not None and message.get("more_body", False)
    await send({"type": "http.response.body", "body": b"", "more_body": False})
