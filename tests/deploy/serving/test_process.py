"""The server as a process of its own, as `serve` starts it: signals, and several workers."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ktlite.predictor import Predictor

from .conftest import Client

ROOT = Path(__file__).parents[3]
SCRIPT = """
import sys
from ktlite.deploy.serving import serve
if __name__ == "__main__":
    serve(sys.argv[1], port=int(sys.argv[2]), workers=int(sys.argv[3]))
"""
pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")


class Process:
    """A server, its log, and a client for it."""

    def __init__(self, script: Path, folder: Path, port: int, workers: int) -> None:
        self.log = script.with_suffix(f".{port}.log")
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(script), str(folder), str(port), str(workers)],
                env={**os.environ, "PYTHONPATH": str(ROOT), "KTLITE_API_KEY": "k"},
                stderr=log,
                stdout=log,
            )
        self.client = Client(port)
        self.wait(lambda: self.ready())

    def ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return self.client.get("/health/ready").status == 200
        except OSError:
            return False

    def wait(self, until: Callable[[], bool]) -> None:
        end = time.monotonic() + 120
        while not until():
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.1)

    def post(self, path: str, content: Any) -> Any:
        return self.client.post(path, content, X_API_Key="k")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    started: list[Process] = []
    script = tmp_path / "run.py"
    script.write_text(SCRIPT)

    def go(folder: Path, port: int = 0, workers: int = 1) -> Process:
        if not port:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = free.getsockname()[1]
        started.append(Process(script, folder, port, workers))
        return started[-1]

    yield go
    for server in started:
        server.process.terminate()
        server.process.wait(30)


@pytest.fixture
def folder(predictors: Callable[[str], Predictor], tmp_path: Path) -> Path:
    predictors("classification").save(tmp_path / "served")
    return tmp_path / "served"


def test_signals(start: Callable[..., Process], folder: Path) -> None:
    server = start(folder)
    texts = [f"text {i} " * 20 for i in range(1000)]
    expected = server.post("/predict", {"texts": texts}).json

    server.process.send_signal(signal.SIGHUP)
    server.wait(lambda: "reloaded served" in server.log.read_text())
    assert server.post("/predict", {"texts": texts}).json == expected

    # Killed, it starts again at the same port.
    server.process.kill()
    server.process.wait()
    server = start(folder, server.client.port)
    assert server.post("/predict", {"texts": texts}).json == expected

    # What was accepted is answered before it ends.
    with ThreadPoolExecutor(4) as pool:
        accepted = [pool.submit(server.post, "/predict", {"texts": texts}) for _ in range(4)]
        waiting = b"ktlite_requests_waiting 4.0"
        server.wait(lambda: waiting in server.client.get("/metrics", X_API_Key="k").body)
        server.process.send_signal(signal.SIGTERM)
        assert [future.result().json for future in accepted] == [expected] * 4
    assert server.process.wait(30) in (0, -signal.SIGTERM)
    assert "Traceback" not in server.log.read_text()


def test_workers(start: Callable[..., Process], folder: Path) -> None:
    server = start(folder, workers=2)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: server.post("/predict", {"texts": "a"}), range(40)))
    assert [answer.status for answer in answers] == [200] * 40
    counted = b'ktlite_requests_total{route="/predict",status="200"} 40.0'
    assert counted in server.client.get("/metrics", X_API_Key="k").body

    assert server.post("/reload", b"").json["status"].startswith("2 workers are reloading")
    server.wait(lambda: server.log.read_text().count("reloaded served") == 2)
    assert server.post("/predict", {"texts": "a"}).json == answers[0].json
