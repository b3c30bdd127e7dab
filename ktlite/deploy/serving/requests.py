"""From the bytes of a request to examples and options, or to what the client has to mend."""

from __future__ import annotations

import inspect
import json
import types
import typing
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

from fastapi import HTTPException
from pydantic import BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema, create_model

from ktlite.deploy.serving.limits import Limits
from ktlite.deploy.serving.uploads import FORM, fields_of_form
from ktlite.errors import DataError, a, did_you_mean, listing, plural
from ktlite.inputs.input import Input

# Of kinds whose examples may be several items.
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
_METHODS = "integrated-gradients, occlusion or lime."
_TARGET = "What to explain. Default: the prediction."
_TOLD = 5  # unknown fields that are told
_PLAIN = {bool, int, float, str, type(None)}


class Models(NamedTuple):
    """What the routes take, of one predictor.

    Args:
        predict: Of `/predict`.
        proba: Of `/predict_proba`.
        explain: Of `/explain`.
    """

    predict: type[BaseModel]
    proba: type[BaseModel]
    explain: type[BaseModel]

    @classmethod
    def of(cls, input: Input, *methods: Callable[..., Any]) -> Models:
        """Returns what a predictor's routes take: examples, and the options of its methods.

        How many examples are a batch is not for the client to say.

        Args:
            input: What it reads.
            *methods: Those whose arguments, as far as JSON can hold them, `/predict` takes.
        """
        noun = input.noun
        one: dict[str, Any] = _EXAMPLE if input.has_pairs else input.schema()
        shapes = one["anyOf"][::2] if input.has_pairs else [one]
        several = {"anyOf": [*shapes, {"type": "array", "items": one}]}
        examples = {f"{noun}s": (field(several, f"One {noun}, or a list of them."), ...)}
        options: dict[str, Any] = {}
        for method in methods:
            hints = typing.get_type_hints(inspect.unwrap(method))
            for argument in inspect.signature(method).parameters.values():
                kind = hints.get(argument.name)
                plain = set(typing.get_args(kind) if isinstance(kind, types.UnionType) else [kind])
                if plain <= _PLAIN and argument.name not in ("batch_size", "verbose"):
                    options[argument.name] = (kind, argument.default)
        explaining = {
            noun: (field(one, f"One {noun}."), ...),
            "method": (str | None, Field(None, description=_METHODS)),
            "target": (str | int | None, Field(None, description=_TARGET)),
        }
        return cls(
            model("Predict", examples | options),
            model("Proba", examples),
            model("Explain", explaining),
        )


def field(schema: dict[str, Any], description: str) -> Any:
    """Returns the type of a field whose schema is said, and whose values are checked later."""
    return Annotated[Any, WithJsonSchema(schema), Field(description=description)]


def model(name: str, fields: dict[str, Any]) -> type[BaseModel]:
    """Returns what a route takes, by the types and defaults of its fields; nothing else."""
    strict = ConfigDict(extra="forbid", strict=True)
    made: type[BaseModel] = create_model(name, __config__=strict, **fields)
    return made


def parse(body: bytes, content_type: str, model: type[BaseModel], noun: str) -> dict[str, Any]:
    """Returns what a client gave, by the names of the model's fields.

    Args:
        body: Of the request.
        content_type: The header: JSON, or a form with files.
        model: What is taken; its first field is that of the examples.
        noun: What an example is called.

    Raises:
        HTTPException: 400 where the body is no JSON or no form, 422 where it says something else.
    """
    fields = list(model.model_fields)
    is_form = content_type.partition(";")[0].strip().lower() == FORM
    content = fields_of_form(body, content_type, noun, fields[0]) if is_form else _json(body)
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


def _json(body: bytes) -> Any:
    try:
        return json.loads(body.decode("utf-8-sig"))
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


def examples_of(given: Any, limits: Limits, input: Input, *, words: bool) -> tuple[list[Any], bool]:
    """Returns the examples of a request, and whether it is a single one.

    Args:
        given: What the client gave: values of JSON, or the bytes of files.
        limits: What they have to keep to.
        input: What they are.
        words: A list of strings in the list is the words of a text; else it is a pair.

    Raises:
        HTTPException: 422 where they are no such examples, too many or too large.
    """
    noun = input.noun
    single = isinstance(given, bytes) or input.is_one_json(given)
    many = [given] if single else given
    if not isinstance(many, list):
        raise HTTPException(
            422, f"{noun}s: expected {a(noun)} or a list of them; got {_kind(given)}."
        )
    if not 0 < len(many) <= limits.texts:
        raise HTTPException(
            422,
            f"{noun}s: got {plural(len(many), noun)}; this server takes 1 to {limits.texts:,} a "
            "request. Send them in several.",
        )
    examples, problems = [], []
    for number, item in enumerate(many):
        example, problem = _example(item, limits, input, words)
        examples.append(example)
        if problem:
            problems.append(f"{place(noun, None if single else number)}{problem}")
    if problems:
        raise HTTPException(422, f"{listing(problems)}.")
    return examples, single


def place(noun: str, number: int | None) -> str:
    """Returns what to call an example of a request; None: the only one."""
    return f"{noun}s" if number is None else f"{noun}s[{number}]"


def items_of(example: Any, input: Input) -> list[Any]:
    """Returns the items of an example: itself, of a pair two, of a question it and its context."""
    if not input.has_pairs:
        return [example]
    if isinstance(example, dict):
        return list(example.values())
    return list(example) if isinstance(example, (list, tuple)) else [example]


def _example(item: Any, limits: Limits, input: Input, words: bool) -> tuple[Any, str]:
    """Returns an example, and what is wrong with it."""
    try:
        parts = [
            input.from_bytes(part) if isinstance(part, bytes) else input.from_json(part)
            for part in items_of(item, input)
        ]
        wrong = [part for part in parts if not input.accepts(part)]
        if wrong:
            return None, f" is {_kind(wrong[0])}, not {a(input.noun)}"
        if all(isinstance(part, str) and not part.strip() for part in parts):
            return None, " is empty"
        extent = sum(map(input.extent, parts))
    except DataError as error:
        return None, f": {str(error).removesuffix('.')}"
    largest = limits.largest(input.measure)
    if largest is not None and extent > largest:
        return None, (f" has {extent:,} {input.measure}; this server takes up to {largest:,}")
    if not input.has_pairs:
        return parts[0], ""
    return tuple(item) if isinstance(item, list) and not words else item, ""


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean"}
    return "null" if value is None else names.get(type(value), "a number")
