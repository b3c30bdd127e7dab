"""From the bytes of a request to examples and options, or to what the client has to mend."""

from __future__ import annotations

import inspect
import json
import types
import typing
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import HTTPException
from pydantic import BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema, create_model

from ktlite.deploy.serving.limits import Limits
from ktlite.errors import did_you_mean, listing, plural

_EXAMPLE = {
    "anyOf": [
        {"type": "string", "title": "A text"},
        {
            "type": "array",
            "items": {"type": "string"},
            "title": "A pair of texts; of a model that tags words, the words",
        },
        {
            "type": "object",
            "properties": {"question": {"type": "string"}, "context": {"type": "string"}},
            "required": ["question", "context"],
            "title": "A question",
        },
    ]
}
_TEXTS = {"anyOf": [*_EXAMPLE["anyOf"][::2], {"type": "array", "items": _EXAMPLE}]}
#: One example, or a list of them.
Texts = Annotated[Any, WithJsonSchema(_TEXTS), Field(description="One text, or a list of them.")]
#: One example.
Text = Annotated[Any, WithJsonSchema(_EXAMPLE), Field(description="One text.")]
_TOLD = 5  # unknown fields that are told
_PLAIN = {bool, int, float, str, type(None)}


class Proba(BaseModel):
    """What `/predict_proba` takes."""

    model_config = ConfigDict(extra="forbid", strict=True)
    texts: Texts


class Explain(BaseModel):
    """What `/explain` takes."""

    model_config = ConfigDict(extra="forbid", strict=True)
    text: Text
    method: str | None = Field(None, description="integrated-gradients, occlusion or lime.")
    target: str | int | None = Field(None, description="What to explain. Default: the prediction.")


def predict_model(*methods: Callable[..., Any]) -> type[BaseModel]:
    """Returns what `/predict` takes: texts, and those arguments of the methods that JSON can hold.

    How many texts are a batch is not for the client to say.
    """
    fields: dict[str, Any] = {"texts": (Texts, ...)}
    for method in methods:
        hints = typing.get_type_hints(inspect.unwrap(method))
        for argument in inspect.signature(method).parameters.values():
            kind = hints.get(argument.name)
            plain = set(typing.get_args(kind) if isinstance(kind, types.UnionType) else [kind])
            if plain <= _PLAIN and argument.name not in ("batch_size", "verbose"):
                fields[argument.name] = (kind, argument.default)
    return create_model("Predict", __config__=ConfigDict(extra="forbid", strict=True), **fields)


def parse(body: bytes, model: type[BaseModel]) -> dict[str, Any]:
    """Returns what a client gave, by the names of the model's fields.

    Raises:
        HTTPException: 400 where the body is no JSON, 422 where it says something else.
    """
    try:
        content = json.loads(body.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise HTTPException(
            400, f"the body is not UTF-8: byte {error.start} is {body[error.start]:#04x}."
        ) from None
    except json.JSONDecodeError as error:
        raise HTTPException(
            400, f"the body is not JSON: {error.msg}, line {error.lineno} column {error.colno}."
        ) from None
    except (ValueError, RecursionError) as error:  # numbers of too many digits, too many brackets
        raise HTTPException(400, f"the body is JSON that cannot be read: {error}.") from None
    fields = list(model.model_fields)
    if not isinstance(content, dict):
        raise HTTPException(
            422, f'expected an object such as {{"{fields[0]}": ...}}; got {_kind(content)}.'
        )
    unknown = [name for name in content if name not in fields]
    problems = [
        f"there is no field {name!r:.60}.{did_you_mean(name[:60], fields)}"
        for name in unknown[:_TOLD]
    ]
    try:
        model.model_validate({name: content[name] for name in content if name in fields})
    except ValidationError as error:
        problems += [f"{e['loc'][0]}: {e['msg'].lower()}." for e in error.errors()]
    if problems:
        raise HTTPException(422, f"{' '.join(problems)} Known are {listing(fields)}.")
    return content


def examples_of(texts: Any, limits: Limits, *, words: bool) -> tuple[list[Any], bool]:
    """Returns the examples of a request, and whether it is a single one.

    Args:
        texts: As the client gave them.
        limits: What they have to keep to.
        words: A list of strings in the list is the words of a text; else it is a pair.

    Raises:
        HTTPException: 422 where they are no texts, too many or too long.
    """
    single = isinstance(texts, (str, dict))
    given = [texts] if single else texts
    if not isinstance(given, list):
        raise HTTPException(422, f"texts: expected a text or a list of them; got {_kind(given)}.")
    if not 0 < len(given) <= limits.texts:
        raise HTTPException(
            422,
            f"texts: got {plural(len(given), 'text')}; this server takes 1 to {limits.texts:,} a "
            "request. Send them in several.",
        )
    problems = [
        f"texts{'' if single else f'[{number}]'} {problem}"
        for number, item in enumerate(given)
        if (problem := _problem(item, limits))
    ]
    if problems:
        raise HTTPException(422, f"{listing(problems)}.")
    return [tuple(i) if isinstance(i, list) and not words else i for i in given], single


def parts_of(example: Any) -> list[Any]:
    """Returns the texts of an example: itself, of a pair two, of a question it and its context."""
    if isinstance(example, dict):
        return list(example.values())
    return list(example) if isinstance(example, (list, tuple)) else [example]


def _problem(item: Any, limits: Limits) -> str:
    parts = parts_of(item)
    wrong = [part for part in parts if not isinstance(part, str)]
    if wrong:
        return f"is {_kind(wrong[0])}, not a text"
    if not any(part.strip() for part in parts):
        return "is empty"
    length = sum(len(part) for part in parts)
    if length > limits.characters:
        return f"has {length:,} characters; this server takes up to {limits.characters:,}"
    return ""


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean"}
    return "null" if value is None else names.get(type(value), "a number")
