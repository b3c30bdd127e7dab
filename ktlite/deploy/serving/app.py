"""The web application: routes to what the service does."""

from __future__ import annotations

import asyncio
import hmac
import json
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, TimeoutError
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.exception_handlers import http_exception_handler
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel

from ktlite._arguments import checked
from ktlite._version import __version__
from ktlite.deploy.serving import answers
from ktlite.deploy.serving import metrics as prometheus
from ktlite.deploy.serving.answers import problems
from ktlite.deploy.serving.limits import Limits
from ktlite.deploy.serving.middleware import Observed, WholeBody
from ktlite.deploy.serving.service import Service
from ktlite.deploy.serving.streams import Stream, StreamedText
from ktlite.deploy.serving.uploads import FORM
from ktlite.deploy.serving.writing import WritingService
from ktlite.errors import ArgumentError, KtliteError
from ktlite.predictor import Predictor, load_predictor

_PAGE = Path(__file__).parent / "page"
_BEARER, _HEADER = HTTPBearer(auto_error=False), APIKeyHeader(name="X-API-Key", auto_error=False)


@checked
def create_app(
    predictor: Predictor | str | os.PathLike[str],
    *,
    limits: Limits | Mapping[str, Any] | None = None,
    api_key: str | None = None,
    cors: Iterable[str] = (),
    **loading: Any,
) -> FastAPI:
    """Returns a web application that answers with a predictor; `serve` runs one.

    Args:
        predictor: One, or the folder of a saved one.
        limits: What it takes: `Limits`, or those that are not its defaults, by name.
        api_key: What clients have to send, as `Authorization: Bearer KEY` or `X-API-Key: KEY`.
            Default: nothing.
        cors: Origins whose pages may use it, such as `"https://example.org"`. Default: none.
        **loading: Arguments of `load_predictor`, for a folder.

    Raises:
        ArgumentError: If the key is empty.
        PredictorError: If the folder is no predictor's.

    Example:
        >>> app = FastAPI()
        >>> app.mount("/reviews", create_app("reviews-predictor"))
    """
    if api_key is not None and not api_key.strip():
        raise ArgumentError("api_key is empty; leave it out for a server that everybody may use.")
    load, name = None, "predictor"
    if not isinstance(predictor, Predictor):
        name = Path(predictor).resolve().name
        load = partial(load_predictor, predictor, **loading)
        predictor = load()
    limits, counted = Limits.of(limits), prometheus.Metrics()
    kind = WritingService if WritingService.fits(predictor) else Service
    service = kind(predictor, limits, counted, load, name)
    noun = service.input.noun
    taken = ["application/json", *([FORM] if service.input.media else [])]
    app = FastAPI(title=f"ktlite: {name}", version=__version__, docs_url=None, redoc_url=None)
    app.state.service = service
    if cors:
        app.add_middleware(
            CORSMiddleware, allow_origins=list(cors), allow_methods=["*"], allow_headers=["*"]
        )
    app.add_middleware(WholeBody, limits=limits)
    app.add_middleware(Observed, metrics=counted)
    app.add_exception_handler(Exception, _failed)
    protected = [Depends(_key_check(api_key))]
    pool = ThreadPoolExecutor(limits.waiting, "ktlite-requests")

    def count(requests: int) -> None:
        service.in_flight += requests
        counted.waiting(service.in_flight)

    async def in_thread(work: Callable[..., Any], *arguments: Any) -> Response:
        """Answers with what `work` returns; a client that is one too many has to come again."""
        if service.in_flight >= limits.waiting:
            raise HTTPException(
                503,
                f"{service.in_flight} requests are waiting already. Try again in a second.",
                {"Retry-After": "1"},
            )
        count(1)
        try:
            loop = asyncio.get_running_loop()
            content = await loop.run_in_executor(pool, partial(_answered, work, *arguments))
        except TimeoutError:
            raise HTTPException(
                504,
                f"no answer within {limits.timeout:g} s. Send fewer or smaller {noun}s, or later.",
            ) from None
        except KtliteError as error:
            raise HTTPException(422, str(error)) from None
        finally:
            count(-1)
        if isinstance(content, Stream):
            count(1)
            return StreamedText(content, pool, partial(count, -1))
        return Response(content, media_type="application/json")

    def examples_in(
        path: str,
        work: Callable[[bytes, str], Any],
        schema: type[BaseModel],
        answered: type[BaseModel],
    ) -> None:
        """Adds a route that takes texts, or what else the predictor reads."""
        content = {"application/json": {"schema": schema.model_json_schema()}}
        if FORM in taken:
            field = noun if noun in schema.model_fields else f"{noun}s"
            content[FORM] = {"schema": _form(field, field != noun)}

        async def answer(request: Request) -> Response:
            header = request.headers.get("content-type", "")
            if header.partition(";")[0].strip().lower() not in taken:
                raise HTTPException(415, f"expected the header Content-Type: {' or '.join(taken)}.")
            return await in_thread(work, await request.body(), header)

        answer.__doc__ = work.__doc__
        app.add_api_route(
            path,
            answer,
            methods=["POST"],
            name=path[1:],
            dependencies=protected,
            response_model=answered,  # for /docs: a Response goes out as it is
            responses=problems(400, 401, 408, 413, 415, 422, 503, 504),
            openapi_extra={"requestBody": {"required": True, "content": content}},
        )

    takes = service.takes
    examples_in("/predict", service.predict, takes.predict, answers.Predictions)
    if isinstance(service, WritingService):  # whose texts have no probabilities
        examples_in("/generate", service.generate, service.takes_one, answers.Generated)
    else:
        examples_in("/predict_proba", service.predict_proba, takes.proba, answers.Probabilities)
        examples_in("/explain", service.explain, takes.explain, answers.Explanation)

    @app.get(
        "/info",
        dependencies=protected,
        response_model=answers.Info,
        responses=problems(401, 503, 504),
    )
    async def info() -> Response:
        """Returns what the predictor is, and what it takes."""
        return await in_thread(service.info)

    @app.post(
        "/reload",
        dependencies=protected,
        response_model=answers.Info,
        responses=problems(401, 403, 409, 500, 503, 504),
    )
    async def reload() -> Response:
        """Loads the predictor's folder anew, without dropping a request. Needs an API key."""
        if api_key is None:
            raise HTTPException(
                403, "a server without an API key is reloaded by the signal SIGHUP alone."
            )
        return await in_thread(app.state.reload)

    app.state.reload = service.reload  # of several processes, `serve` puts in what tells them all

    @app.get("/health", response_model=answers.Status)
    def health() -> dict[str, str]:
        """Says that the server lives."""
        return {"status": "alive"}

    @app.get(
        "/health/ready",
        response_model=answers.Status,
        responses={503: {"model": answers.Status, "description": "the model does not answer"}},
    )
    def ready() -> JSONResponse:
        """Says whether to send requests: 503 where the model does not answer."""
        if service.stuck:
            return JSONResponse({"status": "the model does not answer"}, 503)
        return JSONResponse({"status": "ready"})

    @app.get(
        "/metrics",
        dependencies=protected,
        response_class=PlainTextResponse,
        responses=problems(401),
    )
    def metrics() -> Response:
        """Returns counts of requests and batches, in Prometheus' format."""
        return Response(counted.text(), media_type=prometheus.CONTENT_TYPE)

    for path, file in {"/": "index.html", "/docs": "docs.html"}.items():
        _add_file(app, path, file)
    for file in sorted(f.name for f in _PAGE.iterdir() if f.suffix in (".js", ".css", ".svg")):
        _add_file(app, f"/{file}", file)
    _add_heads(app)
    return app


def _form(field: str, several: bool) -> dict[str, Any]:
    """Returns the schema of a form with files."""
    file = {"type": "string", "contentMediaType": "application/octet-stream"}
    schema = {"type": "array", "items": file} if several else file
    return {"type": "object", "properties": {field: schema}, "required": [field]}


def _add_heads(app: FastAPI) -> None:
    """Makes every route that is got answer to HEAD, too, as monitors and proxies ask."""
    for route in [r for r in app.routes if isinstance(r, APIRoute) and "GET" in (r.methods or ())]:
        app.add_api_route(
            route.path,
            route.endpoint,
            methods=["HEAD"],
            dependencies=route.dependencies,
            response_model=None,
            include_in_schema=False,
        )


def _add_file(app: FastAPI, path: str, name: str) -> None:
    async def page() -> FileResponse:
        return FileResponse(_PAGE / name, headers={"cache-control": "no-cache"})

    app.add_api_route(path, page, include_in_schema=False)


def _key_check(api_key: str | None) -> Callable[..., Awaitable[None]]:
    """Returns what refuses clients without the key."""

    async def check(
        bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)] = None,
        header: Annotated[str | None, Depends(_HEADER)] = None,
    ) -> None:
        text = (bearer.credentials if bearer else header) or ""
        given = text.encode("latin-1")  # the bytes of the header, as they came
        # Takes as long whatever is wrong with it.
        if api_key is not None and not hmac.compare_digest(given, api_key.encode()):
            raise HTTPException(
                401,
                "this server needs its API key, as the header Authorization: Bearer KEY.",
                {"WWW-Authenticate": "Bearer"},
            )

    return check


async def _failed(request: Request, error: Exception) -> Response:
    """Answers where something is wrong with the server; the log has what."""
    return await http_exception_handler(
        request, HTTPException(500, "the server failed; its log says where.")
    )


def _answered(work: Callable[..., Any], *arguments: Any) -> bytes | Stream:
    """Returns what `work` returns as JSON; what comes in pieces as it is."""
    found = work(*arguments)
    if isinstance(found, Stream):
        return found
    return json.dumps(found, ensure_ascii=False, allow_nan=False, default=_plain).encode()


def _plain(value: Any) -> Any:
    """Returns a NumPy array or number as what JSON can hold."""
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is nothing that JSON can hold")
