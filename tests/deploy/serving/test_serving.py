"""A server on loopback: the predictor's own answers, and refusals that say what to do."""

from __future__ import annotations

import asyncio
import copy
import importlib
import json
import os
import re
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ktlite.deploy.serving import Limits, create_app
from ktlite.errors import ArgumentError, PredictorError
from ktlite.predictor import Predictor

Get = Callable[[str], Predictor]
Start = Callable[..., Any]
TEXTS = [
    "The film was great!",
    "房间很好，但是不便宜。",
    "bad",
    "not very good, and long " * 9,
    "😀 <b>",
]
QUESTION = {"question": "Who was good?", "context": "The film was good. Ann Lee made it."}


# What is answered


@pytest.mark.parametrize("task", ["classification", "multilabel", "regression"])
def test_answers_are_those_of_the_predictor(serving: Start, predictors: Get, task: str) -> None:
    predictor = predictors(task)
    client = serving(predictor)
    many = client.post("/predict", {"texts": TEXTS})
    assert many.status == 200
    one = client.post("/predict", {"texts": TEXTS[0]})
    if task == "classification":
        assert many.json["predictions"] == predictor.predict(TEXTS)
        assert one.json["predictions"] == predictor.predict(TEXTS[0])
    proba = client.post("/predict_proba", {"texts": TEXTS})
    if task == "regression":
        np.testing.assert_allclose(many.json["predictions"], predictor.predict(TEXTS), rtol=1e-5)
        assert proba.status == 422
    else:
        np.testing.assert_allclose(
            proba.json["probabilities"], predictor.predict_proba(TEXTS), atol=1e-6
        )
        assert proba.json["classes"] == predictor.get_classes()


def test_pairs_and_options(serving: Start, predictors: Get) -> None:
    classifier, labeller = predictors("pairs"), predictors("multilabel")
    client = serving(classifier)
    answer = client.post("/predict", {"texts": [["a film", "bad"]], "return_proba": True})
    expected = classifier.predict([("a film", "bad")], return_proba=True)
    np.testing.assert_allclose(answer.json["predictions"], expected, atol=1e-6)
    refused = client.post("/predict", {"texts": ["a film", "bad"]})
    assert refused.status == 422
    assert "trained on pairs" in refused.json["detail"]
    answer = serving(labeller).post("/predict", {"texts": TEXTS, "return_labels": True})
    assert answer.json["predictions"] == labeller.predict(TEXTS, return_labels=True)


def test_words_are_tagged(serving: Start, predictors: Get) -> None:
    predictor = predictors("token-classification")
    client = serving(predictor)
    answer = client.post("/predict", {"texts": ["Ann left Bonn.", ["Ann", "left"]]})
    expected = [predictor.predict("Ann left Bonn."), predictor.predict([["Ann", "left"]])[0]]
    assert answer.json["predictions"] == [[list(item) for item in row] for row in expected]
    merged = client.post("/predict", {"texts": "Ann left", "merge_tokens": True})
    assert merged.json["predictions"] == [
        [text, kind, list(span)]
        for text, kind, span in predictor.predict("Ann left", merge_tokens=True)
    ]


def test_questions_are_answered(serving: Start, predictors: Get) -> None:
    predictor = predictors("question-answering")
    client = serving(predictor)
    answer = client.post("/predict", {"texts": QUESTION, "n_best": 2, "return_offsets": True}).json[
        "predictions"
    ]
    expected = predictor.predict(QUESTION, n_best=2, return_offsets=True)
    assert answer == [[text, list(span)] for text, span in expected]
    empty = client.post("/predict", {"texts": {**QUESTION, "question": " "}})
    assert (empty.status, "question is empty" in empty.json["detail"]) == (422, True)


def test_explanation_has_each_word_and_its_score(serving: Start, predictors: Get) -> None:
    client = serving(predictors("classification"))
    found = client.post("/explain", {"text": "A fine film", "target": "neg"}).json
    assert [word["word"] for word in found["words"]] == ["A", "fine", "film"]
    assert len(found["scores"]) == 3
    assert found["target"] == "neg"
    wrong = client.post("/explain", {"text": "A fine film", "target": "nag"})
    assert (wrong.status, "Did you mean 'neg'?" in wrong.json["detail"]) == (422, True)


def test_concurrent_clients_get_their_own_answers(serving: Start, predictors: Get) -> None:
    predictor = predictors("classification")
    client = serving(predictor)
    texts = [f"{'good ' * (i % 20)}film number {i}" for i in range(120)]
    expected = predictor.predict_proba(texts)

    def ask(i: int) -> Any:
        return client.post("/predict_proba", {"texts": texts[i : i + 1 + i % 3]}).json

    with ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(ask, range(len(texts))))
    for i, answer in enumerate(answers):
        np.testing.assert_allclose(answer["probabilities"], expected[i : i + 1 + i % 3], atol=1e-5)
    metrics = client.get("/metrics").body.decode()
    assert 'ktlite_requests_total{route="/predict_proba",status="200"} 120.0' in metrics
    batches = re.search(r"^ktlite_batch_texts_count (\S+)", metrics, re.MULTILINE)
    assert batches and 1 <= float(batches[1]) < 120
    assert "ktlite_requests_waiting 0.0" in metrics


def test_information_and_health(serving: Start, predictors: Get) -> None:
    client = serving(predictors("multilabel"), limits=Limits(texts=7))
    info = client.get("/info").json
    assert (info["task"], info["takes"]) == ("multilabel", "texts")
    assert info["options"] == ["return_proba", "coverage", "return_labels"]
    assert info["limits"]["texts"] == 7
    assert client.get("/health").json == {"status": "alive"}
    assert client.get("/health/ready").json == {"status": "ready"}


def test_interface_is_described_with_the_options_of_the_task(
    serving: Start, predictors: Get
) -> None:
    paths = serving(predictors("question-answering")).get("/openapi.json").json["paths"]
    content = paths["/predict"]["post"]["requestBody"]["content"]["application/json"]
    assert {"texts", "n_best", "return_offsets"} <= set(content["schema"]["properties"])
    assert {"/predict_proba", "/explain", "/reload", "/info", "/metrics"} <= set(paths)
    assert all("head" not in methods for methods in paths.values())


@pytest.mark.parametrize("task", ["classification", "question-answering"])
def test_answers_have_the_shape_that_is_described(
    serving: Start, predictors: Get, task: str
) -> None:
    client = serving(predictors(task))
    api = client.get("/openapi.json").json
    texts: Any = QUESTION if task == "question-answering" else "房间很好"
    asked = {"/predict": {"texts": texts}, "/predict_proba": {"texts": texts},
             "/explain": {"text": texts}}  # fmt: skip
    answers = {path: client.post(path, content).json for path, content in asked.items()}
    answers |= {path: client.get(path).json for path in ("/info", "/health", "/health/ready")}
    for path, answer in answers.items():
        if "detail" in answer:
            continue  # of questions there are no probabilities
        ((_, details),) = api["paths"][path].items()
        reference = details["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]
        schema = api["components"]["schemas"][reference.rpartition("/")[2]]
        assert set(schema.get("required", ())) <= set(answer) <= set(schema["properties"]), path
    problem = client.post("/predict", {}).json
    refused = api["paths"]["/predict"]["post"]["responses"]["422"]["content"]["application/json"]
    assert refused["schema"]["$ref"].endswith("/Problem")
    assert set(problem) == {"detail"}


@pytest.mark.parametrize("path", ["/health", "/health/ready", "/info", "/metrics", "/", "/docs"])
def test_head_is_answered_without_a_body(serving: Start, predictors: Get, path: str) -> None:
    client = serving(predictors("classification"), api_key="k")
    got, asked = (client.ask(method, path, X_API_Key="k") for method in ("GET", "HEAD"))
    assert (asked.status, asked.body) == (200, b"")
    assert asked.headers["content-type"] == got.headers["content-type"]
    if path in ("/info", "/metrics"):
        assert client.ask("HEAD", path).status == 401


def test_texts_that_the_tokenizer_hardly_knows_are_remarked(
    serving: Start, predictors: Get
) -> None:
    client = serving(predictors("classification"))
    texts = ["The film was great!", "ⴰⵣⵓⵍ ⴼⵍⵍⴰⵡⵏ ⴰⵣⵓⵍ"]
    for path in ("/predict", "/predict_proba"):
        known, unknown = client.post(path, {"texts": texts}).json["remarks"]
        assert known is None
        assert "are unknown to this model's tokenizer" in unknown
        assert client.post(path, {"texts": texts[1]}).json["remarks"] == unknown
        assert "remarks" not in client.post(path, {"texts": texts[:1]}).json


# What is refused


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"{", 400, "not JSON: Expecting property name"),
        (b'{"texts": "\xff"}', 400, "not UTF-8: byte 11 is 0xff"),
        (b"[" * 19_000, 400, "cannot be read"),
        (b'{"texts": ' + b"1" * 5_000 + b"}", 400, "cannot be read"),
        (b'"text"', 422, "expected an object such as"),
        (b"{}", 422, "texts: field required"),
        ({"texts": "x", **{f"f{i}" * 50: 1 for i in range(100)}}, 422, "there is no field 'f0f0f"),
        ({"text": "x"}, 422, "there is no field 'text'. Did you mean 'texts'?"),
        ({"texts": "x", "return_proba": "yes"}, 422, "return_proba: input should be a valid bool"),
        ({"texts": "x", "batch_size": 10**9}, 422, "no field 'batch_size'"),
        ({"texts": []}, 422, "got 0 texts; this server takes 1 to 9 a request"),
        ({"texts": ["a"] * 10}, 422, "got 10 texts; this server takes 1 to 9 a request"),
        ({"texts": 3}, 422, "expected a text or a list of them; got a number"),
        ({"texts": None}, 422, "got null"),
        ({"texts": ""}, 422, "texts is empty"),
        ({"texts": ["a", " \n", 4]}, 422, "texts[1] is empty, texts[2] is a number, not a text"),
        ({"texts": "x" * 201}, 422, "texts has 201 characters; this server takes up to 200"),
        ({"texts": ["a", "\ud800"]}, 422, "not Unicode"),
        ({"texts": [["a", "b", "c"]]}, 422, ""),
        ({"texts": "a", "coverage": 0.9}, 422, "calibrated"),
        ({"texts": "x" * 30_000}, 413, "larger than 20,000 bytes"),
    ],
)  # fmt: skip
def test_what_cannot_be_answered_is_refused_with_what_to_mend(
    serving: Start, predictors: Get, body: Any, status: int, message: str
) -> None:
    client = serving(
        predictors("classification"), limits=Limits(texts=9, characters=200, body=20_000)
    )
    answer = client.post("/predict", body)
    assert answer.status == status
    assert message in answer.json["detail"]
    assert client.post("/predict", {"texts": "fine"}).status == 200


def test_other_content_than_json_is_refused(serving: Start, predictors: Get) -> None:
    client = serving(predictors("classification"))
    answer = client.ask("POST", "/predict", b'{"texts": "a"}', Content_Type="text/plain")
    assert (answer.status, answer.json["detail"]) == (
        415,
        "expected the header Content-Type: application/json.",
    )
    assert client.get("/nothing").status == 404
    assert client.get("/predict").status == 405


def test_huge_bodies_are_refused_without_being_kept(serving: Start, predictors: Get) -> None:
    client = serving(predictors("classification"))
    assert client.post("/predict", bytes(100 * 2**20)).status == 413
    # Without its length: in pieces, as a stream is sent.
    with socket.create_connection(("127.0.0.1", client.port), timeout=20) as connection:
        connection.sendall(
            b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        piece = b"100000\r\n" + bytes(2**20) + b"\r\n"
        for _ in range(20):
            connection.sendall(piece)
        connection.sendall(b"0\r\n\r\n")
        assert b" 413 " in connection.recv(100)
    assert client.post("/predict", {"texts": "fine"}).status == 200


def test_slow_clients_are_let_go_and_others_served(serving: Start, predictors: Get) -> None:
    client = serving(predictors("classification"), keep_alive=1, limits=Limits(slow=1))
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"
    ends = {}

    def dribble(name: str, start: bytes) -> None:
        with socket.create_connection(("127.0.0.1", client.port), timeout=20) as connection:
            connection.sendall(start)
            said, let_go = b"", False
            connection.settimeout(0.1)
            for _ in range(90):  # fewer bytes than the body has: it is never whole
                try:
                    connection.sendall(b"x")
                    said = connection.recv(1000)
                    let_go = True
                    break
                except TimeoutError:
                    continue
                except OSError:
                    let_go = True
                    break
            ends[name] = (said, let_go)

    threads = [
        threading.Thread(target=dribble, args=pair)
        for pair in (("body", head), ("headers", head[:20]), ("nothing", b"P"))
    ]
    for thread in threads:
        thread.start()
    assert client.post("/predict", {"texts": "fine"}).status == 200
    for thread in threads:
        thread.join()
    assert b" 408 " in ends["body"][0]
    assert all(let_go for _, let_go in ends.values())


def slow(predictor: Predictor, until: threading.Event) -> Predictor:
    """A copy whose model does not answer before `until`."""
    other = copy.copy(predictor)

    def logits(texts: Any, *_: Any) -> np.ndarray:
        assert until.wait(20)
        return predictor.logits(texts)

    vars(other)["logits"] = logits
    return other


def test_one_request_too_many_is_asked_to_come_again(serving: Start, predictors: Get) -> None:
    go = threading.Event()
    client = serving(slow(predictors("classification"), go), limits=Limits(waiting=3))
    with ThreadPoolExecutor(3) as pool:
        accepted = [pool.submit(client.post, "/predict", {"texts": "a"}) for _ in range(3)]
        while client.app.state.service.in_flight < 3:
            time.sleep(0.01)
        refused = client.post("/predict", {"texts": "a"})
        assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
        assert "3 requests are waiting already" in refused.json["detail"]
        assert client.get("/health").status == 200
        go.set()
        assert [future.result().status for future in accepted] == [200, 200, 200]


def test_no_answer_in_time_is_said(serving: Start, predictors: Get) -> None:
    go = threading.Event()
    client = serving(slow(predictors("classification"), go), limits=Limits(timeout=0.2))
    late = client.post("/predict", {"texts": "a"})
    assert (late.status, "no answer within 0.2 s" in late.json["detail"]) == (504, True)
    while client.get("/health/ready").status == 200:
        time.sleep(0.01)
    go.set()
    while client.get("/health/ready").status == 503:
        time.sleep(0.01)
    assert client.post("/predict", {"texts": "a"}).status == 200


def test_failure_of_the_server_is_not_told_in_detail(serving: Start, predictors: Get) -> None:
    broken = copy.copy(predictors("classification"))

    def fail(*_: Any) -> None:
        raise RuntimeError("a secret path")

    vars(broken)["logits"] = fail
    answer = serving(broken).post("/predict", {"texts": "a"})
    assert (answer.status, answer.json["detail"]) == (500, "the server failed; its log says where.")


# Who may ask


def test_key_is_needed_where_there_is_one(serving: Start, predictors: Get) -> None:
    client = serving(predictors("classification"), api_key="se cret-é")
    content = {"texts": "a"}
    for headers in ({}, {"X_API_Key": "other"}, {"Authorization": "Bearer se cret"}):
        answer = client.post("/predict", content, **headers)
        assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    key = "se cret-é".encode().decode("latin-1")  # headers are bytes
    assert client.post("/predict", content, Authorization=f"Bearer {key}").status == 200
    assert client.post("/predict", content, X_API_Key=key).status == 200
    assert client.get("/info").status == 401
    assert client.get("/metrics").status == 401
    assert client.get("/health").status == 200
    assert client.get("/").status == 200
    with pytest.raises(ArgumentError, match="api_key is empty"):
        create_app(predictors("classification"), api_key=" ")


def test_pages_of_other_origins_are_let_in_where_they_are_named(
    serving: Start, predictors: Get
) -> None:
    origin = "https://example.org"
    asks = {"Origin": origin, "Access_Control_Request_Method": "POST"}
    closed = serving(predictors("classification"))
    assert "access-control-allow-origin" not in closed.ask("OPTIONS", "/predict", **asks).headers
    opened = serving(predictors("classification"), cors=[origin])
    allowed = opened.ask("OPTIONS", "/predict", **asks).headers
    assert allowed["access-control-allow-origin"] == origin


# Another predictor in its place


def test_reload_takes_the_new_predictor_and_drops_no_request(
    serving: Start, predictors: Get, tmp_path: Path
) -> None:
    folder, other = tmp_path / "served", tmp_path / "other"
    old = predictors("classification")
    old.save(folder)
    new = Predictor(old.model, copy.copy(old.preproc))
    new.preproc.task = old.preproc.task.renamed(["A", "B", "C"])
    new.save(other)
    client = serving(folder, api_key="k")
    known = {"X_API_Key": "k"}
    stop, said = threading.Event(), []

    def ask() -> None:
        while not stop.is_set():
            said.append(client.post("/predict", {"texts": TEXTS}, **known))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    shutil.rmtree(folder)
    shutil.copytree(other, folder)
    reloaded = client.post("/reload", b"", **known)
    answered, until = len(said), time.monotonic() + 30
    while len(said) < answered + 2 * len(threads) and time.monotonic() < until:
        time.sleep(0.01)  # one of each thread may have been asked before
    stop.set()
    for thread in threads:
        thread.join()
    assert reloaded.json["classes"] == ["A", "B", "C"]
    assert {answer.status for answer in said} == {200}
    expected = [old.predict(TEXTS), new.predict(TEXTS)]
    assert [a.json["predictions"] for a in said if a.json["predictions"] not in expected] == []
    assert expected[1] in [answer.json["predictions"] for answer in said]
    assert client.post("/predict", {"texts": TEXTS}, **known).json["predictions"] == expected[1]

    (folder / "model.safetensors").write_bytes(b"damaged")
    failed = client.post("/reload", b"", **known)
    assert (failed.status, "the old predictor stays" in failed.json["detail"]) == (500, True)
    assert client.post("/predict", {"texts": TEXTS}, **known).json["predictions"] == expected[1]

    shutil.rmtree(folder)
    predictors("regression").save(folder)
    refused = client.post("/reload", b"", **known)
    assert (refused.status, "restart it" in refused.json["detail"]) == (409, True)


def test_reload_needs_a_key_and_a_folder(serving: Start, predictors: Get) -> None:
    assert serving(predictors("classification")).post("/reload", b"").status == 403
    client = serving(predictors("classification"), api_key="k")
    assert client.post("/reload", b"", X_API_Key="k").status == 409


def test_folder_that_holds_no_predictor_is_refused(tmp_path: Path) -> None:
    from ktlite.deploy.serving import serve

    with pytest.raises(PredictorError):
        serve(tmp_path)
    with pytest.raises(ArgumentError, match="port=70000"):
        serve(tmp_path, port=70_000)


def test_address_that_is_taken_is_said(predictors: Get, tmp_path: Path) -> None:
    from ktlite.deploy.serving import serve

    predictors("classification").save(tmp_path / "p")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ArgumentError, match=f"cannot listen at 127.0.0.1:{port}: Address"):
            serve(tmp_path / "p", port=port)


def test_answers_do_not_wait_for_acknowledgements() -> None:
    from ktlite.deploy.serving.server import _bound

    with _bound("127.0.0.1", 0) as listening:
        listening.listen()
        with socket.create_connection(listening.getsockname()):
            accepted, _ = listening.accept()
    with accepted:  # of others asyncio does not turn Nagle's algorithm off
        assert accepted.proto == socket.IPPROTO_TCP


def test_limits_are_checked() -> None:
    with pytest.raises(ArgumentError, match="texts=0.*\n.*timeout=-1"):
        Limits(texts=0, timeout=-1)


@pytest.mark.parametrize(
    ("given", "message"),
    [({"text": 1}, "unknown argument 'text'. Did you mean 'texts'"), ("9", "limits='9'"),
     ({"texts": "9"}, "texts='9'; expected a whole number")],
)  # fmt: skip
def test_limits_by_name_are_checked(given: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        Limits.of(given)


def asked(app: Any, host: bytes) -> list[Any]:
    """Returns what an application sends when it is asked for /info by a name."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "GET", "path": "/info", "root_path": "", "raw_path": b"/info",
        "query_string": b"", "scheme": "http", "headers": [(b"host", host)], "http_version": "1.1",
        "server": ("x", 80), "client": ("y", 1),
    }  # fmt: skip
    asyncio.run(app(scope, receive, send))
    return sent


@pytest.mark.skipif(os.name == "nt", reason="a signal of POSIX")
def test_without_a_key_only_its_own_names_are_answered(predictors: Get, tmp_path: Path) -> None:
    """Pages of a site whose name leads to 127.0.0.1 are of the server's own origin."""
    from ktlite.deploy.serving import server

    predictors("classification").save(tmp_path / "p")
    before = signal.getsignal(signal.SIGHUP)
    try:
        app = server._worker_app(
            tmp_path / "p", 1, ("localhost", "own.example"), limits={"texts": 2}
        )
    finally:
        signal.signal(signal.SIGHUP, before)
    for host, status in {b"localhost:80": 200, b"own.example": 200, b"evil.example": 400}.items():
        assert asked(app, host)[0]["status"] == status
    assert json.loads(asked(app, b"localhost")[1]["body"])["limits"]["texts"] == 2


@pytest.mark.parametrize(
    ("options", "names"),
    [({}, ("localhost", "own.example")), ({"api_key": "k"}, None), ({"host": "0.0.0.0"}, None)],
)
def test_a_key_or_another_address_lets_any_name_in(
    predictors: Get, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: Any, names: Any
) -> None:
    from ktlite.deploy.serving import server

    predictors("classification").save(tmp_path / "p")
    monkeypatch.setattr(server, "_bound", lambda *_: socket.socket())
    made: list[Any] = []

    def worker_app(path: Any, workers: int, hosts: Any, **options: Any) -> Any:
        made.append(hosts)
        raise InterruptedError

    monkeypatch.setattr(server, "_worker_app", worker_app)
    with pytest.raises(InterruptedError):
        server.serve(tmp_path / "p", hosts=["own.example"], **options)
    assert made[0] is None if names is None else set(names) <= set(made[0])


# Inside another application


def test_application_can_be_a_part_of_another(predictors: Get) -> None:
    from fastapi import FastAPI

    outer = FastAPI()
    outer.mount("/reviews", create_app(predictors("classification")))
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b'{"texts": "a film"}', "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/reviews/predict", "root_path": "",
        "raw_path": b"/reviews/predict", "query_string": b"", "scheme": "http",
        "headers": [(b"content-type", b"application/json")], "http_version": "1.1",
        "server": ("x", 80), "client": ("y", 1),
    }  # fmt: skip
    asyncio.run(outer(scope, receive, send))
    assert sent[0]["status"] == 200


def test_missing_library_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("ktlite.deploy.serving")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(ArgumentError, match=r"serving needs uvicorn.*'ktlite\[serve\]'"):
        importlib.import_module("ktlite.deploy.serving")
