"""A predictor of images as a service: data URLs, uploads, limits, and what is never read."""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ktlite.deploy.serving import Limits
from ktlite.inputs.images import Images
from ktlite.predictor import Predictor

BOUNDARY = "a-boundary"


@pytest.fixture
def files(class_folders: Path) -> list[bytes]:
    """Of a blue, a green and a red picture."""
    return [next((class_folders / "valid" / name).glob("0.*")).read_bytes()
            for name in ("blue", "green", "red")]  # fmt: skip


def form(*parts: tuple[str, bytes | str], name: str = "a.jpg") -> dict[str, Any]:
    """Returns a body and its header, as a browser sends it."""
    body = b"".join(
        f"--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{field}\"".encode()
        + (f'; filename="{name}"\r\nContent-Type: image/jpeg'.encode()
           if isinstance(content, bytes) else b"")
        + b"\r\n\r\n" + (content if isinstance(content, bytes) else content.encode()) + b"\r\n"
        for field, content in parts
    ) + f"--{BOUNDARY}--\r\n".encode()  # fmt: skip
    return {
        "content": body,
        "Content_Type": f"multipart/form-data; boundary={BOUNDARY}",
    }


def png(height: int, width: int) -> bytes:
    written = io.BytesIO()
    Image.new("L", (width, height)).save(written, "PNG")
    return written.getvalue()


def test_data_urls_and_base64(
    serving: Callable[..., Any], image_predictor: Predictor, files: list[bytes]
) -> None:
    client = serving(image_predictor)
    urls = [Images.to_json(files[0]), base64.b64encode(files[2]).decode()]
    assert client.post("/predict", {"images": urls[0]}).json == {"predictions": "blue"}
    assert client.post("/predict", {"images": urls}).json == {"predictions": ["blue", "red"]}
    found = client.post("/predict_proba", {"images": urls}).json
    assert found["classes"] == ["blue", "green", "red"]
    expected = image_predictor.predict_proba([files[0], files[2]])
    np.testing.assert_allclose(found["probabilities"], expected, atol=1e-5)


def test_uploads(
    serving: Callable[..., Any], image_predictor: Predictor, files: list[bytes]
) -> None:
    client = serving(image_predictor)
    one = client.post("/predict", **form(("image", files[0])))
    assert (one.status, one.json) == (200, {"predictions": "blue"})
    many = client.post("/predict", **form(("images", files[2]), ("images", files[1])))
    assert many.json == {"predictions": ["red", "green"]}
    single = client.post("/predict", **form(("images", files[1])))
    assert single.json == {"predictions": ["green"]}
    asked = client.post("/predict", **form(("return_proba", "true"), ("image", files[0])))
    np.testing.assert_allclose(
        asked.json["predictions"], image_predictor.predict_proba(files[0]), atol=1e-5
    )


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n", b"--", b"\r\n--", b"\x00\xff\x85\x1c"])
def test_an_upload_is_its_bytes(end: bytes) -> None:
    from ktlite.deploy.serving.uploads import fields_of_form

    content = b"\r\n\r\n--" + bytes(range(256)) + end
    sent = form(("image", content))
    found = fields_of_form(sent["content"], sent["Content_Type"], "image", "images")
    assert found == {"images": content}


def test_nothing_of_the_server_is_read(
    serving: Callable[..., Any], image_predictor: Predictor, class_folders: Path
) -> None:
    client = serving(image_predictor)
    file = next((class_folders / "valid" / "red").iterdir())
    for given in (str(file), file.as_uri(), "http://127.0.0.1/a.png", {"path": str(file)}):
        said = client.post("/predict", {"images": [given]})
        assert said.status == 422
        assert "red" not in said.json.get("predictions", "")
    # Nor by the name that a client gives to what it sends.
    said = client.post("/predict", **form(("image", b"no picture"), name=str(file)))
    assert said.status == 422 and "is no picture" in said.json["detail"]


@pytest.mark.parametrize(
    ("given", "status", "words"),
    [
        ({"texts": "a"}, 422, "there is no field 'texts'. images: field required."),
        ({"images": []}, 422, "got 0 images; this server takes 1 to 3 a request"),
        ({"images": ["aaaa"] * 4}, 422, "got 4 images"),
        ({"images": 3}, 422, "expected an image or a list of them; got a number"),
        ({"images": [3]}, 422, "images[0]: an image is of type int; expected a data URL"),
        ({"images": "no base64!"}, 422, "images: an image is 'no base64!'; expected a data URL"),
        ({"images": ""}, 422, "images: it has no bytes"),
        ({"images": "aaaa"}, 422, "images: 3 bytes is no picture that Pillow reads"),
        ({"images": ["data:image/png;base64," + base64.b64encode(png(40, 60)).decode()]},
         422, "images[0] has 2,400 pixels; this server takes up to 2,000"),
        ({"images": "a" * 70_000}, 413, "larger than 60,000 bytes"),
    ],
)  # fmt: skip
def test_what_is_refused(
    serving: Callable[..., Any],
    image_predictor: Predictor,
    given: Any,
    status: int,
    words: str,
) -> None:
    client = serving(image_predictor, limits=Limits(texts=3, pixels=2_000, body=60_000))
    said = client.post("/predict", given)
    assert said.status == status
    assert words in said.json["detail"]


@pytest.mark.parametrize(
    ("sent", "status", "words"),
    [
        (form(("file", b"a")), 422, "a file is called 'file'; expected image, or images"),
        (form(("image", b"a"), ("image", b"b")), 422, "send one file as image, or all"),
        (form(("image", b"a"), ("coverage", "much")), 422, "coverage: "),
        ({**form(("image", b"a")), "Content_Type": "multipart/form-data"}, 400, "a boundary"),
        ({"content": b"--a-boundary\r\n", "Content_Type": form()["Content_Type"]}, 400, "cut off"),
        ({"content": b"a", "Content_Type": "image/png"}, 415, "or multipart/form-data"),
    ],
)
def test_forms_that_are_refused(
    serving: Callable[..., Any],
    image_predictor: Predictor,
    sent: dict[str, Any],
    status: int,
    words: str,
) -> None:
    said = serving(image_predictor).post("/predict", **sent)
    assert said.status == status
    assert words in said.json["detail"]


def test_a_damaged_picture_is_named_and_spoils_no_other_request(
    serving: Callable[..., Any], image_predictor: Predictor, files: list[bytes]
) -> None:
    client = serving(image_predictor, limits=Limits(gather=0.5))
    damaged = png(30, 30)[:-30]
    answers: dict[str, Any] = {}

    def ask(name: str, *contents: bytes) -> None:
        answers[name] = client.post("/predict", **form(*(("images", c) for c in contents)))

    threads = [
        threading.Thread(target=ask, args=("good", *files)),
        threading.Thread(target=ask, args=("bad", files[0], damaged)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers["good"].json == {"predictions": ["blue", "green", "red"]}
    assert answers["bad"].status == 422
    assert answers["bad"].json["detail"] == "images[1]: a damaged file."


def test_a_picture_that_would_fill_the_memory_is_refused_by_its_header(
    serving: Callable[..., Any], image_predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = serving(image_predictor, limits=Limits(pixels=10**9))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # as if 40 x 60 were a bomb
    sent, decoded = form(("image", png(40, 60))), []
    load = Image.Image.load
    monkeypatch.setattr(Image.Image, "load", lambda self: decoded.append(self) or load(self))
    said = client.post("/predict", **sent)
    assert said.status == 422 and "is too large" in said.json["detail"]
    assert not decoded


def test_concurrent_requests_share_batches(
    serving: Callable[..., Any],
    image_predictor: Predictor,
    files: list[bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes = []
    whole = type(image_predictor).logits

    def counted(self: Predictor, items: Any, *more: Any) -> Any:
        sizes.append(len(items))
        return whole(self, items, *more)

    monkeypatch.setattr(type(image_predictor), "logits", counted)
    client = serving(image_predictor, limits=Limits(gather=0.5))
    threads = [
        threading.Thread(target=client.post, args=("/predict",), kwargs=form(("image", file)))
        for file in files * 3
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(sizes) == 9 and len(sizes) < 9


def test_what_is_said_of_it(serving: Callable[..., Any], image_predictor: Predictor) -> None:
    client = serving(image_predictor)
    info = client.get("/info").json
    assert (info["input"], info["noun"], info["media"]) == ("image", "image", "image/*")
    assert info["maxlen"] is None and info["limits"]["pixels"] == 50_000_000
    body = client.get("/openapi.json").json["paths"]["/predict"]["post"]["requestBody"]
    schema = body["content"]["application/json"]["schema"]
    one, many = schema["properties"]["images"]["anyOf"]
    assert one == many["items"] == Images.schema()
    assert set(body["content"]["multipart/form-data"]["schema"]["properties"]) == {"images"}


def test_a_kind_of_ones_own(serving: Callable[..., Any], counts_predictor: Predictor) -> None:
    client = serving(counts_predictor)
    few, many = [1, 2, 3, 2], [40] * 9
    expected = counts_predictor.predict([np.array(few), np.array(many)])
    assert client.post("/predict", {"signals": few}).json == {"predictions": expected[0]}
    assert client.post("/predict", {"signals": [few, many]}).json == {"predictions": expected}
    said = client.post("/predict", {"signals": [["a"]]})
    assert said.status == 422 and "signals[0]: " in said.json["detail"]
    assert client.post("/predict", **form(("signal", b"1"))).status == 415
    schema = client.get("/openapi.json").json["paths"]["/explain"]["post"]["requestBody"]
    assert json.dumps(schema).count("integer")


def test_explanations_name_patches(
    serving: Callable[..., Any], image_predictor: Predictor, files: list[bytes]
) -> None:
    client = serving(image_predictor)
    asked = {"image": Images.to_json(files[0]), "method": "occlusion"}
    found = client.post("/explain", asked)
    assert found.status == 200, found.body
    assert found.json["prediction"] == "blue"
    assert len(found.json["patches"]) == len(found.json["scores"]) > 1
    assert set(found.json["patches"][0]) == {"top", "left", "height", "width"}
    assert found.json.get("words") is None
