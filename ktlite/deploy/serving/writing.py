"""What a server does with a predictor whose model writes texts."""

from __future__ import annotations

import dataclasses
import inspect
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from fastapi import HTTPException
from pydantic import BaseModel, Field

from ktlite.deploy.serving.limits import Limits, cost
from ktlite.deploy.serving.requests import Models, examples_of, field, model
from ktlite.deploy.serving.service import Service
from ktlite.deploy.serving.streams import Stream
from ktlite.errors import Problems, a, plural
from ktlite.generation import Generation
from ktlite.generation.options import DEFAULT_NEW_TOKENS
from ktlite.inputs.chats import CONTENT, EXPECTED, ROLE, checked_chat, is_chat
from ktlite.inputs.input import Input
from ktlite.predictor import Predictor
from ktlite.tasks import Task
from ktlite.tasks.writing import Writing

_STOPS = 16  # strings that may end a text
_OPTIONS = "How to write, in the names of transformers: max_new_tokens, do_sample, ..."
_CHAT = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {name: {"type": "string"} for name in (ROLE, CONTENT)},
        "required": [ROLE, CONTENT],
    },
}


@dataclass(frozen=True)
class _Asked:
    """Writes texts for examples; requests that ask for the same share batches.

    Args:
        predictor: What writes.
        options: How, as JSON.
        alone: Of each request another, where what is drawn depends on the place in the batch.
    """

    predictor: Predictor
    options: str
    alone: object = None

    def __call__(self, examples: list[Any]) -> np.ndarray:
        options = json.loads(self.options)
        if not options:
            return self.predictor.logits(examples)
        task = self.predictor.preproc.task.asking(options)
        return self.predictor.fresh_logits(examples, task=task)


class WritingService(Service):
    """Answers requests with a predictor that writes; arguments as for `Service`."""

    def __init__(self, predictor: Predictor, limits: Limits, *more: Any) -> None:
        super().__init__(predictor, limits, *more)
        task = predictor.preproc.task
        chats = isinstance(task, Writing) and task.takes_chats
        self.takes, self.takes_one = _models(self.input, chats)
        self._streams = threading.BoundedSemaphore(limits.streams)

    @staticmethod
    def fits(predictor: Predictor) -> bool:
        """Says whether a predictor writes."""
        return isinstance(predictor.preproc.task, Writing)

    def predict(self, body: bytes, content_type: str = "application/json") -> dict[str, Any]:
        """Returns a text for each example, as `Predictor.predict` writes it."""
        predictor = self._now.predictor
        examples, single, options = self._read(predictor, body, content_type, self.takes.predict)
        written = self._written(predictor, examples, single, options)
        remarks = {} if is_chat(examples[0]) else self._remarks(examples, single)
        return {"predictions": written[0] if single else written, **remarks}

    def generate(
        self, body: bytes, content_type: str = "application/json"
    ) -> dict[str, Any] | Stream:
        """Returns the text for one example; with `"stream": true` in pieces, as events."""
        predictor = self._now.predictor
        examples, _, options = self._read(predictor, body, content_type, self.takes_one)
        if not options.pop("stream"):
            return {"text": self._written(predictor, examples, True, options)[0]}
        # Each holds memory, and they slow each other down.
        if not self._streams.acquire(timeout=self.limits.timeout):
            raise TimeoutError
        try:
            pieces = predictor.stream(examples[0], **options)
        except BaseException:
            self._streams.release()
            raise
        return Stream(pieces, self._streams.release)

    def _cost(self, example: Any) -> int:
        if not is_chat(example):
            return super()._cost(example)
        return cost(self.input.measure, _characters(example))

    def _written(
        self, predictor: Predictor, examples: list[Any], single: bool, options: dict[str, Any]
    ) -> list[str]:
        draws = predictor.generation(**options).do_sample
        run = _Asked(predictor, json.dumps(options, sort_keys=True), object() if draws else None)
        parts = self._run(
            examples, single, lambda: self._batches(run, examples, self.limits.timeout)
        )
        return predictor.preproc.task.decode(np.concatenate(parts))

    def _read(
        self, predictor: Predictor, body: bytes, content_type: str, kind: type[BaseModel]
    ) -> tuple[list[Any], bool, dict[str, Any]]:
        """Returns the examples of a request, whether it is a single one, and its options.

        Raises:
            HTTPException: 422 where they are no examples, or options make no sense or are more
                than this server does.
        """
        texts, given = self._given(body, content_type, kind)
        chat = given.pop("messages", None)
        if (texts is None) == (chat is None):
            names = [name for name in kind.model_fields if name not in ("options", "stream")]
            raise HTTPException(422, f"give {' or '.join(names)}{', one' if chat else ''}.")
        options = self._allowed(predictor, given.pop("options", {}))
        if kind is self.takes_one:
            options["stream"] = given.pop("stream", False)
            if isinstance(texts, list):
                noun = self.input.noun
                raise HTTPException(422, f"{noun}: expected one {noun}. /predict takes several.")
        if chat is not None:
            return [_chat(chat, self.limits)], True, options
        examples, single = examples_of(texts, self.limits, self.input, words=False)
        wrong = next((i for i, x in enumerate(examples) if not self.input.accepts(x)), None)
        if wrong is not None:
            noun = self.input.noun
            raise HTTPException(422, f"{noun}s[{wrong}] is not {a(noun)}.")
        return examples, single, options

    def _allowed(self, predictor: Predictor, given: Mapping[str, Any]) -> dict[str, Any]:
        """Returns a request's options, and with them what keeps a text within the limits."""
        limits, task = self.limits, predictor.preproc.task
        known, problems = _known(task), Problems("options")
        problems.unknown([name for name in given if name not in known], known)
        own = [name for name in known if name not in _SEARCH]
        for name in own:
            value = given.get(name)
            problems.add_unless(
                value is None or isinstance(value, str), f"{name}={value!r:.40}; expected a string."
            )
        problems.raise_if_any()
        how = predictor.generation(**given)
        most = how.max_new_tokens or how.max_length or DEFAULT_NEW_TOKENS
        options = dict(given)
        if most > limits.max_new_tokens and not given.keys() & {"max_new_tokens", "max_length"}:
            options["max_new_tokens"] = most = limits.max_new_tokens
        problems.add_unless(
            most <= limits.max_new_tokens,
            f"{most:,} tokens are asked for; this server writes up to {limits.max_new_tokens:,} "
            "(max_new_tokens).",
        )
        problems.add_unless(
            "num_beams" not in given or how.num_beams <= limits.beams,
            f"num_beams={how.num_beams}; this server takes up to {limits.beams}.",
        )
        problems.add_unless(
            len(how.stop_strings) <= _STOPS,
            f"{plural(len(how.stop_strings), 'string')} in stop_strings; this server takes up to "
            f"{_STOPS}.",
        )
        problems.raise_if_any()
        return options


# Which tokens end, begin and fill texts is the checkpoint's to say; a text for each is a task's.
_SEARCH = [
    one.name
    for one in dataclasses.fields(Generation)
    if one.name.endswith("new_tokens") or not one.name.endswith(("_id", "_ids", "_tokens"))
    if one.name != "num_return_sequences"
]


def _known(task: Task) -> list[str]:
    """Returns the options that clients may give: how to search, and those of the task itself."""
    own = inspect.signature(type(task)).parameters.values()
    return [*_SEARCH, *(one.name for one in own if one.kind is not one.VAR_KEYWORD)]


def _models(input: Input, chats: bool) -> tuple[Models, type[BaseModel]]:
    """Returns what `/predict` and `/generate` take."""
    one, noun = input.schema(), input.noun
    several = {"anyOf": [one, {"type": "array", "items": one}]}
    missing = None if chats else ...
    chat: dict[str, Any] = {
        "messages": (field(_CHAT, f"A chat, in place of a text: {EXPECTED}."), None)
    }
    options: dict[str, Any] = {"options": (dict[str, Any], Field({}, description=_OPTIONS))}
    both = {**(chat if chats else {}), **options}
    stream = (bool, Field(False, description="Send the text while it is written, as events."))
    examples = (field(several, f"One {noun}, or a list."), missing)
    many = model("Predict", {f"{noun}s": examples, **both})
    single = {noun: (field(one, f"One {noun}."), missing), **both, "stream": stream}
    return Models(many, many, many), model("Generate", single)


def _chat(given: Any, limits: Limits) -> list[dict[str, Any]]:
    """Returns a chat; raises DataError where it is none, HTTPException where it is too large."""
    chat = checked_chat(given, "messages")
    roles = [message for message in chat if not isinstance(message[ROLE], str)]
    if roles:
        raise HTTPException(422, f"messages: expected {EXPECTED}; got {roles[0]!r:.80}.")
    if len(chat) > limits.texts:
        raise HTTPException(
            422, f"messages: got {len(chat):,}; this server takes up to {limits.texts:,}."
        )
    extent = _characters(chat)
    if extent > limits.characters:
        raise HTTPException(
            422,
            f"messages have {extent:,} characters; this server takes up to {limits.characters:,}.",
        )
    return chat


def _characters(chat: Any) -> int:
    return sum(len(message[CONTENT]) for message in chat)
