"""The process, or several, that a web application runs in."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import h11
import uvicorn
from fastapi import FastAPI, HTTPException
from fastapi.middleware.trustedhost import TrustedHostMiddleware
from uvicorn.config import LOGGING_CONFIG
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.supervisors import Multiprocess

from ktlite._arguments import at_least_one, checked, not_a_string
from ktlite._logging import logger
from ktlite.deploy.serving.app import create_app
from ktlite.deploy.serving.limits import Limits
from ktlite.deploy.serving.metrics import SHARED
from ktlite.errors import ArgumentError, Problems
from ktlite.storage import read_manifest

KEY = "KTLITE_API_KEY"
_HEADERS = 64 * 1024  # bytes of a request's line and headers, at most
_LOCAL = ("127.0.0.1", "localhost", "::1")


@checked
def serve(
    path: str | os.PathLike[str],
    host: str = "127.0.0.1",
    port: int = 8000,
    *,
    workers: int = 1,
    api_key: str | None = None,
    limits: Limits | Mapping[str, Any] | None = None,
    cors: Iterable[str] = (),
    hosts: Iterable[str] = (),
    access_log: bool = False,
    batch_size: int = 32,
    runtime: str | None = None,
    cache: int = 0,
    max_new_tokens: int | None = None,
) -> None:
    """Serves a saved predictor until the process is told to stop.

    At the address there is a page to try it on, at `/docs` what programs may ask for. SIGTERM and
    Ctrl-C end it when all requests that it has are answered; SIGHUP loads the folder anew.

    Args:
        path: The folder of a saved predictor.
        host: Address to listen at. Default: this machine's own, which others do not reach.
        port: Port to listen at; 0 takes one that is free.
        workers: Processes, each with the model in its memory. One uses all cores by itself; more
            help where much of the time is not the model's.
        api_key: What clients have to send. Default: the environment variable `KTLITE_API_KEY`, or
            nothing where it is not set.
        limits: What it takes: `Limits`, or those that are not its defaults, by name, such as
            `{"texts": 100, "timeout": 5}`.
        cors: Origins whose pages may use it. Default: none.
        hosts: Names that clients may call this machine by where `host` is its own and there is no
            key, such as that of a proxy before it. Default: localhost alone. Otherwise a page of
            another site, whose name leads here, could read answers.
        access_log: Log every request.
        batch_size: Texts that the model computes at once.
        runtime: What is to run it, as `load_predictor` takes it. Default: what the folder was
            written for.
        cache: Keep what the model said of so many texts, for when they are asked for again.
        max_new_tokens: The most tokens that a model which writes may write for a text. Default:
            as `limits` has it, 512.

    Raises:
        ArgumentError: If an argument cannot work, or the address is taken.
        PredictorError: If the folder is no predictor's.

    Example:
        >>> serve("reviews-predictor", port=8080)
    """
    problems = Problems("serve")
    at_least_one(problems, workers=workers)
    if max_new_tokens is not None:
        at_least_one(problems, max_new_tokens=max_new_tokens)
    problems.add_unless(
        isinstance(port, int) and 0 <= port < 65_536, f"port={port!r}; expected 0 to 65535."
    )
    not_a_string(problems, hosts=hosts)
    problems.raise_if_any()
    limits = Limits.of(limits)
    if max_new_tokens is not None:
        limits = replace(limits, max_new_tokens=max_new_tokens)
    read_manifest(path)  # what is no predictor is said here, and not by each worker
    sock = _bound(host, port)
    port = sock.getsockname()[1]
    key = api_key or os.environ.get(KEY) or None
    if key is None and host not in _LOCAL:
        logger.warning(
            "everybody who can reach %s:%d may use this server: set %s for a key.", host, port, KEY
        )
    address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    known = None if key or host not in _LOCAL else (*_LOCAL, "[::1]", *hosts)
    make = partial(_worker_app, path, workers, known, limits=limits, api_key=key, cors=cors,
                   batch_size=batch_size, runtime=runtime, cache=cache)  # fmt: skip
    config = uvicorn.Config(
        make,
        factory=True,
        workers=workers,
        http=Connection,
        ws="none",
        lifespan="on",
        # Enough that the application itself refuses what is too much, with a message.
        limit_concurrency=4 * limits.waiting,
        timeout_keep_alive=max(1, round(limits.slow)),
        timeout_graceful_shutdown=round(limits.timeout) + 5,
        timeout_worker_healthcheck=60,
        h11_max_incomplete_event_size=_HEADERS,
        server_header=False,
        log_config=LOGGING_CONFIG if access_log else None,
        log_level="info" if access_log else "warning",
        access_log=access_log,
    )
    logger.info("loading %s", path)
    if workers > 1:
        with tempfile.TemporaryDirectory(prefix="ktlite-metrics-") as folder:
            os.environ[SHARED] = folder
            try:
                logger.info("serving at %s with %d processes (Ctrl-C ends it)", address, workers)
                _Workers(config, sockets=[sock]).run()
            finally:
                del os.environ[SHARED]
    else:
        config.load()
        logger.info("serving %s at %s (Ctrl-C ends it)", path, address)
        with contextlib.suppress(KeyboardInterrupt):  # uvicorn has ended in good order
            uvicorn.Server(config).run(sockets=[sock])


def _bound(host: str, port: int) -> socket.socket:
    """Returns a socket at an address, which does not listen yet."""
    # With its protocol: asyncio turns Nagle's algorithm off for what says that it is TCP. Otherwise
    # the second half of an answer waits 40 ms for the client to acknowledge the first.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        raise ArgumentError(
            f"cannot listen at {host}:{port}: {error.strerror}. Take another host or port; port=0 "
            "is any that is free."
        ) from None
    sock.set_inheritable(True)
    return sock


class Connection(H11Protocol):
    """A connection that is closed where the client takes too long to send a request's headers.

    Uvicorn by itself waits for them for ever.
    """

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._expect_headers()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._expect_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._forget()

    def _expect_headers(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._forget()
        elif self._timer is None:
            self._timer = self.loop.call_later(self.timeout_keep_alive, self.transport.close)

    def _forget(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _Workers(Multiprocess):
    """Uvicorn's processes; SIGHUP goes on to each of them, which reloads in its place."""

    def handle_hup(self) -> None:
        for process in self.processes:
            if process.pid is not None:
                os.kill(process.pid, signal.SIGHUP)


def _worker_app(
    path: str | os.PathLike[str], workers: int, hosts: Sequence[str] | None, **options: Any
) -> FastAPI:
    """Returns the application of one process, which reloads on SIGHUP.

    With `hosts` it answers to these names alone.
    """
    _on_hangup(signal.SIG_IGN)  # what is still loading is new; by default the signal ends it
    app = create_app(path, **options)
    if hosts is not None:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False)
    reload = app.state.reload

    def ask_all() -> dict[str, Any]:
        os.kill(os.getppid(), signal.SIGHUP)
        return {"status": f"{workers} workers are reloading; their log says how it went."}

    if workers > 1:
        app.state.reload = ask_all
    attempt = partial(_attempt, reload)
    _on_hangup(lambda *_: threading.Thread(target=attempt, daemon=True).start())
    return app


def _on_hangup(action: Any) -> None:
    if hasattr(signal, "SIGHUP") and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGHUP, action)


def _attempt(reload: Callable[[], Any]) -> None:
    with contextlib.suppress(HTTPException):  # it is in the log
        reload()
