"""A server of a predictor that writes: texts, chats, options, and pieces as events."""

from __future__ import annotations

import http.client
import json
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ktlite
from ktlite.deploy.serving import Limits
from ktlite.predictor import Predictor
from tests.writers import WORDS, chats, checkpoint, reversals

Start = Callable[..., Any]
TEXTS = ["a b c", "f g", "h"]
CHAT = chats(1, 4)[0][:1]
DRAWN: dict[str, Any] = {"max_new_tokens": 30, "do_sample": True, "stop_strings": ["b", "d e"]}


@pytest.fixture(scope="module")
def translating(golden: Path, tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    folder = checkpoint(golden, tmp_path_factory.mktemp("serves") / "t5", "t5")
    learner = ktlite.get_learner(
        folder, reversals(20, 0), task="translation", maxlen=16, check=False, verbose=0
    )
    return learner.get_predictor()


def events(body: bytes) -> list[dict[str, Any]]:
    parts = body.decode().split("\n\n")
    assert parts.pop() == ""
    assert all(part.startswith("data: ") for part in parts)
    return [json.loads(part.removeprefix("data: ")) for part in parts]


def test_answers_are_those_of_the_predictor(serving: Start, chatting: Predictor) -> None:
    client = serving(chatting)
    for options in ({}, {"max_new_tokens": 5}, DRAWN, {"num_beams": 3, "max_new_tokens": 6}):
        answer = client.post("/predict", {"texts": TEXTS, "options": options})
        assert answer.json["predictions"] == chatting.predict(TEXTS, **options)
        answer = client.post("/generate", {"text": TEXTS[0], "options": options})
        assert answer.json == {"text": chatting.predict(TEXTS[0], **options)}
    assert client.post("/predict", {"texts": "a"}).json["predictions"] == chatting.predict("a")
    for path, name in (("/predict", "predictions"), ("/generate", "text")):
        answer = client.post(path, {"messages": CHAT, "options": DRAWN})
        assert answer.json == {name: chatting.predict(CHAT, **DRAWN)}
    assert client.get("/info").json["limits"]["max_new_tokens"] == 512


def test_a_model_that_reads_and_writes(serving: Start, translating: Predictor) -> None:
    client = serving(translating)
    found = client.post("/predict", {"texts": TEXTS, "options": {"prefix": "a ", **DRAWN}})
    assert found.json["predictions"] == translating.predict(TEXTS, prefix="a ", **DRAWN)
    refused = client.post("/predict", {"messages": CHAT})
    assert refused.status == 422
    assert "there is no field 'messages'" in refused.json["detail"]
    refused = client.post("/predict", {"texts": "a", "options": {"prefix": 3}})
    assert refused.status == 422
    assert "prefix=3; expected a string" in refused.json["detail"]


def test_pieces_are_events(serving: Start, chatting: Predictor) -> None:
    client = serving(chatting)
    for example in ({"text": TEXTS[0]}, {"messages": CHAT}):
        asked = {**example, "options": DRAWN, "stream": True}
        answer = client.post("/generate", asked)
        assert answer.status == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        *pieces, last = events(answer.body)
        assert last == {"done": True}
        (given,) = example.values()
        assert "".join(e["piece"] for e in pieces) == chatting.predict(given, **DRAWN)


def test_who_goes_stops_the_model(
    serving: Start, chatting: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text would be endless; the one stream that the server allows is free again."""
    ended = threading.Event()

    def endless(self: Any, example: Any, **options: Any) -> Any:
        try:
            while True:
                time.sleep(0.001)
                yield "a "
        finally:
            ended.set()

    with monkeypatch.context() as patched:
        patched.setattr(Predictor, "stream", endless)
        client = serving(chatting, limits={"streams": 1, "timeout": 20})
        connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=20)
        body = json.dumps({"text": "a", "stream": True})
        connection.request("POST", "/generate", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        assert response.readline() == b'data: {"piece": "a "}\n'  # before the text is whole
        assert not ended.is_set()
        response.close()
        connection.close()
        assert ended.wait(20)
    answer = client.post("/generate", {"text": "a", "stream": True})
    assert events(answer.body)[-1] == {"done": True}
    end = time.monotonic() + 20
    while client.app.state.service.in_flight and time.monotonic() < end:
        time.sleep(0.01)
    assert client.app.state.service.in_flight == 0


def test_a_stream_that_finds_no_room_is_told(serving: Start, chatting: Predictor) -> None:
    client = serving(chatting, limits={"streams": 1, "timeout": 0.2})
    held = client.app.state.service._streams
    held.acquire()
    assert client.post("/generate", {"text": "a", "stream": True}).status == 504
    held.release()


def test_what_fails_amid_a_text_is_an_event(
    serving: Start, chatting: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(self: Any, example: Any, **options: Any) -> Any:
        yield "a"
        raise ktlite.errors.KtliteError("scores are NaN")

    monkeypatch.setattr(Predictor, "stream", failing)
    answer = serving(chatting).post("/generate", {"text": "a", "stream": True})
    assert events(answer.body) == [{"piece": "a"}, {"error": "scores are NaN"}]


LONG = {"role": "user", "content": "a " * 30}
REFUSED = [
    ("/generate", {"text": "a", "options": {"max_new_tokens": 41}}, "41 tokens.*up to 40"),
    ("/generate", {"text": "a", "options": {"max_length": 50}}, "50 tokens.*up to 40"),
    ("/generate", {"text": "a", "options": {"max_tokens": 4}}, "unknown.*'max_tokens'"),
    ("/generate", {"text": "a", "options": {"self": 4}}, "unknown.*'self'"),
    ("/generate", {"text": "a", "options": {"suppress_tokens": [9999]}}, "unknown"),
    ("/generate", {"text": "a", "options": {"num_return_sequences": 2}}, "unknown"),
    ("/generate", {"text": "a", "options": {"temperature": "hot"}}, "temperature='hot'"),
    ("/generate", {"text": "a", "options": {"num_beams": 3}}, "num_beams=3.*up to 2"),
    ("/generate", {"text": "a", "options": {"stop_strings": ["a"] * 17}}, "17 strings.*up to 16"),
    ("/generate", {"text": "a", "options": [1]}, "options: .*dictionary"),
    ("/generate", {"text": "a", "options": {"num_beams": 2}, "stream": True}, "not settled"),
    ("/generate", {"text": "a", "stream": 1}, "stream: .*boolean"),
    ("/generate", {"text": ["a", "b"]}, "expected one text"),
    ("/generate", {"options": {}}, "give text or messages"),
    ("/generate", {"text": "a", "messages": CHAT}, "give text or messages, one"),
    ("/generate", {"text": " "}, "empty"),
    ("/predict", {"texts": [["a", "b"]]}, r"texts\[0\] is not a text"),
    ("/predict", {"messages": [CHAT]}, "expected a list of messages"),
    ("/predict", {"messages": []}, "expected a list of messages"),
    ("/predict", {"messages": [{"role": 3, "content": "a"}]}, "expected a list of messages"),
    ("/predict", {"messages": [LONG]}, "60 characters; this server takes up to 50"),
    ("/predict", {"texts": "a", "coverage": 0.9}, "no field 'coverage'"),
]  # fmt: skip


def test_what_is_wrong_is_said(serving: Start, chatting: Predictor) -> None:
    client = serving(
        chatting, limits={"max_new_tokens": 40, "beams": 2, "characters": 50, "timeout": 60}
    )
    for path, content, problem in REFUSED:
        answer = client.post(path, content)
        assert answer.status == 422, (content, answer.body)
        assert re.search(problem, answer.json["detail"]), (content, answer.json)
    for path in ("/predict_proba", "/explain"):
        assert client.post(path, {"texts": "a"}).status == 404
    assert "/explain" not in client.get("/openapi.json").json["paths"]


def test_texts_end_at_the_limit(serving: Start, chatting: Predictor) -> None:
    """What the checkpoint says is more than the server writes: it writes that many tokens."""
    client = serving(chatting, limits={"max_new_tokens": 3})
    found = client.post("/generate", {"text": "a", "options": {"min_new_tokens": 3}}).json["text"]
    assert found == chatting.predict("a", max_new_tokens=3, min_new_tokens=3)
    assert len(found.split()) <= 3


def test_requests_that_ask_for_the_same_share_batches(serving: Start, chatting: Predictor) -> None:
    from ktlite.deploy.serving.writing import _Asked

    asked = _Asked(chatting, "{}")
    assert asked == _Asked(chatting, "{}")
    assert asked != _Asked(chatting, '{"max_new_tokens": 3}')
    assert asked != _Asked(chatting, "{}", object())
    client = serving(chatting)
    found: dict[str, Any] = {}

    def ask(word: str) -> None:
        found[word] = client.post("/generate", {"text": word, "options": DRAWN}).json["text"]

    threads = [threading.Thread(target=ask, args=(word,)) for word in WORDS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {word: chatting.predict(word, **DRAWN) for word in WORDS}


def test_limits_of_texts_are_numbers() -> None:
    with pytest.raises(ktlite.errors.ArgumentError, match=r"(?s)max_new_tokens=0.*streams=0"):
        Limits(max_new_tokens=0, streams=0)
