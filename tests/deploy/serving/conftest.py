"""Servers on loopback, with tiny predictors of random weights."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ktlite.predictor import Predictor
from ktlite.tasks import Answer
from ktlite.text import Transformer

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
pytest.importorskip("prometheus_client")

LABELS: dict[str, list[Any]] = {
    "classification": ["pos", "neg", "so-so"],
    "pairs": ["pos", "neg", "so-so"],
    "multilabel": [[1, 0], [1, 1], [0, 1]],
    "regression": [0.5, -1.5, 2.0],
}


def make(checkpoint: Path, task: str) -> Predictor:
    """A predictor whose head is as random as its other weights."""
    if task in LABELS:
        t = Transformer(checkpoint, maxlen=24, task="regression" if task == "regression" else None)
        texts = ["a", "b", "c"]
        t.preprocess_train(
            [(text, text) for text in texts] if task == "pairs" else texts, LABELS[task], verbose=0
        )
    elif task == "token-classification":
        t = Transformer(checkpoint, maxlen=24, task=task)
        t.preprocess_train([["Ann", "Lee", "left"]], [["B-PER", "I-PER", "O"]], verbose=0)
    else:
        t = Transformer(checkpoint, maxlen=24, task=task)
        t.preprocess_train([("Who?", "Ann.")], [[Answer("Ann", 0)]], verbose=0)
    model = t.get_classifier()
    random = np.random.default_rng(5)
    for weight in model.head.weights:
        weight.assign(random.normal(0, 0.5, weight.shape))
    return Predictor(model, t)


@pytest.fixture(scope="session")
def predictors(tiny_checkpoint: Path) -> Callable[[str], Predictor]:
    """Gives the predictor of a task. Do not change it."""
    made: dict[str, Predictor] = {}

    def get(task: str) -> Predictor:
        if task not in made:
            made[task] = make(tiny_checkpoint, task)
        return made[task]

    return get


class Answered:
    """What a server said."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status, self.headers = response.status, response.headers
        self.body = response.read()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """Asks the server at a port."""

    def __init__(self, port: int) -> None:
        self.port = port

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answered:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, named)
            return Answered(connection.getresponse())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answered:
        return self.ask("GET", path, **headers)

    def post(self, path: str, content: Any, **headers: str) -> Answered:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return self.ask("POST", path, body, **{"Content_Type": "application/json", **headers})


@pytest.fixture
def serving() -> Iterator[Callable[..., Client]]:
    """Starts a server in a thread: `serving(predictor, **options of create_app)`."""
    import uvicorn

    from ktlite.deploy.serving import create_app
    from ktlite.deploy.serving.server import Connection

    started: list[tuple[uvicorn.Server, threading.Thread]] = []

    def start(predictor: Any, keep_alive: int = 5, **options: Any) -> Client:
        app = create_app(predictor, **options)
        config = uvicorn.Config(
            app, http=Connection, ws="none", log_config=None, timeout_keep_alive=keep_alive
        )
        server = uvicorn.Server(config)
        listening = socket.create_server(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        started.append((server, thread))
        while not server.started:
            time.sleep(0.01)
        client = Client(listening.getsockname()[1])
        client.app = app  # type: ignore[attr-defined]
        return client

    yield start
    for server, thread in started:
        server.should_exit = True
        thread.join(10)


@pytest.fixture(scope="session")
def counts_predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    """A predictor of a kind of input that ktlite does not have."""
    import ktlite
    from ktlite.models import from_config
    from tests.made_up import counter, counts  # noqa: F401  both register themselves

    folder = tmp_path_factory.mktemp("made-up") / "counter"
    from_config(counter.CONFIG, counter.TASK, num_labels=2).save_pretrained(folder)
    random = np.random.default_rng(0)
    data = [random.poisson(3, 5) for _ in range(8)], ["few", "many"] * 4
    return ktlite.get_learner(folder, data, data, verbose=0, check=False).get_predictor()


@pytest.fixture(scope="session")
def chatting(golden: Path, tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    """A predictor that goes on with texts, and replies in chats. Do not change it."""
    import ktlite
    from tests.writers import chat_checkpoint, chats

    folder = chat_checkpoint(golden, tmp_path_factory.mktemp("writes") / "chat")
    learner = ktlite.get_learner(
        folder, (chats(20, 0), None), task="text-generation", maxlen=48, check=False, verbose=0
    )
    return learner.get_predictor()
