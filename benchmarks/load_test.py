"""A server under load: `ktlite serve` beside FastAPI with a PyTorch pipeline.

    python benchmarks/load_test.py PREDICTOR_FOLDER --reference-python PATH
        [--clients 64] [--seconds 60]

Clients on loopback ask without a pause, each one request at a time, with film reviews of data/
put together to texts from a sentence to a page; every fifth request has 2 to 8 texts. Before, one
client asks for each text alone: whatever the load makes different from that by more than 0.0001
counts as wrong. The second interpreter has torch, transformers, fastapi and uvicorn. Linux only.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import csv
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PORT = 8765
TOLERANCE = 1e-4
KTLITE = "import sys; from ktlite.deploy.serving import serve; serve(sys.argv[1], port={})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("predictor", type=Path, help="a saved text classifier")
    parser.add_argument("--reference-python", help="an interpreter that has torch")
    parser.add_argument("--clients", type=int, default=64, help="at once (default: 64)")
    parser.add_argument("--seconds", type=float, default=60, help="of load (default: 60)")
    parser.add_argument("--texts", type=int, default=500, help="different ones (default: 500)")
    options = parser.parse_args()
    facts = json.loads((options.predictor / "ktlite.json").read_text())["preprocessor"]
    maxlen = facts["inputs"]["text"]["maxlen"]
    commands = {"ktlite": [sys.executable, "-c", KTLITE.format(PORT), str(options.predictor)]}
    if options.reference_python:
        script = str(ROOT / "benchmarks" / "systems" / "pytorch_server.py")
        commands["FastAPI + pipeline"] = [
            options.reference_python, script, str(options.predictor), str(PORT), str(maxlen),
        ]  # fmt: skip
    texts = mixed_texts(options.texts)
    figures = {}
    for name, command in commands.items():
        with server(command) as pid:
            figures[name] = asyncio.run(measure(texts, options.clients, options.seconds, pid))
        sys.stdout.write(f"{name}: {figures[name]}\n")
    report(figures, options)


def mixed_texts(count: int) -> list[str]:
    """Returns texts from a sentence to a page, the shorter the more."""
    with (ROOT / "data" / "movie_reviews.csv").open(encoding="utf-8", newline="") as file:
        reviews = [row["text"] for row in csv.DictReader(file)]
    chance = random.Random(42)
    return [
        " ".join(chance.choices(reviews, k=min(30, int(chance.paretovariate(1.0)))))
        for _ in range(count)
    ]


@contextlib.contextmanager
def server(command: list[str]) -> Iterator[int]:
    """Runs a server, gives its process."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 180
        while not asyncio.run(lives()):
            if process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"the server did not start: {' '.join(command)}")
            time.sleep(0.5)
        yield process.pid
    finally:
        process.terminate()
        process.wait(60)


def cpu_seconds(pid: int) -> float:
    """Returns what a process has taken of all cores. Other programs do not add to it."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def lives() -> bool:
    try:
        return (await Connection().ask("GET", "/health"))[0] == 200
    except OSError:
        return False


class Connection:
    """A client that stays connected."""

    reader: asyncio.StreamReader | None = None
    writer: asyncio.StreamWriter

    async def ask(self, method: str, path: str, content: Any = None) -> tuple[int, Any]:
        """Returns the status and the content of an answer."""
        if self.reader is None:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", PORT)
        body = b"" if content is None else json.dumps(content).encode()
        self.writer.write(
            f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = int(head.partition("content-length:")[2].partition("\r\n")[0])
        answer = await self.reader.readexactly(length)
        return int(head.split()[1]), json.loads(answer)

    async def probabilities(self, texts: list[str]) -> np.ndarray:
        status, answer = await self.ask("POST", "/predict_proba", {"texts": texts})
        if status != 200:
            raise OSError(f"{status}: {answer}")
        return np.array(answer["probabilities"])


async def measure(texts: list[str], clients: int, seconds: float, pid: int) -> dict[str, float]:
    """Returns the figures of one server."""
    alone = Connection()
    begin = time.monotonic()
    expected = np.concatenate([await alone.probabilities([text]) for text in texts])
    one_client = len(texts) / (time.monotonic() - begin)
    load = os.getloadavg()[0]
    latencies: list[float] = []
    counts = {"texts": 0, "errors": 0, "wrong": 0}
    begin, cpu = time.monotonic(), cpu_seconds(pid)

    async def client(number: int) -> None:
        chance, connection = random.Random(number), Connection()
        while time.monotonic() < begin + seconds:
            many = chance.randint(2, 8) if chance.random() < 0.2 else 1
            chosen = chance.sample(range(len(texts)), many)
            start = time.monotonic()
            try:
                found = await connection.probabilities([texts[i] for i in chosen])
            except (OSError, EOFError):
                counts["errors"] += 1
                connection = Connection()
                continue
            latencies.append(time.monotonic() - start)
            counts["texts"] += many
            right = found.shape == expected[chosen].shape
            right = right and bool(np.abs(found - expected[chosen]).max() <= TOLERANCE)
            counts["wrong"] += not right

    await asyncio.gather(*(client(number) for number in range(clients)))
    took, cpu = time.monotonic() - begin, cpu_seconds(pid) - cpu
    p50, p95, p99 = 1000 * np.percentile(latencies, [50, 95, 99])
    return {
        "requests": len(latencies),
        "errors": counts["errors"],
        "wrong": counts["wrong"],
        "requests_per_s": len(latencies) / took,
        "texts_per_s": counts["texts"] / took,
        "p50_ms": float(p50),
        "p95_ms": float(p95),
        "p99_ms": float(p99),
        "cpu_ms_per_text": 1000 * cpu / counts["texts"],
        "one_client_per_s": one_client,
        "load_before": load,
    }


def report(figures: dict[str, dict[str, float]], options: argparse.Namespace) -> None:
    """Prints a table and writes the figures."""
    rows = [f"{'':20}" + "".join(f"{name:>20}" for name in figures)]
    for figure in next(iter(figures.values())):
        values = "".join(f"{measured[figure]:20,.1f}" for measured in figures.values())
        rows.append(f"{figure:20}{values}")
    sys.stdout.write("\n".join(rows) + "\n")
    result = {
        "clients": options.clients,
        "seconds": options.seconds,
        "cores": os.cpu_count(),
        "figures": figures,
    }
    (RESULTS / "load_test.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
