"""What the routes answer with, for `/docs` and `/openapi.json`."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

_REMARKS = (
    "Of each example that the model hardly knows, such as a text of unknown tokens, why; null for "
    "the others. Missing where there is nothing to say. Do not trust such predictions."
)


class Predictions(BaseModel):
    """What `/predict` answers."""

    predictions: Any = Field(
        description="Of one example its prediction, of a list a list, as Predictor.predict gives "
        "them."
    )
    remarks: str | list[str | None] | None = Field(None, description=_REMARKS)


class Generated(BaseModel):
    """What `/generate` answers without `"stream": true`."""

    text: str = Field(description="What was written.")


class Probabilities(BaseModel):
    """What `/predict_proba` answers."""

    classes: list[Any] = Field(description="The classes, in the order of the probabilities.")
    probabilities: list[Any] = Field(
        description="[classes] for one example, [examples, classes] for a list; of a model that "
        "tags words [words, classes] for each text."
    )
    remarks: str | list[str | None] | None = Field(None, description=_REMARKS)


class Word(BaseModel):
    """A word of an explained text."""

    text: int = Field(description="0, or 1 for the second text of a pair.")
    word: str = Field(description="The word.")
    start: int = Field(description="Its first character.")
    end: int = Field(description="The character after its last.")


class Patch(BaseModel):
    """A patch of an explained image, in its pixels."""

    top: int = Field(description="Its first row.")
    left: int = Field(description="Its first column.")
    height: int = Field(description="Its rows.")
    width: int = Field(description="Its columns.")


class Stretch(BaseModel):
    """A stretch of an explained sound, in seconds."""

    start: float = Field(description="Where it begins.")
    end: float = Field(description="Where it ends.")


class Explanation(BaseModel):
    """What `/explain` answers."""

    target: Any = Field(description="What is explained.")
    prediction: Any = Field(description="What the model says.")
    probability: float | None = Field(description="Of the target.")
    method: str = Field(description="How the scores were made.")
    words: list[Word] | None = Field(None, description="The words of a text.")
    patches: list[Patch] | None = Field(None, description="The patches of an image.")
    stretches: list[Stretch] | None = Field(None, description="The stretches of a sound.")
    scores: list[float | None] = Field(
        description="How much each word, patch or stretch speaks for the target, in the unit of "
        "the model's outputs (of classes, logits); null for those that were not looked at."
    )
    difference: float = Field(description="What all together make.")
    completeness_error: float | None = Field(
        description="How far the scores' sum is from that, of integrated gradients."
    )


class Allowed(BaseModel):
    """The largest requests that are taken."""

    texts: int = Field(description="Examples of a request.")
    characters: int = Field(description="Characters of a text.")
    pixels: int = Field(description="Pixels of an image.")
    seconds: int = Field(description="Seconds of a sound.")
    body: int = Field(description="Bytes of a request.")
    max_new_tokens: int = Field(description="Tokens that are written for a text.")


class Info(BaseModel):
    """What `/info` and `/reload` answer."""

    name: str = Field(description="Of the predictor's folder.")
    task: str = Field(description="What it does.")
    takes: str = Field(description="What an example is: texts, tagged, questions or groups.")
    input: str = Field(description="What the model reads, such as text or image.")
    noun: str = Field(description="What an example is called; fields are called so.")
    media: str = Field(description="The media type of files that may be sent; empty: none.")
    classes: list[Any] = Field(description="The labels, in the order of the probabilities.")
    options: list[str] = Field(description="What /predict takes beside examples.")
    settings: dict[str, Any] = Field(description="Of the task.")
    maxlen: int | None = Field(description="Tokens of the longest text; null: there are none.")
    limits: Allowed = Field(description="The largest requests.")
    loaded: str = Field(description="When the predictor was loaded, in UTC.")
    ktlite: str = Field(description="The version.")


class Status(BaseModel):
    """What `/health` and `/health/ready` answer."""

    status: str = Field(description="In words.")


class Problem(BaseModel):
    """What is answered where something is wrong."""

    detail: str = Field(description="What is wrong, and what to do.")


_WHY = {
    400: "no JSON, or not UTF-8",
    401: "the API key is missing or wrong",
    403: "the server has no API key",
    408: "the request took too long to arrive",
    409: "there is nothing to load, or another task",
    413: "the request is too large",
    415: "a Content-Type that is not taken",
    422: "no examples, too many, too large, unknown fields, or what the task does not take",
    500: "the folder does not load",
    503: "too many requests are waiting, or the model does not answer",
    504: "no answer in time",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Returns what a route answers where something is wrong, as FastAPI's `responses`."""
    return {status: {"model": Problem, "description": _WHY[status]} for status in statuses}
